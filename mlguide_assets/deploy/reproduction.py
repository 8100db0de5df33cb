"""Training a version again from what it was trained from, and comparing byte by byte."""

import contextlib
import filecmp
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlguide_assets.define.loading import parse_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.registration import registry_of
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.forgetting import ForgetList
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import MissingTableError
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import train_candidate
from mlguide_assets.train.files import CALIBRATION, ENCODING, HOLDOUT, PROBLEM, model_file
from mlguide_assets.train.lineage import Lineage, plans_of, training_code_version
from mlguide_assets.train.metrics import METRICS, point
from mlguide_assets.train.storage import load_facts, load_recipe, model_name, save_candidate

KEPT_PINS = 10


@dataclass(frozen=True)
class Reproduction:
    """What was compared, and what of it differs.

    `other_code` is the code's version then, where it is not the version now.
    """

    version: str
    same: tuple[str, ...]
    different: tuple[str, ...]
    other_code: str | None

    @property
    def identical(self) -> bool:
        return not self.different


def reproduce(home: Home, problem: Problem, version: str, report: Callable[[str], None]) -> Reproduction:
    """Train a registered version again from its recorded snapshot, problem and recipe; change nothing.

    Raises:
        InputError: there is no such version, or its snapshot is no longer kept.
    """
    registry = registry_of(home, problem)
    known = registry.versions()
    if version not in known:
        raise InputError(f"The registry has no version {version} (versions: {', '.join(known) or 'none yet'}).")
    _refuse_forgotten(home, problem, version)
    with TemporaryDirectory(dir=home.root, prefix=".reproduce-") as folder:
        then = registry.fetch(version, Path(folder) / "then")
        facts, its_problem = load_facts(then), parse_problem((then / PROBLEM).read_bytes(), then / PROBLEM)
        recipe, lineage = load_recipe(then), Lineage.from_json(facts["lineage"])
        features, plans = _inputs(Lake(home.lake(problem.key)), lineage, its_problem)
        trainer = facts.get("trainer", "in_memory")
        candidate = train_candidate(features, its_problem, recipe, report, plans, trainer=trainer, scratch=Path(folder))
        now = Path(folder) / "now"
        save_candidate(candidate, its_problem, lineage, now)
        checks = {name: _same(then / name, now / name) for name in _compared(then)}
    checks["predictions of the test window"] = facts["scores_sha256"] == candidate.facts["scores_sha256"]
    recorded = registry.metrics(version)
    model = model_name(facts)
    labels, scores = candidate.scores["label"].to_numpy(), candidate.scores[model].to_numpy()
    for metric in METRICS:
        checks[metric] = recorded[f"{model}_{metric}"] == point(metric, labels, scores)
    return Reproduction(
        version=version,
        same=tuple(name for name, equal in checks.items() if equal),
        different=tuple(name for name, equal in checks.items() if not equal),
        other_code=lineage.code_version if lineage.code_version != training_code_version() else None,
    )


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


def _inputs(lake: Lake, lineage: Lineage, problem: Problem) -> tuple[Any, Any]:
    """The features and the plans of a lineage; plans are None where it has none."""
    features, plan = problem.features_table, problem.decision.plan_table
    try:
        return lake.read(features, snapshot_id=lineage.snapshots[features]), plans_of(lake, lineage, problem)
    except MissingTableError:
        named = ", ".join(lineage.snapshots[table] for table in (features, plan) if table in lineage.snapshots)
        raise InputError(
            f"What the version learned from (features and plans, snapshot {named}) is no longer kept: that of the "
            f"last {KEPT_PINS} champions is, and of others while it is among the newest snapshots."
        ) from None
