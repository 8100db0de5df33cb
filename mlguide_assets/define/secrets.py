"""Keeping passwords, tokens and signatures out of what is shown or kept: messages, logs, events, tags.

`shown_address` is for one address, `masked` for any text that may quote one, `reason` for what a library says of one.
`nothing_secret_raised` is for code that hands an address to a library.

What it cannot know: a secret that stands alone in a text, of an address that was not given.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, unquote, urlsplit

MASK = "***"

_NAME = r"(?:(?!{0})[\w.%-])*+{0}[\w.%-]*+|sig".format("(?:pass|pwd|token|secret|key|signature|credential|auth)")
"""Parameters of an address whose value is a secret: of databases, S3, Azure and Google storage, and the like.

Texts may come from anybody and be long: no pattern here looks at a character more than a few times.
"""

_WORD = (
    r"(?:(?!{0})[\w.-])*+{0}[\w.-]*+".format("(?:password|passwd|passphrase|pwd|secret|token|signature|credential)")
    + r"|[\w.-]++(?:(?<=\bsig)"
    + "".join(rf"|(?<={name}key)|(?<={name}[_-]key)" for name in ("api", "access", "account", "private"))
    + ")"
)
"""Names in any text whose value is one: narrower, since words such as 'passed' and 'author' stand there, too."""

_VARIABLE = re.compile(r"\$\{\w+\}")
"""What stands for a value of the environment is no secret itself."""

_USER = re.compile(r"(?i)[?&;](?:user|username|uid)=(?P<value>[^&#;\s'\"]*)")
_AUTHORITY = re.compile(r"[A-Za-z][\w+.-]*://(?P<value>[^/?#]*)@")
_ENDS = re.compile(r"[/?#@:\[\]]")
"""Characters at which libraries take a password for ended, and what follows for a host or a port."""

_ADDRESS = re.compile(r"(?<![\w+.-])(?P<scheme>[\w+.-]++)://(?P<rest>[^\s'\"<>]*)")
_NO_SCHEME = re.compile(r"(?<![\w.%+-])(?P<before>[\w.%+-]++:)(?P<value>[^\s:/@'\"<>*][^\s/@'\"<>*]{2,200})(?=@[\w\[])")
"""An address whose scheme was cut off, as libraries quote them: `user:password@host`."""

_PARAMETER = re.compile(rf"(?i)(?P<before>[?&;#](?:{_NAME})=)(?P<value>[^&#;\s'\"]*)")
_ENCODED = [
    re.compile(r"(?i)(?P<before>%3A%2F%2F[^\s%&]{0,200}%3A)(?P<value>(?:(?!%40)[^\s&]){1,200})(?=%40)"),
    re.compile(rf"(?i)(?P<before>(?:%3F|%26)(?:{_NAME.replace('%', '')})%3D)(?P<value>(?:(?!%26)[^&#;\s'\"])+)"),
]
"""An address that is a parameter of another."""

_QUOTE = r"(?:\\{0,4}['\"])"
"""A quotation mark; where JSON is quoted within JSON, it is escaped."""
_HEADER = rf"(?:(?:proxy-)?authorization|(?:set-)?cookie|(?=[\w.]*-)(?:{_WORD}))"
_VALUE = rf"(?P<value>b?(?P<quote>{_QUOTE})(?:(?!(?P=quote)).)*(?P=quote)?|[^\s,;&'\"\\]+)"

_LINE = re.compile(
    rf"(?i)(?P<before>(?<![\w.-])(?P<open>{_QUOTE})?{_HEADER}[ \t]*:(?!//)[ \t]*)"
    r"(?P<value>(?(open)(?:(?!(?P=open))[^\r\n])+|[^\r\n]+))"
)
"""A header as it is sent. Its value may hold blanks, commas and quotes: it ends with its line, or with the text that it
stands in."""

_PAIRS = [
    re.compile(rf"(?i)(?P<before>{before}){_VALUE}")
    for before in (
        rf"(?<![\w.-])(?:{_WORD}|{_HEADER})\s*=>?\s*",
        rf"{_QUOTE}(?:{_WORD}|{_HEADER}){_QUOTE}\s*(?::|=>?)\s*",
        # A pair as Python shows one.
        rf"\(b?{_QUOTE}(?:{_WORD}|{_HEADER}){_QUOTE},\s*",
        # In a message of ours, a column of a table is no secret: tables.users.columns.token: …
        rf"(?<![\w.-])(?![\w-]*+\.)(?:{_WORD})\s*:(?!//)\s*",
        rf"(?<![\w-])--(?:{_WORD})\s+",
    )
]
_SCHEME = re.compile(r"(?i)(?P<before>\b(?:bearer|basic)\s+)(?P<value>(?=[\w.~+/-]*[\d=])[\w.~+/-]{12,}=*)")
"""What a header holds, without its name. A word of a sentence has no digit."""


def shown_address(address: str) -> str:
    """An address that may be shown. A password may hold any character, so it is all up to the last @.

    >>> shown_address("postgresql://user:p@ss@host/db")
    'postgresql://user:***@host/db'
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return masked(address)
    return _PARAMETER.sub(_mask, f"{scheme}{mark}{_without_password(scheme, rest)}")


