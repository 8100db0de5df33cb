"""From a registered version to a recorded decision, and from a decision to the model in production."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import (
    CHALLENGER,
    Bundle,
    champion,
    export_bundle,
    is_whole,
    load_bundle,
    pointed,
    pointed_version,
    set_challenger,
    set_champion,
)
from mlguide_assets.deploy.gate.champion_change import change_champion
from mlguide_assets.deploy.gate.criteria import CANARY_CRITERION, EXPERIMENT, Criterion
from mlguide_assets.deploy.gate.decision_lock import decision_lock
from mlguide_assets.deploy.gate.gate import Decision, Evidence, conclude, decide
from mlguide_assets.deploy.gate.held_challenger import held_challenger
from mlguide_assets.deploy.gate.history import (
    CANARY,
    GATE,
    KEPT,
    PROMOTED,
    ROLLED_BACK,
    WAITING,
    DecidedMeanwhileError,
    decisions,
    record,
    rightful_challenger,
    rightful_champion,
    verdicts_of_registry,
)
from mlguide_assets.deploy.gate.holdout_record import keep_test_predictions
from mlguide_assets.deploy.gate.recorded_criteria import recorded_criteria
from mlguide_assets.deploy.gate.scorable import UnscorableError, refuse_unscorable
from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.deploy.registry.registry import LostVersionError, Registry
from mlguide_assets.deploy.registry.reproduction import keep_inputs
from mlguide_assets.deploy.routing import published_canary
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.hosts.scratch import scratch_folder
from mlguide_assets.prepare.hosts.shared_files import fetch_folder, has_folder
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import Snapshot
from mlguide_assets.settings import Home
from mlguide_assets.train.storage import load_facts, model_name

_log = logging.getLogger(__name__)


def decide_and_record(
    home: Home, lake: Lake, problem: Problem, version: dict[str, Any], gather: Callable[[], Evidence], *, run_id: str
) -> tuple[Decision, Snapshot]:
    """Put a registered version before the gate, add the answer to the record, and write it on the version.

    Args:
        version: the row that registration gave.
        gather: what is known of it. Called again where another version became champion meanwhile, with which this one
            was not compared.
    """
    while True:
        compared_with = _champion_on_record(lake)
        decision = _decided(gather(), home, lake, problem, version)
        with decision_lock(home, problem):
            if (now := _champion_on_record(lake)) == compared_with:
                snapshot = _record(home, lake, problem, version, decision, GATE, run_id)
                break
        _log.warning("Version %s became champion meanwhile: version %s is evaluated again.", now, version["version"])
    registry_of(home, problem).record_verdict(version["version"], decision.verdict, decision.reasons)
    return decision, snapshot


def _champion_on_record(lake: Lake) -> str | None:
    rightful = rightful_champion(lake)
    return str(rightful["version"]) if rightful else None


def _decided(evidence: Evidence, home: Home, lake: Lake, problem: Problem, version: dict[str, Any]) -> Decision:
    """The gate's answer; what it would need if it stands is kept."""
    decision = decide(evidence, problem)
    if not evidence.same_as_champion:
        decision = _behind_another(decision, home, lake, problem, version["version"])
    if decision.verdict in (PROMOTED, CANARY, WAITING):
        keep_inputs(lake, problem, version["version"], json.loads(version["lineage"]))
    keep_test_predictions(lake, version["version"])
    return decision


def _behind_another(decision: Decision, home: Home, lake: Lake, problem: Problem, version: str) -> Decision:
    """The decision; where the version could be challenger, and another has that place, it says until when."""
    held, canary = held_challenger(lake), published_canary(home.bundles(problem.key))
    if held is not None:
        other, until = held.version, held.sentence
    elif canary is not None:
        other = canary.models["challenger"]
        until = f"Version {other} stays challenger until its canary ends."
    else:
        return decision
    if other == version or decision.verdict not in (KEPT, WAITING, CANARY):
        return decision
    return replace(decision, reasons=(*decision.reasons, f"{until} This version waits for the place."))


