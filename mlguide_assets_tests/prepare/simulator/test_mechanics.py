from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.prepare.simulator.content import created_on, emails, pool, subjects
from mlguide_assets.prepare.simulator.generate import SENDS_SCHEMA
from mlguide_assets.prepare.simulator.population import joined_on, users_joined_before
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets_tests.prepare.simulator.worlds import (
    LARGE,
    SMALL,
    content,
    history,
    lost,
    per_send,
    profiles,
)

DAY = np.timedelta64(1, "D")


def test_columns() -> None:
    assert history(SMALL).schema == SENDS_SCHEMA
    assert {f.name: str(f.type) for f in profiles(SMALL).schema} == {
        "id": "int64", "date_joined": "date32[day]", "gender": "string", "age": "int64", "country": "string",
        "words_in_description": "int64", "purchases": "int64",
    }  # fmt: skip
    assert {f.name: str(f.type) for f in content(SMALL).schema} == {
        "id": "int64", "subject": "string", "theme": "string", "category": "string",
        "number_of_buttons": "int64", "number_of_sections": "int64", "number_of_items": "int64",
        "created_at": "date32[day]",
    }  # fmt: skip


def test_values() -> None:
    users, emails_ = profiles(LARGE).to_pydict(), content(LARGE).to_pydict()
    assert set(users["gender"]) == {"male", "female"}
    assert set(users["country"]) == {"US", "KO", "JP"}
    assert (min(users["age"]), max(users["age"])) == (18, 75)
    assert min(users["purchases"]) == 0
    assert min(users["words_in_description"]) >= 0
    assert set(emails_["theme"]) == {"shopping", "food", "lifestyle"}
    assert set(emails_["category"]) == {"newsletter", "promotional", "transactional"}
    assert min(emails_["number_of_buttons"]) == 1
    for table in (users, emails_):
        assert table["id"] == list(range(1, len(table["id"]) + 1))
    assert users["date_joined"] == sorted(users["date_joined"])
    assert emails_["created_at"] == sorted(emails_["created_at"])


def test_nothing_is_delivered_before_its_user_joined_or_its_email_existed() -> None:
    sent = history(LARGE)
    days = sent["delivered_at"].to_numpy().astype("datetime64[D]")
    assert (days > per_send(profiles(LARGE), sent, "user_id", "date_joined")).all()
    age = days - per_send(content(LARGE), sent, "email_id", "created_at")
    assert age.min() == DAY
    assert age.max() == 90 * DAY


def test_at_most_one_email_per_user_and_day() -> None:
    sent = history(LARGE)
    days = sent["delivered_at"].to_numpy().astype("datetime64[D]").astype(np.int64)
    assert len(np.unique(sent["user_id"].to_numpy() * 100_000 + days)) == sent.num_rows


def test_nobody_receives_after_unsubscribing_took_effect() -> None:
    sent = history(LARGE)
    left = np.full(profiles(LARGE).num_rows + 1, np.datetime64("2100-01-01", "us"))
    yes = lost(sent)
    np.minimum.at(left, sent["user_id"].to_numpy()[yes], sent["unsubscribed_at"].to_numpy()[yes])
    assert (sent["delivered_at"].to_numpy() < left[sent["user_id"].to_numpy()]).all()


def test_unsubscribing_takes_effect_mostly_within_a_day_and_always_within_a_week() -> None:
    sent = history(LARGE)
    yes = lost(sent)
    delay = sent["unsubscribed_at"].to_numpy()[yes] - sent["delivered_at"].to_numpy()[yes]
    assert delay.min() > np.timedelta64(0)
    assert delay.max() < 7 * DAY
    assert 0.6 < (delay < DAY).mean() < 0.95


def test_the_label_says_yes_only_once_it_is_on_record() -> None:
    as_of = datetime(2025, 6, 15, 12)
    early, late = history(SMALL, as_of=as_of), history(SMALL, as_of=datetime(2026, 6, 1))
    assert early["delivered_at"].to_numpy().max() <= np.datetime64(as_of)
    on_record = lost(early) & (early["unsubscribed_at"].to_numpy() <= np.datetime64(as_of))
    assert np.array_equal(early["unsubscribed"].to_numpy() == "yes", on_record)
    assert on_record.sum() < lost(early).sum()
    assert np.array_equal(late["unsubscribed"].to_numpy() == "yes", lost(late))


