"""One decision at a time: gate, rollback and promotion by hand must not overtake one another."""

from contextlib import AbstractContextManager

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.hosts.host_lock import locked_on_all_hosts
from mlguide_assets.settings import Home


def decision_lock(home: Home, problem: Problem) -> AbstractContextManager[object]:
    """Hold the lock of a problem's champion; a second process waits for some milliseconds."""
    return locked_on_all_hosts(home.bundles(problem.key) / ".deciding.lock", f"decisions of {problem.key}")
