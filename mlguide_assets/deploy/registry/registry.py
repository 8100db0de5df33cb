"""The registry: every candidate is a model version in MLflow, with its metrics, plots and lineage.

Nothing that serves reads it: what goes to production is exported from it as a bundle.
"""

import contextlib
import functools
import hashlib
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ParamSpec, TypeVar

from mlguide_assets.define.secrets import nothing_secret_raised, reason, shown_address
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.registry.place import follow_move, follow_move_of_hosts
from mlguide_assets.deploy.registry.schema import refuse_other_schema
from mlguide_assets.errors import InputError, first_line
from mlguide_assets.markdown import listed
from mlguide_assets.prepare.files import plain_path
from mlguide_assets.prepare.hosts.database import (
    database_refused,
    prepare_database,
    shared_database,
    sqlalchemy_address,
)
from mlguide_assets.prepare.hosts.host_lock import locked_in_database
from mlguide_assets.prepare.lake.bucket import Bucket
from mlguide_assets.settings import DATABASE_VARIABLE, shared_address
from mlguide_assets.train.files import FACTS

CANDIDATE_ARTIFACTS = "candidate"
MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Environment variables that MLflow reads when it is imported."""

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""Of a tracking server, unless the user's environment says otherwise: by default MLflow tries one for minutes."""
TRACKING_VARIABLE = "MLGUIDE_TRACKING_URI"


P = ParamSpec("P")
T = TypeVar("T")

HASH = "files_sha256"
"""The tag of a version with the hash of its candidate's folder."""

_log = logging.getLogger(__name__)


class LostVersionError(InputError):
    """A version that the registry no longer has as it was registered."""


