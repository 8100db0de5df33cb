"""What a model must do whatever its metrics say: behaviour tests, after Ribeiro et al. (2020), "Beyond accuracy:
behavioral testing of NLP models with CheckList", here for a table of users.

Invariance: what must not matter does not. Direction: what can only raise (or lower) the risk does not do the
opposite. Minimum functionality: cases so plain that a model which fails them is broken, not weak.

The tests change the source and recompute features by the code that trains and scores; a column changed by hand
would contradict the columns that follow from the same sends.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.tables import TABLES
from mlguide_assets.define.training import Direction
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.registry import EMAIL_HISTORY, PROFILE, features_of
from mlguide_assets.prepare.features.tables import KEYS, LABEL, send_features
from mlguide_assets.train.models import ServableModel

Kind = Literal["invariance", "direction", "minimum functionality"]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SAMPLE_ROWS = 2_000
SAMPLE_USERS = 500
"""Users whose features are computed again: the cost of all tests is that of their sends."""

TOLERANCE = 1e-6
"""Relative, of features and scores after renaming: the model's own precision, float32."""

ROWS_ALONE = 50
"""Rows that are also scored one at a time."""

EXTRA_SENDS = 2
"""Enough to move every risk that frequent emails move, and still what some users really get."""

WEEK = timedelta(days=7)
LARGE_MOVE = 0.2
MAX_LARGE_MOVES = 0.1
"""Trees are not monotone row by row: up to one row in ten may move the wrong way by more than a fifth."""

MIN_LIFT = 1.05
"""Of the mean score of the sends that lost their user over that of the others. All are training rows: a calibrated
model whose ROC AUC on these is 0.57 reaches it (normal log-odds of standard deviation s: AUC is Phi(s / sqrt 2), the
ratio exp s^2), and one that does not has learned nothing, or the wrong sign."""

MIN_DISTINCT = 20
MAX_FACTOR = 2.0
MAX_FACTOR_MISSING = 10.0
"""How far from the base rate: the mean score, and the score where little or nothing is known."""

MIN_MISSING = 0.01
"""Share of the sends from which on a profile column counts as one that may be missing."""

USERS_CHOOSING = 200
CANDIDATES = 20
MIN_SPREAD = 1.05
"""A user's emails are told apart where the riskiest is this much riskier than the safest."""

MAX_INDIFFERENT = 0.5

_UNSEEN = "a value that training never saw"


@dataclass(frozen=True)
class Behaviour:
    """What one test found.

    Attributes:
        name: a fact, true of a model that passes.
        value: what is compared with the limit, as the message says: a share of rows, a change, a ratio or a count.
        rows: how many rows were looked at; none where there was nothing to judge, which passes.
        message: what was changed, what should have followed, and what did.
        example: an offending row: its keys, its scores before and after; None where no one row is to blame.
    """

    name: str
    kind: Kind
    passed: bool
    value: float
    limit: float
    rows: int
    message: str
    example: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """A value that is no finite number, of a model that gives none, becomes None."""
        return {**asdict(self), "value": _finite(self.value)}


def behaviour_table(behaviours: tuple[Behaviour, ...]) -> pa.Table:
    """One row per test, the example as JSON."""
    rows = [{**each.to_json(), "example": each.example and json.dumps(each.example)} for each in behaviours]
    types = {"passed": pa.bool_(), "value": pa.float64(), "limit": pa.float64(), "rows": pa.int64()}
    names = list(Behaviour.__dataclass_fields__)
    return pa.table({name: pa.array([row[name] for row in rows], types.get(name, pa.string())) for name in names})


def behaviour_tests(
    model: ServableModel, core_users: ibis.Table, rows: pa.Table, problem: Problem, *, seed: int
) -> tuple[Behaviour, ...]:
    """All behaviour tests of a model, on seeded samples of sends and users.

    Args:
        core_users: the core table that `rows` were computed from.
        rows: matured rows of `send_features`.

    Raises:
        InputError: the rows do not hold both outcomes.
        ValueError: the core table lacks users of the rows, so it is another one.
    """
    labels = rows[problem.label.column].to_numpy()
    if not 0 < labels.sum() < len(labels):
        raise InputError(
            f"Behaviour is tested on matured sends of both outcomes, and these {len(labels):,} have one at most: add "
            f"history, or check label.positive and label.negative."
        )
    drawing, renaming, ordering, planting = np.random.default_rng(seed).spawn(4)
    sample = rows.take(_some(rows.num_rows, SAMPLE_ROWS, drawing))
    if not problem.has_email_tables:
        return (
            *_scores_are_plain(model, rows, sample, problem, drawing),
            row_order_does_not_matter(model, sample, ordering),
        )
    asked = _one_per_user(sample, drawing)
    core = _sends_of(core_users, asked)
    if (known := len(np.unique(core["user_id"].to_numpy()))) < asked.num_rows:
        raise ValueError(
            f"core_users has sends of {known:,} of {asked.num_rows:,} users sampled from rows: it must be theirs"
        )
    features = send_features(ibis.memtable(core), problem).to_pyarrow()
    # The plainest first: what fails there explains what fails after it.
    return (
        *plain_cases_are_right(model, rows, sample, problem, drawing),
        ids_do_not_matter(model, core, features, problem, renaming),
        row_order_does_not_matter(model, sample, ordering),
        *directions_hold(model, core, features, asked, problem, planting),
    )


