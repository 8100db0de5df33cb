"""The clock of a simulated world: when it starts, that it never goes back, where it stops, and how it is stepped."""

import errno
import json
import os
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlguide_assets.define.loading import parse_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import FilesSource, Live
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.simulation_clock import WORLD_TIME_VARIABLE, day_reached, visible, world_time
from mlguide_assets.settings import Home
from mlguide_assets_tests.processes import PROCESSES
from mlguide_assets_tests.samples import PROBLEM, sample_problem

LIVE = Live(start=date(2024, 3, 1), day_every=timedelta(hours=24))
START = datetime(2024, 3, 1)
END = date(2024, 4, 10)
"""The world starts on 2024-01-01 and has 100 days."""
FIRST = datetime(2026, 5, 4, 13, 37, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORLD_TIME_VARIABLE, raising=False)


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    return Home(tmp_path).simulation_clock("sample_simulated")


def live_problem(live: dict[str, Any] | None = None, **source: Any) -> Problem:
    source = {"kind": "simulator", "sends": 1000, "days": 100, "live": {"start": "2024-03-01"} | (live or {}), **source}
    return parse_problem(yaml.safe_dump({**PROBLEM, "source": source}).encode(), Path("live.yaml"))


def until(problem: Problem, clock: Path, now: datetime) -> datetime:
    seen = visible(problem, clock, now)
    assert seen is not None
    return seen.until


@pytest.mark.parametrize(
    ("passed", "days"),
    [(timedelta(0), 0), (DAY - timedelta(microseconds=1), 0), (DAY, 1), (10 * DAY + HOUR, 10), (-5 * DAY, 0)],
    ids=str,
)
def test_a_day_passes_in_the_world_for_each_whole_day_every(passed: timedelta, days: int) -> None:
    assert world_time(LIVE, FIRST, FIRST + passed) == START + days * DAY


def test_zones_and_the_change_to_summer_time_do_not_matter() -> None:
    # Where clocks went forward that night, the same instants are 23 hours of wall time apart or 25.
    first = datetime(2026, 3, 28, 12, tzinfo=timezone(timedelta(hours=1)))
    later = datetime(2026, 3, 29, 13, tzinfo=timezone(timedelta(hours=2)))
    assert world_time(LIVE, first, later) == START + DAY
    assert world_time(LIVE, first, later - timedelta(seconds=1)) == START


seconds = st.integers(min_value=-(10**9), max_value=10**9).map(lambda n: timedelta(seconds=n))


@given(first=seconds, second=seconds, every=st.sampled_from([1, 7, 60, 86_400]))
def test_world_time_never_falls_and_never_leaves_its_bounds(first: timedelta, second: timedelta, every: int) -> None:
    live = Live(start=LIVE.start, day_every=timedelta(seconds=every))
    earlier, later = (world_time(live, FIRST, FIRST + passed, end=END) for passed in sorted((first, second)))
    assert START <= earlier <= later <= datetime(2024, 4, 10)
    assert earlier.time() == later.time() == datetime.min.time()


def test_the_first_reading_shows_the_world_until_its_start_and_later_ones_more(clock: Path) -> None:
    problem = live_problem({"day_every": "1m"})
    assert until(problem, clock, FIRST) == START
    assert until(problem, clock, FIRST + timedelta(seconds=59)) == START
    assert until(problem, clock, FIRST + timedelta(seconds=60)) == START + DAY
    assert until(problem, clock, FIRST + timedelta(minutes=10)) == START + 10 * DAY


def test_the_clock_does_not_go_back_with_the_machines(clock: Path) -> None:
    problem = live_problem()
    until(problem, clock, FIRST)
    assert until(problem, clock, FIRST + 5 * DAY) == START + 5 * DAY
    assert until(problem, clock, FIRST - 100 * DAY) == START + 5 * DAY
    assert until(problem, clock, FIRST + 4 * DAY) == START + 5 * DAY
    assert until(problem, clock, FIRST + 6 * DAY) == START + 6 * DAY


