"""Leakage alarms: four questions that are asked before training, each of which can stop it.

Two look at the finished rows: does a feature name its row (`id_like_features`), does one alone know the outcome
(`features_too_good`)? Two compute the features of some users twice, over tables that differ in their future only
(`planted_canary`, `future_shift`): what moves was looking ahead.

What they do not see: a source table that was overwritten later, such as a profile that counts the purchases
up to now. Its past is gone before any feature is computed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.tables import TABLES
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.prepare.features.comparing import differing, floats
from mlguide_assets.prepare.features.tables import KEYS, send_features
from mlguide_assets.statistics.ranking import RankSums
from mlguide_assets.train.future import moved_by_the_future
from mlguide_assets.train.matured_columns import MaturedColumns, Rows
from mlguide_assets.train.split import split_decisions

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

ComputeFeatures = Callable[[ibis.Table, Problem], ibis.Table]
"""From the core table to one row per send with keys and features: `send_features`, or what would replace it."""

CANARY = "leakage canary"
"""The theme of emails that are sent in no reader's past."""

MAX_NAMED_SHARE = 0.99
"""A feature that names more of the users, emails or sends than this is an id."""


@dataclass(frozen=True)
class Alarm:
    """The answer to one question.

    `value` is what was measured of the worst feature, `limit` what it may reach at most; `details` has one row per
    feature (feature, value), the worst first, or is None where nothing could be measured.
    """

    check: str
    passed: bool
    feature: str | None
    value: float
    limit: float
    message: str
    details: pa.Table | None


def leakage_alarms(
    core_users: ibis.Table,
    rows: ibis.Table,
    problem: Problem,
    *,
    compute: ComputeFeatures = send_features,
    tables: Mapping[str, ibis.Table] | None = None,
) -> tuple[Alarm, ...]:
    """All alarms, with the limits of the problem.

    Args:
        core_users: the core table.
        tables: what the features are compiled from; default: the email case, which computes them from the core table.
        rows: what `compute` made of the core table. Outcomes are looked at in the training window only.

    Raises:
        InputError: the history is too short to have a training window.
    """
    features = features_of(problem)
    names = [*problem.decision.keys, problem.label.column, *(feature.name for feature in _for_models(features))]
    matured = MaturedColumns.of(rows, names, problem)
    times = matured[problem.decision.time].to_numpy()
    train = split_decisions(times, problem).train
    users, seed = problem.leakage.users, problem.evaluation.seed
    limit = problem.leakage.max_feature_auc
    if tables is not None:
        return (
            features_too_good(matured.only(train), features, problem.label.column, limit=limit),
            future_moves_nothing(tables, core_users, problem, most=users),
        )
    return (
        id_like_features(matured, features, limit=MAX_NAMED_SHARE),
        features_too_good(matured.only(train), features, problem.label.column, limit=limit),
        planted_canary(core_users, problem, users=users, seed=seed, compute=compute),
        future_shift(core_users, problem, users=users, seed=seed, compute=compute),
    )


# Features that name their row


@dataclass(frozen=True, eq=False)
class _Things:
    """What a feature could name: the users, the emails, the instants or the sends of n rows.

    Attributes:
        of_row: the thing of each row (n,), numbered in the order of its key.
        judged: which things tell a name from a measurement. A user seen at one instant only does not: whatever
            is measured then has one value for the user.
        fewest: below so many things a category, or a number in their order, may be theirs alone by chance.
        ordered: whether the order of the key says anything; that of the sends is the order of the instants.
    """

    name: str
    of_row: Integers
    judged: Flags
    fewest: int
    ordered: bool = True


_FEWEST_WHOLE_NUMBERS = 100
"""Whole numbers collide less than categories do: of 50 counts up to 1,000 all differ in more than one case of four."""

_IN_ORDER = 0.99
"""The share of steps that go one way in a copy of a key; nearly all, so that rounding does not hide one."""


