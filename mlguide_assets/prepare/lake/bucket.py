"""Object storage: S3, Google Cloud Storage or Azure, below one prefix, with every refusal reported in one sentence.

It knows objects and nothing of tables. Credentials come from the environment, as the store's own tools read them.
A request is tried again while the server fails or the connection breaks, for a bounded time.
"""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlguide_assets.errors import AwayError, InputError
from mlguide_assets.prepare.lake.bucket_failures import MISSING_BUCKET, passes, reason

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

RETRY_SECONDS = 30.0
"""How long a request is tried again."""
CHUNK = 16 * 2**20
"""Bytes that one request of a download asks for: each has its own time."""
_PROBE = ".conditional-writes"


@dataclass(frozen=True)
class Stored:
    """An object as a listing has it; `modified` is by the clock of the store."""

    name: str
    bytes: int
    modified: datetime


@dataclass(frozen=True)
class Version:
    """How a store identifies the content of an object: S3 and Azure by its etag, GCS by its generation."""

    e_tag: str | None
    generation: str | None

    @property
    def mode(self) -> dict[str, str]:
        """As a condition of a write, without what the store did not return."""
        known = {"e_tag": self.e_tag, "version": self.generation}
        return {name: value for name, value in known.items() if value is not None}


class Bucket:
    """The objects below one address.

    Args:
        address: such as `s3://bucket/prefix`.

    Raises:
        InputError: from any method: the store does not answer, refuses, or is not there.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._is_conditional = False

    @cached_property
    def _store(self) -> "ObjectStore":
        from obstore.store import from_url

        retries: Any = {
            "max_retries": 20,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=3), "base": 2},
        }
        # Without encryption only where somebody has named such an address.
        endpoints = [value for name, value in os.environ.items() if "ENDPOINT" in name]
        return from_url(
            self.address,
            retry_config=retries,
            client_options={
                "timeout": "60s",
                "connect_timeout": "5s",
                "allow_http": any(value.startswith("http://") for value in endpoints),
            },
        )

    def get(self, name: str) -> tuple[bytes, Version] | None:
        """An object and its version; None where there is none."""
        import obstore

        def read() -> tuple[bytes, Version]:
            found = obstore.get(self._store, name)
            return bytes(found.bytes()), Version(found.meta["e_tag"], found.meta["version"])

        try:
            return self._asked(read)
        except FileNotFoundError:
            return None

    def download(self, name: str, size: int, target: Path) -> str:
        """Write an object to a file; its SHA-256.

        Raises:
            FileNotFoundError: there is no such object.
        """
        import obstore

        digest = hashlib.sha256()
        with target.open("wb") as stream:
            for start in range(0, size, CHUNK):
                end = min(start + CHUNK, size)
                part = self._asked(partial(obstore.get_range, self._store, name, start=start, end=end))
                digest.update(part)
                stream.write(part)
        return digest.hexdigest()

    def put(self, name: str, content: bytes | Path) -> None:
        """Store a new object under a unique name; large files in parts, seen when all are there."""
        import obstore

        self._asked(lambda: obstore.put(self._store, name, content))

    def replace(self, name: str, content: bytes, before: Version | None) -> bool:
        """Store an object unless it was changed since; False where it was.

        Args:
            content: no other writer writes the same, so that one whose answer was lost finds that it has succeeded.
            before: what was read; None where there was nothing.
        """
        self._require_conditional_writes()
        failure: InputError | None = None
        try:
            if self._put_if(name, content, before):
                return True
        except InputError as error:
            failure = error
        # It may be this writer itself that was refused: it succeeded, the answer was lost, and it tried again.
        found = self.get(name)
        if found is not None and found[0] == content:
            return True
        if failure is not None and (found[1] if found else None) == before:
            raise failure
        return False

    def listing(self, folder: str) -> list[Stored]:
        """All objects below a folder, by their names in it."""
        import obstore

        found = self._asked(lambda: [each for batch in obstore.list(self._store, folder) for each in batch])
        return [Stored(each["path"].removeprefix(f"{folder}/"), each["size"], each["last_modified"]) for each in found]

    def folders(self) -> list[str]:
        """The folders below the address."""
        import obstore

        return sorted(self._asked(lambda: obstore.list_with_delimiter(self._store)["common_prefixes"]))

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; those that are gone are no concern."""
        import obstore

        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._asked(partial(obstore.delete, self._store, name))

    def _put_if(self, name: str, content: bytes, before: Version | None) -> bool:
        """Whether an object was stored, since it was as before; None where there was none."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: Any = before.mode if before else "create"
        try:
            self._asked(lambda: obstore.put(self._store, name, content, mode=mode))
        except (AlreadyExistsError, PreconditionError):
            return False
        return True

    def _require_conditional_writes(self) -> None:
        """Refuse a store that ignores conditions: there, two writers would lose what one of them wrote."""
        if self._is_conditional or self.get(_PROBE) is not None:
            self._is_conditional = True
            return
        name = f"{_PROBE}-{uuid.uuid4().hex}"
        self.put(name, b"1")
        created_twice = self._put_if(name, b"2", None)
        self.delete([name])
        if created_twice:
            raise InputError(
                f"The store of {self.address} ignores conditional writes, without which two hosts would lose each "
                f"other's data: use one that has them; nothing was changed."
            )
        self.put(_PROBE, b"This store refuses to create what exists. Written by mlguide.")
        self._is_conditional = True

    def _asked(self, request: Callable[[], T]) -> T:
        """The answer to a request.

        Raises:
            InputError: what the store refused, in one sentence; AwayError where that may pass by itself. The store's
                own words are neither shown nor kept as a cause: some repeat a key or a token, and the record of a run
                has causes.
            FileNotFoundError: there is no such object.
            obstore.exceptions.AlreadyExistsError, PreconditionError: somebody else was first.
        """
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            return request()
        except (AlreadyExistsError, PreconditionError):
            raise
        except FileNotFoundError as error:
            if not MISSING_BUCKET.search(str(error)):
                raise
            refusal = reason(str(error), RETRY_SECONDS)
        except BaseError as error:
            refusal = reason(str(error), RETRY_SECONDS)
        kind = AwayError if passes(refusal) else InputError
        raise kind(f"The lake at {self.address} {refusal}; what was there before is untouched.")