def in_one_sentence(method: Callable[P, T]) -> Callable[P, T]:
    """Let what works on the registry raise InputError where MLflow, its database or its artifacts fail."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        # Not even in what it came from, which Dagster keeps.
        with nothing_secret_raised(store_address() or ""):
            try:
                return method(*args, **kwargs)
            except InputError:
                raise
            except Exception as error:
                if isinstance(error, engine_errors()):
                    raise _unusable(error) from error
                raise

    return wrapper


@dataclass(frozen=True)
class Registry:
    """The versions of one problem's model.

    Args:
        root: where the default SQLite store and the artifacts are. `MLGUIDE_TRACKING_URI` names another
            MLflow store, `MLGUIDE_DATABASE` a database for it.
        model: name of the registered model and of the experiment.
    """

    root: Path
    model: str

    @cached_property
    def client(self) -> Any:
        if self.own_database is not None:
            refuse_other_schema(self.own_database)
            follow_move(self.own_database, self.root / "artifacts")
        os.environ.update(MLFLOW_SETTINGS)
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        if region := os.environ.get("AWS_REGION"):
            # What MLflow reaches S3 with knows only this name of it.
            os.environ.setdefault("AWS_DEFAULT_REGION", region)
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.root.mkdir(parents=True, exist_ok=True)
        uri = store_address() or f"sqlite:///{plain_path(self.root) / 'mlflow.db'}"
        # Of a new database, MLflow makes the tables: one process at a time.
        with locked_in_database("registry"):
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            if self.own_database is None:
                # Said here that it does not answer, before anything depends on it.
                client.search_experiments(max_results=1)
            if not os.environ.get(TRACKING_VARIABLE) and shared_database() is not None:
                follow_move_of_hosts(self._artifacts, self._has_artifacts)
        return client

    @property
    def own_database(self) -> Path | None:
        """The database in the home; None where the environment names another store."""
        return None if store_address() else self.root / "mlflow.db"

    @property
    def tuning(self) -> str:
        """The experiment of the searches for parameters."""
        return f"{self.model}_tuning"

    @in_one_sentence
    def artifact_location(self, experiment: str) -> str:
        """Where the artifacts of an experiment go; it is made where there is none."""
        return str(self.client.get_experiment(self._experiment(experiment)).artifact_location)

    @in_one_sentence
    def register(
        self,
        candidate: Path,
        lineage_id: str,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        above: int = 0,
    ) -> str:
        """Log a candidate's folder, metrics and lineage as one run, and make it the newest version.

        The same lineage is registered once: asking again gives the version that it has. Either way that
        version is the challenger.

        Args:
            above: the highest number that was given before. A registry that was emptied counts from 1 again, and one
                number must not name two models.

        Raises:
            InputError: the registry did not take it; then its run is marked as failed, and there is no version.
        """
        version = self._version_of(lineage_id) or self._new_version(candidate, lineage_id, params, metrics, tags, above)
        self.client.set_registered_model_alias(self.model, "challenger", version)
        return version

    def _new_version(
        self,
        candidate: Path,
        lineage_id: str,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        above: int,
    ) -> str:
        with self._run(self.model, lineage_id, tags) as run:
            self._log(run.run_id, params, metrics)
            self.client.log_artifacts(run.run_id, str(candidate), CANDIDATE_ARTIFACTS)
        source = f"{run.artifact_uri}/{CANDIDATE_ARTIFACTS}"
        known = {"lineage": lineage_id, HASH: content_hash(candidate), **tags}
        while True:
            made = self.client.create_model_version(self.model, source=source, run_id=run.run_id, tags=known)
            if int(made.version) > above:
                return str(made.version)
            self.client.delete_model_version(self.model, made.version)

    @contextlib.contextmanager
    def _run(self, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[Any]:
        """A run of an experiment, which has ended afterwards, whatever happens in between."""
        run = self.client.create_run(self._experiment(experiment), run_name=name, tags=dict(tags)).info
        try:
            yield run
        except BaseException:
            with contextlib.suppress(*engine_errors()):
                self.client.set_terminated(run.run_id, "FAILED")
            raise
        self.client.set_terminated(run.run_id)

    @in_one_sentence
    def record_trials(self, trials: Sequence[Mapping[str, Any]], parameters: Sequence[str], reason: str) -> None:
        """Log a search for parameters: one run that says how it ended, and one below it for every trial.

        Args:
            trials: number, state, log_loss, seconds and the parameters of each.
        """
        with self._run(self.tuning, "search", {"mlflow.note.content": reason}) as search:
            for trial in trials:
                tags = {"mlflow.parentRunId": search.run_id, "state": str(trial["state"])}
                measured = {name: trial[name] for name in ("log_loss", "seconds") if trial[name] is not None}
                finite = {name: value for name, value in measured.items() if math.isfinite(value)}
                with self._run(self.tuning, f"trial {trial['trial']}", tags) as run:
                    self._log(run.run_id, {name: trial[name] for name in parameters}, finite)

    @in_one_sentence
    def record_verdict(self, version: str, verdict: str, reasons: Sequence[str]) -> None:
        """Write the gate's answer on the version."""
        # MLflow shows it as Markdown. The tag comes last: by it `record_verdicts` knows that both are written.
        self.client.update_model_version(self.model, version, description=listed(reasons))
        self.client.set_model_version_tag(self.model, version, "verdict", verdict)

    @in_one_sentence
    def record_verdicts(self, decided: Mapping[str, tuple[str, Sequence[str]]]) -> None:
        """Write on those versions that are still there what was decided on each, where it is not written yet.

        Args:
            decided: by version, the verdict and its reasons.
        """
        for found in self.client.search_model_versions(f"name = '{self.model}'"):
            version = str(found.version)
            if version in decided and found.tags.get("verdict") != decided[version][0]:
                self.record_verdict(version, *decided[version])

    @in_one_sentence
    def record_champion(self, version: str) -> None:
        """Move the alias `champion`, which follows the pointer of the bundles.

        A version that somebody deleted gets none: its bundle serves without the registry.
        """
        from mlflow.exceptions import MlflowException

        try:
            self.client.set_registered_model_alias(self.model, "champion", version)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            _log.warning("The registry no longer has version %s, the champion, so no alias points to it.", version)

    def fetch(self, version: str, into: Path) -> Path:
        """Copy the candidate's folder of a version out of the registry.

        Raises:
            LostVersionError: version or files are gone, or are not those that were registered.
        """
        try:
            found = self.client.get_model_version(self.model, version)
            folder = Path(self.client.download_artifacts(found.run_id, CANDIDATE_ARTIFACTS, str(into)))
        except engine_errors() as error:
            raise LostVersionError(
                f"The registry no longer has version {version}, or its files ({first_line(error)}): restore them from "
                f"a backup, or promote another version."
            ) from error
        # Versions of before there were hashes have none.
        if found.tags.get(HASH) not in (None, content_hash(folder)):
            raise LostVersionError(
                f"The files of version {version} in the registry were changed since it was registered, so it is not "
                f"used: restore them from a backup, or promote another version."
            )
        return folder

    @in_one_sentence
    def facts(self, version: str) -> dict[str, Any]:
        """The facts of a version's candidate, without the rest of its folder."""
        run_id = self.client.get_model_version(self.model, version).run_id
        with TemporaryDirectory() as folder:
            path = self.client.download_artifacts(run_id, f"{CANDIDATE_ARTIFACTS}/{FACTS}", folder)
            facts: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        return facts

    @in_one_sentence
    def versions(self) -> list[str]:
        """Every registered version, the oldest first."""
        found = self.client.search_model_versions(f"name = '{self.model}'")
        return sorted((str(version.version) for version in found), key=int)

    @in_one_sentence
    def trained_at(self, version: str) -> str:
        """When a version was trained, ISO 8601."""
        return str(self.client.get_model_version(self.model, version).tags["trained_at"])

    @in_one_sentence
    def metrics(self, version: str) -> dict[str, float]:
        """Every metric that was logged with a version."""
        run_id = self.client.get_model_version(self.model, version).run_id
        return dict(self.client.get_run(run_id).data.metrics)

    @in_one_sentence
    def log_pages(self, version: str, folder: Path, name: str) -> None:
        """Add a folder of documents to the run of a version, replacing those of the same name."""
        run_id = self.client.get_model_version(self.model, version).run_id
        self.client.log_artifacts(run_id, str(folder), name)

    def _version_of(self, lineage_id: str) -> str | None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_registered_model(self.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self.client.create_registered_model(self.model)
            return None
        found = self.client.search_model_versions(f"name = '{self.model}' and tag.lineage = '{lineage_id}'")
        return max((str(version.version) for version in found), key=int, default=None)

    def _experiment(self, name: str) -> str:
        experiment = self.client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        location = None if os.environ.get(TRACKING_VARIABLE) else self._artifacts(name)
        return str(self.client.create_experiment(name, artifact_location=location))

    def _artifacts(self, experiment: str) -> str:
        """Where its artifacts go: on object storage where hosts share one, else in the home."""
        shared = shared_address()
        return f"{shared}/artifacts/{experiment}" if shared else (self.root / "artifacts" / experiment).as_uri()

    def _has_artifacts(self, experiment: str) -> bool:
        """Whether there are any of it where they should be."""
        if (shared := shared_address()) is None:
            return (self.root / "artifacts" / experiment).is_dir()
        return bool(Bucket(shared).listing(f"artifacts/{experiment}"))

    def _log(self, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric, Param

        self.client.log_batch(
            run_id,
            params=[Param(key, str(value)) for key, value in params.items()],
            metrics=[Metric(key, value, 0, 0) for key, value in metrics.items()],
        )


def store_address() -> str | None:
    """The address of the MLflow store that the environment names; None where it is in the home."""
    if tracking := os.environ.get(TRACKING_VARIABLE):
        return tracking
    shared = shared_database()
    if shared is None:
        return None
    prepare_database()
    return sqlalchemy_address(shared, "mlflow")


def engine_errors() -> tuple[type[Exception], ...]:
    """What MLflow, the database below it and the place of its artifacts raise."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError


def content_hash(folder: Path) -> str:
    """SHA-256 of the names and contents of all files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(
            f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()


def _unusable(error: Exception) -> InputError:
    """One sentence for an MLflow store that does not do what is asked of it."""
    uri = os.environ.get(TRACKING_VARIABLE)
    if not uri and os.environ.get(DATABASE_VARIABLE):
        return database_refused(error)
    if not uri:
        return InputError(f"The registry of the home cannot be used ({first_line(error)}): the champion is as it was.")
    said = first_line(reason(str(error), uri))
    return InputError(
        f"The tracking server {shown_address(uri)} cannot be used ({said}): check {TRACKING_VARIABLE}, and "
        f"that it runs and takes artifacts; the champion is as it was."
    )


def follow_pointer(root: Path, model: str, bundles: Path) -> None:
    """Move the alias to where the pointer is."""
    version = pointed_version(bundles)
    if version is not None:
        Registry(root, model).record_champion(version)


if __name__ == "__main__":
    follow_pointer(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