def id_like_features(rows: Rows, features: Sequence[Feature], *, limit: float) -> Alarm:
    """Does a feature for models name its user, email, instant or row, rather than describe it?

    A feature *names* a thing where it has one value in all rows of the thing and this value in no other row. The
    measure is the share of things that it names; rows where it is missing do not count. A name is told from a
    measurement, which may well be unique, by its form: a feature can be an id only if it is

    - a category: it groups nothing (from 10 users or emails on, 100 instants, or 1,000 sends);
    - a whole number (from 100 users, emails or instants on, or 1,000 sends): a hash, a row number, an amount to
      the cent. A count or an age in days is shared, unless it has a hundred times as many values as there are things;
    - any number that rises, or falls, with the key from thing to thing: a copy of it, whatever its scale (from 10
      users or emails on, or 100 instants).

    So a fraction that differs in every row, such as a tenure, is a measurement. A category that names users is
    found even as text, a copy of `delivered_at` as a clock. Not found: a hash of an id scaled to fractions, which
    cannot be told from a continuous trait, and ids of fewer things than said above.

    Args:
        rows: keys and features; labels are not looked at.
        limit: the largest share of things that may be named.
    """
    measured = {}
    named = {}
    things = list(_things(rows))
    for feature in _for_models(features):
        values = _Values.of(rows[feature.name], feature.kind)
        shares = [(_named_share(values, each), each.name) for each in things]
        measured[feature.name], named[feature.name] = max(shares, key=lambda share: share[0])
    worst, value = _worst(measured)
    if worst is None or value <= limit:
        message = f"No feature names more than {limit:.0%} of the users, emails, instants or sends."
    else:
        message = (
            f"{worst} has a value of its own for {value:.1%} of the {named[worst]}, where at most {limit:.0%} was "
            f"expected: the model would learn them by heart; remove it, or make it coarser."
        )
    return Alarm("no_id_like_features", value <= limit, worst, value, limit, message, _details(measured))


def _things(rows: Rows) -> Iterator[_Things]:
    user, email, instant = (np.unique(rows[key].to_numpy(), return_inverse=True)[1] for key in KEYS)
    yield _Things("users", user, _varied(instant, user), 10)
    yield _Things("emails", email, _varied(user, email), 10)
    # A single row per instant is evidence enough: a clock runs with all of them, a tenure only with its user's.
    yield _Things("instants", instant, np.ones(_size(instant), dtype=bool), 100)
    yield _Things("sends", np.arange(len(user)), np.ones(len(user), dtype=bool), 1000, ordered=False)


@dataclass(frozen=True, eq=False)
class _Values:
    """A feature where it is not missing: in which rows, its values numbered, and as numbers where it is one."""

    rows: Integers
    codes: Integers
    numbers: Floats | None

    @classmethod
    def of(cls, column: pa.ChunkedArray, kind: str) -> "_Values":
        numbers = floats(column) if kind == "number" else None
        codes, missing = _codes(column if numbers is None else pa.array(numbers, mask=np.isnan(numbers)))
        rows = np.flatnonzero(~missing)
        return cls(rows, codes[rows], None if numbers is None else numbers[rows])

    @property
    def whole(self) -> bool:
        return self.numbers is not None and bool((self.numbers == np.floor(self.numbers)).all())


def _named_share(values: _Values, things: _Things) -> float:
    """The share of the judged things that a feature names; 0 where its form cannot be that of a name."""
    thing = things.of_row[values.rows]
    judged = np.zeros(len(things.judged), dtype=bool)
    judged[thing] = True
    judged &= things.judged
    count = int(judged.sum())
    if count < things.fewest or not (
        values.numbers is None
        or (values.whole and count >= _FEWEST_WHOLE_NUMBERS)
        or (things.ordered and _is_in_order(values.numbers, thing, judged))
    ):
        return 0.0
    # Any row of a thing stands for it: where the thing is named, all its rows are alike.
    code_of = np.zeros(len(judged), dtype=np.int64)
    code_of[thing] = values.codes
    named = ~_varied(values.codes, thing, len(judged)) & ~_varied(thing, values.codes)[code_of]
    return float(named[judged].mean())


def _is_in_order(numbers: Floats, thing: Integers, judged: Flags) -> bool:
    """Whether the number goes one way from each thing to the next, in the order of their keys."""
    number_of = np.zeros(len(judged))
    number_of[thing] = numbers
    earlier, later = number_of[judged][:-1], number_of[judged][1:]
    return bool(max((earlier < later).mean(), (earlier > later).mean()) >= _IN_ORDER)