def test_the_clock_stops_at_the_worlds_end_and_says_so(clock: Path) -> None:
    problem = live_problem({"day_every": "1s"})
    until(problem, clock, FIRST)
    last, after = (visible(problem, clock, FIRST + timedelta(seconds=n)) for n in (39, 40))
    forever = visible(problem, clock, FIRST + timedelta(days=3650))
    assert last is not None
    assert after is not None
    assert (last.until, last.ended) == (datetime(2024, 4, 9), False)
    assert (after.until, after.ended) == (datetime(2024, 4, 10), True)
    assert forever == after
    assert last.description() == "the world is seen until 2024-04-09 00:00, of days until 2024-04-10"
    assert "has ended on 2024-04-10 and its clock has stopped" in after.description()


def test_a_later_end_lets_the_clock_go_on(clock: Path) -> None:
    until(live_problem(), clock, FIRST)
    assert until(live_problem(), clock, FIRST + 60 * DAY) == datetime(2024, 4, 10)
    longer = live_problem({"end": "2024-12-31"})
    assert until(longer, clock, FIRST + 60 * DAY) == START + 60 * DAY


def test_another_start_is_another_clock(clock: Path) -> None:
    until(live_problem(), clock, FIRST)
    until(live_problem(), clock, FIRST + 20 * DAY)
    assert until(live_problem({"start": "2024-02-01"}), clock, FIRST + 20 * DAY) == datetime(2024, 2, 1)


def test_at_another_pace_the_world_goes_on_from_where_it_is(clock: Path) -> None:
    faster, slower = live_problem({"day_every": "1m"}), live_problem()
    until(slower, clock, FIRST)
    now = FIRST + 20 * DAY + 12 * HOUR
    assert until(faster, clock, now) == START + 20 * DAY
    assert until(faster, clock, now + timedelta(seconds=30)) == START + 21 * DAY
    assert until(slower, clock, now + timedelta(seconds=31)) == START + 21 * DAY
    assert until(slower, clock, now + timedelta(seconds=30) + DAY) == START + 22 * DAY
    # Long after its end, too.
    assert until(faster, clock, now + 10_000 * DAY) == datetime(2024, 4, 10)


def test_processes_that_know_different_paces_do_not_stop_the_world(clock: Path) -> None:
    # A UI that was started before the file was changed looks every second, and so does a server after it.
    paces = [live_problem({"day_every": every}) for every in ("45s", "30s")]
    seen = [until(paces[n % 2], clock, FIRST + timedelta(seconds=n)) for n in range(120)]
    assert seen == sorted(seen)
    assert seen[-1] == START + 3 * DAY


def test_the_world_may_overtake_the_calendar(clock: Path) -> None:
    problem = live_problem({"day_every": "1s", "end": "2030-01-01"})
    until(problem, clock, FIRST)
    assert until(problem, clock, FIRST + HOUR) == datetime(2030, 1, 1)


def test_the_day_that_it_is_is_the_sources(clock: Path) -> None:
    problem = live_problem()
    assert day_reached(problem, clock, FIRST) == START.date()
    assert day_reached(problem, clock, FIRST + 2 * DAY) == (START + 2 * DAY).date()
    still = problem.model_copy(update={"source": problem.source.model_copy(update={"live": None})})
    assert day_reached(still, clock, FIRST) == date(2024, 4, 10)
    files = problem.model_copy(update={"source": FilesSource(uri="shop")})
    assert day_reached(files, clock, FIRST) == FIRST.date()


def read_and_report(problem: Problem, clocks: list[Path], number: int, gate: Any, firsts_read: Any) -> None:
    for clock in clocks:
        gate.wait()
        visible(problem, clock, FIRST + number * timedelta(seconds=1))
        firsts_read.put((clock, json.loads(clock.read_text())["first_read"]))


