"""Which days are to be checked: what landed, what landed again, and what did not land."""

import json
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.deploy.bundle import Bundle
from mlguide_assets.errors import InputError
from mlguide_assets.observe.drift.data_drift import SCHEMA
from mlguide_assets.observe.drift.table import WHOLE_DAY
from mlguide_assets.observe.freshness import new_days
from mlguide_assets.observe.freshness.new_days import MOST_DAYS, days_of_run, days_to_check, last_landed_day, untested
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.settings import Home
from mlguide_assets_tests.train.sends import PROBLEM

REFERENCE_ENDS, TODAY = date(2026, 3, 1), date(2026, 3, 6)


class House:
    """A home with a champion whose reference ends on the first of March."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = Home(folder)
        self.lake = Lake(self.home.lake(PROBLEM.key))
        self.champion: str | None = "1"
        monkeypatch.setattr(new_days, "pointed_version", lambda _: self.champion)
        for version in "12":
            bundle = self.home.bundles(PROBLEM.key) / version
            bundle.mkdir(parents=True)
            (bundle / "metadata.json").write_text(json.dumps({"test_last": REFERENCE_ENDS.isoformat()}))

    def land(self, *, matured: int = 0, **days: str) -> None:
        """Sends on days of March, each with a digest; the outcomes of those up to a day are final."""
        numbered = {date(2026, 3, int(name.removeprefix("d"))): digest for name, digest in days.items()}
        rows = {"day": list(numbered), "rows": [10] * len(days), "digest": list(numbered.values())}
        rows["outcomes"] = pa.array(["final" if day.day <= matured else None for day in numbered], pa.string())
        self.lake.write("landed_days", pa.table(rows))

    def asked(self, today: date = TODAY) -> list[int]:
        """The days to check."""
        return [day.day for day in days_to_check(self.home, self.lake, PROBLEM, today=today)]

    def said(self, today: date) -> str | None:
        """What status and report say of days that are not tested."""
        return untested(self.home, self.lake, PROBLEM, today=today).sentence

    def asked_until_none(self, today: date) -> list[int]:
        """All days that are checked, run by run."""
        checked: set[int] = set()
        while asked := self.asked(today):
            assert len(asked) <= MOST_DAYS
            checked.update(asked)
            self.check(today)
        return sorted(checked)

    def run(self, *days: int, only_changed: bool = False, today: date = TODAY) -> list[int]:
        """The days that a run of some days tests."""
        champion = Bundle("1", "", 0.5, "", self.home.bundles(PROBLEM.key) / "1")
        requested, landed = [date(2026, 3, day) for day in days], self.lake.read_arrow("landed_days").to_pylist()
        tested = days_of_run(requested, landed, self.lake, champion, PROBLEM, today=today, only_changed=only_changed)
        return [day.day for day in tested]

    def check(self, today: date = TODAY) -> None:
        """Check what is due."""
        for day, sign in days_to_check(self.home, self.lake, PROBLEM, today=today).items():
            row = {"day": day.isoformat(), "model_version": self.champion, "signature": sign}
            row |= {"source": "sends", "column": WHOLE_DAY, "level": "none"}
            self.lake.write_partition("data_drift", day.isoformat(), small_table([row], SCHEMA))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_complete_days_after_the_reference_are_checked_once(house: House) -> None:
    house.land(d1="a", d2="b", d3="c", d4="d", d5="e", d6="f")
    assert house.asked() == [2, 3, 4, 5]
    house.check()
    assert house.asked() == []
    assert house.asked(TODAY + timedelta(days=1)) == [6]


def test_a_day_that_arrives_again_or_late_is_checked_again(house: House) -> None:
    house.land(d1="a", d2="b", d3="c", d5="e")
    house.check()
    house.land(d1="a", d2="b", d3="changed", d4="late", d5="e")
    assert house.asked() == [3, 4]


def test_a_day_is_checked_once_more_when_all_its_outcomes_are_final(house: House) -> None:
    days = {f"d{day}": "same" for day in range(1, 6)}
    house.land(**days)
    house.check()
    house.land(**days, matured=3)
    assert house.asked() == [2, 3]
    house.check()
    assert house.asked() == []


def test_so_is_one_that_was_checked_more_than_two_weeks_ago(house: House) -> None:
    days = {f"d{day}": "same" for day in range(1, 21)}
    house.land(**{"d2": "same", "d3": "same"})
    house.check(date(2026, 3, 4))
    house.land(**days, matured=4)
    assert house.asked(date(2026, 3, 21)) == [*range(7, 21)], "the newest first"
    house.check(date(2026, 3, 21))
    later = house.asked(date(2026, 3, 21))
    assert {2, 3} <= set(later)
    # The fourth had landed before the champion was trained, was never checked, and is too old to begin with.
    assert 4 not in later
    assert house.asked_until_none(date(2026, 3, 21)) == later
    assert house.said(date(2026, 3, 21)) == (
        "3 days from 2026-03-04 to 2026-03-06 are not tested: data of that time were there before the champion was "
        "trained."
    )


def test_outcomes_that_come_weeks_late_are_news_of_all_days_that_were_tested(house: House) -> None:
    days = {f"d{day}": "same" for day in range(1, 16)}
    house.land(**days)
    house.check(date(2026, 3, 16))
    house.land(**days, **{f"d{day}": "same" for day in range(16, 31)})
    house.asked_until_none(date(2026, 3, 31))
    house.land(**days, **{f"d{day}": "same" for day in range(16, 31)}, matured=30)
    assert house.asked_until_none(date(2026, 3, 31)) == [*range(3, 31)]


def test_days_that_land_at_once_after_a_long_outage_are_all_checked_run_by_run(house: House) -> None:
    """None of them had been there when the champion was trained."""
    house.champion, last = "2", 31
    trained = REFERENCE_ENDS + PROBLEM.final_after
    house.land(**{f"d{day}": "same" for day in range(1, last + 1)})
    today = date(2026, 4, 1)
    assert len(house.asked(today)) == MOST_DAYS
    assert str(house.said(today)).startswith(
        "23 days since 2026-03-09 are still to be tested: 'mlguide ui' tests 14 in"
    )
    checked = house.asked_until_none(today)
    assert checked == [*range(min(trained.day + 1, last - MOST_DAYS + 1), last + 1)]


def test_a_table_of_days_of_an_earlier_version_is_read(house: House) -> None:
    house.land(d1="a", d2="b", d3="c")
    house.lake.write("landed_days", house.lake.read_arrow("landed_days").drop_columns("outcomes"))
    assert house.asked(date(2026, 3, 4)) == [2, 3]


def test_a_day_without_sends_is_checked_once_a_later_one_has_landed(house: House) -> None:
    house.land(d1="a", d2="b", d4="d")
    assert house.asked(date(2026, 3, 17)) == [2, 3, 4]
    house.check()
    assert house.asked() == []


def test_days_that_have_not_landed_are_not_checked(house: House) -> None:
    house.land(d1="a", d2="b")
    for today in (3, 4, 17, 31):
        assert house.asked(date(2026, 3, today)) == [2]


def test_a_day_that_lands_piece_by_piece_waits_for_the_rest_or_for_a_later_day() -> None:
    march = [date(2026, 3, day) for day in range(1, 8)]
    usual = dict.fromkeys(march[:5], 100)
    assert last_landed_day({**usual, march[5]: 49}, today=march[6]) == march[4]
    assert last_landed_day({**usual, march[5]: 50}, today=march[6]) == march[5]
    assert last_landed_day({**usual, march[5]: 100}, today=march[5]) == march[4], "it is not over"
    assert last_landed_day({**usual, march[5]: 9, march[6]: 1}, today=march[6]) == march[5]
    assert last_landed_day({**usual, date(2026, 3, 20): 1}, today=date(2026, 3, 28)) == march[4], "a stray row"


def test_another_champion_checks_again(house: House) -> None:
    house.land(d1="a", d2="b", d3="c")
    house.check(date(2026, 3, 4))
    house.champion = "2"
    assert house.asked(date(2026, 3, 4)) == [2, 3]


def test_without_a_champion_or_sends_nothing_is_checked(house: House) -> None:
    assert house.asked() == []
    house.land(d1="a", d2="b")
    house.champion = None
    assert house.asked() == []


def test_a_run_tests_the_days_that_were_requested_and_have_landed(house: House) -> None:
    house.land(d1="a", d2="b", d3="c", d4="d", d5="e")
    house.check()
    assert house.run(3, 4, 5, 6) == [3, 4, 5], "of a person, also what was tested before"
    assert house.run(3, 4, 5, only_changed=True) == []
    house.land(d1="a", d2="b", d3="c", d4="changed", d5="e")
    assert house.run(3, 4, 5, only_changed=True) == [4]


def test_a_day_that_has_not_landed_is_refused(house: House) -> None:
    house.land(d1="a", d2="b", d3="c")
    with pytest.raises(InputError, match=r"2026-03-09 cannot be tested .* the last day that has is 2026-03-03\."):
        house.run(9)
