"""The record of experiments: started once, never changed, ended once; what shares units is refused."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.experiment.ledger import end, experiments, find, recorded, running, unreadable
from mlguide_assets.experiment.ledger import start as start_on
from mlguide_assets.experiment.started import Started
from mlguide_assets.experiment.tables import EXPERIMENTS
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.experiment.files import experiment, parse, text

DAY = date(2024, 3, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def start(lake: Lake, first_day: date = DAY, **changes: str) -> Started:
    which, content = experiment(**changes), text(**changes)
    return start_on(lake, which, content, first_day=first_day, planned_units=1000, who="person:me")


def test_an_experiment_runs_until_it_is_stopped_and_all_of_it_stays_on_record(lake: Lake) -> None:
    assert running(lake) == []
    begun = start(lake)
    assert running(lake) == [begun]
    assert begun.experiment == experiment()
    assert begun.start == DAY
    assert begun.look_days() == [date(2024, 3, 22), date(2024, 3, 29), date(2024, 4, 5)]
    ended = end(lake, "fewer_losses", reason=" too slow ", who="person:you")
    assert (ended.state, ended.reason, running(lake)) == ("stopped", "too slow", [])
    rows = lake.read_arrow(EXPERIMENTS).to_pylist()
    assert [(row["event"], row["who"]) for row in rows] == [("started", "person:me"), ("stopped", "person:you")]
    assert rows[0]["content"] == text()


def test_a_changed_file_is_a_new_version(lake: Lake) -> None:
    start(lake)
    with pytest.raises(InputError, match="a change is a new version; write version: 2"):
        start(lake, alpha="0.01")
    with pytest.raises(InputError, match="runs already; to start it again, write version: 2"):
        start(lake)
    end(lake, "fewer_losses", reason="changed", who="me")
    with pytest.raises(InputError, match="was stopped at"):
        start(lake)
    assert start(lake, version="3", alpha="0.01").experiment.version == 3
    with pytest.raises(InputError, match="older than version 3"):
        start(lake, version="2")
    assert find(lake, "fewer_losses").experiment.version == 3
    assert [each.state for each in experiments(lake)] == ["stopped", "running"]


def test_two_experiments_on_one_slice_of_a_group_are_refused(lake: Lake) -> None:
    start(lake, exclusion="{first: 0, last: 0.5}")
    with pytest.raises(InputError, match=r"experiments 0\.4 to 1 and experiments 0 to 0\.5"):
        start(lake, name="other", exclusion="{first: 0.4, last: 1}")
    start(lake, name="other", exclusion="{first: 0.5, last: 1}")
    assert len(running(lake)) == 2


def test_what_is_refused_leaves_the_record_as_it_was(lake: Lake) -> None:
    with pytest.raises(InputError, match="start 2024-03-01 is over, since 2024-03-02 is the first day"):
        start(lake, first_day=date(2024, 3, 2))
    assert not lake.exists(EXPERIMENTS)
    start(lake)
    with pytest.raises(InputError, match="needs a reason"):
        end(lake, "fewer_losses", reason=" ", who="me")
    with pytest.raises(InputError, match=r"No experiment 'fewer' was started here .started: fewer_losses"):
        end(lake, "fewer", reason="why", who="me")
    assert lake.snapshot(EXPERIMENTS).rows == 1


def test_two_that_start_it_at_once_add_one_row(lake: Lake) -> None:
    def attempt(_: int) -> str:
        try:
            return start(Lake(lake.root)).state
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(attempt, range(4)))
    assert answers[-1] == "running"
    assert all("runs already" in answer for answer in answers[:-1])
    assert lake.snapshot(EXPERIMENTS).rows == 1


@pytest.mark.parametrize("changes", [{"end": "2024-02-20"}, {"end": "2024-03-20"}], ids=["before", "too early"])
def test_an_end_is_held_against_the_day_on_which_it_starts(lake: Lake, changes: dict[str, str]) -> None:
    content = text(**changes).replace("start: 2024-03-01\n", "")
    with pytest.raises(InputError, match=r"fewer_losses, version 1, end: 2024-0.-20 .*(2024-03-01|2024-04-05)"):
        start_on(lake, parse(content), content, first_day=DAY, planned_units=1, who="me")
    assert not lake.exists(EXPERIMENTS)


@pytest.mark.parametrize(
    ("day", "changes", "fault"),
    [
        (DAY, {"looks": "[28d, 4000000d]"}, "looks.1: an experiment takes ten years at most"),
        (date(9999, 12, 1), {"start": "9999-12-01"}, "start: '9999-12-01' is not valid"),
        (date(9999, 12, 1), {}, "start: 9999-12-01 is after 2199-12-31"),
    ],
    ids=["looks", "start", "the clock of the data"],
)
def test_what_an_earlier_version_took_and_nobody_can_compute_is_listed_and_can_be_stopped(
    lake: Lake, day: date, changes: dict[str, str], fault: str
) -> None:
    start(lake, name="sound")
    row = lake.read_arrow(EXPERIMENTS).to_pylist()[0]
    content = text(name="lost", **changes) if changes else text(name="lost").replace("start: 2024-03-01\n", "")
    lost = {"experiment": "lost", "start": day.isoformat(), "content": content}
    lake.append(EXPERIMENTS, pa.Table.from_pylist([row | lost]))
    assert [each.key[0] for each in running(lake)] == ["sound"]
    assert [fault in each.fault for each in unreadable(lake)] == [True]
    assert [each.title for each in recorded(lake)] == ["sound, version 1", "lost, version 1"]
    with pytest.raises(InputError, match="lost, version 1 has no results: "):
        find(lake, "lost")
    with pytest.raises(InputError, match="write version: 2"):
        start(lake, name="lost")
    ended = end(lake, "lost", reason="broken", who="me")
    assert (ended.state, ended.reason, unreadable(lake)) == ("stopped", "broken", [])


def test_nobody_takes_part_before_the_start_or_from_the_end_on(lake: Lake) -> None:
    begun = start(lake, end="2024-04-10", ramp="[{share: 0.5, days: 2}, {share: 1}]")
    shares = [begun.share_on(date(2024, month, day)) for month, day in ((2, 29), (3, 1), (3, 3), (4, 9), (4, 10))]
    assert shares == [0, 0.5, 1, 1, 0]
