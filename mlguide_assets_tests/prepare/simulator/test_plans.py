"""The world under a plan: the chosen emails are sent, everything else stays, and the oracle knows every choice."""

import hashlib
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlguide_assets.prepare.simulator.content import emails_created_before
from mlguide_assets.prepare.simulator.generate import sends, user_profiles, write
from mlguide_assets.prepare.simulator.plans import NO_PLANS, WITHHOLD, Plans
from mlguide_assets.prepare.simulator.truth import opportunities, true_probabilities
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Floats, Integers
from mlguide_assets_tests.prepare.simulator.worlds import SHIFT, SMALL, before, history, lost

DAY = timedelta(days=1)
FIRST, LAST = date(2025, 11, 1), date(2025, 12, 1)
LATE = datetime(2026, 1, 1)
USERS = np.arange(1, user_profiles(SMALL, FIRST).num_rows + 1)
CANDIDATES = 20


def played(plans: Plans, first: date = SMALL.start, last: date = LAST) -> pa.Table:
    return pa.concat_tables(sends(SMALL, first, last, LATE, plans=plans)).combine_chunks()


def everyone_is_sent(email: int) -> Plans:
    plans = NO_PLANS
    for day in range((LAST - FIRST).days):
        plans = plans.with_day(FIRST + day * DAY, USERS, np.full(len(USERS), email))
    return plans


def candidates(day: date) -> Integers:
    newest = int(emails_created_before(SMALL.day(day)))
    return np.arange(newest - CANDIDATES, newest) + 1


def risks(day: date, due: Integers, plans: Plans) -> Floats:
    """Of every candidate for every user who is due, shape (users, candidates)."""
    emails = candidates(day)
    pairs = np.repeat(due, len(emails)), np.tile(emails, len(due))
    return true_probabilities(SMALL, day, *pairs, plans).reshape(len(due), len(emails))


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (SMALL, "ec4f5c39b8f07c95806fd3198a3246f373bb64222f8f9ec675f296a9b0dfc8b5"),
        (
            replace(SMALL, covariate_shift=SHIFT, concept_shift=SHIFT),
            "617b50cc1d5c7a6ec901f008aac0f7a46c832957d0366b9f2d2524e8cadfe57e",
        ),
    ],
    ids=["usual", "shifted"],
)
def test_without_a_plan_the_world_is_the_one_that_every_version_has_made(world: World, expected: str) -> None:
    sent = history(world, None, date(2026, 2, 1), datetime(2026, 1, 20))
    when = sent["unsubscribed_at"].to_numpy()
    columns = [
        *(sent[name].to_numpy().astype(np.int64) for name in ("user_id", "email_id", "delivered_at")),
        sent["unsubscribed"].to_numpy() == "yes",
        np.where(np.isnat(when), 0, when.astype(np.int64)),
        # Rounded, because processors differ in the last digit of an exponential.
        np.round(sent["probability"].to_numpy() * 1e6).astype(np.int64),
    ]
    assert hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest() == expected


def test_on_its_days_its_users_are_sent_what_the_plan_says() -> None:
    half = USERS[USERS % 2 == 0]
    plan = np.where(half % 4 == 0, WITHHOLD, 130)
    sent, usual = played(NO_PLANS.with_day(FIRST, half[::-1], plan[::-1])), played(NO_PLANS)
    assert before(sent, FIRST).equals(before(usual, FIRST))
    today, drawn = (rows.filter(_on(rows, FIRST)) for rows in (sent, usual))
    users = drawn["user_id"].to_numpy()
    emails = np.where(users % 4 == 2, 130, drawn["email_id"].to_numpy())[users % 4 != 0]
    assert today["user_id"].to_numpy().tolist() == users[users % 4 != 0].tolist()
    assert today["email_id"].to_numpy().tolist() == emails.tolist()
    # The plan touched nobody else, on that day or later.
    others = [rows.filter(pa.array(rows["user_id"].to_numpy() % 2 == 1)) for rows in (sent, usual)]
    assert others[0].equals(others[1])


def test_a_plan_that_repeats_the_company_changes_nothing() -> None:
    usual, plans = played(NO_PLANS), NO_PLANS
    for day in (FIRST + number * DAY for number in range((LAST - FIRST).days)):
        drawn = usual.filter(_on(usual, day))
        plans = plans.with_day(day, drawn["user_id"].to_numpy(), drawn["email_id"].to_numpy())
    assert played(plans).equals(usual)