def test_processes_that_race_for_the_first_reading_agree(tmp_path: Path) -> None:
    problem, count = live_problem(), 5
    clocks = [Home(tmp_path / str(attempt)).simulation_clock(problem.key) for attempt in range(6)]
    gate, firsts_read = PROCESSES.Barrier(count), PROCESSES.Queue()
    readers = [
        PROCESSES.Process(target=read_and_report, args=(problem, clocks, n, gate, firsts_read)) for n in range(count)
    ]
    for reader in readers:
        reader.start()
    firsts = {firsts_read.get(timeout=60) for _ in range(count * len(clocks))}
    for reader in readers:
        reader.join()
    assert len(firsts) == len(clocks)
    for clock in clocks:
        kept = json.loads(clock.read_text())
        assert datetime.fromisoformat(kept["last_read"]) == FIRST + timedelta(seconds=count - 1)
        assert {path.name for path in clock.parent.iterdir()} == {clock.name, clock.with_suffix(".lock").name}


BROKEN = {
    "nothing": b"",
    "half": b'{"first_read": "2026-05-04T13:3',
    "other": b'{"when": 1}',
    "no zone": b'{"first_read": "2026-05-04T13:37:00", "last_read": "2026-05-04T13:37:00", "start": "2024-03-01", '
    b'"day_every": "1d"}',
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_file_is_reported_with_the_remedy_and_left_alone(clock: Path, content: str) -> None:
    until(live_problem(), clock, FIRST)
    clock.write_bytes(BROKEN[content])
    with pytest.raises(InputError) as caught:
        visible(live_problem(), clock, FIRST)
    message = str(caught.value)
    assert message == (
        f"{clock} no longer says when this world was first read: delete it, and the world starts again from 2024-03-01."
    )
    assert clock.read_bytes() == BROKEN[content]
    clock.unlink()
    assert until(live_problem(), clock, FIRST + 3 * DAY) == START


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"world's clock could not be written to .*file"):
        visible(live_problem(), tmp_path / "file" / "clock.json", FIRST)


def test_where_nothing_can_be_written_the_clock_that_was_kept_goes_on(
    clock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(live_problem(), clock, FIRST)
    kept = clock.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mlguide_assets.prepare.sources.simulation_clock.change", full)
    assert until(live_problem(), clock, FIRST + 2 * DAY) == START + 2 * DAY
    assert clock.read_bytes() == kept
    clock.unlink()
    with pytest.raises(InputError, match=r"world's clock could not be written to .*No space left"):
        visible(live_problem(), clock, FIRST)


STEPS = {
    "2024-03-15T00:00:00": datetime(2024, 3, 15),
    "2024-02-10": datetime(2024, 2, 10),
    "2024-03-15T12:30:00": datetime(2024, 3, 15, 12, 30),
    "2024-03-15T00:00:00+02:00": datetime(2024, 3, 14, 22),
    "2025-01-01": datetime(2024, 4, 10),
}


@pytest.mark.parametrize("step", STEPS)
def test_the_variable_names_the_instant_and_leaves_the_clock_alone(
    clock: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setenv(WORLD_TIME_VARIABLE, step)
    for problem in (live_problem(), _history_only()):
        assert until(problem, clock, FIRST) == STEPS[step]
    assert not clock.parent.exists()


def _history_only() -> Problem:
    source = {"kind": "simulator", "sends": 1000, "days": 100}
    return parse_problem(yaml.safe_dump({**PROBLEM, "source": source}).encode(), Path("still.yaml"))


WRONG_STEPS = {
    "tomorrow": "'tomorrow': write a time such as 2025-12-10T00:00:00, or unset it.",
    "2024-01-01": "2024-01-01, but the world starts on 2024-01-01: name a later time, or unset it.",
}


@pytest.mark.parametrize("step", WRONG_STEPS)
def test_a_step_outside_the_world_is_reported(clock: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    monkeypatch.setenv(WORLD_TIME_VARIABLE, step)
    with pytest.raises(InputError) as caught:
        visible(live_problem(), clock)
    assert str(caught.value) == f"{WORLD_TIME_VARIABLE} is {WRONG_STEPS[step]}"


def test_other_sources_have_no_clock(clock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visible(_history_only(), clock) is None
    monkeypatch.setenv(WORLD_TIME_VARIABLE, "2024-03-15")
    assert visible(sample_problem("data"), clock) is None
    assert not clock.parent.exists()
