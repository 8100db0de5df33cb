"""The versions that decide in the arms: recorded at the start, kept, named; tested is one that made all plans."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.console.experiment import show_results
from mlguide_assets.deploy.bundle import CHALLENGER
from mlguide_assets.deploy.gate.held_challenger import held_challenger
from mlguide_assets.deploy.gate.history import record
from mlguide_assets.deploy.gate.recorded_criteria import recorded_criteria
from mlguide_assets.deploy.routing import read_routes
from mlguide_assets.experiment.arm_effects import of_arm
from mlguide_assets.experiment.arm_models import versions_of_arms
from mlguide_assets.experiment.canary.alert import canary_alert
from mlguide_assets.experiment.day import assign_day, expose_day
from mlguide_assets.experiment.exposure import exposed_by_api, record_exposures
from mlguide_assets.experiment.ledger import end, experiments, running
from mlguide_assets.experiment.looks import take_looks
from mlguide_assets.experiment.plan_alert import experiment_alerts
from mlguide_assets.experiment.plan_faults import plan_faults
from mlguide_assets.experiment.starting import start_from_file
from mlguide_assets.observe.alerts.alert import EXPERIMENT_VERSIONS, EXPERIMENT_WITHDRAWN
from mlguide_assets.observe.alerts.runbook import BY_KEY
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import ON_CHALLENGER, PROBLEM, text
from mlguide_assets_tests.experiment.worlds import (
    DAY,
    START,
    UNITS,
    at_look,
    history,
    home_with_champion,
    plan,
    point,
    started,
)

# Of the units that were lost before, every twentieth, each arm has as many.
ARMS: dict[int, str | None] = {unit: ("generic", "personal")[(unit + unit // 20) % 2] for unit in range(2, UNITS + 1)}
LOST = {"generic": 16, "personal": 6}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_with_champion(tmp_path)
    point(home, CHALLENGER, "8")
    return home


def lake_of(home: Home) -> Lake:
    return Lake(home.lake(PROBLEM.key))


def follow(lake: Lake, *versions: dict[str, str], arms: dict[int, str | None] = ARMS) -> None:
    """Plan a day for each, with the version of each arm, and expose its units."""
    for after, of_arms in enumerate(versions):
        day = DAY + timedelta(days=after)
        lake.write_partition(SEND_PLAN, day.isoformat(), plan(arms, day, of_arms=of_arms))
        expose_day(lake, PROBLEM, day, report=pytest.fail)


def final_row(lake: Lake, lost: dict[str, int] = LOST, arms: dict[int, str | None] = ARMS) -> dict[str, Any]:
    """Take the last look, at which so many per 100 of each arm were lost: the treatment is far better."""
    lake.write("user_emails", history(*((u, 0.5, u // 2 % 100 < lost[str(arm)]) for u, arm in arms.items())))
    (begun,) = running(lake)
    tables = {"actions": lake.read("user_emails"), "members": lake.read("user_profiles")}
    (row,) = take_looks(lake, PROBLEM, **tables, until=at_look(begun, 3), run_id="run")
    return row


def test_the_versions_of_the_start_are_recorded_for_plan_and_servers(home: Home, tmp_path: Path) -> None:
    lake, path = lake_of(home), tmp_path / "experiment.yaml"
    path.write_text(text(arms=ON_CHALLENGER))
    begun = start_from_file(home, lake, PROBLEM, str(path), who="me")
    assert (begun.models, begun.kept_models) == ({"champion": "7", "challenger": "8"}, {"challenger": "8"})
    assert experiments(lake) == [begun]
    assert versions_of_arms(lake, PROBLEM, begun) == {"generic": ("7",), "personal": ("8",)}
    # Another pointer changes nothing that is on record.
    point(home, CHALLENGER, "9")
    assign_day(home, lake, PROBLEM, DAY, report=pytest.fail)
    assert experiments(lake) == [begun]
    (route,) = read_routes(home.bundles(PROBLEM.key))
    assert (route.is_served_by("7", "8"), route.is_served_by("7", "9")) == (True, False)
    # The champion's arm follows what is in production.
    assert route.is_served_by("10", "8")
    held = held_challenger(lake)
    assert held is not None
    assert held.version == "8"
    end(lake, "fewer_losses", reason="enough", who="me")
    assert held_challenger(lake) is None


def test_an_experiment_of_an_earlier_version_keeps_the_challenger_that_it_has_at_its_next_plan(home: Home) -> None:
    lake = lake_of(home)
    started(lake, arms=ON_CHALLENGER)
    assign_day(home, lake, PROBLEM, DAY, report=pytest.fail)
    (begun,) = experiments(lake)
    assert begun.models == {"champion": "7", "challenger": "8"}


def test_a_version_that_made_all_plans_of_its_arm_is_the_one_that_was_tested(home: Home) -> None:
    lake = lake_of(home)
    started(lake, planned=UNITS, arms=ON_CHALLENGER)
    assign_day(home, lake, PROBLEM, DAY, report=pytest.fail)
    # Another champion decides for the control from the second day on.
    follow(lake, {"generic": "7", "personal": "8"}, {"generic": "10", "personal": "8"})
    (begun,) = running(lake)
    assert versions_of_arms(lake, PROBLEM, begun) == {"generic": ("7", "10"), "personal": ("8",)}
    assert list(plan_faults(lake, PROBLEM, begun)) == []
    assert final_row(lake)["verdict"] == "ship"
    assert [len(recorded_criteria(lake, version)) for version in ("7", "8", "10")] == [0, 1, 0]


def test_of_several_arms_each_has_its_effect_and_a_version_passes_only_where_its_own_ships(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = lake_of(home)
    half, quarter = "{name: generic, policy: champion, weight: 0.5}", "policy: random, weight: 0.25"
    third = f"[{half}, {{name: drawn, {quarter}}}, {{name: personal, policy: challenger, weight: 0.25}}]"
    started(lake, planned=UNITS, arms=third)
    assign_day(home, lake, PROBLEM, DAY, report=pytest.fail)
    arms: dict[int, str | None] = {
        unit: ("generic", "drawn", "generic", "personal")[(unit // 2 + unit // 20 + unit % 2) % 4] for unit in ARMS
    }
    follow(lake, dict.fromkeys(("generic", "drawn"), "7") | {"personal": "8"}, arms=arms)
    row = final_row(lake, {"generic": 20, "drawn": 2, "personal": 18}, arms)
    assert (row["verdict"], row["variant"]) == ("ship", "drawn")
    (criterion,) = recorded_criteria(lake, "8")
    (own,) = of_arm([row], "personal")
    assert (criterion.passed, criterion.value, own["ratio"] > 2 * row["ratio"]) == (False, own["ratio"], True)
    show_results(home, "fewer_losses", as_json=False)
    said = capsys.readouterr().out
    assert f"arm drawn: ratio to the control {row['ratio']:.3g} (" in said
    assert f"arm personal: ratio to the control {own['ratio']:.3g} (" in said


def test_an_arm_that_lost_its_version_is_unhealthy_and_tests_none(home: Home) -> None:
    lake = lake_of(home)
    started(lake, planned=UNITS, arms=ON_CHALLENGER)
    assign_day(home, lake, PROBLEM, DAY, report=pytest.fail)
    follow(lake, {"generic": "7", "personal": "8"}, {"generic": "7", "personal": "7"})
    (fault,) = plan_faults(lake, PROBLEM, running(lake)[0])
    assert fault.startswith("Arm 'personal' lost its version 8: plans of it were made by version 7,")
    row = final_row(lake)
    assert (row["verdict"], row["rule"], row["ratio"], row["is_final"]) == ("unhealthy", "version", None, True)
    assert running(lake) == []
    assert [recorded_criteria(lake, version) for version in ("7", "8")] == [(), ()]


@pytest.mark.parametrize(("fallbacks", "shows"), [(1, True), (41, False)])
def test_an_arm_that_the_champion_answered_for_shows_no_version(home: Home, fallbacks: int, shows: bool) -> None:
    """A few units stay in their arm, as they were drawn; with many it is the champion against itself."""
    lake = lake_of(home)
    started(lake, planned=UNITS, arms=ON_CHALLENGER)
    assign_day(home, lake, PROBLEM, DAY, report=pytest.fail)
    (begun,) = running(lake)
    treated = [unit for unit, arm in ARMS.items() if arm == "personal"]
    fallen_back = treated[:fallbacks]
    rows = [
        {
            "user_id": unit,
            "experiment": "fewer_losses",
            "experiment_version": 1,
            "arm": arm,
            "model_version": "7" if arm == "generic" or unit in fallen_back else "8",
            "endpoint": "recommend",
            "variant": "routed",
            "answered_at": START + timedelta(hours=1),
        }
        for unit, arm in ARMS.items()
    ]
    record_exposures(lake, exposed_by_api(ibis.memtable(pa.Table.from_pylist(rows)), begun, "user_id"))
    said = f"{fallbacks} of {len(treated)} units that met arm 'personal' by the API were answered by another version"
    assert [fault.startswith(said) for fault in plan_faults(lake, PROBLEM, begun)] == [True] * (not shows)
    row = final_row(lake)
    assert (row["verdict"], row["rule"] == "version") == (("ship", False) if shows else ("unhealthy", True))


def test_an_arm_of_the_champion_follows_it_and_tests_no_version_of_several(home: Home) -> None:
    lake = lake_of(home)
    started(lake, planned=UNITS)
    assign_day(home, lake, PROBLEM, DAY, report=pytest.fail)
    follow(lake, {"personal": "7"}, {"personal": "10"})
    (begun,) = running(lake)
    assert versions_of_arms(lake, PROBLEM, begun) == {"personal": ("7", "10")}
    assert list(plan_faults(lake, PROBLEM, begun)) == []
    assert final_row(lake)["verdict"] == "ship"
    assert [recorded_criteria(lake, version) for version in ("7", "10")] == [(), ()]


@pytest.mark.parametrize(
    ("verdict", "version", "said"),
    [("promoted", "8", "became champion, so two arms do the same"), ("aborted", "8", "was withdrawn on ")],
)
def test_what_became_of_the_version_meanwhile_is_said(home: Home, verdict: str, version: str, said: str) -> None:
    lake = lake_of(home)
    started(lake, arms=ON_CHALLENGER)
    assign_day(home, lake, PROBLEM, DAY, report=pytest.fail)
    row = {"reasons": ["why"], "champion_before": "7", "decided_by": "me", "trained_at": "2024-01-01"}
    record(lake, version=version, verdict=verdict, **row)
    (fault,) = plan_faults(lake, PROBLEM, running(lake)[0])
    assert said in fault


def test_each_cause_has_an_alert_of_its_own_and_a_withdrawn_version_asks_to_act(home: Home) -> None:
    lake = lake_of(home)
    started(lake, arms=ON_CHALLENGER)
    assign_day(home, lake, PROBLEM, DAY, report=pytest.fail)
    assert {*experiment_alerts(lake, PROBLEM).values()} == {None}
    row = {"reasons": ["Many left."], "champion_before": "7", "decided_by": "canary", "trained_at": "2024-01-01"}
    record(lake, version="8", verdict="aborted", **row)
    alerts = experiment_alerts(lake, PROBLEM)
    withdrawn = alerts[EXPERIMENT_WITHDRAWN]
    assert withdrawn is not None
    assert (withdrawn.level, withdrawn.key) == ("act", EXPERIMENT_WITHDRAWN)
    assert withdrawn.title == "Version 8 was withdrawn, and an experiment goes on with it"
    assert "'mlguide experiment stop fewer_losses --reason TEXT'" in withdrawn.next_step
    assert withdrawn.since > datetime.fromisoformat(running(lake)[0].started_at) - timedelta(seconds=1)
    assert [key for key, alert in alerts.items() if alert] == [EXPERIMENT_WITHDRAWN]
    assert {key for key in alerts if key in BY_KEY} == alerts.keys()
    # The alert of the abort does not say that nothing is left to do.
    aborted = canary_alert(lake)
    assert aborted is not None
    assert (
        "all units again, but those of experiment fewer_losses, version 1, where version 8 goes on" in aborted.severity
    )
    assert "'mlguide experiment stop fewer_losses --reason TEXT'" in aborted.next_step
    end(lake, "fewer_losses", reason="enough", who="me")
    assert {*experiment_alerts(lake, PROBLEM).values()} == {None}
    found = canary_alert(lake)
    assert found is not None
    assert "serves all units again. Version 8" in found.severity


def test_an_arm_with_other_versions_is_not_taken_for_a_late_plan(home: Home) -> None:
    lake = lake_of(home)
    started(lake, planned=UNITS, arms=ON_CHALLENGER)
    assign_day(home, lake, PROBLEM, DAY, report=pytest.fail)
    follow(lake, {"generic": "7", "personal": "8"}, {"generic": "7", "personal": "7"})
    alerts = experiment_alerts(lake, PROBLEM)
    assert [key for key, alert in alerts.items() if alert] == [EXPERIMENT_VERSIONS]
