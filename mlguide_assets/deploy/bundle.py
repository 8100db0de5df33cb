"""Bundles: the immutable directories that serving needs, and the pointers to those in use.

    <bundles>/<version>/model.ubj encoding.json calibration.json problem.yaml profile.json metadata.json manifest.json
                        (linear.json in the place of model.ubj, where a linear model was chosen)
    <bundles>/champion.json      {"version": …, "manifest": its SHA-256, "earlier": {…}}, replaced atomically
    <bundles>/challenger.json    the same of the version that scores in the champion's shadow, if any

The manifest has the SHA-256 of every other file, and the pointer that of the manifest, of the champion and of those
before it, so no file of a version that was in production can change unseen. Loading needs XGBoost, or for a
linear model only NumPy, and nothing of MLflow or Dagster; finding the champion not even that.
"""

import hashlib
import json
import re
import shutil
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

from mlguide_assets.errors import InputError, not_permitted
from mlguide_assets.prepare.files import make_durable, set_mode
from mlguide_assets.prepare.hosts.shared_files import (
    change,
    drop_copy,
    fetch_folder,
    has_folder,
    is_published,
    names,
    publish_folder,
    read,
    remove,
    remove_folder,
)
from mlguide_assets.train.files import CALIBRATION, ENCODING, MODEL_FILES, PROBLEM, PROFILE, model_file

METADATA, MANIFEST = "metadata.json", "manifest.json"

Role = Literal["champion", "challenger"]
CHAMPION: Role = "champion"
CHALLENGER: Role = "challenger"
BESIDE_THE_MODEL = (ENCODING, CALIBRATION, PROBLEM)
"""What a bundle takes over from its candidate with the file of the model; and `PROFILE`, which bundles of before drift
was watched lack."""

STALE_SECONDS = 3600
"""An export takes a second; what is unfinished after an hour was killed."""


@dataclass(frozen=True)
class Bundle:
    """A model version that can serve, and its folder."""

    version: str
    trained_at: str
    threshold: float
    lineage: str
    folder: Path


def metadata_of(bundle: Bundle) -> dict[str, Any]:
    """What was known of the model when it was exported: rows, windows, lineage, evaluation."""
    return metadata_of_version(bundle.folder.parent, bundle.version)


def metadata_of_version(bundles: Path, version: str) -> dict[str, Any]:
    """The same, of a bundle that nobody has verified."""
    facts: dict[str, Any] = json.loads((fetch_folder(bundles / version) / METADATA).read_text(encoding="utf-8"))
    return facts


def needed_files(candidate: Path) -> tuple[str, ...]:
    """The names of the files that a candidate cannot serve without."""
    return (model_file(candidate), *BESIDE_THE_MODEL)