def decide_again(home: Home, lake: Lake, problem: Problem, version: str, *, run_id: str, by: str = GATE) -> Decision:
    """Put a version that waits, or goes live, before the gate again, with what was recorded of it since.

    The answer is added to the record.

    What the gate itself measured is kept: data, candidate and champion are the same. The caller lets
    `install_promoted` and `install_challenger` follow.

    Args:
        by: whose criterion it is that brings it there.

    Raises:
        DecidedMeanwhileError: the version does not wait, nor go live.
    """
    with decision_lock(home, problem):
        last = next((row for row in reversed(decisions(lake)) if row["version"] == version), None)
        if last is None or last["verdict"] not in (WAITING, CANARY):
            found = "was never before the gate" if last is None else f"was {last['verdict']}"
            raise DecidedMeanwhileError(
                f"Version {version} {found}: only a version that waits is put before the gate again."
            )
        # The record's champion: it may not be installed yet.
        decision = _concluded(last, recorded_criteria(lake, version), problem, _champion_on_record(lake))
        _record(home, lake, problem, last, decision, by, run_id)
    registry_of(home, problem).record_verdict(version, decision.verdict, decision.reasons)
    return decision


def _concluded(
    last: Mapping[str, Any], recorded: Sequence[Criterion], problem: Problem, champion_now: str | None
) -> Decision:
    """What follows for a version that waits, given the row of its last decision."""
    others = {EXPERIMENT, CANARY_CRITERION, *(each.criterion for each in recorded)}
    measured = [Criterion(**each) for each in json.loads(last["criteria"]) if each["criterion"] not in others]
    if champion_now != last["champion_before"]:
        reason = f"Version {champion_now} became champion since this one passed the gate, and was not compared with it."
        return Decision("kept", (reason,), tuple(measured))
    return conclude(measured, recorded, problem, contested=champion_now is not None)


def _record(
    home: Home, lake: Lake, problem: Problem, version: Mapping[str, Any], decision: Decision, by: str, run_id: str
) -> Snapshot:
    return record(
        lake,
        version=version["version"],
        trained_at=version["trained_at"],
        verdict=decision.verdict,
        reasons=decision.reasons,
        criteria=json.dumps([criterion.to_json() for criterion in decision.criteria]),
        champion_before=pointed_version(home.bundles(problem.key)),
        decided_by=by,
        run_id=run_id,
    )


def install_promoted(home: Home, lake: Lake, problem: Problem) -> Bundle | None:
    """Make the version that the record calls champion the one in production, and return it.

    The pointer moves last: while it is not where the record says, the next run does all of this again. A rollback does
    not wait for the registry, which then gets the verdicts that a killed run did not write there.
    """
    bundles, registry = home.bundles(problem.key), registry_of(home, problem)
    with decision_lock(home, problem):
        rightful = rightful_champion(lake)
        if rightful is None:
            registry.record_verdicts(verdicts_of_registry(lake))
            return champion(bundles)
        version = str(rightful["version"])
        if pointed_version(bundles) != version:
            try:
                if rightful["verdict"] == ROLLED_BACK and has_folder(bundles / version):
                    # As a rollback does: it goes to the bundle, whatever became of the registry's copy since.
                    refuse_unscorable(load_bundle(bundles, version).folder, version, lake, problem)
                else:
                    install(home, lake, registry, bundles, problem, version, rightful["trained_at"])
            except (LostVersionError, UnscorableError) as error:
                _log.warning("Version %s was promoted and is not installed, what served goes on: %s", version, error)
                return champion(bundles)
            if rightful["verdict"] == PROMOTED:
                registry.record_champion(version)
            change_champion(lake, bundles, version)
        registry.record_champion(version)
        registry.record_verdicts(verdicts_of_registry(lake))
        return champion(bundles)


