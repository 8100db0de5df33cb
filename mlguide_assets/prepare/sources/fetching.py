"""Tables below a web address, downloaded whole before anything is read."""

import base64
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from mlguide_assets.define.secrets import nothing_secret_raised, reason, shown_address
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.finding import SUFFIXES, FoundTable, split_name
from mlguide_assets.prepare.sources.waiting import SilentSourceError, answered
from mlguide_assets.progress import Report

TRIED = (".csv", ".parquet", ".csv.gz", ".csv.zst")
"""CSV first, since that is what is published on the web."""
SIGN_OF_LIFE = 1 << 16
"""Bytes that must arrive within the time-out."""


def download_table(prefix: str, name: str, *, scratch: Path, timeout: timedelta, report: Report) -> FoundTable:
    """Fetch the file of a table to `scratch`.

    Raises:
        InputError: there is none, there are several, or the server does not give it whole and in time.
    """
    stem, ending = split_name(name)
    there: list[str] = []
    refused: str | None = None
    for suffix in (ending,) if ending else TRIED:
        fetch = _Fetch(prefix, stem + suffix, timeout)
        if there:
            # One is enough to read, and two are too many to choose from.
            there += [stem + suffix] if fetch.exists() else []
            continue
        report(f"downloading {fetch.shown}")
        target = scratch / fetch.file
        absent = fetch.to(target)
        refused = refused or absent
        if absent is None:
            there.append(fetch.file)
            found = FoundTable(target, SUFFIXES[suffix], (target,))
    if len(there) > 1:
        shown = shown_address(prefix.rstrip("/"))
        raise InputError(
            f"{shown} has {' and '.join(there)}, each of which could be table {name!r}: name the one that is meant, "
            f"as in 'from: {there[0]}', under that table in tables of the problem file."
        )
    if not there:
        others = "" if ending else f" (or {', '.join(TRIED[1:])})"
        raise _unreadable(f"{shown_address(_below(prefix, stem + (ending or TRIED[0])))}{others}", str(refused))
    return found


class _Fetch:
    """One file of a server."""

    def __init__(self, prefix: str, file: str, timeout: timedelta) -> None:
        self.file, self.timeout = file, timeout
        self._address = _below(prefix, file)
        self.shown = shown_address(self._address)

    def exists(self) -> bool:
        """Whether the server says that it has the file; a page that it gives for any address is none."""
        try:
            with urllib.request.urlopen(
                _request(self._address, "HEAD"), timeout=self.timeout.total_seconds()
            ) as response:
                return "html" not in response.headers.get("Content-Type", "")
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def to(self, target: Path) -> str | None:
        """Write the file to `target`; where the server has none, what it says instead."""
        try:
            with nothing_secret_raised(self._address):
                expected = answered(lambda alive: self._copy(target, alive), timeout=self.timeout)
        except urllib.error.HTTPError as error:
            refused = f"HTTP {error.code} {error.reason}"
            # Object stores forbid what is not there, to those who may not list what is.
            if error.code in (403, 404):
                return refused
            raise _unreadable(self.shown, refused) from error
        except SilentSourceError as error:
            raise InputError(
                f"{self.shown} sent less than {SIGN_OF_LIFE // 1024} KB in {self.timeout.total_seconds():g} s, so "
                f"it is waited for no longer: try again, or raise source.timeout in the problem file."
            ) from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
            raise _unreadable(self.shown, reason(str(getattr(error, "reason", error)), self._address)) from error
        # A connection that breaks off looks like an end.
        if expected is not None and int(expected) != target.stat().st_size:
            raise _unreadable(self.shown, f"it broke off after {target.stat().st_size:,} of {int(expected):,} bytes")
        return None

    def _copy(self, target: Path, alive: Callable[[], None]) -> str | None:
        """Write what arrives, with a sign of life each time that it is enough; the length that was announced."""
        timeout, since = self.timeout.total_seconds(), 0
        with urllib.request.urlopen(_request(self._address), timeout=timeout) as response, target.open("wb") as out:
            # What is there, however little: to wait for a whole chunk can take for ever.
            while data := response.read1(SIGN_OF_LIFE):
                out.write(data)
                since += len(data)
                if since >= SIGN_OF_LIFE:
                    alive()
                    since = 0
            length: str | None = response.headers.get("Content-Length")
            return length


def _below(prefix: str, file: str) -> str:
    """The address of a file; a query, such as a signature for all that lies below the prefix, stays the last part."""
    before, mark, query = prefix.partition("?")
    return f"{before.rstrip('/')}/{urllib.parse.quote(file)}{mark}{query}"


def _request(address: str, method: str = "GET") -> urllib.request.Request:
    """A request that sends user name and password of an address as a browser would."""
    scheme, mark, rest = address.partition("://")
    place, slash, path = rest.partition("/")
    credentials, at, host = place.rpartition("@")
    request = urllib.request.Request(f"{scheme}{mark}{host}{slash}{path}", method=method)
    if at:
        user, _, password = credentials.partition(":")
        pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password)}".encode()
        # Not sent on to where a redirect leads, which may be another host.
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(pair).decode('ascii')}")
    return request


def _unreadable(shown: str, why: str) -> InputError:
    return InputError(
        f"{shown} cannot be read ({why}): check the address and the connection, or give a folder with --source."
    )