def test_the_same_send_after_the_same_history_ends_the_same_way_under_any_plan() -> None:
    one, other = (played(everyone_is_sent(email), FIRST, FIRST + DAY) for email in (130, 131))
    mixed = played(everyone_is_sent(131).with_day(FIRST, USERS, np.where(USERS % 2 == 0, 130, 131)), FIRST, FIRST + DAY)
    even = mixed["user_id"].to_numpy() % 2 == 0
    assert mixed.filter(pa.array(even)).equals(one.filter(pa.array(even)))
    assert mixed.filter(pa.array(~even)).equals(other.filter(pa.array(~even)))


def test_the_risk_follows_from_the_sends_that_were_made() -> None:
    quiet = NO_PLANS
    for day in range(30):
        quiet = quiet.with_day(FIRST + day * DAY, USERS, np.full(len(USERS), WITHHOLD))
    due = opportunities(SMALL, LAST, quiet)
    assert set(opportunities(SMALL, LAST)) < set(due)
    rested, mailed = risks(LAST, due, quiet), risks(LAST, due, NO_PLANS)
    assert (rested <= mailed).all()
    assert (rested < 0.9 * mailed).any()


@pytest.mark.parametrize("world", [SMALL, replace(SMALL, concept_shift=date(2025, 11, 10))], ids=["usual", "shifted"])
def test_the_truth_of_a_pair_is_the_probability_of_the_send(world: World) -> None:
    plans = everyone_is_sent(130)
    for day in (FIRST, FIRST + 20 * DAY):
        sent = pa.concat_tables(sends(world, day, day + DAY, plans=plans))
        assert opportunities(world, day, plans).tolist() == sent["user_id"].to_pylist()
        pairs = sent["user_id"].to_numpy(), sent["email_id"].to_numpy()
        assert np.array_equal(true_probabilities(world, day, *pairs, plans), sent["probability"].to_numpy())


def test_the_oracles_policy_loses_fewest_users_in_the_long_run() -> None:
    lost_by = {}
    for name, choose in {"best": np.argmin, "worst": np.argmax}.items():
        plans = NO_PLANS
        for day in (FIRST + number * DAY for number in range(14)):
            due = opportunities(SMALL, day, plans)
            plans = plans.with_day(day, due, candidates(day)[choose(risks(day, due, plans), axis=1)])
        lost_by[name] = lost(played(plans, FIRST, FIRST + 14 * DAY)).sum()
    assert lost_by["best"] < lost(played(NO_PLANS, FIRST, FIRST + 14 * DAY)).sum() / 2 < lost_by["worst"] / 4


def test_a_planned_world_seen_later_holds_the_same_rows(tmp_path: Path) -> None:
    plans = everyone_is_sent(130)
    for name, until in (("then", LAST), ("later", LAST + 9 * DAY), ("again", LAST)):
        write(SMALL, tmp_path / name, until=datetime.combine(until, datetime.min.time()), plans=plans)
    then, later = (pq.read_table(tmp_path / name / "oracle.parquet") for name in ("then", "later"))
    assert later.slice(0, then.num_rows).equals(then)
    for file in ("user_emails.parquet", "oracle.parquet"):
        assert (tmp_path / "then" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


@pytest.mark.parametrize(
    ("users", "emails", "message"),
    [([1, 2], [5], "shapes"), ([3, 3], [5, 6], "two rows for user 3"), (USERS, np.full(len(USERS), 10_000), "10000")],
    ids=["lengths", "twice", "unknown email"],
)
def test_a_plan_that_cannot_be_followed_is_refused(users: list[int], emails: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        played(NO_PLANS.with_day(FIRST, np.array(users), np.array(emails)))


def test_the_truth_of_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="email 10000 did not exist before 2025-11-01"):
        true_probabilities(SMALL, FIRST, USERS[:1], np.array([10_000]))
    with pytest.raises(ValueError, match="user 1000000 did not exist"):
        true_probabilities(SMALL, FIRST, np.array([1_000_000]), np.array([5]))


def _on(rows: pa.Table, day: date) -> pa.Array:
    return pa.array(rows["delivered_at"].to_numpy().astype("datetime64[D]") == np.datetime64(day))
