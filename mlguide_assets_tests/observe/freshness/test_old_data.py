"""Data that ended long ago, and data that are meant to have ended."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHAMPION, METADATA, pointer_path
from mlguide_assets.observe.freshness.old_data import old_data
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.incidents import incidents
from mlguide_assets.settings import Home
from mlguide_assets_tests.samples import sample_problem

PROBLEM = sample_problem("anywhere", label={"positive": "yes", "negative": "no", "window": "2d"})
END = date(2026, 5, 5)
LANDED: list[dict[str, Any]] = [{"day": END - timedelta(days=back), "rows": 10} for back in range(30)]


def by(clock: Literal["wall", "data"]) -> Problem:
    return PROBLEM.model_copy(update={"serving": PROBLEM.serving.model_copy(update={"clock": clock})})


@pytest.mark.parametrize(("days", "old"), [(0, False), (6, False), (7, True), (208, True)])
def test_data_that_ended_a_week_ago_are_old(days: int, old: bool) -> None:
    found = old_data(LANDED, by("wall"), today=END + timedelta(days=days))
    assert (found and found.days) == (days if old else None)
    assert not found or found.sentence.startswith(f"The data end on 2026-05-05, {days} days ago: ")


@pytest.mark.parametrize(("days", "old"), [(13, False), (14, True)])
def test_data_with_gaps_of_their_own_are_old_after_two_of_them(days: int, old: bool) -> None:
    weekly = [row for row in LANDED if (END - row["day"]).days % 7 == 0]
    assert (old_data(weekly, by("wall"), today=END + timedelta(days=days)) is not None) == old


def test_the_alert_of_old_data_is_one_of_the_incidents(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("landed_days", pa.Table.from_pylist(LANDED))
    found = [incidents(Home(tmp_path), lake, by("wall"), today=END + timedelta(days=days)) for days in (1, 30)]
    assert [each["data-old"] is not None for each in found] == [False, True]


def test_a_champion_whose_bundle_is_gone_keeps_no_alert_from_people(tmp_path: Path) -> None:
    home, lake = Home(tmp_path), Lake(tmp_path)
    lake.write("landed_days", pa.Table.from_pylist(LANDED))
    bundles = home.bundles(PROBLEM.key)
    bundles.mkdir(parents=True)
    pointer_path(bundles, CHAMPION).write_text(json.dumps({"version": "1", "manifest": "0" * 64}), encoding="utf-8")
    for damaged in (False, True):
        if damaged:
            (bundles / "1").mkdir()
            (bundles / "1" / METADATA).write_text('{"version":', encoding="utf-8")
        found = incidents(home, lake, by("wall"), today=END + timedelta(days=30))
        assert found["data-old"] is not None


def test_data_that_the_problem_says_have_ended_are_not() -> None:
    assert old_data(LANDED, by("data"), today=date(2027, 1, 1)) is None
    assert old_data([], by("wall"), today=date(2027, 1, 1)) is None
