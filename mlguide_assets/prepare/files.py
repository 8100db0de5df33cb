"""Writing small files whole: a pointer, a manifest, a settings file."""

import atexit
import os
import shutil
import uuid
from functools import cache
from pathlib import Path
from tempfile import mkdtemp


def replace_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a small file so that readers see the old or the new content, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    make_durable(path.parent)


def make_durable(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
