"""Whether the registry can take a new version: asked before training, so that nothing is trained in vain.

What others did to it in MLflow's own pages, or what a killed run left, is put right with one sentence; what cannot be
is refused. A schema of another MLflow is refused earlier, whenever the registry is opened.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlguide_assets.define.secrets import nothing_secret_raised, reason, shown_address
from mlguide_assets.deploy.registry.registry import TRACKING_VARIABLE, Registry, in_one_sentence
from mlguide_assets.deploy.registry.schema import refuse_incomplete, refuse_other_schema, remove_half_made
from mlguide_assets.errors import InputError, first_line
from mlguide_assets.progress import Report
from mlguide_assets.settings import LAKE_VARIABLE


@in_one_sentence
def prepare_registry(registry: Registry, report: Report, *, search: bool = False) -> None:
    """Restore deleted experiments, end what killed runs left, and refuse a place that takes no artifacts.

    The store in the home is looked at without MLflow, whose import takes seconds, unless something is wrong. No other
    process works on it: the home's run lock is held.

    Args:
        search: whether a search for parameters is to be recorded, too.

    Raises:
        InputError: the registry cannot take a version.
    """
    experiments = [registry.model, *([registry.tuning] if search else [])]
    if registry.own_database is not None:
        remove_half_made(registry.own_database)
        refuse_other_schema(registry.own_database)
        refuse_incomplete(registry.own_database)
        if _amiss(registry.own_database, experiments):
            _restore(registry, experiments, report)
            _end_left_runs(registry, experiments, report)
        return
    _restore(registry, experiments, report)
    for name in experiments:
        _refuse_unreachable_artifacts(registry.artifact_location(name), report)


def _amiss(database: Path, experiments: Sequence[str]) -> bool:
    """Whether one of the experiments is deleted, or has a run that never ended."""
    if not database.is_file():
        return False
    query = (
        "select count(*) from experiments left join runs using (experiment_id) where experiments.name = ? and "
        "(experiments.lifecycle_stage = 'deleted' or runs.status = 'RUNNING')"
    )
    try:
        with closing(sqlite3.connect(database)) as connection:
            return any(connection.execute(query, (name,)).fetchone()[0] for name in experiments)
    except sqlite3.Error:
        # MLflow has not made its tables yet, or it says what is wrong with them.
        return True


def _restore(registry: Registry, experiments: Sequence[str], report: Report) -> None:
    for name in experiments:
        found = registry.client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage == "deleted":
            registry.client.restore_experiment(found.experiment_id)
            report(f"The experiment {name} was deleted in MLflow and is restored, with all its runs.")


def _end_left_runs(registry: Registry, experiments: Sequence[str], report: Report) -> None:
    for name in experiments:
        found = registry.client.get_experiment_by_name(name)
        left = registry.client.search_runs([found.experiment_id], "attributes.status = 'RUNNING'") if found else []
        for run in left:
            registry.client.set_terminated(run.info.run_id, "KILLED")
        if left:
            report(f"{len(left)} MLflow run(s) of {name} that never ended are marked as killed.")


def _refuse_unreachable_artifacts(location: str, report: Report) -> None:
    """Raises InputError where artifacts cannot be written to, or read from, the place that the store names."""
    folder = local_folder(location)
    if folder is not None:
        _refuse_unwritable(folder)
        remedy = (
            "'mlflow server --serve-artifacts' sends them to the server."
            if os.environ.get(TRACKING_VARIABLE)
            else f"{LAKE_VARIABLE} with a bucket lets all hosts see them."
        )
        report(
            f"The registry keeps artifacts in a folder, {folder}, which is written on this machine: others see "
            f"them only if they share its disk. {remedy}"
        )
        return
    from mlflow.artifacts import list_artifacts

    shown = shown_address(location)
    try:
        with nothing_secret_raised(location):
            list_artifacts(artifact_uri=location)
    except Exception as error:  # Of whatever library serves the scheme.
        said = first_line(reason(str(error), location))
        raise InputError(
            f"The artifacts of the tracking server, in {shown}, cannot be reached from here ({said}): check the "
            f"credentials, or let the server send them ('mlflow server --serve-artifacts'). {_UNTOUCHED}"
        ) from error


def local_folder(location: str) -> Path | None:
    """The folder that an artifact location means on the machine that writes to it; None where it is elsewhere.

    >>> local_folder("file:///data/mlruns/1"), local_folder("s3://bucket/1"), local_folder("mlflow-artifacts:/1")
    (PosixPath('/data/mlruns/1'), None, None)
    """
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(location) if not parts.scheme else None


def _refuse_unwritable(folder: Path) -> None:
    try:
        made = _first_missing(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
        if made is not None:
            _remove_empty(folder, made)
    except OSError as error:
        raise InputError(
            f"The tracking server keeps artifacts in a folder of its own disk, {folder}, which cannot be written here "
            f"({error.strerror}): start it with 'mlflow server --serve-artifacts', or unset {TRACKING_VARIABLE} to use "
            f"the registry of the home. {_UNTOUCHED}"
        ) from error


def _first_missing(folder: Path) -> Path | None:
    """The topmost folder on the way that is not there yet."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    return missing[-1] if missing else None


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove the folders that the look has made."""
    while True:
        folder.rmdir()
        if folder == top:
            return
        folder = folder.parent


_UNTOUCHED = "Nothing was trained, and the champion is as it was."
