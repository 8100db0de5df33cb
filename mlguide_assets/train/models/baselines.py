"""Fitting the simpler models: the base rate, a logistic regression, and a linear support vector machine.

What a linear model needs in addition to the encoding (imputing, scaling, one column per category) it learns from the
same training rows. scikit-learn fits; what is kept is a `Linear`, which says the same without scikit-learn.
"""

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.train.models.encoding import MOST_VALUES, Encoding, Matrix
from mlguide_assets.train.models.linear import CategoryTerm, Linear, NumberTerm
from mlguide_assets.train.models.models import Labels, Probabilities

BASE_RATE = "base_rate"

MAX_COLUMNS = MOST_VALUES + 2
"""Of one category in the matrix of a linear model: its values, all others, and a missing one."""

HARDLY_PENALISED = 1e6
"""The inverse weight of the penalty on the slope of the sigmoid: enough to keep it finite."""


@dataclass(frozen=True)
class BaseRate:
    """Says the same to everyone: the share of positive outcomes in training."""

    rate: float

    def predict(self, matrix: Matrix) -> Probabilities:
        return np.full(len(matrix), self.rate)


def fit_base_rate(labels: Labels) -> BaseRate:
    return BaseRate(float(labels.mean()))


@dataclass(frozen=True, eq=False)
class _Prepared:
    """Training rows as scikit-learn's linear models take them."""

    rows: Any
    labels: Labels
    weights: Probabilities | None
    seed: int


def fit_baselines(
    matrix: Matrix,
    labels: Labels,
    encoding: Encoding,
    *,
    seed: int,
    weights: Probabilities | None = None,
    names: Iterable[str] | None = None,
) -> dict[str, Linear]:
    """The baselines that learn, by name, the simplest first. Rows are prepared once for all of them.

    Args:
        weights: how much each row counts (n,); rows of weight 0 are left out.
        names: some of `BASELINES`; default: all.
    """
    matrix, labels, weights = _counted(matrix, labels, weights)
    prepare = _preparation(encoding)
    with _one_thread():
        prepared = _Prepared(prepare.fit_transform(matrix), labels, weights, seed)
        planes = {name: BASELINES[name](prepared) for name in names or BASELINES}
        return {name: _linear(prepare, plane, matrix, encoding) for name, plane in planes.items()}


def _logistic_regression(known: _Prepared) -> "_Plane":
    """A logistic regression with scikit-learn's default L2 penalty."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=300, random_state=known.seed)
    fitted.fit(known.rows, known.labels, sample_weight=known.weights)
    return _Plane(fitted.coef_[0], fitted.intercept_[0])


def _linear_svm(known: _Prepared) -> "_Plane":
    """A linear support vector machine; a sigmoid turns its margins into probabilities (Platt 1999).

    The sigmoid is fitted on the training rows themselves: two numbers beside some dozen weights cannot
    overfit, and held-out margins would cost three more fits.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    # Of features that say much the same, as automatic ones do, a tenth of the tolerance takes ten times as long and
    # moves the ROC AUC by 0.0005.
    svm = LinearSVC(dual=False, tol=1e-2, random_state=known.seed)
    svm.fit(known.rows, known.labels, sample_weight=known.weights)
    margins = svm.decision_function(known.rows)[:, None]
    platt = LogisticRegression(C=HARDLY_PENALISED).fit(margins, known.labels, sample_weight=known.weights)
    slope = platt.coef_[0, 0]
    return _Plane(slope * svm.coef_[0], slope * svm.intercept_[0] + platt.intercept_[0])


BASELINES: dict[str, Callable[[_Prepared], "_Plane"]] = {
    "logistic_regression": _logistic_regression,
    "linear_svm": _linear_svm,
}
"""The baselines that learn, the simplest first; the base rate needs only the labels."""


@dataclass(frozen=True, eq=False)
class _Plane:
    """Log-odds of prepared rows."""

    weights: Floats
    intercept: float

    def __call__(self, prepared: Any) -> Floats:
        return np.asarray(prepared @ self.weights.astype(np.float64) + self.intercept, dtype=np.float64)


