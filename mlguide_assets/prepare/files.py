"""Writing small files whole: a pointer, a manifest, a settings file."""

import atexit
import errno
import os
import re
import shutil
import time
import uuid
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

NOT_OFFERED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EBADF}
"""How file systems (FAT, SMB, FUSE) refuse what they have no room for: modes of files, waiting for a folder."""


def replace_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a small file so that readers see the old or the new content, also after a power cut.

    Args:
        mode: who may read and write it, less what the process keeps from others (its umask).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    make_durable(path.parent)


def remove_left(path: Path) -> None:
    """Remove what is left of something: a file that another process may have removed, or a folder."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def keep_newest(kept: int, *, written: Path) -> None:
    """Remove all but the newest files, or folders, beside what was just written, which becomes the newest.

    Its time is never before that of another: after the clock was set back it would be the oldest, and go at once. Nor
    is that of the file system enough, whose clock ticks every few milliseconds.
    """
    times = {path: path.stat().st_mtime_ns for path in written.parent.glob("[!.]*") if path != written}
    now = max(time.time_ns(), max(times.values(), default=0) + 1)
    os.utime(written, ns=(now, now))
    for path in sorted(times, key=lambda path: times[path], reverse=True)[kept - 1 :]:
        remove_left(path)


_REFUSALS = re.compile(
    r"no space left on device|disk quota exceeded|disk is full|permission denied|read-only file system"
    r"|file too large"
    r"|input/output error|too many open files|is a directory|no such file or directory|file name too long",
    re.IGNORECASE,
)


def disk_reason(error: Exception) -> str:
    """Why a file could not be written, in the words of the operating system, whichever library met it.

    >>> disk_reason(OSError(28, "No space left on device"))
    'No space left on device'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    found = _REFUSALS.search(str(error))
    return found[0][0].upper() + found[0][1:] if found else "the disk or its permissions"


_LOST = re.compile(r'No files found that match the pattern "([^"\n]+)"')


def lost_file(error: Exception) -> str | None:
    """The file that a query of DuckDB was to read and that is gone; None for any other error.

    >>> lost_file(OSError('No files found that match the pattern "lake/users/data/all-1.parquet"'))
    'lake/users/data/all-1.parquet'
    """
    found = _LOST.search(str(error))
    # DuckDB was given a pattern, in which some characters are escaped.
    return re.sub(r"\[([*?[])\]", r"\1", found[1]) if found else None


def make_durable(path: Path) -> None:
    """Wait until the disk has a file, or, where its file system offers that, the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not path.is_dir() or error.errno not in NOT_OFFERED:
            raise
    finally:
        os.close(handle)


def set_mode(path: Path, mode: int) -> None:
    """Say who may read and write a file or a folder, where its file system keeps that.

    Args:
        mode: less what the process keeps from others (its umask).
    """
    kept_from_others = os.umask(0o077)
    os.umask(kept_from_others)
    try:
        path.chmod(mode & ~kept_from_others)
    except OSError as error:
        if error.errno not in NOT_OFFERED:
            raise


@cache
def plain_path(folder: Path) -> Path:
    """A path to a folder that stays the same in a database's address, where ?, # and % mean something.

    It is the folder's own, unless it holds one of these: then a link to the folder, for as long as this process runs.
    """
    if not set("?#%").intersection(str(folder)):
        return folder
    links = Path(mkdtemp(prefix="mlguide-"))
    atexit.register(shutil.rmtree, links, ignore_errors=True)
    link = links / folder.name.translate(str.maketrans("?#%", "___"))
    link.symlink_to(folder)
    return link


def overwrite(path: Path, content: bytes) -> None:
    """Replace the first bytes of a file in place; what others append meanwhile stays."""
    with path.open("r+b") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
