"""Can a classifier distinguish a day's rows from those of the reference? It sees columns that drift together.

The ROC AUC of a small XGBoost model that separates the two samples, cross-fitted over folds of whole units (the entity
whose decisions depend on each other): 0.5 where nothing separates them. Days always differ somewhat, as the decisions
of one day share what happened on it. So the null distribution is that of whole days: every day of the
reference is compared with the other days in the same way. Where days may be exchanged, the p-value (1 + days of the
reference that separate as well) / (1 + days of the reference) is exact.

What it does not do: say which columns drifted, as the tests of single columns do, or call for action by itself.
"""

import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.decision import Decision
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle
from mlguide_assets.english import counted
from mlguide_assets.observe.drift.quality import Finding, Level
from mlguide_assets.observe.drift.reports import window_of_test
from mlguide_assets.observe.rows import rows_of_days, rows_of_some_units
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.train.evaluation.metrics import point
from mlguide_assets.train.folds import unit_folds
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.reference.profile import Profile
from mlguide_assets.train.storage import load_model

REFERENCE_ROWS, DAY_ROWS = 4000, 1000
"""Rows of whole units, drawn by seed where there are more: a day costs a tenth of a second, whatever its size."""

FOLDS, ROUNDS = 3, 30
_DAY = "_day"
LEAST_DAYS = 39
"""Days of the reference without which no p-value is small enough for a warning."""

WARN_LEVEL = 1 / (1 + LEAST_DAYS)
WARN_GAIN = 0.02
"""How much ROC AUC a warning takes beyond the median day of the reference, however small the p-value."""

LARGEST_INFLATION, LARGEST_TREND = 2.0, 0.1
"""Of the columns that days are compared by, see `steady_columns`; the trend as a share of the inflation."""

_PARAMETERS = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 3,
    "max_bin": 64,
    "learning_rate": 0.2,
    "min_child_weight": 5,
    "nthread": 1,
}


def steady_columns(profile: Profile) -> list[str]:
    """The columns that days can be compared by: whose rows differ between days little more than between units.

    With the weekday, or a property of what all decisions of a day share, any day differs from any other; with a count
    of past events, any later day. Both say nothing of drift. The tests of single columns allow for that; a classifier
    cannot.
    """
    return [
        column.name
        for column in profile.columns
        if column.inflation <= LARGEST_INFLATION and column.trend <= LARGEST_TREND * column.inflation
    ]


@dataclass(frozen=True)
class Separation:
    """How well a day separates from the reference: ROC AUC, and the same of the reference's own days."""

    auc: float
    null: tuple[float, ...]

    @property
    def p_value(self) -> float:
        return (1 + sum(usual >= self.auc for usual in self.null)) / (1 + len(self.null))

    @property
    def finding(self) -> Finding:
        """A warning where hardly a day of the reference separates as well, and the day does so by `WARN_GAIN` more."""
        median, highest = float(np.median(self.null)), max(self.null)
        level: Level = "warn" if self.p_value <= WARN_LEVEL and self.auc >= median + WARN_GAIN else "none"
        return Finding(
            level,
            "classifier",
            f"A classifier separates the day from the reference with ROC AUC {self.auc:.3f}; for "
            f"{counted(len(self.null), 'day')} "
            f"of the reference it is {median:.3f} (median) to {highest:.3f} (p = {self.p_value:.3f})",
        )


