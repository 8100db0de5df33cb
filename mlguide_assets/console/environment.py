"""What Dagster and its neighbours read from the environment, set before they are imported."""

import os

from mlguide_assets.define.loading import PROBLEM_VARIABLE, dump_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.files import plain_path, replace_file
from mlguide_assets.settings import HOME_VARIABLE, LAKE_VARIABLE, Home

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
run_monitoring:
  # A run that takes longer hangs, and would keep all others waiting.
  enabled: true
  start_timeout_seconds: 300
  max_runtime_seconds: 7200
"""


def enter(home: Home, problem: Problem | None = None) -> None:
    """Make this process, and those that it starts, work on a home, and on a problem if one is given."""
    home.ensure_writable()
    os.environ[HOME_VARIABLE] = str(home.root)
    os.environ["DAGSTER_HOME"] = str(plain_path(home.dagster))
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    # Of the processes that this one starts, and of libraries in them that open files by the locale.
    os.environ.setdefault("PYTHONUTF8", "1")
    # Its font cache would otherwise go to the user's own folders.
    os.environ.setdefault("MPLCONFIGDIR", str(home.root / "matplotlib"))
    if problem is not None:
        os.environ[PROBLEM_VARIABLE] = dump_problem(problem, passwords=True)
    instance = home.dagster / "dagster.yaml"
    if not instance.exists():
        replace_file(instance, DAGSTER_YAML.encode())


def leave_services() -> None:
    """Let this process reach no lake, registry, online store or webhook that is set up for real work.

    What a replay does to its simulated company must not be published, registered or told to anybody.
    """
    from mlguide_assets.deploy.online_store.opening import STORE_VARIABLE
    from mlguide_assets.deploy.registry import TRACKING_VARIABLE
    from mlguide_assets.observe.alerting import WEBHOOK_VARIABLE

    for variable in (LAKE_VARIABLE, STORE_VARIABLE, TRACKING_VARIABLE, WEBHOOK_VARIABLE):
        os.environ.pop(variable, None)
