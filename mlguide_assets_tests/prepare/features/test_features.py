"""Features against their definitions written naively, and what must not move them: the future."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlguide_assets.define.loading import load_problem
from mlguide_assets.prepare.column_lineage import parents_of
from mlguide_assets.prepare.columns import columns_of
from mlguide_assets.prepare.core import core_rows
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.request_time import DAY, calendar, days_between
from mlguide_assets_tests.email_case import KEYS, LABEL, by_name, send_features
from mlguide_assets_tests.prepare.features.worlds import ASKED, EMAILS, INSTANTS, SENDS, START, USERS, Row, Send, World
from mlguide_assets_tests.samples import CATEGORIES, THEMES, sample_problem, sample_tables
from mlguide_assets_tests.samples import SENDS as SAMPLE_SENDS

ONE_DAY = timedelta(days=1)
REQUIRED = [
    "age",
    "gender",
    "country",
    "words_in_description",
    "purchases",
    "tenure_days",
    "theme",
    "category",
    "subject",
    "number_of_buttons",
    "number_of_sections",
    "number_of_items",
    "email_age_days",
    "number_of_emails",
    "number_of_unsubscribes",
    "number_of_email_theme_shopping",
    "number_of_email_theme_food",
    "number_of_email_theme_lifestyle",
    "number_of_email_category_newsletter",
    "number_of_email_category_promotional",
    "number_of_email_category_transactional",
    "emails_last_7_days",
    "emails_last_30_days",
    "days_since_last_email",
]


@pytest.fixture(scope="module")
def world() -> World:
    return World("7d")


@pytest.fixture(scope="module")
def hasty_world() -> World:
    """Labels mature within a day and a half, so that days and windows do not coincide."""
    return World("36h")


def naive(send: Send, sends: list[Send], window: timedelta) -> Row:
    """The row of one send, by definition."""
    user, email = USERS[send.user - 1], EMAILS[send.email - 1]
    earlier = [other for other in sends if other.user == send.user and other.at < send.at]
    content = [EMAILS[other.email - 1] for other in earlier]
    midnight = datetime.combine(send.at, datetime.min.time())
    matured = [other.lost for other in sends if other.email == send.email and other.at + window <= midnight]
    record = [lost for lost in matured if lost is not None]
    is_final = send.at + window <= max(other.at for other in sends)
    return {
        "user_id": send.user,
        "email_id": send.email,
        "delivered_at": send.at,
        "unsubscribed": int(send.lost) if is_final and send.lost is not None else None,
        "matured_at": send.at + window,
        **{name: user[name] for name in ("age", "gender", "country", "words_in_description", "purchases")},
        **{name: email[name] for name in ("theme", "category", "subject")},
        **{name: email[name] for name in ("number_of_buttons", "number_of_sections", "number_of_items")},
        "number_of_emails": len(earlier),
        "number_of_unsubscribes": sum(other.lost is True and other.at + window <= send.at for other in earlier),
        "emails_last_7_days": sum(other.at >= send.at - 7 * ONE_DAY for other in earlier),
        "emails_last_30_days": sum(other.at >= send.at - 30 * ONE_DAY for other in earlier),
        **{f"number_of_email_theme_{theme}": sum(one["theme"] == theme for one in content) for theme in THEMES},
        **{f"number_of_email_category_{name}": sum(one["category"] == name for one in content) for name in CATEGORIES},
        "email_matured_sends": len(record),
        "email_unsubscribe_rate": sum(record) / len(record) if record else None,
        "tenure_days": (send.at - user["date_joined"]) / ONE_DAY,
        "email_age_days": (send.at - email["created_at"]) / ONE_DAY,
        "days_since_last_email": (send.at - max(other.at for other in earlier)) / ONE_DAY if earlier else None,
        "day_of_week": send.at.weekday(),
        "hour_of_day": send.at.hour,
    }


def without_label(rows: list[Row]) -> list[Row]:
    """Labels mature as the data's clock goes on, so they are not among what may not move."""
    return [{name: value for name, value in row.items() if name != LABEL} for row in rows]


@given(sends=SENDS)
@pytest.mark.ml_test_score("data-7")
def test_features_are_what_their_definitions_say(world: World, sends: list[Send]) -> None:
    assert world.features(sends) == [naive(send, sends, 7 * ONE_DAY) for send in sorted(sends)]


@given(sends=SENDS)
def test_features_are_what_their_definitions_say_whatever_the_window(hasty_world: World, sends: list[Send]) -> None:
    assert hasty_world.features(sends) == [naive(send, sends, 1.5 * ONE_DAY) for send in sorted(sends)]


@given(sends=SENDS, other_future=SENDS, instant=INSTANTS)
def test_no_row_before_an_instant_moves_when_everything_from_it_on_changes(
    world: World, sends: list[Send], other_future: list[Send], instant: datetime
) -> None:
    # What had not matured by then was not known, so it may turn out either way.
    past = [send.flipped() if send.at + 7 * ONE_DAY >= instant else send for send in sends if send.at < instant]
    changed = [*past, *(send for send in other_future if send.at >= instant)]
    before, after = (
        [row for row in world.features(each) if row["delivered_at"] < instant] for each in (sends, changed)
    )
    assert without_label(after) == without_label(before)