def test_weekly_and_daily_rhythm() -> None:
    times = history(LARGE)["delivered_at"].to_numpy()
    weekday = np.bincount((times.astype("datetime64[D]").astype(np.int64) + 3) % 7, minlength=7)
    assert weekday[:5].min() > 1.2 * weekday[5] > 1.3 * weekday[6]
    hour = np.bincount(times.astype("datetime64[h]").astype(np.int64) % 24, minlength=24)
    assert hour[7:22].min() > 3 * hour[:5].max()


def test_each_day_draws_evenly_from_its_pool() -> None:
    day = np.arange(400)
    first, size = pool(day)
    last = first + size - 1
    assert (created_on(first) >= day - 90).all()
    assert (created_on(first - 1) < day - 90).all()
    assert (created_on(last) < day).all()
    assert (created_on(last + 1) >= day).all()
    sent = history(LARGE)
    elapsed = sent["delivered_at"].to_numpy() - np.datetime64(LARGE.start)
    sent_on = elapsed.astype("timedelta64[D]").astype(int)
    place = sent["email_id"].to_numpy() - first[sent_on]
    assert (place >= 0).all()
    assert (place < size[sent_on]).all()
    share = np.floor(place / size[sent_on] * 4).astype(int)
    assert np.bincount(share).max() < 1.1 * np.bincount(share).min()


@pytest.mark.parametrize("joins_per_day", [0.01, 0.3, 7.0, 21.7, 333.3])
def test_joining_is_counted_as_it_is_listed(joins_per_day: float) -> None:
    count = users_joined_before(joins_per_day, 500)
    joined = joined_on(joins_per_day, np.arange(1, count + 1000))
    assert (np.diff(joined) >= 0).all()
    assert joined.min() >= -731
    for day in (-731, -730, -400, -3, -1, 0, 1, 2, 250, 499, 500):
        assert users_joined_before(joins_per_day, day) == np.count_nonzero(joined < day)


def test_subjects_never_repeat() -> None:
    some = subjects(emails(World(), np.arange(1, 6001)))
    assert len(set(some)) == 6000


def test_sends_are_spread_over_the_history() -> None:
    elapsed = history(LARGE)["delivered_at"].to_numpy() - np.datetime64(LARGE.start)
    counts = np.bincount((elapsed // np.timedelta64(30, "D")).astype(int))[:12]
    assert counts.max() < 1.3 * counts.min()


@pytest.mark.parametrize("wanted", [1, 100, 2_000, 30_000, 200_000])
def test_there_are_as_many_sends_as_asked_for(wanted: int) -> None:
    rows = history(World(sends=wanted)).num_rows
    most = {1: 200.0, 100: 3.5, 2_000: 1.6, 30_000: 1.15, 200_000: 1.06}
    assert wanted <= rows <= most[wanted] * wanted


@pytest.mark.parametrize("days", [1, 20, 800])
def test_a_history_may_be_short_or_long(days: int) -> None:
    world = World(sends=30_000, days=days)
    sent = history(world)
    assert 30_000 <= sent.num_rows <= 1.2 * 30_000
    assert sent["delivered_at"].to_numpy().max() < np.datetime64(world.start + timedelta(days=days), "us")


def test_a_world_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"World\.sends is 0; it must be at least 1"):
        World(sends=0)
    with pytest.raises(ValueError, match=r"World\.base_rate is 0\.9"):
        World(base_rate=0.9)
    with pytest.raises(ValueError, match=r"World\.unobserved_sd is -1"):
        World(unobserved_sd=-1)


def test_an_empty_day_still_has_columns() -> None:
    none = history(World(sends=1), World().start, World().start)
    assert isinstance(none, pa.Table)
    assert none.schema == SENDS_SCHEMA
