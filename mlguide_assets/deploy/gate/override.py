"""A person decides: promote a version that the gate did not, or go back to an earlier champion. Always with a reason.

Going back loads neither MLflow nor Ibis, so that it takes less than a second.
"""

import getpass
import subprocess
import sys
from pathlib import Path

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, champions, is_whole, load_bundle, pointed_version, set_champion
from mlguide_assets.deploy.gate.champion_change import change_champion
from mlguide_assets.deploy.gate.decision_lock import decision_lock
from mlguide_assets.deploy.gate.history import (
    PERSON,
    PROMOTED,
    ROLLED_BACK,
    champion_before,
    record,
    rightful_champion,
    training_times,
)
from mlguide_assets.deploy.gate.scorable import refuse_unscorable
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home


def rollback(
    home: Home, problem: Problem, *, to: str | None, reason: str, by: str | None = None, leaving: str | None = None
) -> tuple[str, Bundle]:
    """Make an earlier champion champion again, by default the one before.

    The record comes first: what a crash leaves undone, the next run does. The champion that is left may be
    damaged; the one that takes over may not.

    Args:
        by: who decides; default: the person whose process this is.
        leaving: the version that is to be left; another may have become champion meanwhile, and then stays.

    Returns:
        The version that was champion, and the champion now.

    Raises:
        InputError: no reason, no champion, no such version, its bundle is damaged, it needs a feature that the problem
            no longer has, or another is to be left.
    """
    bundles, lake, why = home.bundles(problem.key), Lake(home.lake(problem.key)), _required(reason, "rollback")
    seen = _left(lake, bundles, to)
    with decision_lock(home, problem):
        current = pointed_version(bundles) if leaving else _left(lake, bundles, to)
        if current is None:
            raise InputError("There is no champion to roll back: nothing was ever promoted here.")
        if leaving not in (None, current):
            raise InputError(f"Version {current} became champion meanwhile, so version {leaving} needs no rollback.")
        if leaving is None and to is None and seen not in (None, current):
            # Another decision was under way: the champion before the new one may be the one that was to be left.
            raise InputError(
                f"Version {current} became champion meanwhile, in place of version {seen}, so nothing was changed: if "
                f"it is to be left, too, run this again, or name the version to go back to with --to."
            )
        earlier = load_bundle(bundles, _target(lake, current, to, champions(bundles)))
        refuse_unscorable(earlier.folder, earlier.version, lake, problem)
        record(
            lake,
            version=earlier.version,
            trained_at=earlier.trained_at,
            verdict=ROLLED_BACK,
            reasons=[why],
            champion_before=current,
            decided_by=by or person(),
        )
        change_champion(lake, bundles, earlier.version)
    let_registry_follow(home, problem)
    return current, earlier


def _left(lake: Lake, bundles: Path, to: str | None) -> str | None:
    """The version that is left where a person decides: the one that serves, or one that is on record and does not.

    A run that was killed leaves a promotion that the next run would install, so that is what is to be left. A rollback
    that was killed is done again by the same command.
    """
    serving, last = pointed_version(bundles), rightful_champion(lake)
    if last is None or to == last["version"]:
        return serving
    waits = last["verdict"] == PROMOTED and last["champion_before"] == serving
    return str(last["version"]) if waits or to == serving else serving


def _target(lake: Lake, current: str, to: str | None, exported: list[str]) -> str:
    """The given version, else the one before the current."""
    others = [version for version in exported if version != current]
    listed = ", ".join(others) or "there is no other"
    target = to or champion_before(lake, current)
    if target is None and not others:
        raise InputError(f"Version {current} is the first champion, and there is no other version to go back to.")
    if target is None:
        raise InputError(
            f"Version {current} is the first champion, so none was before it: name one with --to ({listed})."
        )
    if target == current:
        raise InputError(f"Version {current} is champion already: name another with --to ({listed}).")
    if target not in others:
        remedy = (
            f"'mlguide promote {target} --reason TEXT' makes a registered version champion"
            if target in training_times(lake)
            else "nor was one of that name ever before the gate, see 'mlguide history'"
        )
        raise InputError(
            f"There is no bundle of version {target} among those of earlier champions ({listed}): {remedy}."
        )
    return target


def promote(home: Home, problem: Problem, *, version: str, reason: str) -> tuple[str | None, Bundle]:
    """Make a registered version champion, whatever the gate said of it.

    A bundle of it that is damaged or gone is made again. Where that is the champion's, nothing else changes.

    Returns:
        The version that was champion, if any, and the champion now.

    Raises:
        InputError: no reason, no such version, it is champion already, or it needs a feature that the problem no longer
            has.
    """
    from mlguide_assets.deploy.gate.promotion import install
    from mlguide_assets.deploy.registry.registration import registry_of

    bundles, lake, why = home.bundles(problem.key), Lake(home.lake(problem.key)), _required(reason, "promotion")
    registry = registry_of(home, problem)
    known = registry.versions()
    if version not in known:
        raise InputError(
            f"The registry has no version {version} of {problem.key} (versions: {', '.join(known) or 'none yet'})."
        )
    with decision_lock(home, problem):
        current, last = pointed_version(bundles), rightful_champion(lake)
        # Another one may be on record, which a run that was killed has not installed: then this one stays.
        stays = current == version
        decided = stays and (last is None or last["version"] == version)
        whole = is_whole(bundles, version)
        if decided and whole:
            raise InputError(f"Version {version} is champion already.")
        # Exported before it is recorded: a version whose bundle cannot be made is not promoted.
        trained_at = registry.trained_at(version)
        install(home, lake, registry, bundles, problem, version, trained_at, again=not whole)
        if decided:
            set_champion(bundles, version)
            return current, load_bundle(bundles, version)
        record(
            lake,
            version=version,
            trained_at=trained_at,
            verdict=PROMOTED,
            reasons=[why],
            champion_before=champion_before(lake, version) if stays else current,
            decided_by=person(),
        )
        registry.record_champion(version)
        # Last: what is on record and not in production, the next run installs.
        change_champion(lake, bundles, version)
    return current, load_bundle(bundles, version)


def person() -> str:
    """Who decides: the name of the operating system's user."""
    try:
        return f"{PERSON}{getpass.getuser()}"
    except (KeyError, OSError):
        return f"{PERSON}unknown"


def _required(reason: str, what: str) -> str:
    text = reason.strip()
    if not text:
        raise InputError(f"A {what} needs a reason for those who come later: --reason 'why'.")
    return text


def let_registry_follow(home: Home, problem: Problem) -> None:
    """Move MLflow's alias in a process of its own: importing MLflow takes longer than all the rest.

    The pointer has decided already; where this fails, the next run moves the alias.
    """
    subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mlguide_assets.deploy.registry.registry",
            str(home.registry),
            problem.key,
            str(home.bundles(problem.key)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
