"""`mlguide promote`, `rollback`, `history` and `reproduce`: a person decides, and checks what was decided."""

import json
from collections.abc import Callable
from functools import partial

from mlguide_assets.console.terminal import console, print_json, screen
from mlguide_assets.define.loading import current_problem, readable_problems
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, pointed_version
from mlguide_assets.deploy.gate.history import ROLLED_BACK, canaries, decisions, rightful_champion
from mlguide_assets.deploy.gate.override import promote as promote_by_hand
from mlguide_assets.deploy.gate.override import rollback as roll_back
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home


def promote(home: Home, version: str, reason: str) -> None:
    """Promote by hand, and say who was champion before, and which canaries end."""
    _decide(home, partial(promote_by_hand, version=version, reason=reason))


def rollback(home: Home, to: str | None, reason: str) -> None:
    """Roll back, and say who was champion before, and which canaries end."""
    _decide(home, partial(roll_back, to=to, reason=reason))


def _decide(home: Home, by_hand: Callable[[Home, Problem], tuple[str | None, Bundle]]) -> None:
    problem = _problem(home)
    home.ensure_writable()
    live = _going_live(home, problem)
    before, now = by_hand(home, problem)
    _say(home, before, now)
    _say_ended(live - _going_live(home, problem) - {now.version})
    # Once it is decided, since it takes longer to be imported.
    from mlguide_assets.retrain.decision_alerts import announce_decisions

    announce_decisions(home, problem)


def reproduce(home: Home, version: str) -> bool:
    """Train a version again, print what is as promised and what is not, and return whether all is."""
    from mlguide_assets.deploy.registry.reproduction import reproduce as train_again

    problem = _problem(home)
    found = train_again(home, problem, version, lambda text: console.print(f"  {text}"))
    if found.other_code:
        screen.print(f"The code has changed since (then {found.other_code}), so a difference need not surprise.")
    screen.print(f"The same, byte for byte: {', '.join(found.same) or 'nothing'}.")
    if found.within:
        screen.print(f"Within the 95 % interval of then: {', '.join(found.within)}.")
    if found.different:
        screen.print(f"Different: {', '.join(found.different)}.")
    return found.as_promised


def show_history(home: Home, as_json: bool) -> None:
    """Print every decision, the oldest first."""
    problem = _problem(home)
    lake = Lake(home.lake(problem.key))
    rows = decisions(lake)
    if as_json:
        print_json([{**row, "criteria": json.loads(row["criteria"])} for row in rows])
        return
    if not rows:
        screen.print(
            home.commands("Nothing was decided yet: 'mlguide run' trains a model and puts it before the gate.")
        )
    for row in rows:
        before = f"champion {row['champion_before']}" if row["champion_before"] else "no champion"
        verdict = "champion again" if row["verdict"] == ROLLED_BACK else row["verdict"]
        what = f"version {row['version']} {verdict}, {before} before"
        screen.print(f"{row['decided_at']}  {what}, by {row['decided_by']}")
        for reason in row["reasons"]:
            screen.print(f"    • {reason}")
    current = pointed_version(home.bundles(problem.key))
    if rows:
        screen.print(f"Champion now: {f'version {current}' if current else 'none'}")
    decided = rightful_champion(lake)
    if decided and decided["version"] != current:
        screen.print(f"Version {decided['version']} was decided on and does not serve yet.")
        screen.print(home.commands("'mlguide run' installs it; 'mlguide rollback' or 'mlguide promote' undoes it."))


def _problem(home: Home) -> Problem:
    if not home.active_problem.exists() and not readable_problems(home):
        raise InputError(f"Nothing was run in {home.root} yet, so there is no version to decide on: run 'mlguide run'.")
    return current_problem(home)


def _say(home: Home, before: str | None, now: Bundle) -> None:
    if before == now.version:
        screen.print(f"Version {now.version}, trained {now.trained_at}, stays champion; its bundle is whole.")
        return
    was = f"version {before} was it before" if before else "there was none before"
    screen.print(f"Version {now.version}, trained {now.trained_at}, is champion; {was}.")
    screen.print(home.commands("Predictions come from it from now on; the next 'mlguide run' scores with it."))


def _going_live(home: Home, problem: Problem) -> set[str]:
    """The versions that go live by canary, or wait to."""
    return {str(row["version"]) for row in canaries(Lake(home.lake(problem.key)))}


def _say_ended(versions: set[str]) -> None:
    for version in sorted(versions, key=lambda each: (len(each), each)):
        screen.print(f"Version {version} does not go live by canary any more: it was not compared with this champion.")
