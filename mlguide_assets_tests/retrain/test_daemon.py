"""Days of a world whose clock is put forward, left to `mlguide ui`: its real daemon, and no command by hand.

What each sensor and schedule decides is tested in `defs/`; here, that the daemon launches and ends what they ask for.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mlguide_assets.define.loading import SHIPPED, load_problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.gate.history import decisions
from mlguide_assets.observe.alerts.alerting import WEBHOOK_VARIABLE
from mlguide_assets.observe.drift.table import of_decisions, verdicts
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.sources.simulation_clock import day_reached
from mlguide_assets.settings import Home
from mlguide_assets_tests.commands import mlguide
from mlguide_assets_tests.observe.receivers import Receiver, receiver

pytestmark = [pytest.mark.slow, pytest.mark.daemon]

START, DAYS = date(2025, 3, 22), 8
STEPS, KILLED = (1, 6), 0
"""Days that pass before the next look, the last as over a holiday, by which labels of the first have matured;
in the first step a run is killed, and a day more passes."""
CHANGES: dict[str, dict[str, Any]] = {
    "source": {
        "sends": 16_000,
        "days": 100,
        "base_rate": 0.06,
        "live": {"start": START.isoformat(), "day_every": "24h"},
    },
    "evaluation": {"bootstrap_repeats": 60, "min_positives": 10},
    "gate": {"permutations": 100, "max_calibration_error": 0.05, "max_slice_gap": 0.4},
    "leakage": {"units": 100},
    "tuning": {"trials": 1, "time_limit": "5s"},
    "watching": {"min_rows": 60},
    "retraining": {"look_every": "10s", "often": "0 0 1 1 *"},
}
UNFINISHED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
PATIENCE = 1200
"""Seconds for all of it; a fifth of that on an idle machine with two cores."""


class Company:
    """A home whose UI runs."""

    def __init__(self, home: Home, hook: Receiver) -> None:
        self.home, self.hook = home, hook
        self.problem = load_problem(str(home.active_problem))
        self.lake = Lake(home.lake(self.problem.key))

    @property
    def newest(self) -> date:
        """The last day that has landed."""
        newest: date = max(self.rows("landed_days"), key=lambda row: row["day"])["day"]
        return newest

    def pass_days(self, days: int) -> None:
        """Put the world's clock forward: it has begun so much earlier than it had."""
        clock = self.home.simulation_clock(self.problem.key)
        read = json.loads(clock.read_text())
        began = datetime.fromisoformat(read["first_read"]) - timedelta(days=days)
        replace_file(clock, json.dumps({**read, "first_read": began.isoformat()}).encode())

    @property
    def has_scored_today(self) -> bool:
        """Whether the world's last whole day has landed, and every user was scored for the one that has begun."""
        until = day_reached(self.problem, self.home.simulation_clock(self.problem.key), datetime.now(UTC))
        return self.newest == until - timedelta(days=1) and until.isoformat() in scored(self)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.lake.read_arrow(table).to_pylist() if self.lake.exists(table) else []

    def runs(self, **filters: Any) -> list[dg.DagsterRun]:
        with dg.DagsterInstance.from_config(str(self.home.dagster)) as instance:
            return instance.get_runs(dg.RunsFilter(**filters))

    def eventually(self, what: str, holds: Callable[[], bool], end: float) -> None:
        while not holds():
            assert time.monotonic() < end, f"not within the time: {what}"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """A home after `mlguide run` and some days of `mlguide ui`, in the first of which a run was killed."""
    folder = tmp_path_factory.mktemp("daemon")
    shipped = yaml.safe_load((SHIPPED / "planeswalker.yaml").read_text())
    problem = {name: {**value, **CHANGES[name]} if name in CHANGES else value for name, value in shipped.items()}
    (folder / "company.yaml").write_text(yaml.safe_dump(problem))
    done = mlguide("run", "--problem", "company.yaml", "--home", "home", cwd=folder)
    assert done.code == 0, done.err
    with receiver() as hook, opened(folder, hook.url):
        company, end = Company(Home(folder / "home"), hook), time.monotonic() + PATIENCE
        for number, days in enumerate(STEPS):
            company.pass_days(days)
            if number == KILLED:
                kill_a_run(company, end)
                company.pass_days(1)
            company.eventually(f"step {number} read and scored", lambda: company.has_scored_today, end)
        company.eventually("every day checked", lambda: not missing(company), end)
        company.eventually("a training by itself", lambda: bool(trained(company)), end)
        company.eventually("the end of all runs", lambda: not company.runs(statuses=UNFINISHED), end)
    return company


