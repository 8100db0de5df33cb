"""`mlguide ui` serves the history of the home that `mlguide run` filled, and stops as one."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlguide_assets.console import code_server
from mlguide_assets.console.dead_runs import PROCESS_TAG, end_dead_runs, instance_of
from mlguide_assets.console.environment import DAGSTER_YAML
from mlguide_assets.console.ui import _Processes, bound, serve, ui_lock, what_to_do
from mlguide_assets.definitions import defs
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.hosts.run_lock import run_lock
from mlguide_assets.settings import Home
from mlguide_assets_tests.deploy.serving.serving import eventually
from mlguide_assets_tests.homes import copied
from mlguide_assets_tests.processes import free_port

pytestmark = pytest.mark.slow

QUERY = """{
  runsOrError { ... on Runs { results { status jobName } } }
  assetNodes {
    groupName kinds description owners { ... on TeamAssetOwner { team } }
    assetKey { path }
    assetMaterializations(limit: 1) {
      metadataEntries { label ... on MarkdownMetadataEntry { mdStr } ... on FloatMetadataEntry { floatValue } }
    }
    assetChecksOrError { ... on AssetChecks { checks { name } } }
  }
}"""


NOT_IN_A_RUN = {"data_drift", "served_predictions"}


def test_the_ui_shows_the_run_and_every_asset(sample_home: Path, tmp_path: Path) -> None:
    place = copied(sample_home, tmp_path / "place")
    port = free_port()
    command = [str(Path(sys.executable).with_name("mlguide")), "ui", "--port", str(port), "--home", "home"]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            data = _ask(port, QUERY)
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(30)
    assert code == 0
    # Given a Python module, webserver and daemon start a code server each, and the daemon another every minute.
    logs = {name: (place / f"home/dagster/{name}.log").read_text() for name in ("code_server", "webserver", "daemon")}
    started = {name: log.count("Started Dagster code server") for name, log in logs.items()}
    assert started == {"code_server": 1, "webserver": 0, "daemon": 0}
    # The newest first; the daemon may have begun the day's reading.
    assert data["runsOrError"]["results"][-2:] == [{"status": "SUCCESS", "jobName": "lifecycle"}] * 2
    nodes = {node["assetKey"]["path"][-1]: node for node in data["assetNodes"]}
    # Dagster asks the instance that was entered last, which an earlier test may have closed.
    with dg.DagsterInstance.ephemeral():
        assert nodes.keys() == {key.path[-1] for key in defs().resolve_asset_graph().get_all_asset_keys()}
    for name, node in nodes.items():
        assert all(node[shown] for shown in ("groupName", "kinds", "owners", "description")), name
        # Each day is judged by a sensor, the log is written by the servers.
        assert bool(node["assetMaterializations"]) == (name not in NOT_IN_A_RUN), name
    nodes = {name: node for name, node in nodes.items() if name not in NOT_IN_A_RUN}
    labels = {
        name: {entry["label"] for entry in node["assetMaterializations"][0]["metadataEntries"]}
        for name, node in nodes.items()
    }
    # What is no table, and the experiment stage of a home without experiments.
    others = {
        "problem_definition",
        "champion_model",
        "challenger_model",
        "champion_rollback",
        "model_card",
        "online_store",
    }
    others |= {name for name, node in nodes.items() if node["groupName"] == "experiment"}
    for name in nodes.keys() - others:
        assert labels[name] >= {"dagster/row_count", "dagster/column_schema", "snapshot", "preview"}, name
    assert labels["model_evaluation"] >= {
        "roc_auc",
        "log_loss",
        "roc_curve",
        "pr_curve",
        "calibration",
        "confusion_matrix",
        "cost_curve",
    }
    assert "slices" in labels["slice_metrics"]
    assert {"criteria", "reasons", "verdict"} <= labels["promotion_decisions"]
    assert labels["model_explanations"] >= {"shap_bar", "shap_beeswarm"}
    found = [entry for node in nodes.values() for entry in node["assetMaterializations"][0]["metadataEntries"]]
    exact = {entry["label"]: entry["floatValue"] for entry in found if "floatValue" in entry}
    assert len(exact) > 20
    assert {name: value for name, value in exact.items() if value != float(f"{value:.4g}")} == {}
    checks = {check["name"] for check in nodes["user_emails"]["assetChecksOrError"]["checks"]}
    assert "unsubscribed_is_known" in checks
    for asset, check in (("send_features", "future_moves_no_past_row"), ("behaviour_results", "ids_do_not_matter")):
        assert check in {each["name"] for each in nodes[asset]["assetChecksOrError"]["checks"]}


def _ask(port: int, query: str) -> Any:
    """The answer of the GraphQL endpoint, once it listens and has loaded the code location."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                data = json.load(response)["data"]
            if data["assetNodes"]:
                return data
        except (urllib.error.URLError, ConnectionError):
            pass
        if time.monotonic() > end:
            raise TimeoutError("the UI did not answer in two minutes")
        time.sleep(1)


