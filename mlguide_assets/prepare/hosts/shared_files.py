"""The files of a home that all hosts need: pointers, bundles, problem files, logs of servers, pictures.

On one host they are files of the home, and nothing else. Where hosts share a lake on object storage and a database,
the same paths name objects below `shared_address()`, and the home has copies of what does not change.

    <path in the home>        a small file that is replaced as a whole, read from the store each time
    <path in the home>.zip    a folder, such as a bundle: one object, so that nobody sees half of it

What two hosts would change at once is changed by compare-and-swap, or under a lock that reaches all hosts.
"""

import contextlib
import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from mlguide_assets.prepare.files import replace_file, set_mode
from mlguide_assets.prepare.lake.bucket import Bucket
from mlguide_assets.settings import HOME_VARIABLE, shared_address

_FOLDER = ".zip"


def read(path: Path) -> bytes | None:
    """The content of a small file; None where there is none.

    Raises:
        OSError: the disk refuses.
        InputError: the store does not answer.
    """
    if (bucket := shared_bucket()) is None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return path.read_bytes()
        return None
    found = bucket.get(shared_name(path))
    return found[0] if found else None


def replace(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a small file; readers see the old or the new content. Raises as `read`."""
    if (bucket := shared_bucket()) is None:
        replace_file(path, content, mode)
    else:
        bucket.put(shared_name(path), content)


def change(path: Path, changed: Callable[[bytes | None], bytes]) -> bytes:
    """Write what follows from the content before; on one host the caller holds a lock. Raises as `read`.

    Args:
        changed: called again where another host came first.

    Returns:
        What was written.
    """
    if (bucket := shared_bucket()) is None:
        replace_file(path, content := changed(read(path)))
        return content
    while True:
        found = bucket.get(shared_name(path))
        content = changed(found[0] if found else None)
        if bucket.replace(shared_name(path), content, found[1] if found else None):
            return content


def remove(path: Path) -> None:
    """Remove a small file, which may be gone."""
    if (bucket := shared_bucket()) is None:
        path.unlink(missing_ok=True)
    else:
        bucket.delete([shared_name(path)])


def mark(path: Path) -> object:
    """What is another once a small file was replaced; None where there is none. Raises as `read`, but no OSError."""
    if shared_bucket() is not None:
        content = read(path)
        return None if content is None else hashlib.sha256(content).hexdigest()
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def names(folder: Path) -> list[str]:
    """The names of the files and folders in a folder, but for hidden ones."""
    if (bucket := shared_bucket()) is None:
        found = [path.name for path in folder.glob("*")]
    else:
        found = [
            stored.name.removesuffix(_FOLDER)
            for stored in bucket.listing(shared_name(folder))
            if "/" not in stored.name
        ]
    return sorted(name for name in found if not name.startswith("."))


def publish_file(path: Path) -> None:
    """Let all hosts see a file of the home."""
    if (bucket := shared_bucket()) is not None:
        bucket.put(shared_name(path), path)


def fetch_file(path: Path) -> bool:
    """Whether there is a file, in the home now; one that is there already is not asked for again."""
    if not path.is_file() and shared_bucket() is not None and (content := read(path)) is not None:
        replace_file(path, content)
    return path.is_file()


def publish_folder(folder: Path) -> None:
    """Let all hosts see a folder of the home, whole or not at all."""
    if (bucket := shared_bucket()) is None:
        return
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes())
    bucket.put(f"{shared_name(folder)}{_FOLDER}", packed.getvalue())


def fetch_folder(folder: Path, *, again: bool = False) -> Path:
    """A folder that never changes, as a folder of the home, if there is one.

    Args:
        again: also where the home has a copy already: it may be damaged, or of another store. It stays where the store
            has none.
    """
    if (folder.is_dir() and not again) or (bucket := shared_bucket()) is None:
        return folder
    found = bucket.get(f"{shared_name(folder)}{_FOLDER}")
    if found is None:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(mkdtemp(dir=folder.parent, prefix=".fetched-"))
    try:
        with zipfile.ZipFile(io.BytesIO(found[0])) as archive:
            archive.extractall(temporary)
        for path in temporary.rglob("*"):
            if path.is_file():
                set_mode(path, 0o444)
        set_mode(temporary, 0o755)
        if again:
            drop_copy(folder)
        # Somebody else may have fetched it meanwhile: then theirs stays.
        with contextlib.suppress(OSError):
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def drop_copy(folder: Path) -> None:
    """Remove this host's copy of a folder, all of it at once; there may be none."""
    if folder.is_dir():
        away = Path(mkdtemp(dir=folder.parent, prefix=".dropped-"))
        # Another process may have been first.
        with contextlib.suppress(FileNotFoundError):
            folder.rename(away / folder.name)
        shutil.rmtree(away, ignore_errors=True)


def is_published(folder: Path) -> bool:
    """Whether all hosts can see a folder; on one host whether there is one."""
    return folder.is_dir() if shared_bucket() is None else folder.name in names(folder.parent)


def has_folder(folder: Path) -> bool:
    """Whether there is a folder of that name, here or in the store."""
    return folder.is_dir() or is_published(folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder, which may be gone; copies of other hosts stay."""
    shutil.rmtree(folder, ignore_errors=True)
    if (bucket := shared_bucket()) is not None:
        bucket.delete([f"{shared_name(folder)}{_FOLDER}"])


def shared_bucket() -> Bucket | None:
    """Where the files of all hosts are, by their names; None where the home has all."""
    address = shared_address()
    return None if address is None else _opened(address)


@cache
def _opened(address: str) -> Bucket:
    return Bucket(address)


def shared_name(path: Path) -> str:
    """What a path of the home is called there.

    Raises:
        ValueError: it is outside the home, so it would be one host's alone, and nobody would know.
    """
    return path.relative_to(Path(os.environ[HOME_VARIABLE])).as_posix()
