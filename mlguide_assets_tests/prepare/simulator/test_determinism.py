from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.prepare.simulator import generate
from mlguide_assets.prepare.simulator.generate import email_content, sends, user_profiles
from mlguide_assets.prepare.simulator.population import Users
from mlguide_assets.prepare.simulator.randomness import entity_uniform, stratified_uniform
from mlguide_assets.prepare.simulator.schedule import Slots, potential_sends
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets_tests.prepare.simulator.worlds import SHIFT, SMALL, before, history

DAY = timedelta(days=1)
WORLDS = (SMALL, replace(SMALL, covariate_shift=SHIFT, concept_shift=SHIFT))
DAYS = (SMALL.start, SMALL.start + DAY, SHIFT - DAY, SHIFT, date(2025, 11, 28), SMALL.end - DAY)


def test_equal_worlds_give_equal_tables() -> None:
    again = World(sends=20_000)
    assert next(sends(again)).equals(next(sends(SMALL)))
    assert user_profiles(again).equals(user_profiles(SMALL))
    assert email_content(again).equals(email_content(SMALL))


def test_another_seed_gives_another_world() -> None:
    other = replace(SMALL, seed=8)
    assert not history(other).equals(history(SMALL))
    assert not user_profiles(other).equals(user_profiles(SMALL))


@pytest.mark.parametrize("world", WORLDS, ids=["usual", "shifted"])
@pytest.mark.parametrize("day", DAYS, ids=str)
def test_a_single_day_equals_that_day_of_the_full_run(world: World, day: date) -> None:
    as_of = datetime(2026, 1, 1)
    full = history(world, as_of=as_of)
    times = full["delivered_at"].to_numpy()
    that_day = full.filter((times >= np.datetime64(day, "us")) & (times < np.datetime64(day + DAY, "us")))
    alone = history(world, day, day + DAY, as_of)
    assert alone.num_rows > 0
    assert alone.equals(that_day)


def test_a_single_day_evaluates_few_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[int] = []

    def counted(world: World, who: Users, last_exclusive: int) -> Slots:
        slots = potential_sends(world, who, last_exclusive)
        evaluated.append(len(slots.user))
        return slots

    monkeypatch.setattr(generate, "potential_sends", counted)
    list(sends(SMALL, SMALL.end - DAY, SMALL.end))
    alone = sum(evaluated)
    evaluated.clear()
    list(sends(SMALL))
    assert alone < 0.4 * sum(evaluated)


def test_going_on_changes_nothing_earlier() -> None:
    later = SMALL.end + timedelta(days=60)
    as_of = datetime(2026, 1, 1)
    assert (
        before(history(SMALL, last_exclusive=later, as_of=datetime(2027, 1, 1)), SMALL.end)
        .drop("unsubscribed")
        .equals(history(SMALL).drop("unsubscribed"))
    )
    assert history(SMALL, last_exclusive=later, as_of=as_of).equals(history(SMALL, as_of=as_of))
    profiles = user_profiles(SMALL)
    assert user_profiles(SMALL, later).slice(0, profiles.num_rows).equals(profiles)
    content = email_content(SMALL)
    assert email_content(SMALL, later).slice(0, content.num_rows).equals(content)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = history(SMALL)
    profiles = user_profiles(SMALL)
    monkeypatch.setattr(generate, "_BLOCK_SENDS", 1)
    monkeypatch.setattr(generate, "_BLOCK_USERS", 100)
    blocks = list(sends(SMALL))
    assert len(blocks) > 2
    assert pa.concat_tables(blocks).equals(whole)
    assert user_profiles(SMALL).equals(profiles)


def test_stratified_numbers_fill_every_slice_once_per_block() -> None:
    ids = np.arange(1, 1601)
    numbers = stratified_uniform(7, "anything", ids, 16)
    slices = np.sort(np.floor(numbers * 16).reshape(100, 16), axis=1)
    assert (slices == np.arange(16)).all()
    assert np.array_equal(stratified_uniform(7, "anything", ids[700:705], 16), numbers[700:705])


def test_streams_are_uniform_and_unrelated() -> None:
    ids = np.arange(1, 100_001)
    one, other = entity_uniform(7, "one", ids), entity_uniform(7, "other", ids)
    counts = np.bincount((one * 100).astype(int), minlength=100)
    assert np.square(counts - 1000).sum() / 1000 < 160  # chi-square, 99 degrees of freedom
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.015
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.015


def test_days_out_of_order_are_named() -> None:
    with pytest.raises(ValueError, match="sends from 2024-12-31 to 2026-01-01"):
        next(sends(SMALL, date(2024, 12, 31)))
    with pytest.raises(ValueError, match="in order"):
        next(sends(SMALL, date(2025, 3, 2), date(2025, 3, 1)))