ANOTHER = {PROCESS_TAG: "1"}
"""A process that certainly does not hold the lock of a home made here."""


def test_a_log_that_is_too_large_begins_again_under_whoever_writes_it(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    with log.open("ab", buffering=0) as writing:
        writing.write(b"x" * 90)
        bound(log, 100)
        assert log.stat().st_size == 90
        writing.write(b"y" * 20)
        bound(log, 100)
        writing.write(b"z\n")
    assert log.read_bytes() == b"z\n"
    assert (tmp_path / "daemon.1.log").read_bytes() == b"x" * 90 + b"y" * 20
    bound(tmp_path / "none.log", 100)


FATES: tuple[tuple[dict[str, str], bool, float | None, str], ...] = (
    # Tags of the run, whether this process has the lock, for how many seconds nobody had it while a daemon lives (None:
    # none does), and what becomes of the run.
    ({}, False, None, "FAILURE"),  # The daemon that started it is gone, and nobody works.
    ({}, True, None, "STARTED"),  # It may be the one that works.
    ({}, False, 0, "STARTED"),  # It has not taken the lock yet, or gave it back.
    ({}, False, 61, "FAILURE"),  # The code server could not put down that it was killed.
    ({}, True, 61, "STARTED"),
    (ANOTHER, False, 0, "FAILURE"),
    (ANOTHER, True, 0, "FAILURE"),  # Another process works.
    ({PROCESS_TAG: str(os.getpid())}, True, 0, "STARTED"),
)


def test_runs_whose_process_is_gone_are_put_on_record_and_others_go_on(tmp_path: Path) -> None:
    home = Home(tmp_path)
    enter_home(home)
    job = dg.GraphDefinition(name="refresh_job", node_defs=[nothing]).to_job(name="refresh_job")
    with run_lock(home, print):
        pass
    with instance_of(home) as instance:
        for tags, held, seconds, status in FATES:
            run, said = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags), list[str]()
            idle = {run.run_id: time.monotonic() - seconds} if seconds is not None else None
            with run_lock(home, print) if held else contextlib.nullcontext():
                end_dead_runs(home, instance, said.append, idle=idle)
            found = instance.get_run_by_id(run.run_id)
            assert found is not None
            assert (found.status.value, len(said)) == (status, status == "FAILURE"), (tags, held, seconds)
            # Of a run that works, the minute begins again.
            assert bool(idle) == (seconds is not None and not tags and not held), (tags, held, seconds)
            instance.delete_run(run.run_id)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_what_the_ui_has_no_room_to_say_it_says_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    enter_home(home)
    ui = _Processes(home, (), (0, 0), "127.0.0.1")
    full = os.open("/dev/full", os.O_WRONLY)
    with instance_of(home) as instance, monkeypatch.context() as now:
        (runs,) = home.dagster.rglob("runs.db")
        whole = runs.read_bytes()
        runs.write_bytes(b"no database" * 100)
        now.setattr(sys, "stderr", io.TextIOWrapper(io.FileIO(full, "w"), write_through=True))
        ui._end_dead_runs(instance)
        now.undo()
        runs.write_bytes(whole)
        ui._end_dead_runs(instance)
    waits, goes_on = capsys.readouterr().err.splitlines()
    assert "The UI waits" in waits
    assert goes_on.endswith("The UI goes on.")


def test_of_an_outage_the_terminal_has_its_beginning_and_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    enter_home(home)
    ui = _Processes(home, (), (0, 0), "127.0.0.1")
    with instance_of(home) as instance:
        ui._end_dead_runs(instance)
        (runs,) = home.dagster.rglob("runs.db")
        whole = runs.read_bytes()
        runs.write_bytes(b"no database" * 100)
        ui._end_dead_runs(instance)
        ui._end_dead_runs(instance)
        runs.write_bytes(whole)
        ui._end_dead_runs(instance)
        ui._end_dead_runs(instance)
    waits, goes_on = capsys.readouterr().err.splitlines()
    assert "The UI waits until it can look at its runs, and then goes on: The database " in waits
    assert goes_on.endswith("The UI goes on.")


def test_the_last_lines_of_what_ended_by_itself_are_shown_without_colours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    enter_home(home)
    ui = _Processes(home, (), (0, 0), "127.0.0.1")
    (home.dagster / "daemon.log").write_text("\x1b[32m2026-11-30 13:09:09\x1b[0m - \x1b[34mINFO\x1b[0m - Looked.\n")
    ui._running["daemon"] = subprocess.Popen(["sh", "-c", "kill -9 $$"])
    ui._running["daemon"].wait()
    assert ui._tell(["daemon"]) == 9
    assert capsys.readouterr().err.splitlines()[1:] == ["2026-11-30 13:09:09 - INFO - Looked."]


