"""Direction: what can only raise (or lower) the risk does not do the opposite, on average and row by row.

The source is changed and features are recomputed by the code that trains and scores; a column changed by hand would
contradict the columns that follow from the same sends.
"""

from collections.abc import Iterator
from datetime import timedelta

import ibis
import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.training import Direction
from mlguide_assets.prepare.features.tables import LABEL, send_features
from mlguide_assets.train.behaviour.results import Behaviour, example_of, ratio_of, share_of
from mlguide_assets.train.behaviour.samples import Bools, Floats, is_of_user, rows_of_sends, scores_of
from mlguide_assets.train.models import ServableModel

EXTRA_SENDS = 2
"""Enough to move every risk that frequent emails move, and still what some users really get."""

WEEK = timedelta(days=7)
LARGE_MOVE = 0.2
MAX_LARGE_MOVES = 0.1
"""Trees are not monotone row by row: up to one row in ten may move the wrong way by more than a fifth."""


def with_extra_recent_sends(
    core: pa.Table, asked: pa.Table, k: int, problem: Problem, random: np.random.Generator
) -> tuple[pa.Table, Bools]:
    """The core table in which each user asked about also got `k` copies of the sends of the week before.

    They are spread evenly over those of that week, so their emails, themes and instants are usual ones. None comes
    before its user joined, none as late as the send asked about, and none loses its user.

    Args:
        core: rows of the core table; its sends are also those that are copied.
        asked: user_id and delivered_at, one row per user.

    Returns:
        The longer table, and for which of `asked` the week held `k` sends to copy; the others got none.
    """
    core = core.sort_by("delivered_at")
    times, users = core["delivered_at"].to_numpy(), core["user_id"].to_numpy()
    at, who = asked["delivered_at"].to_numpy(), asked["user_id"].to_numpy()
    own_row = {user: row for row, user in enumerate(users.tolist())}
    profile = np.array([own_row.get(user, -1) for user in who.tolist()], dtype=np.int64)
    joined = core["date_joined"].to_numpy().astype(times.dtype)[profile] if len(core) else at
    first = np.searchsorted(times, np.maximum(at - np.timedelta64(WEEK), joined))
    available = np.searchsorted(times, at) - first
    planted = (available >= k) & (profile >= 0)

    spread = (np.arange(k) + random.random((int(planted.sum()), k))) / k
    copied = (first[planted, None] + np.floor(spread * available[planted, None]).astype(np.int64)).ravel()
    sent, received = core.take(copied), core.take(np.repeat(profile[planted], k))
    extra = {name: (received if is_of_user(name) else sent)[name] for name in core.column_names}
    extra[LABEL] = pa.array([problem.label.negative] * len(copied), core.schema.field(LABEL).type)
    return pa.concat_tables([core, pa.table(extra, schema=core.schema)]), planted


def directions_hold(
    model: ServableModel,
    core: pa.Table,
    features: pa.Table,
    asked: pa.Table,
    problem: Problem,
    random: np.random.Generator,
) -> Iterator[Behaviour]:
    """Two tests for each direction that the problem declares: of the mean risk, and row by row.

    Args:
        core: sends of the core table, all those of the users asked about.
        features: their rows of `send_features`.
        asked: one row per user.
    """
    directions = problem.behaviour.directions
    if not directions:
        return
    more, planted = with_extra_recent_sends(core, asked, EXTRA_SENDS, problem, random)
    asked = asked.filter(pa.array(planted))
    changed = rows_of_sends(asked, send_features(ibis.memtable(more), problem).to_pyarrow())
    before, after = scores_of(model, rows_of_sends(asked, features)), scores_of(model, changed)
    for direction in directions:
        yield _mean_moves(direction, changed, before, after)
        yield _rows_move(direction, changed, before, after)


def _mean_moves(direction: Direction, asked: pa.Table, before: Floats, after: Floats) -> Behaviour:
    name = f"{direction.feature}_{direction.effect}_the_mean_risk"
    if not len(before):
        return _nothing_to_judge(name, direction.tolerance)
    change = ratio_of(after, before) - 1
    wrong_way = -change if direction.effect == "never_lowers" else change
    passed = bool(wrong_way <= direction.tolerance)
    message = (
        f"{len(before):,} users got {EXTRA_SENDS} more emails in the 7 days before a send; the mean risk may not "
        f"{_verb(direction)} by more than {direction.tolerance:.0%} of itself, and went from {before.mean():.2%} to "
        f"{after.mean():.2%} ({change:+.0%})."
    )
    moved = np.zeros(len(before), dtype=bool) if passed else _wrong_way(direction, before, after) > 0
    example = example_of(asked, before, after, moved)
    return Behaviour(name, "direction", passed, wrong_way, direction.tolerance, len(before), message, example)


def _rows_move(direction: Direction, asked: pa.Table, before: Floats, after: Floats) -> Behaviour:
    name = f"{direction.feature}_{direction.effect}_many_risks"
    if not len(before):
        return _nothing_to_judge(name, MAX_LARGE_MOVES)
    broken = ~(_wrong_way(direction, before, after) <= LARGE_MOVE)
    share = share_of(broken)
    message = (
        f"{len(before):,} users got {EXTRA_SENDS} more emails in the 7 days before a send; at most "
        f"{MAX_LARGE_MOVES:.0%} of the risks may {_verb(direction)} by more than {LARGE_MOVE:.0%}, and {share:.1%} did."
    )
    passed = share <= MAX_LARGE_MOVES
    example = None if passed else example_of(asked, before, after, broken)
    return Behaviour(name, "direction", passed, share, MAX_LARGE_MOVES, len(before), message, example)


def _nothing_to_judge(name: str, limit: float) -> Behaviour:
    message = "No user could be given more emails in the 7 days before a send, so nothing is tested."
    return Behaviour(name, "direction", True, 0.0, limit, 0, message)


def _verb(direction: Direction) -> str:
    return "fall" if direction.effect == "never_lowers" else "rise"


def _wrong_way(direction: Direction, before: Floats, after: Floats) -> Floats:
    """How far each risk moved the wrong way, as a share of what it was (n,)."""
    moved = before - after if direction.effect == "never_lowers" else after - before
    return np.asarray(moved / np.maximum(before, np.finfo(np.float64).tiny))
