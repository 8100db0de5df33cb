"""`mlguide experiment …` in a home: from the plan to the end, in text and as JSON."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import Result
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets.deploy.gate.override import person
from mlguide_assets.deploy.plan.policies import PER_POLICY
from mlguide_assets.deploy.routing import published_experiments
from mlguide_assets.experiment.actions import tables_of_actions
from mlguide_assets.experiment.day import assign_day, expose_day, look_day
from mlguide_assets.experiment.ledger import end
from mlguide_assets.experiment.looks import take_looks
from mlguide_assets.experiment.starting import start_from_file
from mlguide_assets.experiment.tables import EXPERIMENTS
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import PROBLEM, text
from mlguide_assets_tests.experiment.worlds import DAY, UNITS, history, home_with_champion, plan

FILE = Path("test.yaml")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.chdir(tmp_path)
    FILE.write_text(text(ramp="[{share: 1}]"))
    return home_with_champion(tmp_path / "home")


def run(home: Home, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["experiment", *arguments, "--home", str(home.root)])


def answer(home: Home, *arguments: str) -> Any:
    done = run(home, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_what_cannot_be_computed_is_listed_with_the_reason_and_can_be_stopped(home: Home) -> None:
    assert "It is too small" in run(home, "start", str(FILE)).stdout
    lake = Lake(home.lake(PROBLEM.key))
    row = lake.read_arrow(EXPERIMENTS).to_pylist()[0]
    lost = {"experiment": "lost", "content": text(name="lost", looks="[28d, 4000000d]")}
    lake.append(EXPERIMENTS, pa.Table.from_pylist([row | lost]))
    for listed in (answer(home, "list"), answer(home, "status")):
        assert [each["experiment"] for each in listed] == ["fewer_losses", "lost"]
        assert "write 3650d or less" in listed[1]["fault"]
    for command in ("list", "status"):
        assert "write 3650d or less" in run(home, command).stdout.replace("\n", " ")
    refused = run(home, "results", "lost")
    assert (refused.exit_code, "has no results" in refused.stderr) == (2, True)
    assert answer(home, "stop", "lost", "--reason", "x")["state"] == "stopped"
    assert [each["experiment"] for each in answer(home, "status")] == ["fewer_losses"]
    assert "No look was taken yet; the first is due on 2024-03-22" in run(home, "results", "fewer_losses").stdout
    answer(home, "stop", "fewer_losses", "--reason", "x")
    assert "It was stopped before its first look." in run(home, "results", "fewer_losses").stdout


def test_who_ended_an_experiment_is_not_who_started_it(home: Home) -> None:
    start_from_file(home, Lake(home.lake(PROBLEM.key)), PROBLEM, str(FILE), who="problem file", reason="It is due.")
    (begun,) = answer(home, "list")
    assert (begun["who"], begun["ended_by"], begun["reason"]) == ("problem file", None, "It is due.")
    answer(home, "stop", "fewer_losses", "--reason", "wrong link")
    (ended,) = answer(home, "list")
    assert (ended["who"], ended["ended_by"], ended["reason"]) == ("problem file", person(), "wrong link")
    shown = run(home, "list").stdout.splitlines()
    assert shown[0].endswith(f" by {person()}, first planned day {DAY}, started by problem file")
    assert shown[1].endswith("wrong link")


@pytest.mark.parametrize("command", ["plan", "start"])
def test_an_end_before_the_looks_is_refused_before_anything_is_recorded(home: Home, command: str) -> None:
    FILE.write_text(text(end="2024-03-20").replace("start: 2024-03-01\n", ""))
    refused = run(home, command, str(FILE))
    assert refused.exit_code == 2
    assert "end: 2024-03-20 is before the last look, 2024-04-05" in refused.stderr
    assert not Lake(home.lake(PROBLEM.key)).exists(EXPERIMENTS)


def test_an_experiment_is_planned_started_followed_and_stopped(home: Home) -> None:
    planned = answer(home, "plan", str(FILE))
    assert planned["eligible_units"] == planned["units_planned"] == UNITS - 1 - UNITS // 20
    assert planned["units_left_out"] == UNITS // 20
    assert "left out    80 units that had the outcome before" in run(home, "plan", str(FILE)).stdout
    assert planned["looks"] == [{"day": day, "units": planned["eligible_units"]} for day in (21, 28, 35)]
    assert planned["baseline"] == pytest.approx(0.05, abs=0.001)
    assert planned["units_needed"] > planned["units_planned"]
    assert (planned["is_enough"], planned["smallest_detectable_effect"] < -0.2) == (False, True)
    assert "It is too small" in run(home, "plan", str(FILE)).stdout
    assert planned["start_refused"] is None
    started = answer(home, "start", str(FILE))
    assert (started.pop("units_left_out"), started.pop("is_enough")) == (UNITS // 20, False)
    assert (started["start"], started["state"]) == (str(DAY), "running")
    lake = Lake(home.lake(PROBLEM.key))
    assign_day(home, lake, PROBLEM, DAY, report=print)
    arms = {row["unit_id"]: row["arm"] for row in lake.read_arrow("experiment_assignments").to_pylist()}
    # For every other unit the two policies would have done the same.
    apart = [{"champion": 1.0, "generic": float(unit % 4 > 1), "challenger": 1.0, "random": 0.5} for unit in arms]
    planned_day = plan({**arms}).append_column("policy_propensities", pa.array(apart, PER_POLICY))
    lake.write_partition(SEND_PLAN, str(DAY), planned_day)
    expose_day(lake, PROBLEM, DAY, report=pytest.fail)
    assert "write version: 2" in answer(home, "plan", str(FILE))["start_refused"]
    assert "It cannot be started now." in run(home, "plan", str(FILE)).stdout
    (status,) = answer(home, "status")
    assert (status["day"], status["share"], status["looks_taken"], status["next_look"]) == (1, 1, 0, "2024-03-22")
    assert sum(status["exposed"].values()) == status["waiting"] == len(arms)
    per_arm = Counter(arms.values())
    assert status["waiting_per_arm"] == status["exposed"] == per_arm
    shown = f"wait for their outcome (generic {per_arm['generic']}, personal {per_arm['personal']})"
    assert shown in run(home, "status").stdout
    assert (status["models"], status["faults"]) == ({"personal": ["7"]}, [])
    lake.write_partition(SEND_PLAN, "2024-03-02", plan({2: "personal"}, DAY + timedelta(days=1), late=True))
    assert "fault       The plan of 2024-03-02 was made at" in run(home, "status").stdout
    lost = {"generic": 10, "personal": 8}
    made = [(unit, 0.5, unit % 97 < lost[arm]) for unit, arm in arms.items()]
    lake.write("user_emails", history(*made, *((unit, 21.0, False) for unit in range(1, 400))))
    tables = {"actions": lake.read("user_emails"), "members": lake.read("user_profiles")}
    take_looks(lake, PROBLEM, **tables, until=tables["actions"].delivered_at.max().to_pyarrow().as_py(), run_id="run")
    shown = answer(home, "results", "fewer_losses")
    assert [row["verdict"] for row in shown["results"]] == ["inconclusive"]
    assert Path(shown["picture"]).is_file()
    assert shown["models"] == {"personal": ["7"]}
    assert "look 1 of 3, 2024-03-22: inconclusive" in run(home, "results", "fewer_losses").stdout
    assert "arm personal by version 7" in run(home, "results", "fewer_losses").stdout
    triggered = shown["results"][0]["evidence"]["triggered"]
    assert triggered["units"] == {arm: sum(arms[unit] == arm and unit % 4 < 2 for unit in arms) for arm in lost}
    said = f"decided otherwise for {sum(triggered['units'].values()):,} of {len(arms):,} units: ratio "
    assert said in run(home, "results", "fewer_losses").stdout
    stopped = answer(home, "stop", "fewer_losses", "--reason", "too slow")
    assert (stopped["state"], stopped["reason"]) == ("stopped", "too slow")
    (listed,) = answer(home, "list")
    assert listed == stopped
    assert "No experiment runs" in run(home, "status").stdout


@pytest.mark.parametrize("by", ["stop", "look"])
def test_servers_get_an_end_that_was_killed_once_it_was_on_record(home: Home, by: str) -> None:
    lake, bundles = Lake(home.lake(PROBLEM.key)), home.bundles(PROBLEM.key)
    answer(home, "start", str(FILE))
    assign_day(home, lake, PROBLEM, DAY, report=print)
    end(lake, "fewer_losses", reason="harm", who="me")
    assert published_experiments(bundles) == {"fewer_losses"}
    if by == "stop":
        stopped = answer(home, "stop", "fewer_losses", "--reason", "again")
        assert (stopped["state"], stopped["reason"]) == ("stopped", "harm")
    else:
        look_day(home, lake, PROBLEM, tables=tables_of_actions(lake, PROBLEM), run_id="run")
    assert published_experiments(bundles) == set()
    assert "does not run: it was stopped" in run(home, "stop", "fewer_losses", "--reason", "why").stderr


def test_a_mistake_ends_with_one_sentence_code_2_and_nothing_changed(home: Home) -> None:
    FILE.write_text(text(alpha="2"))
    for verb in ("plan", "start"):
        refused = run(home, verb, str(FILE))
        assert refused.exit_code == 2
        assert refused.stderr.startswith("mlguide: test.yaml, line ")
        assert refused.stderr.count("\n") == 1
    refused = run(home, "stop", "fewer_losses", "--reason", "why")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "No experiment 'fewer_losses' was started here" in refused.stderr
    assert not Lake(home.lake(PROBLEM.key)).exists(EXPERIMENTS)
