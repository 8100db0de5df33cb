"""Pictures for the UI, as files: its metadata holds their addresses."""

import base64
import hashlib
import struct
from pathlib import Path

from mlguide_assets.prepare.files import keep_newest, replace_file
from mlguide_assets.prepare.hosts.shared_files import publish_file
from mlguide_assets.prepare.lake.failures import writing

WIDTH = 300
"""Pixels that the UI shows of a value of metadata in a window of 1,280, where the longest name has 22 characters."""

KEPT = 400
"""Files per problem: those of the last twenty trainings or so."""


def keep_picture(folder: Path, name: str, png: bytes) -> str:
    """Write a picture as it is, in `.png`, and as wide as the UI can show, in `.svg`; forget the oldest ones.

    Returns:
        The name of both files without suffix, which is another for other content.

    Raises:
        InputError: the disk is full, or the folder cannot be written to.
    """
    stem = f"{name}-{hashlib.sha256(png).hexdigest()[:12]}"
    files = {folder / f"{stem}.png": png, folder / f"{stem}.svg": _narrowed(png).encode()}
    with writing(f"The picture {name}", folder):
        for path, content in files.items():
            if not path.exists():
                replace_file(path, content)
                publish_file(path)
            keep_newest(KEPT, written=path)
    return stem


def _narrowed(png: bytes) -> str:
    """Markdown knows no widths. Within an SVG, screens that can show every pixel do."""
    width, height = struct.unpack(">II", png[16:24])
    shown = min(width, WIDTH)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{shown}" height="{height * shown // width}" '
        f'viewBox="0 0 {width} {height}"><image width="{width}" height="{height}" '
        f'href="data:image/png;base64,{base64.b64encode(png).decode()}"/></svg>'
    )