@contextmanager
def opened(folder: Path, webhook: str) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    script = str(Path(sys.executable).with_name("mlguide"))
    environment = {**os.environ, WEBHOOK_VARIABLE: webhook}
    with (folder / "ui.txt").open("w") as log:
        command = [script, "ui", "--home", "home", "--port", port]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def kill_a_run(company: Company, end: float) -> None:
    """The process that has its turn on the home, once one has."""
    lock = company.home.run_lock
    before = lock.read_text()
    company.eventually("a run of the daemon", lambda: lock.read_text() not in ("", before), end)
    os.kill(int(lock.read_text()), signal.SIGKILL)


def missing(company: Company) -> set[str]:
    """Days since the world was first read that drift has not checked."""
    checked = {row["day"] for row in verdicts(company.lake) if of_decisions(row)}
    return {(START + timedelta(days=day)).isoformat() for day in range(DAYS)} - checked


def trained(company: Company) -> list[dict[str, Any]]:
    """Trainings that a trigger asked for and that have ended."""
    rows = company.rows("retraining_decisions")
    return [row for row in rows if row["decision"] == "run" and row["trigger"] != "by_hand" and row["outcome"]]


def scored(company: Company) -> dict[str, int]:
    """How many rows the scores of each day have."""
    return {day: file.rows for day, file in company.lake.snapshot("batch_predictions").partitions.items()}


def test_all_days_have_arrived_and_none_is_missing(company: Company) -> None:
    days = {row["day"] for row in company.rows("landed_days") if row["day"] >= START}
    assert days >= {START + timedelta(days=day) for day in range(DAYS)}


def test_every_day_was_checked_for_drift_with_a_report(company: Company) -> None:
    assert not missing(company)
    assert list(company.home.drift_reports(company.problem.key).glob("2025-0*.html"))


def test_days_were_scored_and_published_as_they_began(company: Company) -> None:
    days = {(START + timedelta(days=day)).isoformat() for day in range(DAYS + 1)}
    assert len(days & scored(company).keys()) >= len(STEPS), "all that began while somebody looked"
    assert all(scored(company).values())


def test_a_schedule_had_models_trained_and_the_gate_decided(company: Company) -> None:
    for row in trained(company):
        assert row["trigger"] == "daily"
        assert json.loads(row["evidence"])["new_matured"] >= 1
        assert row["outcome"] in ("promoted", "kept", "refused", "failed")
    ended = [row for row in trained(company) if row["outcome"] != "failed"]
    assert ended
    made = {row["run_id"] for row in decisions(company.lake)}
    assert {row["run_id"] for row in ended} <= made
    promoted = [row["version"] for row in decisions(company.lake) if row["verdict"] in ("promoted", "rolled_back")]
    assert pointed_version(company.home.bundles(company.problem.key)) == promoted[-1]


def test_ticks_that_led_to_nothing_say_why(company: Company) -> None:
    waited = {
        row["trigger"]: row["reason"] for row in company.rows("retraining_decisions") if row["decision"] == "wait"
    }
    assert waited.keys() >= {"drift", "performance_drop"}
    assert all(reason.endswith(".") for reason in waited.values())


def test_performance_is_measured_on_days_after_the_training(company: Company) -> None:
    days = {row["day"] for row in company.rows("estimated_performance")}
    assert max(days) >= START + timedelta(days=DAYS - 1)
    assert max(row["day"] for row in company.rows("model_performance")) >= START


def test_the_killed_run_is_on_record_was_reported_and_stopped_nothing(company: Company) -> None:
    failed = company.runs(statuses=[dg.DagsterRunStatus.FAILURE])
    assert len(failed) == 1
    assert any("failed" in each["text"] for each in company.hook.received)
    assert len(company.runs(statuses=[dg.DagsterRunStatus.SUCCESS])) >= 3 * len(STEPS)
