"""Challenger against champion on the same rows, none of which either has learned from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml

from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.prediction import AggregateLabel, ColumnLabel
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.gate.calibration import largest_error
from mlguide_assets.errors import InputError
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.evaluation.decisions import calibration_error_under
from mlguide_assets.train.evaluation.metrics import calibration_bins, expected_calibration_error
from mlguide_assets.train.evaluation.uncertainty import Replicates, paired_difference, replicate_metrics, standard_error
from mlguide_assets.train.files import HOLDOUT, PROBLEM, absent_feature
from mlguide_assets.train.models.models import THREADS
from mlguide_assets.train.rows import clusters_of
from mlguide_assets.train.storage import load_facts, load_model

CHALLENGER, CHAMPION = "challenger", "champion"
"""Names of the two sets of scores."""

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Metrics of both on the same resamples of units.

    `which` says in words which rows, and which of the champion's two models, were compared. `note` says that the two
    learned different outcomes; empty where they learned the same.
    """

    version: str
    rows: int
    which: str
    replicates: Replicates
    note: str = ""

    def difference(self, metric: str) -> Estimate:
        """How much better the challenger is; positive where it is better."""
        return paired_difference(self.replicates, CHALLENGER, CHAMPION, metric)

    def standard_error(self, metric: str) -> float:
        """Of that difference: the standard deviation of its replicates; NaN where no interval can be given."""
        return standard_error(self.replicates, CHALLENGER, CHAMPION, metric)

    def minimum_detectable_difference(self, metric: str) -> float:
        """The smallest true difference that such a comparison sees four times in five."""
        from mlguide_assets.train.evaluation.decisions import minimum_detectable_difference

        return minimum_detectable_difference(self.replicates, CHALLENGER, CHAMPION, metric)


@dataclass(frozen=True)
class Incomparable:
    """Why there is nothing to compare, and whether that speaks against the champion rather than the challenger."""

    version: str
    reason: str
    champion_is_unfit: bool


@dataclass(frozen=True)
class Past:
    """What is left of a champion's training.

    Attributes:
        facts: rows, windows and lineage.
        folder: of the model that serves.
        holdout_model: the folder of the model that has not seen the champion's test window; None where the
            registry lost it.
    """

    facts: Mapping[str, Any]
    folder: Path
    holdout_model: Path | None

    @classmethod
    def of_candidate(cls, folder: Path) -> "Past":
        return cls(load_facts(folder), folder, folder / HOLDOUT)


def compare_with_champion(test: pa.Table, version: str, champion: Past, problem: Problem) -> Comparison | Incomparable:
    """Score the challenger's test window with the champion, and compare.

    The champion as it serves has learned from every row that had matured when it was trained. Where enough
    positives came later, these rows decide. Otherwise its holdout model decides, which has learned from the rows
    before the champion's own test window, as the challenger's scores also come from a model that has not seen
    the test window: then two recipes are compared.

    Args:
        test: rows of the challenger's test window: keys, label, features, and its scores (`challenger`).
        champion: its candidate, or its bundle where the registry has lost that.
    """
    facts, many = champion.facts, problem.decision.plural
    times = test[problem.decision.time].to_numpy()
    fresh = times > np.datetime64(facts["refit_until"])
    positives = int(test["label"].to_numpy()[fresh].sum())
    if positives >= problem.gate.min_fresh_positives:
        folder, which = champion.folder, f"{many} that came after the champion was trained"
    elif champion.holdout_model is None:
        reason = (
            f"It cannot be compared with version {version}, the champion: the registry no longer has that version, and "
            f"of the {many} since it was trained only {positives:,} were positive (gate.min_fresh_positives is "
            f"{problem.gate.min_fresh_positives:,})."
        )
        return Incomparable(version, reason, champion_is_unfit=False)
    else:
        fresh = times >= np.datetime64(facts["test_from"])
        folder = champion.holdout_model
        which = f"{many} of the test window, which the champion's holdout model has not seen"
    rows = test.filter(pa.array(fresh))
    if len(np.unique(rows["label"].to_numpy())) < 2:
        found = f"only one outcome is among the {rows.num_rows:,} {which}" if rows.num_rows else f"there are no {which}"
        reason = f"It cannot be compared with version {version}, the champion: {found}."
        return Incomparable(version, reason, champion_is_unfit=False)
    if lost := absent_feature(folder, rows.column_names):
        reason = f"The champion knows the feature {lost!r}, which the problem no longer has, so it can score nothing."
        return Incomparable(version, reason, champion_is_unfit=True)
    model = load_model(folder, threads=THREADS)
    scores = {CHALLENGER: rows[CHALLENGER].to_numpy(), CHAMPION: model.predict(model.encoding.matrix(rows))}
    labels = rows["label"].to_numpy()
    changed = _changed_outcome(champion.folder, problem)
    if changed and (unfit := _wrong_by_now(labels, scores, problem)):
        return Incomparable(version, f"{changed} {unfit}", champion_is_unfit=True)
    compared = compare_scores(labels, scores, clusters_of(rows, problem), version, which, problem)
    return replace(compared, note=f"{changed} Both are compared on it as it is now." if changed else "")


def _wrong_by_now(labels: Array, scores: Mapping[str, Array], problem: Problem) -> str:
    """Why a champion of another outcome gives way: it is miscalibrated on the present one, and more so than the
    challenger. Empty where it is not: then ranking decides.
    """
    errors = {name: expected_calibration_error(calibration_bins(labels, values)) for name, values in scores.items()}
    settings = problem.evaluation
    by_chance = calibration_error_under(scores[CHAMPION], repeats=settings.bootstrap_repeats, seed=settings.seed)
    if errors[CHAMPION] <= largest_error(by_chance, problem) or errors[CHAMPION] <= errors[CHALLENGER]:
        return ""
    return (
        f"Of the outcome as it is now, its probabilities are wrong: its calibration error (ECE) is "
        f"{errors[CHAMPION]:.4f}, that of this version {errors[CHALLENGER]:.4f} (gate.max_calibration_error = "
        f"{problem.gate.max_calibration_error:g}). So it gives way, however well it ranks."
    )


def _changed_outcome(folder: Path, problem: Problem) -> str:
    """That the outcome was defined otherwise when a model learned it; empty where it was not, or nobody can say."""
    try:
        then = load_problem(str(folder / PROBLEM)).predict.label
    except InputError:
        return ""
    now = problem.predict.label
    before, after = (_definition(label) for label in (then, now))
    if before == after:
        return ""
    return f"The outcome has changed: the champion learned {before}, and now it is {after}."


def _definition(label: ColumnLabel | AggregateLabel) -> str:
    """What is an outcome, as a problem file says it, on one line."""
    values = label.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"ends_unit"})
    return yaml.safe_dump(values, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf).strip()


def compare_scores(
    labels: Array, scores: dict[str, Array], units: Array, version: str, which: str, problem: Problem
) -> Comparison:
    """Compare the probabilities of `challenger` and `champion` on rows of the same units."""
    settings = problem.evaluation
    replicates = replicate_metrics(labels, scores, units, repeats=settings.bootstrap_repeats, seed=settings.seed)
    return Comparison(version, len(labels), which, replicates)
