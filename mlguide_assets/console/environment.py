"""What Dagster and its neighbours read from the environment, set before they are imported."""

import os
import re
from pathlib import Path

from mlguide_assets.define.loading import PROBLEM_VARIABLE, dump_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import plain_path, replace_file
from mlguide_assets.prepare.hosts.database import prepare_database
from mlguide_assets.settings import DATABASE_VARIABLE, LAKE_VARIABLE, Home

DAGSTER_YAML = """\
# Written by mlguide; yours to change. Run history, schedules and logs are kept in this folder.
telemetry:
  enabled: false
nux:
  enabled: false
run_coordinator:
  # One run at a time: two would wait for each other's tables anyway.
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_concurrent_runs: 1
    dequeue_interval_seconds: 1
sensors:
  use_threads: true
  num_workers: 4
scheduler:
  # A look that fails, as where the database is away, is taken again: the next may be a day later.
  module: dagster.core.scheduler
  class: DagsterDaemonScheduler
  config:
    max_tick_retries: 20
run_monitoring:
  # A run that takes longer hangs, and would keep all others waiting.
  enabled: true
  start_timeout_seconds: 300
  max_runtime_seconds: 7200
"""

_STORAGE = f"""\
storage:
  # Shared by all hosts whose {DATABASE_VARIABLE} names the same database; the address is not written down.
  custom:
    module: mlguide_assets.console.shared_history
    class: SharedStorage
    config:
      postgres_url:
        env: {DATABASE_VARIABLE}
"""
_NAMES_STORAGE = re.compile(r"^(?:storage|run_storage|event_log_storage|schedule_storage)\s*:", re.MULTILINE)


def enter(home: Home, problem: Problem | None = None) -> None:
    """Make this process, and those that it starts, work on a home, and on a problem if one is given."""
    home.ensure_writable()
    home.make_default()
    os.environ["DAGSTER_HOME"] = str(plain_path(home.dagster))
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    # Of the processes that this one starts, and of libraries in them that open files by the locale.
    os.environ.setdefault("PYTHONUTF8", "1")
    # Its font cache would otherwise go to the user's own folders.
    os.environ.setdefault("MPLCONFIGDIR", str(home.root / "matplotlib"))
    if problem is not None:
        os.environ[PROBLEM_VARIABLE] = dump_problem(problem, passwords=True)
    prepare_database()
    _write_instance(home.dagster / "dagster.yaml")


def _write_instance(path: Path) -> None:
    """Dagster's settings of a home, with the shared database as storage where there is one; a user's changes stay.

    Raises:
        InputError: they name another storage.
    """
    before = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
    own = (before if before is not None else DAGSTER_YAML).replace(_STORAGE, "")
    wanted = f"{own.rstrip()}\n{_STORAGE}" if os.environ.get(DATABASE_VARIABLE) else own
    if wanted != own and _NAMES_STORAGE.search(own):
        raise InputError(
            f"{path} names a storage of its own, and {DATABASE_VARIABLE} another: remove 'storage' there, or unset the "
            f"variable."
        )
    if wanted != before:
        replace_file(path, wanted.encode())


def leave_services() -> None:
    """Let this process reach no lake, database, registry, online store or webhook that is set up for real work.

    What a replay does to its simulated company must not be published, registered or reported.
    """
    from mlguide_assets.deploy.online_store.opening import STORE_VARIABLE
    from mlguide_assets.deploy.registry.registry import TRACKING_VARIABLE
    from mlguide_assets.observe.alerts.alerting import WEBHOOK_VARIABLE

    for variable in (LAKE_VARIABLE, DATABASE_VARIABLE, STORE_VARIABLE, TRACKING_VARIABLE, WEBHOOK_VARIABLE):
        os.environ.pop(variable, None)
