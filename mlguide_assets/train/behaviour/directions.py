"""Direction: what can only raise (or lower) the risk does not do the opposite, on average and row by row.

The source is changed and features are recomputed by the code that trains and scores; a column changed by hand would
contradict the columns that follow from the same events.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.training import Direction
from mlguide_assets.english import percent, plural
from mlguide_assets.prepare.features.building import clock_of, features_from
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.train.behaviour.interventions import feature_called, noun_of, raised
from mlguide_assets.train.behaviour.results import Behaviour, example_of, ratio_of, share_of
from mlguide_assets.train.behaviour.samples import fitting, one_per, rows_of, scores_of
from mlguide_assets.train.models.models import ServableModel
from mlguide_assets.train.some_units import History, Tables, as_tables, history_of

LARGE_MOVE = 0.2
MAX_LARGE_MOVES = 0.1
"""Trees are not monotone row by row: up to one row in ten may move the wrong way by more than a fifth."""


def directions_hold(
    model: ServableModel, tables: Tables, rows: pa.Table, problem: Problem, random: np.random.Generator
) -> Iterator[Behaviour]:
    """Two tests for each direction that the problem declares: of the mean risk, and row by row.

    Args:
        rows: decisions with their features, of which some are asked about.
    """
    moved: dict[str, tuple[_Moved, pa.Table]] = {}
    for direction in problem.behaviour.directions:
        name = direction.feature
        if name not in moved:
            moved[name] = _scores_before_and_after(name, model, tables, rows, problem, random)
        yield _mean_moves(direction, *moved[name], problem)
        yield _rows_move(direction, *moved[name], problem)


@dataclass(frozen=True, eq=False)
class _Moved:
    """The scores of the same rows, before and after a feature was raised, and what was done."""

    before: Floats
    after: Floats
    whose: str
    said: str


def _scores_before_and_after(
    name: str, model: ServableModel, tables: Tables, rows: pa.Table, problem: Problem, random: np.random.Generator
) -> tuple[_Moved, pa.Table]:
    feature = feature_called(name, problem)
    noun = noun_of(feature, problem)
    asked = one_per(id_column(noun), rows, random)
    asked = fitting(asked, id_column(noun), tables, problem, noun)
    history = history_of(tables, problem, asked[id_column(noun)].combine_chunks(), noun)
    change = raised(feature, history, asked, problem, random)
    asked = asked.filter(pa.array(change.reached))
    clock = clock_of(tables, problem)

    def features(of: History) -> pa.Table:
        return rows_of(asked, features_from(as_tables(of), problem, clock=clock).to_pyarrow(), problem, noun)

    before, after = _of_both(features(history), features(change.history), problem.decision.keys)
    # One whose own entity does not meet the conditions of the declaration has as many as before.
    risen = pc.fill_null(pc.greater(after[name], before[name]), True)
    before, after = before.filter(risen), after.filter(risen)
    whose = f"{before.num_rows:,} {plural(noun)}"
    return _Moved(scores_of(model, before), scores_of(model, after), whose, change.said), after


def _of_both(before: pa.Table, after: pa.Table, keys: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """The decisions that are still made: with an event less, a cut-off may ask about an entity no more."""
    if before.num_rows == after.num_rows:
        return before, after
    order = [(key, "ascending") for key in keys]
    return before.join(after.select(keys), list(keys), join_type="left semi").sort_by(order), after.sort_by(order)


def _mean_moves(direction: Direction, moved: _Moved, asked: pa.Table, problem: Problem) -> Behaviour:
    before, after = moved.before, moved.after
    name = f"{direction.feature}_{direction.effect}_the_mean_risk"
    if not len(before):
        return _nothing_to_test(name, direction, direction.tolerance)
    change = ratio_of(after, before) - 1
    wrong_way = -change if direction.effect == "never_lowers" else change
    passed = bool(wrong_way <= direction.tolerance)
    message = (
        f"{moved.whose} {moved.said}; the mean risk may not "
        f"{_verb(direction)} by more than {percent(direction.tolerance)} of itself, and went from "
        f"{before.mean():.2%} to {after.mean():.2%} ({change:+.0%})."
    )
    worse = np.zeros(len(before), dtype=bool) if passed else _wrong_way(direction, before, after) > 0
    example = example_of(asked, problem.decision.keys, before, after, worse)
    return Behaviour(name, "direction", passed, wrong_way, direction.tolerance, len(before), message, example)


def _rows_move(direction: Direction, moved: _Moved, asked: pa.Table, problem: Problem) -> Behaviour:
    before, after = moved.before, moved.after
    name = f"{direction.feature}_{direction.effect}_many_risks"
    if not len(before):
        return _nothing_to_test(name, direction, MAX_LARGE_MOVES)
    broken = ~(_wrong_way(direction, before, after) <= LARGE_MOVE)
    share = share_of(broken)
    message = (
        f"{moved.whose} {moved.said}; at most "
        f"{MAX_LARGE_MOVES:.0%} of the risks may {_verb(direction)} by more than {LARGE_MOVE:.0%}, and {share:.1%} did."
    )
    passed = share <= MAX_LARGE_MOVES
    example = None if passed else example_of(asked, problem.decision.keys, before, after, broken)
    return Behaviour(name, "direction", passed, share, MAX_LARGE_MOVES, len(before), message, example)


def _nothing_to_test(name: str, direction: Direction, limit: float) -> Behaviour:
    message = f"{direction.feature} could be raised for no row, so nothing is tested."
    return Behaviour(name, "direction", True, 0.0, limit, 0, message)


def _verb(direction: Direction) -> str:
    return "fall" if direction.effect == "never_lowers" else "rise"


def _wrong_way(direction: Direction, before: Floats, after: Floats) -> Floats:
    """How far each risk moved the wrong way, as a share of what it was (n,)."""
    moved = before - after if direction.effect == "never_lowers" else after - before
    return np.asarray(moved / np.maximum(before, np.finfo(np.float64).tiny))
