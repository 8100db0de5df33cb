"""Bundles: the immutable directories that serving needs, and the pointer to the one in production.

    <bundles>/<version>/model.ubj encoding.json problem.yaml metadata.json manifest.json
    <bundles>/champion.json      {"version": …}, replaced atomically

Loading needs XGBoost and nothing of MLflow or Dagster.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.train.storage import ENCODING, MODEL, PROBLEM

METADATA, MANIFEST, POINTER = "metadata.json", "manifest.json", "champion.json"


@dataclass(frozen=True)
class Champion:
    """The model version in production and its bundle."""

    version: str
    trained_at: str
    threshold: float
    lineage: str
    folder: Path


def export_bundle(candidate: Path, bundles: Path, version: str, metadata: Mapping[str, Any]) -> Path:
    """Make the bundle of a version from the files of its candidate, whole or not at all.

    A bundle that exists is not written again.

    Args:
        metadata: at least trained_at, threshold and lineage.

    Raises:
        InputError: the bundle that exists is another model's: the registry counts from 1 again.
    """
    folder = bundles / version
    if folder.exists():
        if _metadata(folder)["lineage"]["id"] != metadata["lineage"]["id"]:
            raise InputError(
                f"The bundle {folder} is of another model than version {version} of the registry, so the registry "
                f"was emptied or replaced: move {bundles} away, or restore the registry it belongs to."
            )
        return folder
    bundles.mkdir(parents=True, exist_ok=True)
    temporary = Path(mkdtemp(dir=bundles, prefix=".bundle-"))
    try:
        for name in (MODEL, ENCODING, PROBLEM):
            shutil.copyfile(candidate / name, temporary / name)
        content = {"version": version, **metadata}
        (temporary / METADATA).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
        manifest = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        temporary.chmod(0o755)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def set_champion(bundles: Path, version: str) -> None:
    """Point production to a bundle; readers see the old version or the new one."""
    replace_file(bundles / POINTER, json.dumps({"version": version}).encode())


def champion(bundles: Path) -> Champion | None:
    """The champion, or None while nothing was promoted.

    Raises:
        InputError: the bundle that the pointer names is gone.
    """
    pointer = bundles / POINTER
    if not pointer.is_file():
        return None
    version = json.loads(pointer.read_text())["version"]
    folder = bundles / version
    metadata = _metadata(folder)
    return Champion(
        version=version,
        trained_at=metadata["trained_at"],
        threshold=metadata["threshold"],
        lineage=metadata["lineage"]["id"],
        folder=folder,
    )


def _metadata(folder: Path) -> dict[str, Any]:
    path = folder / METADATA
    if not path.is_file():
        raise InputError(
            f"The bundle {folder} is damaged or was deleted ({METADATA} is missing): restore it, or delete "
            f"{folder.parent / POINTER} to go on without a champion."
        )
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