def masked(text: str, *addresses: str) -> str:
    """A text in which no address shows its password, and no parameter with a telling name its value.

    Args:
        addresses: whose secrets are masked wherever they stand, also alone.

    >>> masked("connection to postgresql://user:pass@host/db failed: token=abc")
    'connection to postgresql://user:***@host/db failed: token=***'
    """
    for secret in sorted({secret for address in addresses for secret in _secrets(address)}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
    text = _ADDRESS.sub(lambda found: f"{found['scheme']}://{_without_password(found['scheme'], found['rest'])}", text)
    for pattern in (_PARAMETER, *_ENCODED, _LINE, *_PAIRS, _SCHEME, _NO_SCHEME):
        text = pattern.sub(_mask, text)
    return text


def reason(text: str, address: str) -> str:
    """What a library says of an address, masked. Where it cannot be split, that alone: they quote pieces of it.

    >>> reason("no route to host", "postgresql://user:pass@host/db")
    'no route to host'
    """
    if not splits(address):
        return "its address cannot be split into user, password, host and port: in a password, a slash is %2F"
    return masked(text.replace(address, shown_address(address)), address)


def splits(address: str) -> bool:
    """Whether user, password, host and port of an address can be told apart.

    >>> splits("postgresql://user:pa%2Fss@host/db"), splits("postgresql://user:pa/ss@host/db")
    (True, False)
    """
    try:
        parts = urlsplit(address)
        has_port = parts.port is not None
    except ValueError:
        return False
    # A number before a slash reads as a port, but an @ behind it says that it begins a password.
    behind = f"{parts.path}{parts.fragment}{parts.query.partition('=')[0]}"
    return not (has_port and "@" in behind and "@" not in parts.netloc)


def credential_spans(address: str) -> list[tuple[int, int]]:
    """From where to where user and password stand in an address: before its host, and as parameters.

    >>> address = "postgresql://user:pass@host/db?sslmode=require&password=more"
    >>> [address[start:end] for start, end in credential_spans(address)]
    ['user:pass', 'more']
    """
    before = _AUTHORITY.match(address)
    named = [*_USER.finditer(address), *_PARAMETER.finditer(address)]
    return [found.span("value") for found in ([before] if before else []) + named]


def addresses_in_environment() -> list[str]:
    """The addresses that this process was given by variables of ours."""
    given = [os.environ[name] for name in os.environ if name.startswith("MLGUIDE_")]
    # One of them may be a whole problem, and this is asked with every line that is printed.
    return [found[0] for value in given if "://" in value for found in _ADDRESS.finditer(value)]


@contextmanager
def nothing_secret_raised(*addresses: str) -> Iterator[None]:
    """What is raised inside leaves without the secrets of the addresses, in its own text and in that of its causes.

    A cause that quotes one is replaced by its masked text: Dagster keeps the whole chain.
    """
    try:
        yield
    except Exception as error:
        _clean(error, addresses)
        if _text(error) != masked(_text(error), *addresses):
            raise RuntimeError(masked(_text(error), *addresses)) from None
        raise


def _clean(error: BaseException, addresses: tuple[str, ...]) -> None:
    if _text(error) != masked(_text(error), *addresses):
        error.args = (masked(str(error), *addresses),)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is None:
        return
    _clean(cause, addresses)
    if _text(cause) != masked(_text(cause), *addresses):
        error.__cause__ = RuntimeError(masked(_text(cause), *addresses))


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _without_password(scheme: str, rest: str) -> str:
    user, password, place = _credentials(scheme, rest)
    if password is None or _VARIABLE.fullmatch(password):
        return rest
    return f"{f'{user}:' if user is not None else ''}{MASK}@{place}"


def _credentials(scheme: str, rest: str) -> tuple[str | None, str | None, str]:
    """User, password and what follows them in an address; None for what is not there."""
    before, at, place = rest.rpartition("@")
    user, colon, password = before.partition(":")
    if at and colon:
        return user, password, place
    # On the web, what stands alone before the host is mostly a token; elsewhere it is a user.
    if at and "http" in scheme.lower() and not set("/?").intersection(before):
        return None, before, place
    return None, None, rest


def _mask(found: re.Match[str]) -> str:
    return found[0] if _VARIABLE.fullmatch(found["value"].strip("'\"")) else f"{found['before']}{MASK}"


def _secrets(address: str) -> set[str]:
    """What must not be shown of an address: as it stands there, and as libraries decode or encode it."""
    scheme, mark, rest = address.partition("://")
    found = {match["value"] for match in _PARAMETER.finditer(address)}
    password = (_credentials(scheme, rest)[1] if mark else None) or ""
    # Libraries quote a password that ends too early by its pieces. Short ones are words of any sentence.
    found |= {password, *(piece for piece in _ENDS.split(password) if len(piece) > 2)}
    forms = {form for each in found for form in (each, unquote(each), quote(unquote(each), safe=""))}
    return {form for form in forms if form and form != MASK and not _VARIABLE.fullmatch(form)}