@settings(max_examples=30)
@given(sends=SENDS)
def test_pairs_have_the_features_that_a_send_at_that_instant_has(world: World, sends: list[Send]) -> None:
    pairs = world.pairs(sends)
    assert set(pairs) == {(user["id"], email["id"]) for user in USERS for email in EMAILS[:3]}
    # All at one instant: sends that share one do not see each other.
    imagined = [Send(ASKED, user, email) for user, email in pairs]
    rows = world.features(sorted({*imagined, *sends}))
    at_once = {(row["user_id"], row["email_id"]): row for row in rows if row["delivered_at"] == ASKED}
    for pair, row in pairs.items():
        assert row.pop("as_of") == ASKED
        assert row == {name: at_once[pair][name] for name in row}
        assert set(row) == {*KEYS, *(feature.name for feature in features_of(world.problem))}


def test_sends_that_share_an_instant_do_not_see_each_other(world: World) -> None:
    rows = world.features([Send(START, 1, 1, lost=True), Send(START, 1, 2), Send(START + 30 * ONE_DAY, 1, 3)])
    assert [row["number_of_emails"] for row in rows] == [0, 0, 2]
    assert [row["number_of_unsubscribes"] for row in rows] == [0, 0, 1]
    assert [row["days_since_last_email"] for row in rows] == [None, None, 30.0]


def test_an_unsubscribe_counts_from_the_instant_at_which_it_has_matured(world: World) -> None:
    due = START + 7 * ONE_DAY
    rows = world.features(
        [Send(START, 1, 1, lost=True), *(Send(due + timedelta(microseconds=n), 1, 2) for n in (-1, 0))]
    )
    assert [row["number_of_unsubscribes"] for row in rows] == [0, 0, 1]
    assert [row[LABEL] for row in rows] == [1, None, None]


def test_a_users_first_send_has_no_history(world: World) -> None:
    [row] = world.features([Send(START, 2, 1)])
    assert row["number_of_emails"] == row["emails_last_30_days"] == row["email_matured_sends"] == 0
    assert row["days_since_last_email"] is None
    assert row["email_unsubscribe_rate"] is None


@given(instant=INSTANTS | st.datetimes(datetime(1800, 1, 1), datetime(2300, 1, 1)), gap=st.integers(0, 400 * DAY))
def test_one_request_has_the_ages_and_the_calendar_of_its_instant(instant: datetime, gap: int) -> None:
    at = (instant - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    assert (days_between(at - gap, at), days_between(at, at), days_between(at - 2 * DAY, at)) == (gap / DAY, 0.0, 2.0)
    assert (calendar("day_of_week", at), calendar("hour", at)) == (instant.weekday(), instant.hour)


@pytest.mark.parametrize("year", [1, 1600, 1900, 1969, 2000, 2023, 2024, 2100, 9998])
def test_every_day_has_its_place_in_the_calendar(year: int) -> None:
    for number in range((datetime(year + 1, 1, 1) - datetime(year, 1, 1)).days):
        day = datetime(year, 1, 1) + number * ONE_DAY
        at = (day - datetime(1970, 1, 1)).days * DAY + number
        found = [calendar(part, at) for part in ("day_of_month", "month", "day_of_year")]
        assert found == [day.day, day.month, number + 1], day


def test_core_users_has_every_send_and_every_silent_user(duck: Any) -> None:
    tables, problem = by_name(sample_tables()), sample_problem("data")
    assert duck.execute(core_rows(tables, problem).count()) == SAMPLE_SENDS + 2
    rows = duck.to_pyarrow(send_features(tables, problem))
    assert rows.num_rows == SAMPLE_SENDS
    assert 59 not in rows["user_id"].to_pylist()


@pytest.mark.parametrize("name", ["guide", "planeswalker"])
def test_the_promised_features_are_there(name: str) -> None:
    assert set(REQUIRED) <= {feature.name for feature in features_of(load_problem(name))}


def test_a_feature_is_named_once(world: World) -> None:
    names = [feature.name for feature in features_of(world.problem)]
    assert len(set(names)) == len(names)


@pytest.mark.ml_test_score("data-7")
def test_every_column_of_send_features_is_described_and_has_an_origin(world: World) -> None:
    [row] = world.features([Send(START, 1, 1)])
    assert list(row) == [*KEYS, LABEL, "matured_at", *(feature.name for feature in features_of(world.problem))]
    assert columns_of(world.problem)["send_features"].keys() == row.keys()
    assert parents_of("send_features", world.problem).keys() == row.keys()


@pytest.mark.ml_test_score("data-4")
def test_no_id_and_no_subject_is_given_to_a_model(world: World) -> None:
    given = {feature.name for feature in features_of(world.problem) if feature.for_models}
    assert not given & {"subject", "user_id", "email_id", "id", "delivered_at", LABEL, "matured_at"}
    assert {"gender", "country", "theme", "category"} <= given


def test_the_counts_of_a_theme_in_another_script_have_a_name_of_their_own() -> None:
    problem = sample_problem("data", themes=["패션", "음식", "Home & Garden"])
    names = {feature.name for feature in features_of(problem)}
    assert {f"number_of_email_theme_{name}" for name in ("패션", "음식", "home_garden")} <= names
