"""`--out`: where a command writes a file outside the home."""

from collections.abc import Sequence
from pathlib import Path

from mlguide_assets.errors import InputError


def check_out(out: Path, suffixes: Sequence[str]) -> None:
    """Refuse a path that is not a file of one of these kinds in a folder that exists.

    Folders are not created: a mistyped path would leave new ones somewhere on the disk.

    Raises:
        InputError: names the path and what was expected.
    """
    if out.suffix not in suffixes or out.is_dir():
        raise InputError(
            f"--out {out} must be a file ending in {' or '.join(suffixes)}, such as {example(out, suffixes)}."
        )
    check_parent(out)


def check_parent(out: Path) -> None:
    """Refuse a path whose parent folder does not exist."""
    if not out.absolute().parent.is_dir():
        raise InputError(
            f"--out {out}: the folder {out.absolute().parent} does not exist; create it, or choose another."
        )


def example(out: Path, suffixes: Sequence[str]) -> str:
    return f"{out.stem or 'file'}{suffixes[0]}"