@dg.op
def nothing() -> None:
    pass


def enter_home(home: Home) -> None:
    """A home with the settings of Dagster that every command writes, for this process to look into."""
    home.dagster.mkdir(parents=True)
    (home.dagster / "dagster.yaml").write_text(DAGSTER_YAML)


def test_a_port_that_is_taken_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"127.0.0.1, port {port}, cannot be served on"):
            serve(Home(tmp_path), "127.0.0.1", port)


def test_a_problem_file_that_is_new_or_has_changed_is_told_with_what_to_do() -> None:
    one, other = {"a.yaml": "1"}, {"a.yaml": "2"}
    assert "Reload definitions" in what_to_do(one, other)
    assert "start it again" in what_to_do(one, {**one, "b.yaml": "1"})
    assert "start it again" in what_to_do(one, {})
    # To reload what is broken would take away what is loaded.
    said = what_to_do(one, other, [InputError("a.yaml, line 2: fix it.")])
    assert "is broken" in said
    assert said.endswith("a.yaml, line 2: fix it.")
    assert "Reload" not in said


def test_of_a_new_home_it_says_that_nothing_was_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_Processes, "run", lambda *_: 0)
    told = f"Nothing was run in {tmp_path} yet"
    serve(Home(tmp_path), "127.0.0.1", free_port())
    assert told in capsys.readouterr().err
    serve(Home(tmp_path), "127.0.0.1", free_port())
    assert told not in capsys.readouterr().err


def test_a_second_one_on_the_same_home_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with (
        ui_lock(home, "http://127.0.0.1:3000"),
        pytest.raises(InputError, match=r"already works on .*, on http://127.0.0.1:3000 \(process \d+\)"),
    ):
        serve(home, "127.0.0.1", free_port())
    with ui_lock(home, "http://127.0.0.1:3000"):
        pass


_HOLD = """
import subprocess, sys
from pathlib import Path
from mlguide_assets.console.ui import ui_lock
from mlguide_assets.settings import Home
with ui_lock(Home(Path(sys.argv[1])), "http://127.0.0.1:3000") as lock:
    subprocess.Popen(["sleep", sys.argv[2]], pass_fds=[lock])
"""


@pytest.mark.parametrize(("seconds", "begins"), [("1", True), ("5", False)])
def test_what_a_killed_one_had_started_is_waited_for(
    seconds: str, begins: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the lock as long as it lives, which is seconds; no longer is anything waited for."""
    subprocess.run([sys.executable, "-c", _HOLD, str(tmp_path), seconds], check=True)
    monkeypatch.setattr("mlguide_assets.console.ui._ORPHANS_END_WITHIN", 10 if begins else 0.3)
    refused = pytest.raises(InputError, match="already works on")
    with contextlib.nullcontext() if begins else refused, ui_lock(Home(tmp_path), "http://127.0.0.1:3001"):
        pass


_TINY = """
import dagster as dg
@dg.asset
def one(): ...
defs = dg.Definitions([one])
"""


def test_definitions_whose_process_was_killed_are_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code server that had started it goes on, and so would a UI in which no sensor looks any more."""
    monkeypatch.setattr(code_server, "_LOOK_SECONDS", 0.05)
    (tmp_path / "tiny.py").write_text(_TINY)
    served, said, stopped = code_server.Location("fraud", tmp_path / "0.sock"), list[str](), threading.Event()
    command = [sys.executable, "-m", "dagster", "code-server", "start", "-s", str(served.socket), "-m", "tiny"]
    keeping = threading.Thread(target=code_server.keep_loaded, args=(served, stopped, said.append))
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL) as server:
        try:
            code_server.wait_until_loaded(server, served.socket, lambda: False)
            children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            keeping.start()
            eventually(lambda: said, seconds=30)
        finally:
            stopped.set()
            os.killpg(server.pid, signal.SIGKILL)
    keeping.join()
    assert said == [
        "The process with the definitions of fraud had ended, as where it is killed; they are loaded again."
    ]


_PARENT = """
import subprocess, sys, time
program, note = sys.argv[1:]
command = [sys.executable, "-m", "mlguide_assets.console.child", program, note]
subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(60)
"""


def test_a_program_and_all_that_it_started_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "processes"
    command = [sys.executable, "-c", _PARENT, "mlguide_assets_tests.console.stubborn:main", str(note)]
    with subprocess.Popen(command) as parent:
        eventually(note.exists, seconds=30)
        parent.kill()
    for process in note.read_text().split():
        eventually(lambda process=process: not _lives(process), seconds=15)


def _lives(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