def export_bundle(
    candidate: Path, bundles: Path, version: str, metadata: Mapping[str, Any], *, again: bool = False
) -> Path:
    """Make the bundle of a version from the files of its candidate, whole or not at all.

    A bundle that exists is verified, not written again. Where hosts share a store, only that one exists which all of
    them see: a copy of this host may be of an export that was killed, of a bundle that another host has removed since,
    or of another store.

    Args:
        metadata: at least trained_at, threshold and lineage.
        again: the bundle that exists, if any, is damaged, and this one takes its place.

    Raises:
        InputError: the bundle that exists is damaged, or another model's: the registry counts from 1 again; or
            the disk is full.
    """
    folder = bundles / version
    if again:
        remove_folder(folder)
    if not is_published(folder):
        drop_copy(folder)
        profile = (PROFILE,) if (candidate / PROFILE).is_file() else ()
        files = {name: (candidate / name).read_bytes() for name in (*needed_files(candidate), *profile)}
        files[METADATA] = _json({"version": version, **metadata})
        files[MANIFEST] = _json({name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
        _write(folder, files)
        publish_folder(folder)
    elif load_bundle(fetch_folder(folder, again=True).parent, version).lineage != metadata["lineage"]["id"]:
        raise InputError(
            f"The bundle {folder} is of another model than version {version} of the registry, so the registry "
            f"was emptied or replaced: move {bundles} away, or restore the registry it belongs to."
        )
    return folder


def bundled_versions(bundles: Path) -> list[str]:
    """The versions that have a bundle, whether they were in production or not."""
    return [name for name in names(bundles) if (fetch_folder(bundles / name) / METADATA).is_file()]


def champions(bundles: Path) -> list[str]:
    """The versions that are or were in production and still have a bundle, the oldest first.

    Raises:
        InputError: the pointer is damaged.
    """
    pointer = _pointer(bundles, CHAMPION)
    known = [name for name in (pointer.manifests if pointer else ()) if has_folder(bundles / name)]
    return sorted(known, key=lambda name: (len(name), name))


def verify_bundle(folder: Path, *, manifest: str | None = None) -> None:
    """Refuse a bundle in which anything is missing, changed or added.

    Args:
        manifest: the SHA-256 that its manifest had; without it, a manifest that was rewritten is believed.

    Raises:
        InputError: naming the file.
    """
    hashes = _hashes(folder, manifest)
    for name, digest in hashes.items():
        fault = _fault(folder / name, digest)
        if fault:
            raise _damaged(folder, name, fault)
    for path in sorted(folder.iterdir()):
        if path.name not in hashes and path.name != MANIFEST:
            raise _damaged(folder, path.name, "does not belong there")


def load_bundle(bundles: Path, version: str) -> Bundle:
    """A version, verified; one that was in production also against what it was then.

    Raises:
        InputError: it is missing or damaged, or the pointer is.
    """
    pointer = _pointer(bundles, CHAMPION)
    return _load(bundles / version, pointer.manifests.get(version) if pointer else None)


def is_whole(bundles: Path, version: str) -> bool:
    """Whether a version has a bundle that can be loaded."""
    try:
        load_bundle(bundles, version)
    except InputError:
        return False
    return True


def _load(folder: Path, manifest: str | None) -> Bundle:
    if not fetch_folder(folder).is_dir():
        raise InputError(f"There is no bundle of version {folder.name} in {folder.parent}: {_REMEDY}")
    try:
        verify_bundle(folder, manifest=manifest)
    except InputError:
        # Where hosts share a store, this is but a copy.
        verify_bundle(fetch_folder(folder, again=True), manifest=manifest)
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    return Bundle(
        version=folder.name,
        trained_at=metadata["trained_at"],
        threshold=metadata["threshold"],
        lineage=metadata["lineage"]["id"],
        folder=folder,
    )


def set_champion(bundles: Path, version: str) -> None:
    """Point production to a bundle that is whole; readers see the old version or the new one.

    Raises:
        InputError: the bundle or the pointer is damaged, or the disk is full.
    """
    _point(bundles, CHAMPION, version)


def set_challenger(bundles: Path, version: str | None) -> None:
    """Point the shadow to a bundle that is whole, or to none; the one before goes, unless it was in production.

    Raises:
        InputError: the bundle is damaged, or the disk is full.
    """
    before = pointed_version(bundles, CHALLENGER)
    if version is None:
        remove(pointer_path(bundles, CHALLENGER))
    else:
        _point(bundles, CHALLENGER, version)
    if before not in (None, version, *champions(bundles)):
        remove_folder(bundles / str(before))


def pointed(bundles: Path, role: Role) -> Bundle | None:
    """The champion or the challenger, verified, or None where there is none.

    Raises:
        InputError: the pointer or the bundle that it names is damaged.
    """
    # Read once: between two readings another version may be promoted.
    pointer = _pointer(bundles, role)
    return _load(bundles / pointer.version, pointer.manifests[pointer.version]) if pointer else None


def champion(bundles: Path) -> Bundle | None:
    """The version in production, verified, or None while nothing was promoted.

    Raises:
        InputError: as `pointed`.
    """
    return pointed(bundles, CHAMPION)


def pointed_version(bundles: Path, role: Role = CHAMPION) -> str | None:
    """The version that a pointer names, whole or not; None where there is none.

    Raises:
        InputError: the pointer is damaged.
    """
    pointer = _pointer(bundles, role)
    return pointer.version if pointer else None


def pointer_path(bundles: Path, role: Role) -> Path:
    """The file that is replaced when another version takes the role."""
    return bundles / f"{role}.json"


_REMEDY = (
    "the next 'mlguide run' makes it again from the registry, 'mlguide promote' does so at once, and "
    "'mlguide rollback' goes to another version."
)
_VERSION, _HASH = re.compile(r"[\w-]+"), re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class _Pointer:
    """The version in production, and the SHA-256 of the manifests of all that are or were."""

    version: str
    manifests: Mapping[str, str]


def _point(bundles: Path, role: Role, version: str) -> None:
    """Let a pointer name a version; that of the champion keeps the manifests of those before."""
    from mlguide_assets.prepare.lake.failures import writing

    folder, path = fetch_folder(bundles / version), pointer_path(bundles, role)
    verify_bundle(folder)
    if not is_published(folder):
        # Other hosts must find what they are pointed to.
        publish_folder(folder)
    manifest = _sha256(folder / MANIFEST)

    def pointing(stored: bytes | None) -> bytes:
        before = _parsed(stored, path) if role == CHAMPION else None
        earlier = {name: known for name, known in (before.manifests if before else {}).items() if name != version}
        return _json({"version": version, "manifest": manifest, "earlier": earlier})

    with writing(f"The pointer {path.name}", bundles):
        change(path, pointing)


def _pointer(bundles: Path, role: Role) -> _Pointer | None:
    path = pointer_path(bundles, role)
    try:
        return _parsed(read(path), path)
    except PermissionError as error:
        raise not_permitted(error) from error
    except OSError:
        raise _damaged_pointer(path) from None


def _parsed(content: bytes | None, path: Path) -> _Pointer | None:
    """The pointer that a file holds; None where there is none.

    Raises:
        InputError: it is damaged.
    """
    if content is None:
        return None
    try:
        stored = json.loads(content)
        version = stored["version"]
        manifests = {**stored.get("earlier", {}), version: stored["manifest"]}
        if all(_VERSION.fullmatch(name) and _HASH.fullmatch(known) for name, known in manifests.items()):
            return _Pointer(version, manifests)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise _damaged_pointer(path)


def _damaged_pointer(path: Path) -> InputError:
    return InputError(
        f"{path} is damaged (it does not name a version and the SHA-256 of its manifest): delete it, then "
        f"'mlguide run' sets it again."
    )


def _hashes(folder: Path, manifest: str | None) -> dict[str, str]:
    """File name → SHA-256, as the manifest says that names the files of a bundle and no others."""
    fault = _fault(folder / MANIFEST, manifest)
    if fault:
        raise _damaged(folder, MANIFEST, fault)
    try:
        hashes = {name: str(digest) for name, digest in json.loads((folder / MANIFEST).read_bytes()).items()}
        if any(hashes.keys() - {PROFILE} == {model, *BESIDE_THE_MODEL, METADATA} for model in MODEL_FILES):
            return hashes
    except (ValueError, AttributeError, RecursionError):
        pass
    raise _damaged(folder, MANIFEST, "does not list the files of a bundle")


def _fault(path: Path, digest: str | None) -> str | None:
    """What is wrong with a file, if anything. A link is not followed: what it leads to is not immutable."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return "is no regular file"
        return "was changed" if digest not in (None, _sha256(path)) else None
    except FileNotFoundError:
        return "is missing"
    except PermissionError as error:
        raise not_permitted(error) from error
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _damaged(folder: Path, name: str, what: str) -> InputError:
    return InputError(f"The bundle {folder} is damaged and is not loaded, since {name} {what}: {_REMEDY}")


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a bundle, read-only and down to the disk, and give it its name last.

    The folder itself stays writable, or nobody could delete a bundle; what is added to it, the manifest tells.
    """
    from mlguide_assets.prepare.lake.failures import writing

    with writing(f"The bundle {folder.name}", folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _forget_unfinished(folder.parent)
        temporary = Path(mkdtemp(dir=folder.parent, prefix=".bundle-"))
        try:
            for name, content in files.items():
                (temporary / name).write_bytes(content)
                set_mode(temporary / name, 0o444)
                make_durable(temporary / name)
            set_mode(temporary, 0o755)
            make_durable(temporary)
            temporary.replace(folder)
            make_durable(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _forget_unfinished(bundles: Path) -> None:
    """Remove what killed exports left, and hosts that were killed while they fetched."""
    for path in [found for kind in ("bundle", "fetched", "dropped") for found in bundles.glob(f".{kind}-*")]:
        if time.time() - path.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
