"""The send plan: for each user of a day, which email they are sent, chosen how, and with which probability.

Greedy but for a random share: a user's email is the least risky one, or, for `exploration.share` of the users who
are sent something, one drawn uniformly from the K that the champion would send them. What it holds to be too risky
is never sent to learn from it: exploration costs no more than the threshold allows, and withholding is not put to
the test. So the actions of a user and their propensities are

    an email may be sent    the best: 1 - share (K - 1) / K    each of the K - 1 others: share / K
    none may be sent        withhold: 1; the row names the least risky email, which stays unsent

which sum to 1. The draws are those of `statistics.draws`, by salt, day and user, so the same day is planned
the same way again.
"""

from collections.abc import Iterator
from datetime import date, datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from mlguide_assets.define.problem import Exploration
from mlguide_assets.statistics.draws import SIZE, draw_column, draw_index_column

USERS_AT_ONCE = 20_000
BEST, EXPLORE = "best", "explore"

SCHEMA = pa.schema(
    [
        ("scoring_date", pa.date32()),
        ("user_id", pa.int64()),
        ("email_id", pa.int64()),
        ("probability", pa.float64()),
        ("best_probability", pa.float64()),
        ("decision", pa.string()),
        ("policy", pa.string()),
        ("propensity", pa.float64()),
        ("candidates", pa.int64()),
        ("exploration_share", pa.float64()),
        ("salt", pa.string()),
        ("model_version", pa.string()),
        ("planned_at", pa.timestamp("us")),
        ("run_id", pa.string()),
    ]
)


def plan_sends(
    predictions: ibis.Table, exploration: Exploration, *, day: date, planned_at: datetime, run_id: str
) -> pa.RecordBatchReader:
    """Choose for every user of a day's predictions, a slice of the users at a time, in order of their ids.

    Args:
        predictions: every user with every candidate, as `batch.score_pairs` makes them; empty without a champion.
        planned_at: now, by the problem's clock, UTC.
    """
    batches = _batches(predictions, exploration, day, planned_at, run_id)
    return pa.RecordBatchReader.from_batches(SCHEMA, batches)


def propensity_of_best(candidates: ir.IntegerValue, share: ir.FloatingValue) -> ir.FloatingValue:
    """Of the least risky email: it is also among those that are drawn. 1 where nothing may be sent."""
    others = ibis.greatest(candidates - 1, 0)
    return 1 - share * others / ibis.greatest(candidates, 1)


def propensity_of_other(candidates: ir.IntegerValue, share: ir.FloatingValue) -> ir.FloatingValue:
    """Of each email but the least risky one."""
    return share / ibis.greatest(candidates, 1)


def _batches(
    predictions: ibis.Table, exploration: Exploration, day: date, planned_at: datetime, run_id: str
) -> Iterator[pa.RecordBatch]:
    # One query over all users would hold the candidates of all in memory.
    users = predictions.select("user_id").distinct().order_by("user_id").to_pyarrow()["user_id"]
    for start in range(0, len(users), USERS_AT_ONCE):
        some = users.slice(start, USERS_AT_ONCE)
        slice_ = predictions.filter(predictions.user_id.between(some[0].as_py(), some[-1].as_py()))
        chosen = _choices(slice_, exploration, day).mutate(
            scoring_date=ibis.literal(day),
            salt=ibis.literal(exploration.salt),
            planned_at=ibis.literal(planned_at),
            run_id=ibis.literal(run_id),
        )
        rows = chosen.select(SCHEMA.names).order_by("user_id").to_pyarrow()
        yield from rows.cast(SCHEMA).combine_chunks().to_batches()


def _choices(predictions: ibis.Table, exploration: Exploration, day: date) -> ibis.Table:
    """One row per user: what is done, how that was chosen, and how probable it was."""
    sendable = predictions.decision == "send"
    users = predictions.group_by("user_id").agg(
        # As in `batch.best_emails`: between equals, the newest.
        best=predictions.email_id.first(order_by=[predictions.probability, predictions.email_id.desc()]),
        best_probability=predictions.probability.min(),
        candidates=predictions.count(where=sendable),
        emails=predictions.email_id.collect(where=sendable, order_by=predictions.email_id),
        probabilities=predictions.probability.collect(where=sendable, order_by=predictions.email_id),
        model_version=predictions.model_version.max(),
    )
    drawn = draw_column(f"{exploration.salt}/explore:{day.isoformat()}", users.user_id)
    which = draw_index_column(f"{exploration.salt}/which:{day.isoformat()}", users.user_id, users.candidates)
    explored = (drawn < round(exploration.share * SIZE)) & (users.candidates > 0)
    chosen = users.mutate(
        email_id=ibis.ifelse(explored, users.emails[which], users.best),
        probability=ibis.ifelse(explored, users.probabilities[which], users.best_probability),
        decision=ibis.ifelse(users.candidates > 0, "send", "withhold"),
        policy=ibis.ifelse(explored, EXPLORE, BEST),
        # As text: a number in SQL is a decimal, which is rounded otherwise than Python's.
        exploration_share=ibis.literal(repr(exploration.share)).cast("float64"),
    )
    return chosen.mutate(
        propensity=ibis.ifelse(
            chosen.email_id == chosen.best,
            propensity_of_best(chosen.candidates, chosen.exploration_share),
            propensity_of_other(chosen.candidates, chosen.exploration_share),
        )
    )
