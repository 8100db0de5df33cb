"""Training a version again from what it was trained from, and comparing: byte by byte, or within an interval.

Which of the two is promised is in `promises`.
"""

import contextlib
import filecmp
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlguide_assets.define.loading import parse_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.training import SPARK
from mlguide_assets.deploy.registry.promises import TEST_PREDICTIONS, learned_on_spark, promise
from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.forgetting.forget_list import ForgetList
from mlguide_assets.prepare.hosts.scratch import scratch_folder
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import MissingTableError
from mlguide_assets.progress import Report
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate, train_candidate
from mlguide_assets.train.evaluation.metrics import METRICS, point
from mlguide_assets.train.files import CALIBRATION, ENCODING, HOLDOUT, PROBLEM, model_file
from mlguide_assets.train.lineage import Lineage, distributed_of, plans_of, training_code_version
from mlguide_assets.train.storage import load_facts, load_recipe, model_name, save_candidate
from mlguide_assets.train.trainers.trainer import Distributed

KEPT_PINS = 10


@dataclass(frozen=True)
class Reproduction:
    """What was compared, and what of it differs.

    Attributes:
        within: metrics that are to be within the interval that they had then, and are, in words.
        other_code: the code's version then, where it is not the version now.
    """

    version: str
    same: tuple[str, ...]
    within: tuple[str, ...]
    different: tuple[str, ...]
    other_code: str | None

    @property
    def as_promised(self) -> bool:
        return not self.different


def reproduce(home: Home, problem: Problem, version: str, report: Report) -> Reproduction:
    """Train a registered version again from its recorded snapshot, problem and recipe; change nothing.

    Raises:
        InputError: there is no such version, or its snapshot is no longer kept.
    """
    registry = registry_of(home, problem)
    known = registry.versions()
    if version not in known:
        raise InputError(f"The registry has no version {version} (versions: {', '.join(known) or 'none yet'}).")
    _refuse_forgotten(home, problem, version)
    with scratch_folder(home.root, "What is trained again") as folder:
        then = registry.fetch(version, folder / "then")
        facts, its_problem = load_facts(then), parse_problem((then / PROBLEM).read_bytes(), then / PROBLEM)
        recipe, lineage = load_recipe(then), Lineage.from_json(facts["lineage"])
        trainer = facts.get("trainer", "in_memory")
        report(promise(facts))
        lake = Lake(home.lake(problem.key), engine="spark" if trainer == SPARK else "duckdb")
        features, plans, distributed = _inputs(lake, lineage, its_problem)
        with lake.scratch("What a model learns from") as scratch:
            candidate = train_candidate(
                features, its_problem, recipe, report, plans, trainer=trainer, distributed=distributed, scratch=scratch
            )
        now = folder / "now"
        save_candidate(candidate, its_problem, lineage, now)
        equal = {name: _same(then / name, now / name) for name in _compared(then)}
    metrics = {each.name: each for each in _metrics(candidate, registry.metrics(version), model_name(facts))}
    equal |= {TEST_PREDICTIONS: facts["scores_sha256"] == candidate.facts["scores_sha256"]}
    equal |= {name: each.then == each.now for name, each in metrics.items()}
    # Of what is promised an interval it is said that it is the same, and not that it is not.
    promised = {name: same for name, same in equal.items() if same or name not in learned_on_spark(facts)}
    others = [each for name, each in metrics.items() if name not in promised]
    return Reproduction(
        version=version,
        same=tuple(name for name, same in promised.items() if same),
        within=tuple(each.in_words for each in others if each.is_within),
        different=(
            *(name for name, same in promised.items() if not same),
            *(each.in_words for each in others if not each.is_within),
        ),
        other_code=lineage.code_version if lineage.code_version != training_code_version() else None,
    )


@dataclass(frozen=True)
class _Metric:
    """A metric then, with its 95 % interval, and now."""

    name: str
    then: float
    low: float
    high: float
    now: float

    @property
    def is_within(self) -> bool:
        return self.low <= self.now <= self.high

    @property
    def in_words(self) -> str:
        interval = f"{self.low:.4f} to {self.high:.4f}" if self.low <= self.high else "without an interval"
        return f"{self.name} {self.now:.4f} (then {self.then:.4f}, {interval})"


def _metrics(candidate: Candidate, recorded: Mapping[str, float], model: str) -> list[_Metric]:
    labels, scores = candidate.scores["label"].to_numpy(), candidate.scores[model].to_numpy()
    found = []
    for name in METRICS:
        then, low, high = (recorded.get(f"{model}_{name}{suffix}", math.nan) for suffix in ("", "_low", "_high"))
        found.append(_Metric(name, then, low, high, point(name, labels, scores)))
    return found


def _refuse_forgotten(home: Home, problem: Problem, version: str) -> None:
    forgotten = ForgetList.load(home.forgotten(problem.key)).learned(version)
    if forgotten is not None:
        raise InputError(
            f"Version {version} learned from rows that were forgotten on {forgotten.at[:10]}: its training "
            f"snapshot {forgotten.learned[version]} no longer has all rows, so it cannot be reproduced byte by byte. "
            f"'mlguide run' trains a version without them."
        )


def _compared(candidate: Path) -> list[str]:
    """The files of the model that ships and of its holdout model."""
    names = (model_file(candidate), ENCODING, CALIBRATION)
    return [f"{folder}{name}" for folder in ("", f"{HOLDOUT}/") for name in names]


def _same(one: Path, other: Path) -> bool:
    """Equal bytes; a file that only one of the two has is a difference."""
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def keep_inputs(lake: Lake, problem: Problem, version: str, lineage: dict[str, Any]) -> None:
    """Keep what a champion learned from, so that it can be made again; of old champions no longer.

    What is gone already cannot be kept: a version may be promoted by hand long after it was trained.
    """
    for table in (problem.features_table, problem.decision.plan_table):
        if table in lineage["snapshots"]:
            with contextlib.suppress(MissingTableError):
                lake.pin(table, lineage["snapshots"][table], f"version-{version}")
        pinned = sorted(lake.pinned(table), key=lambda name: int(name.rpartition("-")[2]))
        for name in pinned[:-KEPT_PINS]:
            lake.unpin(table, name)


def _inputs(lake: Lake, lineage: Lineage, problem: Problem) -> tuple[Any, Any, Distributed | None]:
    """The features and the plans of a lineage, and as an engine reads them; plans are None where it has none."""
    features, plan = problem.features_table, problem.decision.plan_table
    try:
        read = lake.read(features, snapshot_id=lineage.snapshots[features])
        return read, plans_of(lake, lineage, problem), distributed_of(lake, lineage, problem)
    except MissingTableError:
        named = ", ".join(lineage.snapshots[table] for table in (features, plan) if table in lineage.snapshots)
        raise InputError(
            f"What the version learned from (features and plans, snapshot {named}) is no longer kept: that of the "
            f"last {KEPT_PINS} champions is, and of others while it is among the newest snapshots."
        ) from None