def ids_do_not_matter(
    model: ServableModel, core: pa.Table, features: pa.Table, problem: Problem, random: np.random.Generator
) -> Behaviour:
    """Users and emails under other ids, in another order, keep their features and scores.

    Args:
        core: sends of the core table.
        features: their rows of `send_features`.
    """
    old = {key: np.unique(core[key].to_numpy()) for key in ("user_id", "email_id")}
    new = {key: _exchanged(ids, random) for key, ids in old.items()}
    renamed = send_features(ibis.memtable(_translated(core, old, new)), problem).to_pyarrow()
    # Side by side under the old ids, but given to the model under the new ones: one that reads ids is to be found out.
    by_key = [(key, "ascending") for key in KEYS]
    before = features.sort_by(by_key)
    after = _translated(_translated(renamed, new, old).sort_by(by_key), old, new)
    seen, seen_after = model.encoding.matrix(before), model.encoding.matrix(after)
    scores, scores_after = _scores(model, before), _scores(model, after)
    moved = ~np.isclose(seen, seen_after, rtol=TOLERANCE, atol=0, equal_nan=True)
    broken = moved.any(axis=1) | ~np.isclose(scores, scores_after, rtol=TOLERANCE, atol=0)
    share = _share(broken)
    most = model.encoding.names[int(moved.sum(axis=0).argmax())] if moved.any() else None
    message = (
        f"All user and email ids were replaced at random; no feature or score may change, and {share:.1%} of "
        f"{len(broken):,} sends changed{f', most often in {most}' if most else ''}."
    )
    example = _example(before, scores, scores_after, broken)
    return Behaviour("ids_do_not_matter", "invariance", share <= 0, share, 0.0, len(broken), message, example)


def row_order_does_not_matter(model: ServableModel, sample: pa.Table, random: np.random.Generator) -> Behaviour:
    """A row's score is the same to the byte in another order of rows, and alone."""
    scores, after = _scores(model, sample), np.empty(sample.num_rows)
    order = random.permutation(sample.num_rows)
    after[order] = _scores(model, sample.take(order))
    broken = after != scores
    for row in order[:ROWS_ALONE]:
        alone = _scores(model, sample.slice(row, 1))[0]
        if alone != scores[row]:
            broken[row], after[row] = True, alone
    share = _share(broken)
    message = (
        f"{len(broken):,} sends were scored in another order, and {min(ROWS_ALONE, len(broken))} of them alone; no "
        f"score may change by a bit, and {share:.1%} did."
    )
    example = _example(sample, scores, after, broken)
    return Behaviour("row_order_does_not_matter", "invariance", share <= 0, share, 0.0, len(broken), message, example)


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
    extra = {name: (received if _is_of_user(name) else sent)[name] for name in core.column_names}
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
    before, after = _scores(model, rows_of_sends(asked, features)), _scores(model, changed)
    for direction in directions:
        yield _mean_moves(direction, changed, before, after)
        yield _rows_move(direction, changed, before, after)


def _mean_moves(direction: Direction, asked: pa.Table, before: Floats, after: Floats) -> Behaviour:
    name = f"{direction.feature}_{direction.effect}_the_mean_risk"
    if not len(before):
        return _nothing_to_judge(name, direction.tolerance)
    change = _ratio(after, before) - 1
    wrong_way = -change if direction.effect == "never_lowers" else change
    passed = bool(wrong_way <= direction.tolerance)
    message = (
        f"{len(before):,} users got {EXTRA_SENDS} more emails in the 7 days before a send; the mean risk may not "
        f"{_verb(direction)} by more than {direction.tolerance:.0%} of itself, and went from {before.mean():.2%} to "
        f"{after.mean():.2%} ({change:+.0%})."
    )
    moved = np.zeros(len(before), dtype=bool) if passed else _wrong_way(direction, before, after) > 0
    example = _example(asked, before, after, moved)
    return Behaviour(name, "direction", passed, wrong_way, direction.tolerance, len(before), message, example)


