"""Does a feature of the email case look ahead? Features of some users are computed twice, over tables that differ in
their future only: what moves was looking ahead.
"""

from collections.abc import Callable, Sequence
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.tables import TABLES
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.prepare.features.comparing import differing
from mlguide_assets.prepare.features.tables import KEYS, send_features
from mlguide_assets.train.leakage.results import Alarm, Flags, details_of, for_models, worst_of

ComputeFeatures = Callable[[ibis.Table, Problem], ibis.Table]
"""From the core table to one row per send with keys and features: `send_features`, or what would replace it."""

CANARY = "leakage canary"
"""The theme of emails that are sent in no reader's past."""


def planted_canary(
    core_users: ibis.Table, problem: Problem, *, users: int, seed: int, compute: ComputeFeatures = send_features
) -> Alarm:
    """Does a feature of a real send see sends that come after all others?

    Two are planted per sampled user, both of which lose the user: the user's last email again, and a new email of
    a new theme, the canary. They follow one microsecond after the last delivery of all, so that nothing may know
    of them, not even the record of an email in another user's later row. A feature sees them where it differs from
    the same feature computed without them; the count of canaries, 0 without, is one of the features.

    A window that looks ahead a few days only is seen in the rows of those days; `future_shift` has more of them.

    Args:
        users: how many to draw, from those with sends.

    Raises:
        InputError: `compute` does not give one row per send.
    """
    check = "canary_stays_silent"
    sends = _sends_of_some(core_users, users, seed)
    if not sends.num_rows:
        return _nothing_to_compute(check)
    aware = _with_theme(problem, CANARY)
    last = pc.max(sends["delivered_at"])
    planted = pa.concat_tables([sends, *_canaries(sends, problem)]).sort_by(_ORDER)
    before = _recomputed(core_users, sends, aware, compute)
    after = _recomputed(core_users, planted, aware, compute)
    after = after.filter(pc.less_equal(after["delivered_at"], last))
    return unmoved(check, before, after, features_of(aware), "sends planted after the last delivery of all")


def _with_theme(problem: Problem, theme: str) -> Problem:
    """The problem with one more theme, whose sends are counted as those of the others are."""
    more = {"values": (*problem.themes, theme)}
    declared = {
        name: each.model_copy(update=more) if each.split == "email.theme" else each
        for name, each in problem.features.declared.items()
    }
    return problem.model_copy(update={"features": problem.features.model_copy(update={"declared": declared})})


def _canaries(sends: pa.Table, problem: Problem) -> tuple[pa.Table, pa.Table]:
    """Per user the last email again and a canary, both later than all sends."""
    user, instant = sends["user_id"].to_numpy(), sends["delivered_at"].to_numpy()
    last = sends.take(np.flatnonzero(np.r_[user[1:] != user[:-1], True]))
    again = _with(
        last,
        delivered_at=np.full(last.num_rows, instant.max() + np.timedelta64(1, "us")),
        unsubscribed=[problem.label.positive] * last.num_rows,
    )
    # One new email, so one content.
    content = again.take(np.zeros(again.num_rows, dtype=np.int64)).select(_OF_EMAIL)
    canary = _with(again, **{name: content[name] for name in _OF_EMAIL})
    last_id = pc.max(sends["email_id"]).as_py()
    # A text that is longer than the last in order is none of them.
    new = f"{last_id}+" if isinstance(last_id, str) else last_id + 1
    return again, _with(canary, email_id=[new] * last.num_rows, theme=[CANARY] * last.num_rows)


