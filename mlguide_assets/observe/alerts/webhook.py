"""Posting JSON to a webhook: within a time limit whatever the other side does, and without ever raising.

The address may hold a token, so no text here names more of it than the host.
"""

import http.client
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 5.0
"""Seconds for a delivery with all its attempts."""

RETRIES = 2
_PAUSE = 0.1
"""Seconds before the first retry; twice that before the second."""


_PASSING = (408, 429)
"""Refusals (4xx) that are temporary."""

_MOVED = (301, 308)
"""Redirects that are permanent. Others may be of a proxy while the receiver is away."""


@dataclass(frozen=True)
class Posted:
    """Whether the receiver accepted (2xx), after how many attempts, and if not, what the last one met.

    `refused`: a final answer, such as 404: another attempt would get the same.
    """

    delivered: bool
    attempts: int
    error: str | None = None
    refused: bool = False


@dataclass(frozen=True)
class _Answer:
    accepted: bool
    error: str | None = None
    final: bool = False
    """Another attempt at once would get the same answer."""
    refused: bool = False
    """So would a later attempt."""


def host_of(url: str) -> str:
    """Host and port: all of a webhook's address that may be shown."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or 'no host'}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "no host"


def post(url: str, payload: Mapping[str, Any], *, timeout: float = TIMEOUT, retries: int = RETRIES) -> Posted:
    """Post the payload as JSON; waits at most `timeout` seconds in all.

    Repeated where the receiver cannot be reached, breaks off, is busy (408, 429) or fails (5xx), not where it refuses.
    Redirects are not followed: they would carry the payload to another host. What is underway when time is
    up may still arrive.
    """
    wrong = _what_is_wrong_with(url)
    if wrong:
        return Posted(False, 0, wrong, refused=True)
    deadline = time.monotonic() + timeout
    body = json.dumps(payload, allow_nan=False).encode()
    answer = _Answer(False, "timeout")
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(min(_PAUSE * 2 ** (attempt - 1), max(0.0, deadline - time.monotonic())))
        left = deadline - time.monotonic()
        if left <= 0:
            return Posted(False, attempt, answer.error)
        answer = _within(left, url, body)
        if answer.accepted or answer.final:
            return Posted(answer.accepted, attempt + 1, answer.error, answer.refused)
    return Posted(False, retries + 1, answer.error)


def _what_is_wrong_with(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or any(character <= " " or character > "~" for character in url):
        return "its address must be http://… or https://… with a host, without a user name, blanks or other alphabets"
    return None


def _within(seconds: float, url: str, body: bytes) -> _Answer:
    """One attempt. A thread, as a socket's own limit restarts with every byte and does not cover name look-up."""
    answers: list[_Answer] = []
    attempt = threading.Thread(target=lambda: answers.append(_attempt(url, body, seconds)), daemon=True)
    attempt.start()
    attempt.join(seconds)
    return answers[0] if answers else _Answer(False, "no answer in time", final=True)


def _attempt(url: str, body: bytes, seconds: float) -> _Answer:
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "mlguide"}
    try:
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        with _opener().open(request, timeout=seconds):
            return _Answer(True)
    except urllib.error.HTTPError as error:
        with error:
            if 300 <= error.code < 400:
                why = f"it answered {error.code}, and redirects are not followed"
                return _Answer(False, why, final=True, refused=error.code in _MOVED)
            refused = error.code < 500 and error.code not in _PASSING
            return _Answer(False, f"it answered {error.code}", final=refused, refused=refused)
    except urllib.error.URLError as error:
        return _Answer(False, _named(error.reason))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _Answer(False, _named(error))


def _named(error: object) -> str:
    """What an error was, without its text, which may quote the address."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, http.client.HTTPException):
        return "its answer is not HTTP"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message.rstrip('.')})"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS as https:// needs it"
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    """One that speaks HTTP only, through the environment's proxy if it names one: no files, no FTP."""
    opener = urllib.request.OpenerDirector()
    handlers = (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _NoRedirect,
    )
    for handler in handlers:
        opener.add_handler(handler())
    return opener