def _rows_move(direction: Direction, asked: pa.Table, before: Floats, after: Floats) -> Behaviour:
    name = f"{direction.feature}_{direction.effect}_many_risks"
    if not len(before):
        return _nothing_to_judge(name, MAX_LARGE_MOVES)
    broken = ~(_wrong_way(direction, before, after) <= LARGE_MOVE)
    share = _share(broken)
    message = (
        f"{len(before):,} users got {EXTRA_SENDS} more emails in the 7 days before a send; at most "
        f"{MAX_LARGE_MOVES:.0%} of the risks may {_verb(direction)} by more than {LARGE_MOVE:.0%}, and {share:.1%} did."
    )
    passed = share <= MAX_LARGE_MOVES
    example = None if passed else _example(asked, before, after, broken)
    return Behaviour(name, "direction", passed, share, MAX_LARGE_MOVES, len(before), message, example)


def _nothing_to_judge(name: str, limit: float) -> Behaviour:
    message = "No user could be given more emails in the 7 days before a send, so nothing is judged."
    return Behaviour(name, "direction", True, 0.0, limit, 0, message)


def _verb(direction: Direction) -> str:
    return "fall" if direction.effect == "never_lowers" else "rise"


def _wrong_way(direction: Direction, before: Floats, after: Floats) -> Floats:
    """How far each risk moved the wrong way, as a share of what it was (n,)."""
    moved = before - after if direction.effect == "never_lowers" else after - before
    return np.asarray(moved / np.maximum(before, np.finfo(np.float64).tiny))


def plain_cases_are_right(
    model: ServableModel, rows: pa.Table, sample: pa.Table, problem: Problem, random: np.random.Generator
) -> Iterator[Behaviour]:
    """The tests of minimum functionality.

    Args:
        rows: matured rows of `send_features`, of both outcomes.
        sample: some of them.
    """
    base_rate = float(rows[problem.label.column].to_numpy().mean())
    yield from _scores_are_plain(model, rows, sample, problem, random)
    yield _missing_values_are_survived(model, sample, base_rate, problem)
    yield _emails_are_told_apart(model, sample, _one_per_user(sample, random), problem)


def _scores_are_plain(
    model: ServableModel, rows: pa.Table, sample: pa.Table, problem: Problem, random: np.random.Generator
) -> Iterator[Behaviour]:
    """The tests that need the model and its rows alone."""
    label = problem.label.column
    yield from _sane_scores(model, sample, float(rows[label].to_numpy().mean()))
    yield _lost_users_score_higher(model, rows, label, random)


