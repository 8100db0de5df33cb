"""Tables below a web address, downloaded whole before anything is read."""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from mlguide_assets.define.values import without_password
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.finding import SUFFIXES, FoundTable, split_name
from mlguide_assets.prepare.sources.waiting import SilentSourceError, answered

TRIED = (".csv", ".parquet", ".csv.gz", ".csv.zst")
"""CSV first, since that is what is published on the web."""
SIGN_OF_LIFE = 1 << 16
"""Bytes that must arrive within the time-out."""


def download_table(
    prefix: str, name: str, *, scratch: Path, timeout: timedelta, report: Callable[[str], None]
) -> FoundTable:
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
    shown = without_password(prefix.rstrip("/"))
    if len(there) > 1:
        raise InputError(
            f"{shown} has {' and '.join(there)}, each of which could be table {name!r}: name the one that is meant, "
            f"as in tables: {{user_emails: {{name: {there[0]}}}}}, in the problem file."
        )
    if not there:
        others = "" if ending else f" (or {', '.join(TRIED[1:])})"
        raise _unreadable(f"{shown}/{stem}{ending or TRIED[0]}{others}", str(refused))
    return found


class _Fetch:
    """One file of a server."""

    def __init__(self, prefix: str, file: str, timeout: timedelta) -> None:
        self.file, self.timeout = file, timeout
        self.shown = f"{without_password(prefix.rstrip('/'))}/{file}"
        self._address = f"{prefix.rstrip('/')}/{urllib.parse.quote(file)}"

    def exists(self) -> bool:
        """Whether the server says that it has the file; a page that it gives for any address is none."""
        request = urllib.request.Request(self._address, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout.total_seconds()) as response:
                return "html" not in response.headers.get("Content-Type", "")
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def to(self, target: Path) -> str | None:
        """Write the file to `target`; where the server has none, what it says instead."""
        try:
            expected = answered(lambda alive: self._copy(target, alive), timeout=self.timeout)
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            # Object stores forbid what is not there, to those who may not list what is.
            if error.code in (403, 404):
                return reason
            raise _unreadable(self.shown, reason) from error
        except SilentSourceError as error:
            raise InputError(
                f"{self.shown} sent less than {SIGN_OF_LIFE // 1024} KB in {self.timeout.total_seconds():g} s, so "
                f"it is waited for no longer: try again, or raise source.timeout in the problem file."
            ) from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
            raise _unreadable(self.shown, str(getattr(error, "reason", error))) from error
        # A connection that breaks off looks like an end.
        if expected is not None and int(expected) != target.stat().st_size:
            raise _unreadable(self.shown, f"it broke off after {target.stat().st_size:,} of {int(expected):,} bytes")
        return None

    def _copy(self, target: Path, alive: Callable[[], None]) -> str | None:
        """Write what arrives, with a sign of life each time that it is enough; the length that was announced."""
        timeout, since = self.timeout.total_seconds(), 0
        with urllib.request.urlopen(self._address, timeout=timeout) as response, target.open("wb") as out:
            # What is there, however little: to wait for a whole chunk can take for ever.
            while data := response.read1(SIGN_OF_LIFE):
                out.write(data)
                since += len(data)
                if since >= SIGN_OF_LIFE:
                    alive()
                    since = 0
            length: str | None = response.headers.get("Content-Length")
            return length


def _unreadable(shown: str, reason: str) -> InputError:
    return InputError(
        f"{shown} cannot be read ({reason}): check the address and the connection, or give a folder with --source."
    )
