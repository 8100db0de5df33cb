"""One decision at a time: gate, rollback and promotion by hand must not overtake one another."""

import contextlib
import fcntl
from collections.abc import Iterator

from mlguide_assets.define.problem import Problem
from mlguide_assets.settings import Home


@contextlib.contextmanager
def deciding(home: Home, problem: Problem) -> Iterator[None]:
    """Hold the lock of a problem's champion; whoever comes second waits for some milliseconds."""
    bundles = home.bundles(problem.key)
    bundles.mkdir(parents=True, exist_ok=True)
    with (bundles / ".deciding.lock").open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