@dataclass(frozen=True, eq=False)
class DomainClassifier:
    """The reference that days are compared with.

    Args:
        reference: features, unit and time of the decisions of the champion's test window. Only samples of it are read.
        encoding: the champion's.
        profile: says which columns are steady.
        kept: a file for the null, which takes seconds and is the same as long as the champion is.
    """

    reference: ibis.Table
    encoding: Encoding
    profile: Profile
    decision: Decision
    seed: int
    kept: Path | None = None

    def separation(self, rows: ibis.Table) -> Separation | None:
        """How well a day's rows separate from the reference; None where there are too few rows or days to say."""
        if len(self.null) < LEAST_DAYS:
            return None
        auc = self._auc(self._reference, self._sample(self._drawn(rows, DAY_ROWS)))
        return None if np.isnan(auc) else Separation(auc, self.null)

    @cached_property
    def null(self) -> tuple[float, ...]:
        """The ROC AUC of every day of the reference against the others, without those that have none."""
        if self.kept is None:
            return self._null()
        # Where it is not there, or damaged, it is made.
        with contextlib.suppress(OSError, ValueError):
            return tuple(map(float, json.loads(self.kept.read_bytes())))
        found = self._null()
        replace_file(self.kept, json.dumps(found).encode())
        return found

    def _null(self) -> tuple[float, ...]:
        if not self._columns:
            return ()
        dated = self.reference.mutate({_DAY: self.reference[self.decision.time].date()})
        drawn = self._sample(self._drawn(dated, DAY_ROWS, per=_DAY))
        apart = [self._auc(self._reference.without(day), drawn.only(day)) for day in np.unique(drawn.days)]
        return tuple(auc for auc in apart if not np.isnan(auc))

    @cached_property
    def _reference(self) -> "_Sample":
        return self._sample(self._drawn(self.reference, REFERENCE_ROWS))

    @cached_property
    def _columns(self) -> list[int]:
        steady = {*steady_columns(self.profile)}
        return [place for place, name in enumerate(self.encoding.names) if name in steady]

    def _drawn(self, rows: ibis.Table, most: int, *, per: str | None = None) -> pa.Table:
        drawn = rows_of_some_units(rows, self.decision.unit_id, most=most, seed=self.seed, per=per)
        # The sums that trees are made of follow the order of rows.
        return drawn.order_by(*(name for name in self.decision.order if name in rows.columns)).to_pyarrow()

    def _sample(self, drawn: pa.Table) -> "_Sample":
        unit, time = self.decision.unit_id, self.decision.time
        return _Sample(
            matrix=self.encoding.matrix(drawn)[:, self._columns],
            folds=unit_folds(drawn[unit].to_numpy(), FOLDS, self.seed),
            days=drawn[time].to_numpy().astype("datetime64[D]"),
        )

    def _auc(self, reference: "_Sample", day: "_Sample") -> float:
        """Mean over the folds: margins of different fits are not comparable. NaN where a fold lacks one of the two."""
        import xgboost as xgb

        matrix, folds = np.vstack([reference.matrix, day.matrix]), np.r_[reference.folds, day.folds]
        labels = np.r_[np.zeros(len(reference.folds), dtype=bool), np.ones(len(day.folds), dtype=bool)]
        types = [self.encoding.xgboost_types[place] for place in self._columns]
        shared: dict[str, Any] = {"feature_types": types, "enable_categorical": True, "nthread": 1}
        found = []
        for fold in range(FOLDS):
            held = folds == fold
            if len(np.unique(labels[held])) < 2 or len(np.unique(labels[~held])) < 2:
                return float("nan")
            booster = xgb.train(_PARAMETERS, xgb.DMatrix(matrix[~held], labels[~held], **shared), ROUNDS)
            scores = booster.predict(xgb.DMatrix(matrix[held], **shared))
            found.append(point("roc_auc", labels[held].astype(np.int8), scores.astype(np.float64)))
        return float(np.mean(found))


def classifier_of(
    features: ibis.Table, champion: Bundle, profile: Profile, problem: Problem, *, folder: Path | None = None
) -> DomainClassifier:
    """The classifier that compares days with the champion's test window; its null is computed at the first day."""
    seed = problem.evaluation.seed
    settings = repr((steady_columns(profile), REFERENCE_ROWS, DAY_ROWS, FOLDS, ROUNDS, _PARAMETERS, seed))
    key = hashlib.sha256(f"{champion.lineage} {settings}".encode()).hexdigest()[:16]
    kept = folder / f".null-{key}.json" if folder else None
    return _classifier(_ClassifierInputs(champion.folder, key, kept, (features, champion, profile, problem)))


@dataclass(frozen=True)
class _ClassifierInputs:
    """What identifies a classifier, and what it is made of."""

    champion: Path
    key: str
    kept: Path | None
    made_of: tuple[ibis.Table, Bundle, Profile, Problem] = field(compare=False)


# A process that tests day after day reads the reference once per champion, as long as its null stands.
@lru_cache(maxsize=1)
def _classifier(inputs: _ClassifierInputs) -> DomainClassifier:
    features, champion, profile, problem = inputs.made_of
    window = window_of_test(champion)
    reference = rows_of_days(features, problem, first=window.first, last=window.last)
    encoding, seed = load_model(champion.folder).encoding, problem.evaluation.seed
    return DomainClassifier(reference, encoding, profile, problem.decision, seed, inputs.kept)


@dataclass(frozen=True, eq=False)
class _Sample:
    """Rows as the classifier takes them: (n, columns), the fold of each row's unit (n,) and its day (n,)."""

    matrix: npt.NDArray[np.float32]
    folds: npt.NDArray[np.int64]
    days: npt.NDArray[np.datetime64]

    def without(self, day: np.datetime64) -> "_Sample":
        return self._where(self.days != day)

    def only(self, day: np.datetime64) -> "_Sample":
        return self._where(self.days == day)

    def _where(self, kept: npt.NDArray[np.bool_]) -> "_Sample":
        return _Sample(self.matrix[kept], self.folds[kept], self.days[kept])
