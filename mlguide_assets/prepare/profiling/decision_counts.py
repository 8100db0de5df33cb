"""The decisions that a problem would train on and test on, counted, and what is said of them before any training."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import ibis

from mlguide_assets.define.prediction import ColumnLabel
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import TableName
from mlguide_assets.english import duration
from mlguide_assets.errors import InputError
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.decisions.enough import too_few
from mlguide_assets.prepare.decisions.rows import MATURED_AT
from mlguide_assets.prepare.features.building import clock_of, test_start
from mlguide_assets.prepare.profiling.known_columns import growing_columns, naming_columns


@dataclass(frozen=True)
class Decisions:
    """What would be learned from.

    Attributes:
        rows: decisions until the data's clock.
        waiting: those whose outcome is not known yet.
        without: those whose outcome should be known by now, and is not.
        positives: of the others, those with the positive outcome.
        train, test: those with a known outcome to train on, and to test on.
        train_positives, test_positives: the positive ones among them.
        test_from: the first instant of the test window.
        growing: known numbers whose newest values are none that a model has learned from.
        naming: known columns that have a value of their own for each decision.
    """

    rows: int
    waiting: int
    without: int
    positives: int
    first: datetime
    last: datetime
    train: int
    test: int
    train_positives: int
    test_positives: int
    test_from: datetime
    growing: tuple[str, ...] = ()
    naming: tuple[str, ...] = ()

    @property
    def known(self) -> int:
        """Those whose outcome is known."""
        return self.rows - self.waiting - self.without

    @property
    def has_both_outcomes(self) -> bool:
        """Whether both outcomes are among them."""
        return 0 < self.positives < self.known


def count_decisions(problem: Problem, tables: Mapping[TableName, ibis.Table], rows: ibis.Table) -> Decisions:
    """Count decisions, by what is known of their outcomes and by the side of the split in time.

    Args:
        rows: decisions, with their labels and the columns that are known when they happen.

    Raises:
        InputError: there are none, no outcome is known, or a side of the split has none.
    """
    predict, clock = problem.predict, clock_of(tables, problem)
    label, at = problem.label.column, problem.decision.time
    found = rows.aggregate(
        rows=rows.count(),
        known=rows[label].count(),
        without=(rows[label].isnull() & (rows[MATURED_AT] <= ibis.timestamp(clock))).sum(),
        positives=(rows[label] == 1).sum(),
        first=rows[at].min(),
        last=rows[at].max(),
    )
    all_ = found.to_pyarrow().to_pylist()[0]
    window = predict.label.window
    if not all_["rows"]:
        raise InputError(
            f"There is no {predict.each} to predict until {clock:%Y-%m-%d}: check predict.where and history_start "
            f"({problem.history_start})."
        )
    if not all_["known"]:
        raise InputError(
            f"predict.label: no outcome is known yet, since its window of {duration(window)} is longer than the data, "
            f"from {all_['first']:%Y-%m-%d} to {clock:%Y-%m-%d}: write a shorter one, or add history."
        )
    known = rows.filter(rows[label].notnull())
    start = test_start(rows, problem)
    until = problem.evaluation.test_until
    test = known[at] >= start if until is None else (known[at] >= start) & (known[at] < midnight(until))
    sides = {"train": known[MATURED_AT] <= start, "test": test}
    positive = {f"{side}_positives": known.count(where=inside & (known[label] == 1)) for side, inside in sides.items()}
    counts = {side: known.count(where=inside) for side, inside in sides.items()}
    parted = known.aggregate({**counts, **positive}).to_pyarrow().to_pylist()[0]
    if not parted["train"] or not parted["test"]:
        side = "train on before" if not parted["train"] else "test on from"
        raise InputError(
            f"No decision is left to {side} {start:%Y-%m-%d}: add history, or change evaluation.test_share or "
            f"test_from."
        )
    without = int(all_["without"] or 0)
    return Decisions(
        int(all_["rows"]), int(all_["rows"] - all_["known"]) - without, without, int(all_["positives"] or 0),
        all_["first"], all_["last"],
        parted["train"], parted["test"], parted["train_positives"], parted["test_positives"], start,
        growing_columns(problem, rows, start), naming_columns(problem, rows),
    )  # fmt: skip


def refused_decisions(problem: Problem, decisions: Decisions) -> str | None:
    """Why training would end: a side has too few of either outcome, or a known column names each decision."""
    training = too_few("The training window", decisions.train, decisions.train_positives, problem.decision)
    test = too_few("The test window", decisions.test, decisions.test_positives, problem.decision)
    return training or test or _naming(problem, decisions)


def _naming(problem: Problem, decisions: Decisions) -> str | None:
    """What the leakage alarm would say of known columns."""
    if not decisions.naming:
        return None
    return (
        f"predict.known: {decisions.naming[0]} has a value of its own for each {problem.predict.each}: a model would "
        f"learn them by heart, and the leakage alarm would stop the run; leave it out, or make it coarser."
    )


def decisions_to_look_at(problem: Problem, decisions: Decisions) -> list[str]:
    """What lets a training go on, and should be changed before."""
    return [*_one_outcome(problem, decisions), *_growing(decisions)]


def _one_outcome(problem: Problem, decisions: Decisions) -> list[str]:
    """Where all outcomes are the same, as none of a column is here: what needs a column refuses these before."""
    label = problem.predict.label
    if decisions.has_both_outcomes or isinstance(label, ColumnLabel):
        return []
    which, bound = "every" if decisions.positives else "no", "at_most" if label.at_least is None else "at_least"
    return [
        f"predict.label: {which} outcome of {decisions.known:,} is positive, and a model learns from two kinds: look "
        f"at its count, where, within and {bound}"
    ]


def _growing(decisions: Decisions) -> list[str]:
    return [
        f"predict.known: {name} grows with the calendar: its newest values are none that earlier decisions had, and a "
        f"model would extrapolate; leave it out, or add history in which they come again"
        for name in decisions.growing
    ]