def _counted(
    matrix: Matrix, labels: Labels, weights: Probabilities | None
) -> tuple[Matrix, Labels, Probabilities | None]:
    """The rows that count; no weights where all count alike, or where only one outcome would count."""
    if weights is None or (weights == 1).all():
        return matrix, labels, None
    used = weights > 0
    if len(np.unique(labels[used])) < 2:
        return matrix, labels, None
    return matrix[used], labels[used], weights[used]


def _preparation(encoding: Encoding) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categories = [position for position, kind in enumerate(encoding.xgboost_types) if kind == "c"]
    numbers = [position for position, kind in enumerate(encoding.xgboost_types) if kind == "q"]
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_COLUMNS)
    # A column that is empty in training stays, as zeros: the contract has warned of it.
    impute = SimpleImputer(add_indicator=True, keep_empty_features=True)
    return ColumnTransformer(
        # It gives a sparse matrix where less than 0.3 of it is not zero: a dense one has at most 3.4 cells per value.
        [("categories", one_hot, categories), ("numbers", make_pipeline(impute, StandardScaler()), numbers)]
    )


_ONE_AT_A_TIME = threading.Lock()
"""Number of threads and filters of warnings are the whole process's: two fits would restore each other's."""


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Scikit-learn in one thread, and without its warnings: what its reader must know of the data, the contract says.

    With more threads, sums are taken in another order, and the last digits differ from machine to machine.
    """
    from threadpoolctl import threadpool_limits

    with _ONE_AT_A_TIME, threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        yield


def _linear(prepare: Any, plane: _Plane, matrix: Matrix, encoding: Encoding) -> Linear:
    """The terms of a fitted model, read off its answers to rows that differ from one base row in one feature.

    That is exact because preparation and plane are additive in the features, and it depends on no attribute of
    scikit-learn's transformers. In float64, whatever the precision of the fit.
    """
    base, spreads = _base_row(matrix, encoding)
    at_base = float(plane(prepare.transform(base[None, :]))[0])
    intercept, terms = at_base, []
    for position, feature in enumerate(encoding.features):
        column = matrix[:, position].astype(np.float64)
        points = (
            [base[position] + spreads[position]]
            if feature.categories is None
            else [float(code) for code in range(feature.positions)]
        )
        rows = np.repeat(base[None, :], len(points) + 1, axis=0)
        rows[:, position] = [*points, np.nan]
        *added, missing = (plane(prepare.transform(rows)) - at_base).tolist()
        if feature.categories is None:
            slope = added[0] / spreads[position]
            term: NumberTerm | CategoryTerm = NumberTerm(slope, -slope * base[position], missing, 0.0)
        else:
            term = CategoryTerm(tuple(added), missing, 0.0)
        mean, centred = _centred(term, column)
        intercept += mean
        terms.append(centred)
    return Linear(intercept, tuple(terms), encoding)


def _base_row(matrix: Matrix, encoding: Encoding) -> tuple[Floats, Floats]:
    """The mean of every number, and no category; and how far the numbers spread, 1 where they do not."""
    base, spreads = np.full(len(encoding.features), np.nan), np.ones(len(encoding.features))
    for position, feature in enumerate(encoding.features):
        if feature.categories is None:
            column = matrix[:, position].astype(np.float64)
            known = column[~np.isnan(column)]
            base[position] = known.mean() if len(known) else 0.0
            spreads[position] = (known.std() if len(known) else 0.0) or 1.0
    return base, spreads


def _centred(term: NumberTerm | CategoryTerm, column: Floats) -> tuple[float, NumberTerm | CategoryTerm]:
    """The mean of a term over the training rows, and the term without it, with its spread.

    Where no training row lacked a value, nothing was learned of one that does, or of a category never seen: it adds
    nothing to the mean. Zeros in place of a category's columns would say otherwise.
    """
    lacking = np.isnan(column).any()
    if isinstance(term, NumberTerm):
        added = np.where(np.isnan(column), term.missing, term.slope * column + term.offset)
        mean, spread = float(added.mean()), float(added.std())
        return mean, NumberTerm(term.slope, term.offset - mean, term.missing - mean if lacking else 0.0, spread)
    table = np.array([*term.weights, term.missing])
    added = table[np.nan_to_num(column, nan=len(table) - 1).astype(np.int64)]
    mean, spread = float(added.mean()), float(added.std())
    return mean, CategoryTerm(tuple((table[:-1] - mean).tolist()), term.missing - mean if lacking else 0.0, spread)