def install_challenger(home: Home, lake: Lake, problem: Problem) -> Bundle | None:
    """Let the version that wants to be champion, or that an experiment decides by, score in the champion's shadow; none
    where there is no such version.

    Where its bundle is damaged or gone, it gets another one: no person would look after it, and every run would fail.
    """
    bundles, registry = home.bundles(problem.key), registry_of(home, problem)
    with decision_lock(home, problem):
        rightful = rightful_challenger(lake)
        version = str(rightful["version"]) if rightful else None
        installed = pointed_version(bundles, CHALLENGER)
        if rightful and version:
            try:
                damaged = installed == version and not _is_usable(bundles)
                if installed == version and not damaged:
                    refuse_unscorable(fetch_folder(bundles / version), version, lake, problem)
                else:
                    export(home, lake, registry, bundles, problem, version, rightful["trained_at"], again=damaged)
                    installed = None
            except (LostVersionError, UnscorableError) as error:
                _log.warning("Version %s cannot score in the champion's shadow: %s", version, error)
                version = None
        if installed != version:
            set_challenger(bundles, version)
        return pointed(bundles, CHALLENGER)


def _is_usable(bundles: Path) -> bool:
    try:
        return pointed(bundles, CHALLENGER) is not None
    except InputError:
        return False


def usable_champion(home: Home, lake: Lake, problem: Problem) -> Bundle | None:
    """The champion, if there is one; where its bundle is damaged or gone, with one that is made again.

    A run would find it so only after training, at the gate.

    Raises:
        InputError: the pointer is damaged; or the bundle is, and the registry cannot make it again.
    """
    bundles = home.bundles(problem.key)
    try:
        return champion(bundles)
    except InputError as damage:
        registry = registry_of(home, problem)
        with decision_lock(home, problem):
            version = pointed_version(bundles)
            # Another process may have made it again, or changed the champion.
            if version is not None and not is_whole(bundles, version):
                try:
                    install(home, lake, registry, bundles, problem, version, registry.trained_at(version), again=True)
                except (LostVersionError, UnscorableError):
                    raise damage from None
                set_champion(bundles, version)
                _log.warning("The bundle of the champion, version %s, was damaged or gone; it is made again.", version)
        return champion(bundles)


def usable_challenger(home: Home, lake: Lake, problem: Problem) -> Bundle | None:
    """The challenger, if there is one; where its bundle is damaged or gone, with another one."""
    try:
        return pointed(home.bundles(problem.key), CHALLENGER)
    except InputError:
        return install_challenger(home, lake, problem)


def install(
    home: Home,
    lake: Lake,
    registry: Registry,
    bundles: Path,
    problem: Problem,
    version: str,
    trained_at: str,
    *,
    again: bool = False,
) -> None:
    """Export the bundle of a registered version, and keep what it learned from.

    Args:
        again: see `export_bundle`.

    Raises:
        UnscorableError: it needs a feature that the problem no longer has.
    """
    lineage = export(home, lake, registry, bundles, problem, version, trained_at, again=again)
    keep_inputs(lake, problem, version, lineage)


def export(
    home: Home,
    lake: Lake,
    registry: Registry,
    bundles: Path,
    problem: Problem,
    version: str,
    trained_at: str,
    *,
    again: bool = False,
) -> dict[str, Any]:
    """Make the bundle of a registered version from the registry's copy; return its lineage.

    Args:
        again: see `export_bundle`.

    Raises:
        UnscorableError: it needs a feature that the problem no longer has.
    """
    with scratch_folder(home.root, "A registered version") as folder:
        candidate = registry.fetch(version, folder)
        refuse_unscorable(candidate, version, lake, problem)
        facts = load_facts(candidate)
        own = f"{model_name(facts)}_"
        measured = {name: value for name, value in registry.metrics(version).items() if name.startswith(own)}
        metadata = {"trained_at": trained_at, "evaluation": measured, **facts}
        export_bundle(candidate, bundles, version, metadata, again=again)
    lineage: dict[str, Any] = facts["lineage"]
    return lineage