def future_shift(
    core_users: ibis.Table, problem: Problem, *, users: int, seed: int, compute: ComputeFeatures = send_features
) -> Alarm:
    """Does a feature of a send up to the median delivery move when all that was not yet known then turns out otherwise?

    Unknown at an instant t are the outcomes of all sends that had not matured, own outcome included: they are
    turned. Unknown are the sends after t: a seeded half is dropped, the others are of other emails. A send at t is
    known to itself alone, since sends that share an instant do not see each other: of these, too, half are dropped,
    and the others are compared.

    Args:
        users: how many to draw, from those with sends.

    Raises:
        InputError: `compute` does not give one row per send.
    """
    check = "future_moves_no_past_row"
    sends = _sends_of_some(core_users, users, seed)
    if not sends.num_rows:
        return _nothing_to_compute(check)
    times = sends["delivered_at"].to_numpy()
    instant = np.sort(times)[(len(times) - 1) // 2]
    chance = np.random.default_rng(seed)
    kept = (times < instant) | (chance.random(len(times)) < 0.5)
    changed = _with(
        sends,
        unsubscribed=_turned(sends, times + np.timedelta64(problem.label.window) > instant, problem),
        **_other_emails(sends, times > instant, chance),
    )
    changed = changed.filter(pa.array(kept)).sort_by(_ORDER)
    before = _recomputed(core_users, sends, problem, compute).filter(pa.array(kept & (times <= instant)))
    after = _recomputed(core_users, changed, problem, compute)
    after = after.filter(pc.less_equal(after["delivered_at"], pa.scalar(instant, after["delivered_at"].type)))
    return unmoved(check, before, after, features_of(problem), f"another future from {_minute(instant)} on")


def _turned(sends: pa.Table, which: Flags, problem: Problem) -> pa.ChunkedArray:
    """The outcomes, the other way round where said."""
    outcome, label = sends["unsubscribed"], problem.label
    lost = pc.fill_null(pc.equal(outcome, label.positive), False)
    return pc.if_else(pa.array(which), pc.if_else(lost, label.negative, label.positive), outcome)


def _other_emails(sends: pa.Table, which: Flags, chance: np.random.Generator) -> dict[str, pa.ChunkedArray]:
    """The columns that follow from the email, with another email for each where said, so that keys stay unique."""
    _, some_row, email = np.unique(sends["email_id"].to_numpy(), return_index=True, return_inverse=True)
    other = some_row[chance.permutation(len(some_row))]
    emails = sends.select(_OF_EMAIL).take(np.where(which, other[email], np.arange(len(email))))
    return {name: emails[name] for name in _OF_EMAIL}


_ORDER = [("user_id", "ascending"), ("delivered_at", "ascending"), ("email_id", "ascending")]
_OF_EMAIL = ["email_id", *(name for name in TABLES["email_content"].columns if name != "id")]
"""The columns of the core table that follow from the email."""


def _sends_of_some(core_users: ibis.Table, users: int, seed: int) -> pa.Table:
    """All sends of a seeded sample of the users who have any."""
    sends = core_users.filter(core_users.delivered_at.notnull())
    receivers = np.sort(sends.select("user_id").distinct().to_pyarrow()["user_id"].to_numpy())
    drawn = np.random.default_rng(seed).choice(receivers, min(users, len(receivers)), replace=False)
    some = ibis.memtable(pa.table({"drawn": drawn}))
    return sends.semi_join(some, sends.user_id == some.drawn).to_pyarrow().combine_chunks().sort_by(_ORDER)


def _recomputed(core_users: ibis.Table, sends: pa.Table, problem: Problem, compute: ComputeFeatures) -> pa.Table:
    """Features of the sends, in their order, on the engine that the core table is on."""
    rows = core_users.get_backend().to_pyarrow(compute(ibis.memtable(sends), problem)).sort_by(_ORDER)
    if not rows.select(KEYS).equals(sends.select(KEYS)):
        raise InputError(
            f"The features must have one row per send, but have {rows.num_rows:,} rows of {sends.num_rows:,} sends: "
            f"check that users, emails and sends are there once."
        )
    return rows


def unmoved(check: str, before: pa.Table, after: pa.Table, features: Sequence[Feature], future: str) -> Alarm:
    """The alarm over two computations of the same rows, that fires where a feature for models differs."""
    measured = {
        feature.name: float(differing(before[feature.name], after[feature.name]).sum())
        for feature in for_models(features)
    }
    worst, value = worst_of(measured)
    rows = f"{before.num_rows:,} sends"
    if worst is None:
        message = f"No feature moved in {rows} with {future}."
    else:
        others = sum(moved > 0 for moved in measured.values()) - 1
        message = (
            f"{worst}{f' (and {others} more)' if others else ''} moved in {int(value):,} of {rows} with {future}, "
            f"where none may: compute it from what was known strictly before the send."
        )
    return Alarm(check, worst is None, worst, value, 0.0, message, details_of(measured))


def _nothing_to_compute(check: str) -> Alarm:
    return Alarm(check, True, None, 0.0, 0.0, "There are no sends to compute features of.", None)


def _minute(instant: np.datetime64) -> str:
    return str(instant.astype("datetime64[m]")).replace("T", " ")


def _with(table: pa.Table, **columns: Any) -> pa.Table:
    """The table with other values in some columns, of the same types."""
    for name, values in columns.items():
        field = table.schema.field(name)
        same_type = values.cast(field.type) if isinstance(values, pa.ChunkedArray) else pa.array(values, field.type)
        table = table.set_column(table.schema.get_field_index(name), field, same_type)
    return table
