"""How much memory there is for this process, whatever limits it: the machine, a container, or `ulimit`."""

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path

from mlguide_assets.errors import InputError

MEGABYTE = 1_000_000
ENGINE_AT_MOST = 3_000 * MEGABYTE
ENGINE_AT_LEAST = 200 * MEGABYTE
_SHARE_OF_ENGINE = 0.4
"""Of what is there: the rest is for models, and for what libraries allocate uncounted."""

_M_MMAP_THRESHOLD = -3
"""From malloc.h of glibc."""


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take; None where the system does not say.

    Args:
        root: of the file system that /proc and /sys are in.
    """
    found = [*_of_machine(root), *_of_groups(root), *_of_limits(root)]
    return max(0, min(found)) if found else None


def memory_for_engine() -> int:
    """Bytes that DuckDB may hold before it spills to the disk."""
    available = available_memory()
    if available is None:
        return ENGINE_AT_MOST
    return min(ENGINE_AT_MOST, max(ENGINE_AT_LEAST, int(available * _SHARE_OF_ENGINE)))


def is_free(needed: int) -> bool:
    """Whether this process may take so many bytes; True where the system does not say."""
    available = available_memory()
    return available is None or needed <= available


def require_memory(needed: int, *, what: str) -> None:
    """Refuse before the work what could not be finished; the system would kill the process without a word.

    Args:
        needed: bytes, as measured and rounded up.
        what: is to be done with it, as the start of a sentence: "Training on 3,000,000 decisions".

    Raises:
        InputError: there is less.
    """
    available = available_memory()
    if available is not None and needed > available:
        raise InputError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are free here: give the "
            f"process or its container more, or read fewer rows, with a later history_start in the problem file or a "
            f"smaller --sends; what was there before is untouched."
        )


def return_large_blocks() -> None:
    """Have the system get back each block of 4 MB or more as soon as it is freed, as glibc does at first.

    Glibc raises that limit up to 32 MB with what is freed. A process that computes for hours then keeps several times
    of what it uses, between blocks of many sizes. Other C libraries have nothing to set.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 4 * MEGABYTE)


def _of_machine(root: Path) -> Iterator[int]:
    for name, value in _pairs(root / "proc/meminfo"):
        if name == "MemAvailable":
            yield value * 1024


def _of_groups(root: Path) -> Iterator[int]:
    """What is left of the limit of every control group that the process is in, version 1 and 2."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _left(_folders(root / "sys/fs/cgroup", path), "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            folders = _folders(root / "sys/fs/cgroup/memory", path)
            yield from _left(folders, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _folders(mount: Path, path: str) -> Iterator[Path]:
    """The folder of a group and those of the groups that it is in. Within a container, its own is the mount."""
    group = mount / path.strip("/")
    yield group
    yield from (folder for folder in group.parents if folder == mount or mount in folder.parents)


def _left(folders: Iterator[Path], limit: str, usage: str, cache: str) -> Iterator[int]:
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            most = int((folder / limit).read_text(encoding="ascii"))
            used = int((folder / usage).read_text(encoding="ascii"))
            # Files that are cached go as soon as the room is needed.
            yield most - used + dict(_pairs(folder / "memory.stat")).get(cache, 0)


def _of_limits(root: Path) -> Iterator[int]:
    """What is left of `ulimit -v` and `ulimit -d`."""
    try:
        import resource
    except ImportError:
        return
    taken = dict(_pairs(root / "proc/self/status"))
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most, _ = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY and name in taken:
            yield most - taken[name] * 1024


def _pairs(path: Path) -> Iterator[tuple[str, int]]:
    """Lines such as `MemAvailable: 3 kB` or `inactive_file 3`."""
    for line in _lines(path):
        name, *values = line.replace(":", " ").split()
        if values and values[0].isdecimal():
            yield name, int(values[0])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
