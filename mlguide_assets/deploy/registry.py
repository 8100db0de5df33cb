"""The registry: every candidate is a model version in MLflow, with its metrics, plots and lineage.

Nothing that serves reads it: what goes to production is exported from it as a bundle.
"""

import json
import logging
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlguide_assets.define.secrets import masked, shown_address
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.registry_place import follow_move
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import plain_path
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


@dataclass(frozen=True)
class Registry:
    """The versions of one problem's model.

    Args:
        root: where the default SQLite store and the artifacts are. `MLGUIDE_TRACKING_URI` names another
            MLflow store.
        model: name of the registered model and of the experiment.
    """

    root: Path
    model: str

    @cached_property
    def client(self) -> Any:
        os.environ.update(MLFLOW_SETTINGS)
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.root.mkdir(parents=True, exist_ok=True)
        uri = os.environ.get(TRACKING_VARIABLE)
        if not uri:
            follow_move(self.root / "mlflow.db", self.root / "artifacts")
            uri = f"sqlite:///{plain_path(self.root) / 'mlflow.db'}"
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        if uri.startswith(("http://", "https://")):
            _refuse_unreachable(client, uri)
        return client

    def register(
        self,
        candidate: Path,
        lineage_id: str,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> str:
        """Log a candidate's folder, metrics and lineage as one run, and make it the newest version.

        The same lineage is registered once: asking again gives the version that it has. Either way that
        version is the challenger.
        """
        version = self._version_of(lineage_id) or self._new_version(candidate, lineage_id, params, metrics, tags)
        self.client.set_registered_model_alias(self.model, "challenger", version)
        return version

    def _new_version(
        self,
        candidate: Path,
        lineage_id: str,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> str:
        run = self.client.create_run(self._experiment(self.model), run_name=lineage_id, tags=dict(tags)).info
        self._log(run.run_id, params, metrics)
        self.client.log_artifacts(run.run_id, str(candidate), CANDIDATE_ARTIFACTS)
        self.client.set_terminated(run.run_id)
        version = self.client.create_model_version(
            self.model,
            source=f"{run.artifact_uri}/{CANDIDATE_ARTIFACTS}",
            run_id=run.run_id,
            tags={"lineage": lineage_id, **tags},
        ).version
        return str(version)

    def record_trials(self, trials: Sequence[Mapping[str, Any]], parameters: Sequence[str], reason: str) -> None:
        """Log a search for parameters: one run that says how it ended, and one below it for every trial.

        Args:
            trials: number, state, log_loss, seconds and the parameters of each.
        """
        experiment = self._experiment(f"{self.model}_tuning")
        search = self.client.create_run(experiment, run_name="search", tags={"mlflow.note.content": reason}).info
        for trial in trials:
            tags = {"mlflow.parentRunId": search.run_id, "state": str(trial["state"])}
            run = self.client.create_run(experiment, run_name=f"trial {trial['trial']}", tags=tags).info
            measured = {name: trial[name] for name in ("log_loss", "seconds") if trial[name] is not None}
            finite = {name: value for name, value in measured.items() if math.isfinite(value)}
            self._log(run.run_id, {name: trial[name] for name in parameters}, finite)
            self.client.set_terminated(run.run_id)
        self.client.set_terminated(search.run_id)

    def record_verdict(self, version: str, verdict: str, reasons: Sequence[str]) -> None:
        """Write the gate's answer on the version."""
        self.client.set_model_version_tag(self.model, version, "verdict", verdict)
        self.client.update_model_version(self.model, version, description="\n".join(reasons))

    def record_champion(self, version: str) -> None:
        """Move the alias `champion`, which follows the pointer of the bundles."""
        self.client.set_registered_model_alias(self.model, "champion", version)

    def fetch(self, version: str, into: Path) -> Path:
        """Copy the candidate's folder of a version out of the registry."""
        run_id = self.client.get_model_version(self.model, version).run_id
        return Path(self.client.download_artifacts(run_id, CANDIDATE_ARTIFACTS, str(into)))

    def facts(self, version: str) -> dict[str, Any]:
        """The facts of a version's candidate, without the rest of its folder."""
        run_id = self.client.get_model_version(self.model, version).run_id
        with TemporaryDirectory() as folder:
            path = self.client.download_artifacts(run_id, f"{CANDIDATE_ARTIFACTS}/{FACTS}", folder)
            facts: dict[str, Any] = json.loads(Path(path).read_text())
        return facts

    def versions(self) -> list[str]:
        """Every registered version, the oldest first."""
        found = self.client.search_model_versions(f"name = '{self.model}'")
        return sorted((str(version.version) for version in found), key=int)

    def trained_at(self, version: str) -> str:
        """When a version was trained, ISO 8601."""
        return str(self.client.get_model_version(self.model, version).tags["trained_at"])

    def metrics(self, version: str) -> dict[str, float]:
        """Every metric that was logged with a version."""
        run_id = self.client.get_model_version(self.model, version).run_id
        return dict(self.client.get_run(run_id).data.metrics)

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
        location = None if os.environ.get(TRACKING_VARIABLE) else (self.root / "artifacts" / name).as_uri()
        return str(self.client.create_experiment(name, artifact_location=location))

    def _log(self, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric, Param

        self.client.log_batch(
            run_id,
            params=[Param(key, str(value)) for key, value in params.items()],
            metrics=[Metric(key, value, 0, 0) for key, value in metrics.items()],
        )


def _refuse_unreachable(client: Any, uri: str) -> None:
    """Say in one sentence that a tracking server does not answer, before anything depends on it."""
    from mlflow.exceptions import MlflowException

    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        shown = shown_address(uri)
        reason = masked(str(error).replace(uri, shown), uri)[:120]
        raise InputError(
            f"The tracking server {shown} does not answer as one ({reason} …): check {TRACKING_VARIABLE} and that it "
            f"runs; the champion is as it was."
        ) from error


def follow_pointer(root: Path, model: str, bundles: Path) -> None:
    """Move the alias to where the pointer is."""
    version = pointed_version(bundles)
    if version is not None:
        Registry(root, model).record_champion(version)


if __name__ == "__main__":
    follow_pointer(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
