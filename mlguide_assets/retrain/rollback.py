"""What is done about a new champion that `observe.champion_watch` found to be worse: the one before it comes back.

It decides nothing by numbers of its own. The record of decisions comes first; what a killed run left undone after it,
`finish_installation` and `note_rollbacks` do in the next one.
"""

from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.gate.history import ROLLED_BACK, decisions, rightful_challenger, rightful_champion
from mlguide_assets.deploy.gate.override import let_registry_follow, rollback
from mlguide_assets.deploy.gate.promotion import install_challenger, install_promoted, usable_challenger
from mlguide_assets.observe.performance.champion_watch import Watch
from mlguide_assets.prepare.clock import last_day
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.ticks import ROLL_BACK, Tick, TickLog, ticks_of
from mlguide_assets.retrain.trigger_state import landed
from mlguide_assets.settings import Home

WATCHER = "watch"
"""Who decided, in the record of decisions."""


def finish_installation(home: Home, lake: Lake, problem: Problem) -> str | None:
    """Install a champion that is on record but not in production, as a killed run leaves it.

    A challenger that the record has decided on since leaves its place, too, and one whose bundle is damaged gets
    another.

    Returns:
        The champion's version; None where there is none to install.
    """
    bundles, rightful = home.bundles(problem.key), rightful_champion(lake)
    installed = rightful is not None and rightful["version"] != pointed_version(bundles)
    if installed:
        install_promoted(home, lake, problem)
    scoring, waits = usable_challenger(home, lake, problem), rightful_challenger(lake)
    if scoring is not None and scoring.version != (waits["version"] if waits else None):
        install_challenger(home, lake, problem)
    return str(rightful["version"]) if rightful is not None and installed else None


def roll_back_if_worse(watch: Watch, home: Home, problem: Problem) -> str | None:
    """Bring back the champion before where the new one is significantly worse, and still in production.

    The rollback is a row of the record of decisions, and one of the ticks, as are those that killed runs left.

    Returns:
        The version that is champion again; None where nothing was done.

    Raises:
        InputError: another version became champion at this moment.
    """
    # A step that is done again has what the watch found before the rollback, or before a person decided.
    worse = watch.verdict == "worse" and watch.version == pointed_version(home.bundles(problem.key))
    if worse:
        rollback(home, problem, to=watch.before, reason=watch.reason, by=WATCHER, leaving=watch.version)
    if note_rollbacks(home, problem, watch) and not worse:
        # A run that was killed after the record may have left this undone, too.
        let_registry_follow(home, problem)
    return watch.before if worse else None


def note_rollbacks(home: Home, problem: Problem, watch: Watch) -> bool:
    """Add the ticks of the rollbacks on record that have none, and end those that have not ended.

    Args:
        watch: what the watch found last: the evidence of the rollback that it led to.

    Returns:
        Whether there were any.
    """
    lake, ticks = Lake(home.lake(problem.key)), ticks_of(home, problem)
    noted: dict[str, list[dict[str, Any]]] = {}
    for tick in ticks.ticks():
        if tick["decision"] == ROLL_BACK:
            noted.setdefault(tick["reason"], []).append(tick)
    missing = False
    for row in decisions(lake):
        if (row["verdict"], row["decided_by"]) != (ROLLED_BACK, WATCHER):
            continue
        # A version that a person promoted again is rolled back again, perhaps by the same outcomes.
        (reason,), before = row["reasons"], noted.get(row["reasons"][0])
        known = before.pop(0) if before else None
        if known is None or known["outcome"] is None:
            key = known["key"] if known else _note(ticks, reason, watch, lake)
            ticks.end(key, outcome=ROLLED_BACK, reason=reason, version=row["version"])
            missing = True
    return missing


def _note(ticks: TickLog, reason: str, watch: Watch, lake: Lake) -> str:
    """Add the tick of a rollback; its numbers and the data's day are known where this watch led to it."""
    own = watch.reason == reason
    evidence = {name: getattr(watch, name) for name in ("difference", "standard_error", "rows")} if own else {}
    until = watch.until if own else last_day(landed(lake))
    return ticks.note(Tick("watch", ROLL_BACK, reason, evidence), data_until=until)