def _varied(value: Integers, group: Integers, groups: int | None = None) -> Flags:
    """Which groups (numbered from 0) have more than one value among their rows, without sorting."""
    some = np.zeros(_size(group) if groups is None else groups, dtype=np.int64)
    some[group] = value
    varied = np.zeros(len(some), dtype=bool)
    varied[group[some[group] != value]] = True
    return varied


def _size(codes: Integers) -> int:
    return int(codes.max()) + 1 if len(codes) else 0


def future_moves_nothing(tables: Mapping[str, ibis.Table], rows: ibis.Table, problem: Problem, *, most: int) -> Alarm:
    """Does taking away every later event leave the features of earlier decisions as they were?

    Args:
        tables: what the features are compiled from.
        rows: decisions.
        most: how many of them to look at.
    """
    looked, moved = moved_by_the_future(tables, rows, problem, most=most)
    worst, value = _worst({name: count / max(looked, 1) for name, count in moved.items()})
    if not value:
        message = f"Without what came later, {looked:,} earlier decisions have the same features."
        worst = None
    else:
        message = f"{worst} of {value:.1%} of {looked:,} decisions changes without what came later: remove it."
    return Alarm("future_moves_no_past_row", not value, worst, value, 0.0, message, None)


# Features that know the outcome

_SEED = 0
_PRIOR_ROWS = 10
_CHANCE_DEVIATIONS = 4


def features_too_good(rows: Rows, features: Sequence[Feature], label: str, *, limit: float) -> Alarm:
    """Does one feature for models rank the outcomes almost alone?

    The measure is the ROC AUC of the single feature in its better direction. Missing numbers count as the lowest
    and then as the highest, whichever ranks better, so a value that is only there for one outcome is found. A
    category is replaced by its rate of unsubscribes among the other half of the rows (two seeded halves, averaged,
    shrunk towards the mean by 10 rows): learning rare values by heart brings nothing.

    With few outcomes chance reaches high: the limit is at least 0.5 plus four standard deviations of the AUC of a
    feature that knows nothing, sqrt((p + n + 1) / (12 p n)) for p unsubscribes and n others (Mann & Whitney 1947).
    Below six unsubscribes nothing can exceed it.

    Args:
        rows: features and label; rows whose label is unknown are left out.
        limit: the largest ROC AUC that a feature may have.
    """
    check = "no_feature_too_good"
    known = pc.is_valid(rows[label])
    outcome = floats(rows[label].filter(known))
    positives = outcome.sum()
    negatives = len(outcome) - positives
    if not positives or not negatives:
        message = f"{len(outcome):,} sends of one outcome only: whether a feature knows it cannot be judged."
        return Alarm(check, True, None, 0.5, limit, message, None)
    chance = np.sqrt((len(outcome) + 1) / (12 * positives * negatives))
    allowed = min(max(limit, float(0.5 + _CHANCE_DEVIATIONS * chance)), 1.0)
    measured = {
        feature.name: _number_auc(floats(rows[feature.name].filter(known)), outcome)
        if feature.kind == "number"
        else _category_auc(rows[feature.name].filter(known), outcome)
        for feature in _for_models(features)
    }
    worst, value = _worst(measured)
    if worst is None:
        message = "There is no feature for models to judge."
    elif value <= allowed:
        message = f"The strongest single feature is {worst}, with a ROC AUC of {value:.3f} (limit {allowed:.3f})."
    else:
        message = (
            f"{worst} alone has a ROC AUC of {value:.3f}, where at most {allowed:.3f} was expected: look whether it "
            f"contains the outcome, and remove it, or raise leakage.max_feature_auc."
        )
    return Alarm(check, value <= allowed, worst, value, allowed, message, _details(measured))


def _number_auc(values: Floats, outcome: Floats) -> float:
    """ROC AUC in the better direction, with missing values (NaN) at the better end; never below 0.5."""
    missing = np.isnan(values)
    right, positives, negatives = _right_pairs(values[~missing], outcome[~missing])
    lacking = outcome[missing].sum()
    others = len(outcome) - len(values[~missing]) - lacking
    pairs = (positives + lacking) * (negatives + others)
    tied = lacking * others / 2
    lowest, highest = (right + tied + positives * others) / pairs, (right + tied + lacking * negatives) / pairs
    return float(max(lowest, 1 - lowest, highest, 1 - highest))


