"""What is due when time passes: readings of the source, and scores for the day that has begun."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.operations import Retraining
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import FilesSource, SimulatorSource
from mlguide_assets.deploy.batch import days_to_score, reached_days, refuse_unreached, skipped_days
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain import new_data
from mlguide_assets.retrain.new_data import reading_due, scores_due
from mlguide_assets.settings import Home

SIMULATED = load_problem("planeswalker")
FILES = SIMULATED.model_copy(update={"source": FilesSource(uri="anywhere")})


def refreshed(every: str) -> Problem:
    return FILES.model_copy(update={"retraining": Retraining.model_validate({"refresh_every": every})})


def live(day_every: str) -> Problem:
    source = {**SIMULATED.source.model_dump(mode="json"), "live": {"start": "2025-03-01", "day_every": day_every}}
    return Problem.model_validate({**SIMULATED.model_dump(mode="json"), "source": source})


@pytest.mark.parametrize(
    ("every", "now", "due"),
    [
        ("24h", "2026-03-29T00:00:00+00:00", "2026-03-29T00:00Z"),
        ("24h", "2026-03-29T23:59:59+00:00", "2026-03-29T00:00Z"),
        # In Berlin the 29th has 23 hours and begins an hour before it does in UTC: days here are UTC's.
        ("24h", "2026-03-29T00:30:00+01:00", "2026-03-28T00:00Z"),
        ("24h", "2026-03-30T01:30:00+02:00", "2026-03-29T00:00Z"),
        ("6h", "2026-03-29T17:00:00+00:00", "2026-03-29T12:00Z"),
        ("15m", "2026-03-29T17:14:00+00:00", "2026-03-29T17:00Z"),
    ],
)
def test_a_source_is_read_again_whenever_its_time_is_over(every: str, now: str, due: str, tmp_path: Path) -> None:
    assert reading_due(refreshed(every), tmp_path / "clock.json", datetime.fromisoformat(now)) == due


def test_a_live_world_is_read_whenever_a_day_of_it_has_passed(tmp_path: Path) -> None:
    problem, start = live("10s"), datetime(2026, 3, 1, tzinfo=UTC)
    seen = [
        reading_due(problem, tmp_path / "clock.json", start + timedelta(seconds=seconds)) for seconds in (0, 9, 10, 25)
    ]
    assert seen == ["2025-03-01", "2025-03-01", "2025-03-02", "2025-03-03"]


def test_a_world_that_stands_still_is_never_read_again(tmp_path: Path) -> None:
    still = SIMULATED.model_copy(update={"source": SimulatorSource()})
    assert reading_due(still, tmp_path / "clock.json", datetime(2026, 3, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("newest", "today", "scored"),
    [
        ("2025-06-10", "2026-01-01", "2025-06-11"),
        ("2025-12-31", "2026-01-01", "2026-01-01"),
        ("2026-01-01", "2026-01-01", "2026-01-01"),
        ("1990-01-01", "2026-01-01", "1990-01-02"),
    ],
)
def test_days_are_scored_up_to_the_one_after_the_newest_send_as_far_as_it_has_begun(
    newest: str, today: str, scored: str
) -> None:
    last, now, wanted = (date.fromisoformat(text) for text in (newest, today, scored))
    rows = {last - timedelta(days=back): 50 for back in (0, 1, 2, 9)}
    days = days_to_score(rows, today=now)
    assert (days[0], days[-1]) == (last - timedelta(days=9), wanted)
    assert days_to_score({**rows, date(9999, 12, 31): 1}, today=now) == days
    assert len(days) == (days[-1] - days[0]).days + 1
    refuse_unreached(days[-1], days[-1])
    with pytest.raises(InputError, match=f"cannot be scored: the data reach as far as .*, so {wanted} is the last"):
        refuse_unreached(days[-1] + timedelta(days=1), days[-1])


@pytest.mark.parametrize(
    ("newest", "today", "reached"),
    [
        (5, date(2026, 6, 1), ["2026-05-05", "2026-05-06"]),
        (5, date(2026, 5, 5), ["2026-05-05"]),
        (9, date(2026, 6, 1), ["2026-05-05", "2026-05-06", "2026-05-09"]),
        (None, date(2026, 6, 1), ["2026-05-05", "2026-05-06", "2026-05-09"]),
    ],
)
def test_days_that_were_scored_are_reached_up_to_the_one_that_is_now(
    newest: int | None, today: date, reached: list[str]
) -> None:
    rows = {date(2026, 5, newest) - timedelta(days=back): 50 for back in range(9)} if newest else {}
    assert reached_days(["2026-05-09", "2026-05-06", "2026-05-05"], rows, today=today) == reached


@pytest.mark.parametrize(
    ("scored", "message"),
    [
        ([], None),
        (["2026-01-04"], None),
        (["2026-01-04", "2026-01-05", "2026-01-09"], None),
        (["2026-01-02", "2026-01-03"], "2026-01-04 was not scored: the data went on to 2026-01-05 "),
        (["2026-01-01"], "2026-01-02 to 2026-01-04 were not scored: "),
    ],
)
def test_days_that_were_passed_over_are_reported(scored: list[str], message: str | None) -> None:
    day = date(2026, 1, 5)
    found = skipped_days(scored, day, newest=day)
    assert (found is None) if message is None else (found or "").startswith(message)
    assert skipped_days(scored, day, newest=date(2026, 1, 9)) is None, "an earlier day is scored afterwards"


def test_without_sends_no_day_is_scored() -> None:
    assert days_to_score({}, today=date(2026, 1, 1)) == []


def test_scores_are_due_for_new_data_and_for_a_new_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    lake, now = Lake(home.lake(SIMULATED.key)), datetime(2026, 5, 1, tzinfo=UTC)
    assert scores_due(home, lake, SIMULATED, now) is None, "nothing was read yet"
    lake.write("landed_days", pa.table({"day": [date(2025, 6, 1)], "rows": [5], "digest": ["a"]}))
    lake.write("user_emails", pa.table({"user_id": [1]}))
    assert scores_due(home, lake, SIMULATED, now) is None, "there is no champion"
    found = set()
    for champion, users in (("1", [1]), ("1", [1]), ("1", [1, 2]), ("2", [1, 2])):
        monkeypatch.setattr(new_data, "pointed_version", lambda _, champion=champion: champion)
        lake.write("user_emails", pa.table({"user_id": users}))
        due = scores_due(home, lake, SIMULATED, now)
        assert due is not None
        assert due[0] == "2025-06-02"
        found.add(due)
    assert len(found) == 3
