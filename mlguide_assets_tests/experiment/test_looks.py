"""Looks: taken once, on their days, recorded with all evidence; a decisive one ends the experiment."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pytest

from mlguide_assets.experiment.analysis.analysis import analyse
from mlguide_assets.experiment.exposure import exposed_by_plan, record_exposures
from mlguide_assets.experiment.ledger import end, experiments, find, finish, results, running
from mlguide_assets.experiment.looks import Look, information, look_due, take_looks
from mlguide_assets.experiment.started import Started
from mlguide_assets.experiment.tables import RESULTS
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import PROBLEM
from mlguide_assets_tests.experiment.worlds import START, at_look, plan, profiles, sends, started

UNITS = 2000


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def run_world(
    lake: Lake, begun: Started, until: datetime, *, lost: dict[str, int], dropped: int = 0
) -> list[dict[str, Any]]:
    """Expose units half and half on the first day, lose so many per 100 of each arm, and take the looks."""
    arms = {unit: ("generic", "personal")[unit % 2] for unit in range(1, UNITS + 1)}
    dropped_units = set(range(2, 2 * dropped + 1, 2))
    record_exposures(
        lake,
        exposed_by_plan(
            ibis.memtable(plan({u: a for u, a in arms.items() if u not in dropped_units})), begun, "user_id"
        ),
    )
    made = sends(*((unit, 1 + unit % 5, unit // 2 % 100 < lost[arm]) for unit, arm in arms.items()))
    tables = {"actions": ibis.memtable(made), "members": ibis.memtable(profiles(UNITS))}
    return take_looks(lake, PROBLEM, **tables, until=until, run_id="run")


def test_no_look_is_taken_before_its_day(lake: Lake) -> None:
    begun = started(lake)
    assert run_world(lake, begun, at_look(begun, 1) - timedelta(seconds=1), lost={"generic": 9, "personal": 3}) == []
    assert not lake.exists(RESULTS)


def test_a_look_is_unhealthy_where_most_days_had_no_plan(lake: Lake) -> None:
    """All arms were treated alike there: a good policy would be said to have no effect, which ends the experiment."""
    begun = started(lake, planned=UNITS)
    lake.write_partition(SEND_PLAN, "2024-03-01", plan({1: "generic", 2: "personal"}))
    (row,) = run_world(lake, begun, at_look(begun, 1), lost={"generic": 9, "personal": 9})
    assert (row["verdict"], row["rule"], row["is_final"], row["ratio"]) == ("unhealthy", "plans", False, None)
    assert "on 5 days without a plan" in row["reason"]


def test_a_decisive_look_ends_the_experiment_with_all_evidence(lake: Lake) -> None:
    begun = started(lake, planned=UNITS)
    (row,) = run_world(lake, begun, at_look(begun, 1), lost={"generic": 9, "personal": 3})
    assert (row["verdict"], row["variant"], row["look"], row["looks"], row["is_final"]) == (
        "ship",
        "personal",
        1,
        3,
        True,
    )
    assert row["ratio_low"] < 3 / 9 < row["ratio_high"] < 1
    assert (row["units"], row["waiting"]) == (UNITS, 0)
    evidence = json.loads(row["evidence"])
    assert evidence["healthy"]
    assert {check["check"] for check in evidence["health"]} >= {"sample_ratio"}
    assert [each["metric"] for each in evidence["results"]] == ["outcome", "actions"]
    ended = find(lake, "fewer_losses")
    assert (ended.state, ended.who, running(lake)) == ("finished", "person:me", [])
    assert ended.reason.startswith("ship: ")
    # Again, as a second run or after a crash: nothing is added.
    assert run_world(lake, begun, at_look(begun, 2), lost={"generic": 9, "personal": 3}) == []
    assert lake.snapshot(RESULTS).rows == 1


def test_looks_without_a_decision_go_on_to_the_last(lake: Lake) -> None:
    begun = started(lake, planned=UNITS)
    verdicts = []
    for number in (1, 3):
        (row,) = run_world(lake, begun, at_look(begun, number), lost={"generic": 4, "personal": 4})
        assert run_world(lake, begun, at_look(begun, number), lost={"generic": 4, "personal": 4}) == []
        verdicts.append((row["look"], row["verdict"], row["is_final"]))
    assert verdicts == [(1, "inconclusive", False), (3, "inconclusive", True)]
    assert [row["information"] for row in results(lake, begun)] == pytest.approx([0.98, 1.0])
    assert find(lake, "fewer_losses").state == "finished"


def test_an_unhealthy_experiment_has_no_numbers(lake: Lake) -> None:
    begun = started(lake, planned=UNITS)
    (row,) = run_world(lake, begun, at_look(begun, 1), lost={"generic": 9, "personal": 3}, dropped=300)
    assert (row["verdict"], row["is_final"]) == ("unhealthy", False)
    assert [row[name] for name in ("ratio", "difference", "p", "control", "treatment", "variant")] == [None] * 6
    assert json.loads(row["evidence"])["results"] == []
    assert running(lake) == [begun]


def test_what_a_crash_left_undone_is_done_by_the_next_call(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = started(lake, planned=UNITS)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlguide_assets.experiment.looks.finish", killed)
    with pytest.raises(KeyboardInterrupt):
        run_world(lake, begun, at_look(begun, 1), lost={"generic": 9, "personal": 3})
    monkeypatch.undo()
    assert running(lake) == [begun]
    assert run_world(lake, begun, at_look(begun, 1), lost={"generic": 9, "personal": 3}) == []
    assert find(lake, "fewer_losses").state == "finished"


def test_an_experiment_that_a_person_stops_while_it_is_looked_at_has_no_look_and_its_successor_goes_on(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, meanwhile = started(lake, planned=UNITS), list[Started]()

    def analyse_for_long(*of: Any, **how: Any) -> Any:
        found = analyse(*of, **how)
        end(lake, "fewer_losses", reason="harm", who="me")
        meanwhile.append(started(lake, planned=UNITS, version="2"))
        return found

    monkeypatch.setattr("mlguide_assets.experiment.looks.analyse", analyse_for_long)
    assert run_world(lake, begun, at_look(begun, 1), lost={"generic": 9, "personal": 3}) == []
    assert not lake.exists(RESULTS)
    assert running(lake) == meanwhile
    # Where the stop came once the look was on record, too.
    finish(lake, begun, reason="ship", who="look")
    assert running(lake) == meanwhile
    assert [each.state for each in experiments(lake)] == ["stopped", "running"]


def test_a_look_that_was_missed_is_left_out(lake: Lake) -> None:
    begun = started(lake)
    assert look_due(begun, [], at_look(begun, 2)) == Look(2, date(2024, 3, 29), False)
    assert look_due(begun, [{"look": 2}], at_look(begun, 2)) is None
    assert look_due(begun, [{"look": 2}], at_look(begun, 3)) == Look(3, date(2024, 4, 5), True)
    assert look_due(begun, [], START) is None


@pytest.mark.parametrize(
    ("closed", "before", "number", "expected"),
    [(500, 0.0, 1, 0.5), (500, 0.5, 2, 0.51), (2000, 0.0, 1, 0.98), (2000, 0.98, 3, 1.0), (500, 0.5, 3, 0.51)],
    ids=["as planned", "nothing new", "more than planned", "at the end", "fewer than planned"],
)
def test_information_grows_and_leaves_alpha_to_later_looks(
    closed: int, before: float, number: int, expected: float
) -> None:
    look = Look(number, START.date(), number == 3)
    assert information(closed, 1000, before, look, 3) == pytest.approx(expected)
