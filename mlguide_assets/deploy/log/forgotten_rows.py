"""Lines of the prediction log without the rows of who was forgotten.

Every line keeps its length, so a server that appends to the file goes on, and what is stored of it stays in place.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlguide_assets.prepare.files import overwrite, replace_file

if TYPE_CHECKING:
    from mlguide_assets.define.problem import Problem
    from mlguide_assets.prepare.forgetting.forget_list import Entity, ForgetList

_ERASED = ".forgotten"
"""In a folder of logs: whose rows its files have lost already."""


@dataclass(frozen=True)
class ForgottenRows:
    """The rows of everybody on the list of a problem, by their hashes: the list has no ids."""

    forgotten: "ForgetList"
    problem: "Problem"

    def __bool__(self) -> bool:
        return bool(self.forgotten.entries)

    @cached_property
    def hashes(self) -> frozenset[str]:
        return frozenset(entry.hash for entry in self.forgotten.entries)

    @cached_property
    def entities(self) -> list["Entity"]:
        from mlguide_assets.prepare.forgetting.forget_list import entities_of

        return entities_of(self.problem)

    @property
    def digest(self) -> bytes:
        """Another for every other list."""
        return hashlib.sha256("".join(sorted(self.hashes)).encode()).hexdigest().encode()

    def removed_from(self, line: bytes) -> bytes:
        """A line without those rows. One that is damaged stays: landing sets it aside."""
        try:
            return line_with_rows(line, self._is_kept)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return line

    def _is_kept(self, row: dict[str, Any]) -> bool:
        return not any(
            self.forgotten.hash_of(row[entity.column], entity) in self.hashes
            for entity in self.entities
            if row.get(entity.column) is not None
        )


def line_with_rows(line: bytes, is_kept: Callable[[dict[str, Any]], bool]) -> bytes:
    """A line with some of its rows.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: it is not what a server writes.
    """
    request = json.loads(line)
    kept = [row for row in request["rows"] if is_kept(row)]
    if len(kept) == len(request["rows"]):
        return line
    content = json.dumps({**request, "rows": kept}, ensure_ascii=False, separators=(",", ":")).encode()
    # Python may write a number in more digits than the server did; then the request goes with its other pairs.
    return (content if len(content) <= len(line) else b"{}").ljust(len(line))


def change_lines(path: Path, changed: Callable[[bytes], bytes], start: int = 0) -> int:
    """Change lines of a file in place, each to one of the same length; how many were another.

    Args:
        start: of the first of them, in bytes.
    """
    content = path.read_bytes()
    lines = content[start:].split(b"\n")
    new = [changed(line) for line in lines]
    if new != lines:
        overwrite(path, content[:start] + b"\n".join(new))
    return sum(line != other for line, other in zip(new, lines, strict=True))


def erase_once(folder: Path, rows: ForgottenRows) -> Iterator[Path]:
    """Erase rows from the files of a folder, unless that was done with this list: then no file is read.

    Returns:
        The files, each once it was erased from; killed before all were, it begins again.
    """
    mark = folder / _ERASED
    if not rows or (mark.is_file() and mark.read_bytes() == rows.digest):
        return
    for path in sorted(folder.glob("[0-9]*/*.jsonl")):
        change_lines(path, rows.removed_from)
        yield path
    replace_file(mark, rows.digest, mode=0o600)