def _category_auc(column: pa.ChunkedArray, outcome: Floats) -> float:
    """ROC AUC of the category's rate in the other half; 0.5 where a half has one outcome only."""
    value = _codes(column)[0]
    half = np.random.default_rng(_SEED).random(len(outcome)) < 0.5
    found = []
    for learned, judged in ((half, ~half), (~half, half)):
        if not learned.any():
            return 0.5
        rows = np.bincount(value[learned], minlength=_size(value))
        lost = np.bincount(value[learned], outcome[learned], minlength=_size(value))
        rate = (lost + _PRIOR_ROWS * outcome[learned].mean()) / (rows + _PRIOR_ROWS)
        right, positives, negatives = _right_pairs(rate[value[judged]], outcome[judged])
        found.append(right / (positives * negatives) if positives * negatives else 0.5)
    return float(np.mean(found))


def _right_pairs(values: Floats, outcome: Floats) -> tuple[float, float, float]:
    """Pairs of a positive and a negative in the right order, ties counting half; positives; negatives."""
    if not len(values):
        return 0.0, 0.0, 0.0
    level = np.unique(values, return_inverse=True)[1]
    positives, negatives = (np.bincount(level, each).astype(np.float64)[:, None] for each in (outcome, 1 - outcome))
    pairs = RankSums.of_levels(positives, negatives).ordered_pairs()
    return float(pairs[0]), float(positives.sum()), float(negatives.sum())


# Features that look ahead


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
    return _unmoved(check, before, after, features_of(aware), "sends planted after the last delivery of all")


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
    new = int(pc.max(sends["email_id"]).as_py()) + 1
    return again, _with(canary, email_id=np.full(last.num_rows, new), theme=[CANARY] * last.num_rows)


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
    return _unmoved(check, before, after, features_of(problem), f"another future from {_minute(instant)} on")


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


def _unmoved(check: str, before: pa.Table, after: pa.Table, features: Sequence[Feature], future: str) -> Alarm:
    """The alarm over two computations of the same rows, that fires where a feature for models differs."""
    measured = {
        feature.name: float(differing(before[feature.name], after[feature.name]).sum())
        for feature in _for_models(features)
    }
    worst, value = _worst(measured)
    rows = f"{before.num_rows:,} sends"
    if worst is None:
        message = f"No feature moved in {rows} with {future}."
    else:
        others = sum(moved > 0 for moved in measured.values()) - 1
        message = (
            f"{worst}{f' (and {others} more)' if others else ''} moved in {int(value):,} of {rows} with {future}, "
            f"where none may: compute it from what was known strictly before the send."
        )
    return Alarm(check, worst is None, worst, value, 0.0, message, _details(measured))


def _nothing_to_compute(check: str) -> Alarm:
    return Alarm(check, True, None, 0.0, 0.0, "There are no sends to compute features of.", None)


def _minute(instant: np.datetime64) -> str:
    return str(instant.astype("datetime64[m]")).replace("T", " ")


# What all of them need


def _for_models(features: Sequence[Feature]) -> list[Feature]:
    return [feature for feature in features if feature.for_models]


def _worst(measured: Mapping[str, float]) -> tuple[str | None, float]:
    """The feature with the largest value, the first of equals; none where all are 0."""
    worst = max(measured, key=lambda name: measured[name], default=None)
    return (worst, measured[worst]) if worst is not None and measured[worst] > 0 else (None, 0.0)


def _details(measured: Mapping[str, float]) -> pa.Table:
    """One row per feature, the worst first."""
    order = sorted(measured, key=lambda name: -measured[name])
    return pa.table(
        {"feature": pa.array(order, pa.string()), "value": pa.array([measured[n] for n in order], pa.float64())}
    )


def _with(table: pa.Table, **columns: Any) -> pa.Table:
    """The table with other values in some columns, of the same types."""
    for name, values in columns.items():
        field = table.schema.field(name)
        same_type = values.cast(field.type) if isinstance(values, pa.ChunkedArray) else pa.array(values, field.type)
        table = table.set_column(table.schema.get_field_index(name), field, same_type)
    return table


def _codes(column: pa.ChunkedArray | pa.Array) -> tuple[Integers, Flags]:
    """Values numbered from 0, missing ones with the last number, and which these are."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = whole.dictionary_encode()
    codes = np.asarray(encoded.indices.cast(pa.int64()).fill_null(len(encoded.dictionary)), dtype=np.int64)
    return codes, codes == len(encoded.dictionary)
