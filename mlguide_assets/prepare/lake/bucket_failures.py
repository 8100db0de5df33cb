"""What object storage refuses, in one clause each. Stores and their library word these in their own ways."""

import re

_OVERLOADED, _SILENT = "is overloaded or failing", "does not answer"
"""What may pass by itself: so the clauses begin that say it."""
MISSING_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)
_REASONS: tuple[tuple[str, str], ...] = (
    (MISSING_BUCKET.pattern, "has no bucket of that name: create it or correct MLGUIDE_LAKE, then run again"),
    (
        r"ExpiredToken|TokenExpired|TokenRefreshRequired|token (?:has|is) expired|RequestTimeTooSkewed",
        "refuses credentials whose session has expired: get new ones, then run again",
    ),
    (
        r"169\.254\.169\.254|metadata\.google|token request|Missing (?:Secret)?Access|Missing ?Account"
        r"|Account must be specified|credentials? not|MissingCredentials|No credentials",
        "was not asked, since no credentials were found: set those of the store, such as AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, then run again",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|AuthenticationFailed|status code: 401|Unauthenticated",
        "does not know these credentials: check them, then run again",
    ),
    (
        r"AccessDenied|status code: 403|PermissionDenied",
        "does not allow this with these credentials: they must be allowed to list, get, put and delete there",
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|incorrectly configured region|status code: 30\d",
        "is in another region: set AWS_REGION, then run again",
    ),
    (
        r"status code: (?:5\d\d|429)|SlowDown",
        f"{_OVERLOADED} (HTTP {{code}}), and was tried again for {{seconds:.0f}} s: run again later",
    ),
)
_NO_ANSWER = re.compile(r"error sending request|HTTP error|timed out|error decoding|connection", re.IGNORECASE)


def passes(sentence: str) -> bool:
    """Whether a store may answer later without anybody doing anything.

    Args:
        sentence: what `reason` says.

    >>> passes(reason("status code: 503")), passes(reason("status code: 403"))
    (True, False)
    """
    return sentence.startswith((_OVERLOADED, _SILENT))


def reason(text: str, tried_seconds: float = 30.0) -> str:
    """Why a store failed, and what to do, from the words of its library or its answer.

    Args:
        tried_seconds: how long a request was tried again.

    >>> reason("Server returned non-2xx status code: 404 Not Found: <Code>NoSuchBucket</Code>")
    'has no bucket of that name: create it or correct MLGUIDE_LAKE, then run again'
    """
    # Of addresses the host, since the names of buckets and tables may be any words.
    text = re.sub(r"https?://([^/\s]+)\S*", r"\1", text.partition("\n\nDebug source:")[0])
    code = re.search(r"status code: (\d{3})", text)
    for pattern, sentence in _REASONS:
        if re.search(pattern, text, re.IGNORECASE):
            return sentence.format(code=code[1] if code else "503", seconds=tried_seconds)
    if code is None and _NO_ANSWER.search(text):
        return f"{_SILENT}: check the network, and AWS_ENDPOINT_URL if it is set, then run again"
    named = re.search(r"<Code>(\w{1,60})</Code>", text)
    return f"failed ({named[1] if named else f'HTTP {code[1]}' if code else 'unknown reason'}): run again"
