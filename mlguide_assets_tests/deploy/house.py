"""A home in which candidates are registered, gated and installed, without a run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import champion, pointed_version
from mlguide_assets.deploy.gate.gate import Evidence
from mlguide_assets.deploy.gate.history import DECISIONS, record, withdrawal
from mlguide_assets.deploy.gate.promotion import decide_and_record, install_challenger, install_promoted
from mlguide_assets.deploy.registry.registration import register_candidate, registry_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.storage import record_of
from mlguide_assets_tests.deploy.scores import evidence, saved, scores
from mlguide_assets_tests.homes import made_once
from mlguide_assets_tests.registry_tables import copy_tables
from mlguide_assets_tests.train.sends import PROBLEM

GOOD, NOISE = scores(signal=1.5), scores(signal=0)
EVALUATION = pa.table({"model": ["xgboost"], "metric": ["roc_auc"], "value": [0.8], "low": [0.7], "high": [0.9]})


class House:
    """A home in which candidates are registered, gated and installed."""

    def __init__(self, home: Home, trained: Candidate, problem: Problem = PROBLEM) -> None:
        self.problem = problem
        self.home, self.trained, self.lake = home, trained, Lake(home.lake(PROBLEM.key))
        self.bundles = home.bundles(PROBLEM.key)
        self.compared_with: list[str | None] = []
        """The champion of each evaluation."""
        self.meanwhile: Callable[[], object] = lambda: None
        """What happens between the evaluation of a candidate and the decision."""

    def gate(self, data: str, outcome: pa.Table) -> str:
        """Register the candidate of some data and put it before the gate; its verdict."""
        record = ibis.memtable(record_of(saved(self.trained, self.home.candidates(PROBLEM.key), data)))
        version = register_candidate(self.home, PROBLEM, record, ibis.memtable(EVALUATION)).to_pylist()[0]
        if not self.lake.exists("send_features"):
            self.lake.write("send_features", pa.table({name: [1] for name in self.trained.model.encoding.names}))
        version["lineage"] = json.dumps({"snapshots": {"send_features": self.lake.snapshot("send_features").id}})

        def known() -> Evidence:
            before = champion(self.bundles)
            self.compared_with.append(before.version if before else None)
            found = evidence(
                outcome,
                same_as_champion=before is not None and before.lineage == version["candidate"],
                withdrawn=withdrawal(self.lake, version["version"]),
            )
            self.meanwhile()
            return found

        decision, _ = decide_and_record(self.home, self.lake, self.problem, version, known, run_id=f"run of {data}")
        return decision.verdict

    def take_out(self, feature: str) -> None:
        """As a run does on a problem that no longer has a feature."""
        names = [name for name in self.trained.model.encoding.names if name != feature]
        self.lake.write("send_features", pa.table({name: [1] for name in names}))

    def install(self) -> str | None:
        installed = install_promoted(self.home, self.lake, PROBLEM)
        return installed.version if installed else None

    def install_challenger(self) -> str | None:
        installed = install_challenger(self.home, self.lake, PROBLEM)
        return installed.version if installed else None

    def decide(self, data: str, verdict: str) -> None:
        """Register the candidate of some data, and record a verdict of the gate."""
        row = ibis.memtable(record_of(saved(self.trained, self.home.candidates(PROBLEM.key), data)))
        version = register_candidate(self.home, PROBLEM, row, ibis.memtable(EVALUATION)).to_pylist()[0]
        record(
            self.lake,
            version=version["version"],
            trained_at=version["trained_at"],
            verdict=verdict,
            reasons=["So it was decided."],
            champion_before=pointed_version(self.bundles),
            decided_by="gate",
        )

    def alias(self) -> str:
        client = registry_of(self.home, PROBLEM).client
        return str(client.get_model_version_by_alias(PROBLEM.key, "champion").version)

    def record(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.lake.read(DECISIONS).to_pyarrow().to_pylist()
        return rows


def champion_home(factory: pytest.TempPathFactory, trained: Candidate) -> Path:
    """A home whose version 1, of the data "a", is champion; made once per session, to be copied."""

    def make(folder: Path) -> None:
        copy_tables()
        house = House(Home(folder), trained)
        house.gate("a", GOOD)
        house.install()

    return made_once(factory, "champion", make)
