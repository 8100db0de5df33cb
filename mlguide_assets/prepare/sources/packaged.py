"""Tables that come with an installed Python package, found without importing it."""

from importlib.util import find_spec
from pathlib import Path

from mlguide_assets.define.sources import PackageSource
from mlguide_assets.errors import InputError


def folder_of(source: PackageSource) -> Path:
    """The folder of a package that holds the files of its tables.

    Raises:
        InputError: the package is not installed, or has no such folder.
    """
    found = find_spec(source.module)
    if found is None or found.origin is None:
        raise InputError(
            f"The tables come with the Python package {source.package}, which is not installed: "
            f"'uv pip install {source.package}' installs it."
        )
    folder = Path(found.origin).parent / source.folder
    if not folder.is_dir():
        raise InputError(f"The package {source.package} has no folder {source.folder!r}: check source.folder.")
    return folder
