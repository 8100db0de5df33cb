"""What is done about a new champion that `observe.champion_watch` found to be worse: the one before it comes back.

It decides nothing by numbers of its own.
"""

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.gate.history import rightful_champion
from mlguide_assets.deploy.gate.override import rollback
from mlguide_assets.deploy.gate.promotion import install_promoted
from mlguide_assets.observe.performance.champion_watch import Watch
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.ticks import ROLL_BACK, Tick, ticks_of
from mlguide_assets.settings import Home

WATCHER = "watch"
"""Who decided, in the record of decisions."""


def finish_installation(home: Home, lake: Lake, problem: Problem) -> str | None:
    """Install a champion that is on record but not in production, as a killed run leaves it.

    Returns:
        Its version; None where there is none to install.
    """
    rightful = rightful_champion(lake)
    if rightful is None or rightful["version"] == pointed_version(home.bundles(problem.key)):
        return None
    install_promoted(home, lake, problem)
    return str(rightful["version"])


def roll_back_if_worse(watch: Watch, home: Home, problem: Problem) -> Tick | None:
    """Bring back the champion before where the new one is significantly worse.

    The rollback is a row of the record of decisions, and one of the ticks.

    Returns:
        The tick; None where nothing was done.

    Raises:
        InputError: another version became champion since.
    """
    if watch.verdict != "worse":
        return None
    rollback(home, problem, to=watch.before, reason=watch.reason, by=WATCHER, leaving=watch.version)
    evidence = {"difference": watch.difference, "standard_error": watch.standard_error, "rows": watch.rows}
    tick, ticks = Tick("watch", ROLL_BACK, watch.reason, evidence), ticks_of(home, problem)
    key = ticks.note(tick, data_until=watch.until)
    ticks.end(key, outcome="rolled_back", reason=watch.reason, version=str(watch.before))
    return tick