def _lost_users_score_higher(
    model: ServableModel, rows: pa.Table, label: str, random: np.random.Generator
) -> Behaviour:
    """Decisions with the positive outcome score higher on average than the others."""
    labels = rows[label].to_numpy()
    sides = []
    for outcome in (1, 0):
        # As many of each: among 2,000 rows of a rare outcome, chance alone would decide.
        of_outcome = np.flatnonzero(labels == outcome)
        sides.append(_scores(model, rows.take(of_outcome[_some(len(of_outcome), SAMPLE_ROWS // 2, random)])))
    lost, kept = sides
    ratio = _ratio(lost, kept)
    message = (
        f"The mean score of {len(lost):,} sends that lost their user must be at least {MIN_LIFT:g} times that of "
        f"{len(kept):,} others, and is {ratio:.2f} times ({lost.mean():.2%} against {kept.mean():.2%})."
    )
    count = len(lost) + len(kept)
    kind: Kind = "minimum functionality"
    return Behaviour("lost_users_score_higher", kind, ratio >= MIN_LIFT, ratio, MIN_LIFT, count, message)


def _sane_scores(model: ServableModel, sample: pa.Table, base_rate: float) -> Iterator[Behaviour]:
    """Scores are probabilities, differ, and are right on average."""
    kind: Kind = "minimum functionality"
    scores = _scores(model, sample)
    broken = ~((scores >= 0) & (scores <= 1))
    share, count = _share(broken), len(scores)
    message = f"Every score must lie between 0 and 1; {share:.1%} of {count:,} do not."
    example = _example(sample, scores, scores, broken)
    yield Behaviour("scores_are_probabilities", kind, share <= 0, share, 0.0, count, message, example)

    distinct = len(np.unique(scores[~broken]))
    # Of few rows, many may be alike.
    asked_for = max(2, min(MIN_DISTINCT, count // 10))
    message = f"{count:,} sends must get at least {asked_for} different scores, and get {distinct:,}."
    yield Behaviour("scores_vary", kind, distinct >= asked_for, float(distinct), float(asked_for), count, message)

    factor = _factor(float(scores.mean()), base_rate)
    message = (
        f"The mean of {count:,} scores must be within a factor of {MAX_FACTOR:g} of the base rate, {base_rate:.2%}, "
        f"and is {scores.mean():.2%}."
    )
    yield Behaviour("mean_score_is_near_the_base_rate", kind, factor <= MAX_FACTOR, factor, MAX_FACTOR, count, message)


def _missing_values_are_survived(
    model: ServableModel, sample: pa.Table, base_rate: float, problem: Problem
) -> Behaviour:
    """Where little or nothing is known of a send, its score stays in reach of the base rate.

    Categories may always bring a value that training never saw. A profile column may be missing where the sample has
    it missing: of one that is always there the model could not learn what its absence means, and a null in it is for
    the contract to refuse.
    """
    features = features_of(problem)
    optional = [name for name in PROFILE if sample[name].null_count >= MIN_MISSING * sample.num_rows]
    unseen = {feature.name: _UNSEEN for feature in features if feature.kind == "category"}
    nothing = dict.fromkeys(feature.name for feature in features)
    before, after = _scores(model, sample), _scores(model, _overwritten(sample, unseen | dict.fromkeys(optional)))
    empty = float(_scores(model, _overwritten(sample.slice(0, 1), nothing))[0])
    factor = max(_factor(float(after.mean()), base_rate), _factor(empty, base_rate))
    passed = factor <= MAX_FACTOR_MISSING
    message = (
        f"Scores must stay within a factor of {MAX_FACTOR_MISSING:g} of the base rate, {base_rate:.2%}; with unseen "
        f"categories{' and without ' + ', '.join(optional) if optional else ''} {len(after):,} sends average "
        f"{after.mean():.2%}, and a send of which nothing is known scores {empty:.2%}."
    )
    furthest = np.array([_factor(score, base_rate) for score in after.tolist()])
    example = None if passed else _example(sample, before, after, furthest > MAX_FACTOR_MISSING)
    kind: Kind = "minimum functionality"
    return Behaviour(
        "missing_values_are_survived", kind, passed, factor, MAX_FACTOR_MISSING, len(after) + 1, message, example
    )


def _emails_are_told_apart(model: ServableModel, sample: pa.Table, asked: pa.Table, problem: Problem) -> Behaviour:
    """For most users, which of the newest emails they get makes a difference.

    Args:
        sample: where the emails come from, each as it was in its latest send.
        asked: one row per user, the moment at which the email could be another one.
    """
    users = asked.slice(0, USERS_CHOOSING)
    emails = _newest_emails(sample)
    pairs = _pairs(users, emails, problem)
    scores = _scores(model, pairs).reshape(users.num_rows, emails.num_rows)
    safest, riskiest = scores.min(axis=1), scores.max(axis=1)
    indifferent = ~(riskiest >= MIN_SPREAD * safest) | ~(riskiest > safest)
    share = _share(indifferent)
    message = (
        f"Each of {users.num_rows:,} users was scored with each of {emails.num_rows} recent emails; for most users the "
        f"riskiest must be at least {MIN_SPREAD - 1:.0%} riskier than the safest, and for {share:.1%} it is not."
    )
    passed = share <= MAX_INDIFFERENT
    example = None if passed else _example(users, safest, riskiest, indifferent)
    kind: Kind = "minimum functionality"
    return Behaviour("emails_are_told_apart", kind, passed, share, MAX_INDIFFERENT, pairs.num_rows, message, example)


def _scores(model: ServableModel, rows: pa.Table) -> Floats:
    """What the model says of each row (n,); NaN for all of them where it refuses, as serving would the whole batch."""
    if not rows.num_rows:
        return np.empty(0)
    try:
        return model.predict(model.encoding.matrix(rows))
    except ValueError:
        return np.full(rows.num_rows, np.nan)


def _some(count: int, at_most: int, random: np.random.Generator) -> Ints:
    """Positions of a sample, rising."""
    return np.sort(random.choice(count, min(count, at_most), replace=False))


def _one_per_user(sample: pa.Table, random: np.random.Generator) -> pa.Table:
    """One row of each user, of `SAMPLE_USERS` users at most, in random order."""
    order = random.permutation(sample.num_rows)
    _, first = np.unique(sample["user_id"].to_numpy()[order], return_index=True)
    return sample.take(order[random.permutation(first)[:SAMPLE_USERS]])


def _sends_of(core_users: ibis.Table, asked: pa.Table) -> pa.Table:
    """The rows of the core table of these users: few enough to change them in memory."""
    sends = core_users.filter(core_users.delivered_at.notnull())
    return sends.semi_join(ibis.memtable(asked.select(["user_id"])), "user_id").to_pyarrow()


def rows_of_sends(asked: pa.Table, features: pa.Table) -> pa.Table:
    """The features of the sends asked for, in their order, computed from a core table of some users.

    The emails' own record stays as asked: it is of all users, and no send of the last week has matured into it.
    """
    kept = asked.select([*KEYS, *EMAIL_HISTORY]).append_column("place", pa.array(np.arange(asked.num_rows)))
    computed = features.drop_columns(list(EMAIL_HISTORY))
    return kept.join(computed, list(KEYS), join_type="inner").sort_by("place")


def _exchanged(ids: Ints, random: np.random.Generator) -> Ints:
    """Another id for each (n,), distinct, from among these and one more: such as the model has seen."""
    pool = np.append(ids, ids[-1:] + 1)
    cycle = random.permutation(len(pool))
    new = np.empty_like(pool)
    new[cycle] = pool[np.roll(cycle, 1)]
    return new[: len(ids)]


def _translated(table: pa.Table, old: Mapping[str, Ints], new: Mapping[str, Ints]) -> pa.Table:
    """The table with other ids; each in `old` becomes the one at its place in `new`."""
    for key in old:
        order = np.argsort(old[key])
        ids = new[key][order][np.searchsorted(old[key][order], table[key].to_numpy())]
        field = table.schema.field(key)
        table = table.set_column(table.column_names.index(key), field, pa.array(ids, field.type))
    return table


def _overwritten(table: pa.Table, values: Mapping[str, str | None]) -> pa.Table:
    """The table with one value, or null, throughout each of these columns."""
    for name, value in values.items():
        field = table.schema.field(name)
        column = pa.array([value] * table.num_rows, field.type)
        table = table.set_column(table.column_names.index(name), field, column)
    return table


def _newest_emails(rows: pa.Table) -> pa.Table:
    """The latest send of each of the emails that were sent last."""
    latest_first = rows.sort_by([("delivered_at", "descending"), ("email_id", "descending")])
    _, first = np.unique(latest_first["email_id"].to_numpy(), return_index=True)
    return latest_first.take(np.sort(first)[:CANDIDATES])


def _pairs(users: pa.Table, emails: pa.Table, problem: Problem) -> pa.Table:
    """Each user's row with what belongs to the email taken from each email's row, user by user."""
    of_email = {feature.name for feature in features_of(problem) if feature.origin in ("content", "email_history")}
    of_email |= {"email_id", "email_age_days"}
    user = np.repeat(np.arange(users.num_rows), emails.num_rows)
    email = np.tile(np.arange(emails.num_rows), users.num_rows)
    left, right = users.take(user), emails.take(email)
    return pa.table({name: (right if name in of_email else left)[name] for name in users.column_names})


def _is_of_user(column: str) -> bool:
    return column == "user_id" or column in TABLES["user_profiles"].columns


def _share(broken: Bools) -> float:
    return float(broken.mean()) if len(broken) else 0.0


def _ratio(one: Floats, other: Floats) -> float:
    """Of their means; NaN, which passes no test, where the other's is not above zero."""
    return float(one.mean() / other.mean()) if other.mean() > 0 else float("nan")


def _factor(score: float, base_rate: float) -> float:
    """How many times one is the other, at least 1; infinite for what is not above zero."""
    return max(score / base_rate, base_rate / score) if score > 0 else float("inf")


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _example(keys: pa.Table, before: Floats, after: Floats, broken: Bools) -> dict[str, Any] | None:
    """The broken row that changed most."""
    if not broken.any():
        return None
    places = np.flatnonzero(broken)
    place = int(places[np.argmax(np.abs(after - before)[places])])
    row = keys.slice(place, 1)
    return {
        "user_id": row["user_id"][0].as_py(),
        "email_id": row["email_id"][0].as_py(),
        "delivered_at": str(row["delivered_at"][0]),
        "before": _finite(float(before[place])),
        "after": _finite(float(after[place])),
    }
