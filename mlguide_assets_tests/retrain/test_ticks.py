"""The record of ticks: what was decided, once per reason, and how it ended."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.deploy.gate.history import record
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.outcomes import land_decisions, note_failure
from mlguide_assets.retrain.ticks import (
    RETRAINING_DECISIONS,
    ROLL_BACK,
    RUN,
    SCHEMA,
    WAIT,
    Tick,
    TickLog,
    Trigger,
    asked_by_evidence,
    ticks_of,
)
from mlguide_assets.retrain.trigger_state import trigger_state
from mlguide_assets.settings import Home

PROBLEM = load_problem("planeswalker")
DAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)
WANTED = Tick("daily", RUN, "Ten sends have matured.", {"new_matured": 10})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def lake(home: Home) -> Lake:
    return Lake(home.lake(PROBLEM.key))


def decided(lake: Lake, run_id: str, verdict: str = "promoted", trained_at: str = "") -> None:
    record(
        lake, version="7", trained_at=trained_at, verdict=verdict, reasons=["Better.", "And fast."],
        champion_before=None, decided_by="gate", run_id=run_id,
    )  # fmt: skip


def test_waiting_on_for_the_same_reason_is_one_tick(home: Home) -> None:
    ticks = ticks_of(home, PROBLEM)
    waiting = Tick("drift", WAIT, "Nothing has drifted.")
    keys = {ticks.note(waiting, data_until=DAY, now=NOW) for _ in range(3)}
    assert len(keys) == 1
    ticks.note(Tick("daily", WAIT, "Nothing has matured."), data_until=DAY, now=NOW)
    assert ticks.note(waiting, data_until=DAY, now=NOW) in keys, "what another trigger waits for is its own affair"
    ticks.note(Tick("drift", WAIT, "The scores have drifted."), data_until=DAY, now=NOW)
    assert [tick["reason"] for tick in ticks.ticks() if tick["trigger"] == "drift"] == [
        "Nothing has drifted.",
        "The scores have drifted.",
    ]


def test_of_triggers_that_look_at_the_same_time_one_requests_a_run(home: Home) -> None:
    ticks, other = ticks_of(home, PROBLEM), Tick("new_outcomes", RUN, "Enough sends have matured.")
    first, requested = ticks.request_run(WANTED, data_until=DAY, now=NOW)
    assert requested.decision == RUN
    _, waits = ticks.request_run(other, data_until=DAY, now=NOW + timedelta(seconds=1))
    assert (waits.decision, waits.reason) == (
        WAIT,
        "Enough sends have matured. daily has just requested a training.",
    )
    _, later = ticks.request_run(other, data_until=DAY, now=NOW + timedelta(minutes=2))
    assert later.decision == RUN, "the run has ended, or the sensor sees it"
    ticks.end(first, outcome="kept", reason="No better.", now=NOW)
    _, again = ticks.request_run(other, data_until=DAY, now=NOW + timedelta(seconds=2))
    assert again.decision == RUN, "that training is over"


@pytest.mark.parametrize("seconds", [-58, 61])
def test_hosts_whose_clocks_are_a_minute_apart_request_one_run(home: Home, seconds: int) -> None:
    ticks, other = ticks_of(home, PROBLEM), Tick("new_outcomes", RUN, "Enough sends have matured.")
    ticks.request_run(WANTED, data_until=DAY, now=NOW)
    _, waits = ticks.request_run(other, data_until=DAY, now=NOW + timedelta(seconds=seconds))
    assert waits.decision == WAIT


def test_every_run_that_is_wanted_is_a_tick_of_its_own(home: Home) -> None:
    ticks = ticks_of(home, PROBLEM)
    assert len({ticks.note(WANTED, data_until=DAY) for _ in range(2)}) == 2


def test_the_run_that_a_tick_asked_for_says_how_it_ended(home: Home, lake: Lake) -> None:
    key = ticks_of(home, PROBLEM).note(WANTED, data_until=DAY, now=NOW)
    decided(lake, "run 1")
    land_decisions(home, lake, PROBLEM, run_id="run 1", tick=key)
    (row,) = lake.read_arrow(RETRAINING_DECISIONS).to_pylist()
    assert lake.read_arrow(RETRAINING_DECISIONS).schema == SCHEMA
    assert row["tick_at"] == "2026-03-02T03:00:00+00:00"
    assert (row["trigger"], row["data_until"], row["decision"]) == ("daily", "2026-03-01", "run")
    assert json.loads(row["evidence"]) == {"new_matured": 10}
    assert (row["run_id"], row["outcome"], row["outcome_reason"], row["version"]) == (
        "run 1", "promoted", "Better.", "7",
    )  # fmt: skip


def test_a_training_by_hand_is_on_record_and_a_refresh_is_none(home: Home, lake: Lake) -> None:
    decided(lake, "run 1", "kept")
    land_decisions(home, lake, PROBLEM, run_id="run 1", tick=None, started=NOW)
    land_decisions(home, lake, PROBLEM, run_id="a refresh", tick=None, started=NOW)
    (row,) = lake.read_arrow(RETRAINING_DECISIONS).to_pylist()
    assert (row["trigger"], row["outcome"]) == ("by_hand", "kept")
    assert row["tick_at"] == NOW.isoformat(), "it took from the beginning of the run to its end"


def test_a_failed_training_is_distinguished_from_one_that_failed_after_its_decision(home: Home, lake: Lake) -> None:
    ticks = ticks_of(home, PROBLEM)
    early, late = (ticks.note(WANTED, data_until=DAY) for _ in range(2))
    note_failure(home, lake, PROBLEM, run_id="run 1", tick=early, error="The tracker is down.")
    decided(lake, "run 2")
    note_failure(home, lake, PROBLEM, run_id="run 2", tick=late, error="It was killed.")
    assert [(tick["outcome"], tick["outcome_reason"]) for tick in ticks.ticks()] == [
        ("failed", "The tracker is down."),
        ("promoted", "The run failed after the decision: It was killed."),
    ]


def test_a_request_is_unanswered_for_a_day_until_a_run_of_its_or_a_later_tick_has_ended(home: Home) -> None:
    ticks, other = ticks_of(home, PROBLEM), Tick("drift", RUN, "The scores have drifted.")
    assert ticks.unanswered("daily", now=NOW) is None
    key = ticks.note(WANTED, data_until=DAY, now=NOW)
    assert ticks.unanswered("daily", now=NOW) == key
    assert ticks.unanswered("drift", now=NOW) is None
    assert ticks.unanswered("daily", now=NOW + timedelta(days=1, minutes=1)) is None
    ticks.end(ticks.note(other, data_until=DAY, now=NOW), outcome="promoted", reason="Better.", now=NOW)
    assert ticks.unanswered("daily", now=NOW) is None


def test_an_ending_is_reported_once(home: Home) -> None:
    ticks = ticks_of(home, PROBLEM)
    key = ticks.note(WANTED, data_until=DAY)
    for outcome in ("promoted", "failed"):
        ticks.end(key, outcome=outcome, reason="So it was.")
    assert [tick["outcome"] for tick in ticks.ticks()] == ["promoted"]


def test_cool_down_counts_from_what_evidence_did_and_from_nothing_else(home: Home, lake: Lake) -> None:
    ticks = ticks_of(home, PROBLEM)
    ticks.note(WANTED, data_until=date(2026, 3, 9))
    ticks.note(Tick("drift", WAIT, "Nothing."), data_until=date(2026, 3, 9))
    assert trigger_state(home, lake, PROBLEM, ticks).last_action is None
    ticks.note(Tick("drift", RUN, "It drifted."), data_until=date(2026, 3, 4))
    assert trigger_state(home, lake, PROBLEM, ticks).last_action == date(2026, 3, 4)
    ticks.note(Tick("watch", ROLL_BACK, "It is worse."), data_until=date(2026, 3, 6))
    assert trigger_state(home, lake, PROBLEM, ticks).last_action == date(2026, 3, 6)


def test_evidence_asks_again_for_a_training_that_failed_after_pauses_that_double(home: Home, lake: Lake) -> None:
    ticks, drift = ticks_of(home, PROBLEM), Tick("drift", RUN, "It drifted.")
    asked, now = [], NOW
    while len(asked) < 4:
        key, tick = ticks.request_run(drift, data_until=DAY, now=now)
        if tick.decision == RUN:
            asked.append(round((now - NOW).total_seconds() / 60))
            ticks.end(key, outcome="failed", reason="It was killed.", now=now)
        else:
            assert tick.reason.startswith("It drifted. The training that it asked for failed: again after 2026-03-02 ")
        now += timedelta(minutes=1)
    assert asked == [0, 10, 30, 70]
    # It came to nothing, so there is nothing to cool down from.
    assert trigger_state(home, lake, PROBLEM, ticks).last_action is None
    key, _ = ticks.request_run(drift, data_until=DAY, now=NOW + timedelta(days=2))
    ticks.end(key, outcome="kept", reason="No better.", now=NOW)
    assert trigger_state(home, lake, PROBLEM, ticks).last_action == DAY
    assert ticks.request_run(drift, data_until=DAY, now=NOW)[1].decision == RUN


def test_evidence_asks_again_where_the_clock_was_set_back_behind_the_failure(home: Home) -> None:
    ticks, drift = ticks_of(home, PROBLEM), Tick("drift", RUN, "It drifted.")
    key, _ = ticks.request_run(drift, data_until=DAY, now=NOW)
    ticks.end(key, outcome="failed", reason="It was killed.", now=NOW)
    assert ticks.request_run(drift, data_until=DAY, now=NOW - timedelta(days=1))[1].decision == RUN


def test_a_candidate_whose_training_was_killed_before_its_decision_has_learned_nothing(home: Home, lake: Lake) -> None:
    def trained(at: str, until: str) -> None:
        facts = json.dumps({"refit_until": f"{until}T00:00:00"})
        lake.write("candidate_model", pa.table({"trained_at": [at], "facts": [facts]}))

    def learned_until() -> date | None:
        return trigger_state(home, lake, PROBLEM, ticks_of(home, PROBLEM)).learned_until

    trained("one", "2026-03-01")
    assert learned_until() is None
    decided(lake, "run 1", trained_at="one")
    assert learned_until() == date(2026, 3, 1)
    trained("two", "2026-03-05")
    assert learned_until() == date(2026, 3, 1)
    decided(lake, "run 2", "kept", trained_at="two")
    assert learned_until() == date(2026, 3, 5)


def test_processes_that_write_at_once_lose_nothing(home: Home, tmp_path: Path) -> None:
    code = (
        "import sys; from datetime import date; from pathlib import Path\n"
        "from mlguide_assets.retrain.ticks import Tick, TickLog\n"
        "for n in range(30): TickLog(Path(sys.argv[1])).note(Tick('drift', 'wait', f'{sys.argv[2]} {n}'), "
        "data_until=date(2026, 3, 1))"
    )
    path = home.ticks(PROBLEM.key)
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in ("one", "other")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(TickLog(path).ticks()) == 60


@pytest.mark.parametrize(("trigger", "expected"), [("performance_drop", True), ("drift", True), ("daily", False)])
def test_evidence_that_asked_for_a_training_is_known_by_its_tick(home: Home, trigger: Trigger, expected: bool) -> None:
    ticks = ticks_of(home, PROBLEM)
    key = ticks.note(Tick(trigger, RUN, "It is time."), data_until=DAY)
    assert asked_by_evidence(ticks, key) == expected
    assert not asked_by_evidence(ticks, None)
    assert not asked_by_evidence(ticks, "another")


def test_days_are_known_on_which_a_drop_of_the_champion_had_a_model_trained(home: Home, lake: Lake) -> None:
    ticks = ticks_of(home, PROBLEM)
    for champion, decision in (("2", RUN), ("3", RUN), ("3", WAIT)):
        ticks.note(Tick("performance_drop", decision, f"{champion}.", {"champion": champion}), data_until=DAY)
    folder = home.bundles(PROBLEM.key)
    folder.mkdir(parents=True)
    assert trigger_state(home, lake, PROBLEM, ticks).dropped == []
    (folder / "champion.json").write_text(json.dumps({"version": "3", "manifest": "0" * 64}))
    assert trigger_state(home, lake, PROBLEM, ticks).dropped == [DAY]
