"""What happens to a canary on a day: it begins, is looked at, goes on, pauses or ends; and who sees it.

Where the problem file has no canary, each of these returns at once.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlguide_assets.define.policies import POLICIES
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.promotion import Canary
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.gate.held_challenger import held_challenger
from mlguide_assets.deploy.gate.history import (
    ABORTED,
    KEPT,
    DecidedMeanwhileError,
    canaries,
    decisions,
    record,
)
from mlguide_assets.deploy.routing import published_canary
from mlguide_assets.english import percent
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.canary.record import (
    BY,
    CONTROL,
    TREATMENT,
    Progress,
    add_step,
    last_canary,
    progress_of,
    running_canary,
)
from mlguide_assets.experiment.publishing import publish_canary
from mlguide_assets.experiment.tables import CANARY_STEPS
from mlguide_assets.prepare.hosts.host_lock import locked_on_all_hosts
from mlguide_assets.prepare.hosts.scratch import scratch_folder
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    import ibis

    from mlguide_assets.deploy.gate.criteria import Criterion
    from mlguide_assets.experiment.actions import Tables
    from mlguide_assets.experiment.canary.evaluation import Evaluation


_LOCK = ".canary.lock"


@dataclass(frozen=True)
class Look:
    """What a look found: None where no version goes live."""

    progress: Progress | None = None
    said: str = "No version goes live by canary."
    late: str | None = None
    """That the newest plan came too late for its outcomes to count."""


@dataclass(frozen=True)
class _Ending:
    """How a version leaves the ramp.

    Attributes:
        row: the decision by which it waits to go live, of `canaries`.
    """

    row: dict[str, Any]
    verdict: str
    reason: str
    run_id: str = ""
    criterion: "Criterion | None" = None
    by: str = BY


@dataclass(frozen=True)
class Stopped:
    """What was stopped by hand, and the champion that has its units from then on."""

    version: str
    champion: str


def look_at_canary(home: Home, lake: Lake, problem: Problem, *, tables: "Tables", run_id: str) -> Look:
    """Begin the canary that is due, or evaluate the one that runs, and act on the result.

    The record comes first, then the servers, then the record of decisions: what a crash leaves undone, the next look
    does, or `champion_rollback` of the same run.

    Args:
        tables: accepted, by their names in the problem file.
    """
    if problem.canary is None and not lake.exists(CANARY_STEPS):
        return Look()
    # A person who stops the canary meanwhile waits: else this look would let it go on.
    with locked_on_all_hosts(lake.root / _LOCK, f"canary of {problem.key}"):
        # Another version may become champion while this one is looked at, or a person promotes this one.
        while True:
            with suppress(DecidedMeanwhileError):
                return _look(home, lake, problem, tables, run_id)


def stop_canary(home: Home, lake: Lake, problem: Problem, *, reason: str, by: str) -> Stopped:
    """Take the version that goes live, or waits to, out of the ramp; the champion stays, and servers follow at once.

    Where servers follow a canary that is not on record any more, that is what ends.

    Raises:
        InputError: no reason, no version goes live, or another does than when this was called.
    """
    if not (why := reason.strip()):
        raise InputError("Stopping a canary needs a reason for those who come later: --reason 'why'.")
    seen = next((row["version"] for row in canaries(lake)), None)
    with locked_on_all_hosts(lake.root / _LOCK, f"canary of {problem.key}"):
        if not (waiting := canaries(lake)):
            return _stop_published(home, lake, problem)
        row = waiting[0]
        if seen not in (None, row["version"]):
            raise InputError(
                f"The canary of version {seen} has ended meanwhile, and version {row['version']} is next to go live, "
                f"so nothing was changed: if it is to be stopped, too, run this again."
            )
        progress = progress_of(lake, row["version"])
        # First of all who decided and why: what a crash leaves undone after it, the next look does.
        _put_on_record(home, lake, problem, _Ending(row, ABORTED, why, by=by))
        publish_canary(home, problem, None)
        if progress is not None and progress.share:
            from mlguide_assets.experiment.canary.evaluation import Evaluation

            found = Evaluation("stop", progress.step, 0.0, why, ())
            day, version, champion = progress.looked, progress.version, progress.champion
            add_step(lake, found, version=version, champion=champion, day=day, run_id="")
        from mlguide_assets.deploy.gate.promotion import install_challenger
        from mlguide_assets.deploy.registry.registration import registry_of

        registry_of(home, problem).record_verdict(row["version"], ABORTED, [why])
        install_challenger(home, lake, problem)
    return Stopped(row["version"], row["champion_before"])


def _stop_published(home: Home, lake: Lake, problem: Problem) -> Stopped:
    """Let servers follow no canary; which one they did."""
    route = published_canary(home.bundles(problem.key))
    if route is None:
        raise InputError("No version goes live by canary, so there is none to stop: see 'mlguide canary status'.")
    publish_canary(home, problem, None)
    _note_end(lake, run_id="")
    champion = pointed_version(home.bundles(problem.key))
    return Stopped(route.models["challenger"], champion or route.models["champion"])


def _look(home: Home, lake: Lake, problem: Problem, tables: "Tables", run_id: str) -> Look:
    row = _going_live(home, lake, problem, run_id)
    if row is None:
        publish_canary(home, problem, None)
        _note_end(lake, run_id)
        return Look()
    from mlguide_assets.deploy.gate.promotion import usable_challenger

    usable_challenger(home, lake, problem)
    version, progress = str(row["version"]), progress_of(lake, row["version"])
    if progress is not None:
        # What an earlier look put on record, and was interrupted before servers knew: they would go on as before.
        _publish(home, lake, problem, progress)
        if not progress.share:
            return _end(home, lake, problem, row, progress, run_id)
    if lost := _lost_feature(home, lake, problem, version):
        reason = f"It needs the feature {lost!r}, which the problem no longer has, so it can score nothing."
        _decide(home, lake, problem, _Ending(row, KEPT, reason, run_id))
        return _look(home, lake, problem, tables, run_id)
    held = held_challenger(lake)
    if held is not None and held.version != version:
        return Look(progress, f"Version {version} waits to go live. {held.sentence}")
    from mlguide_assets.experiment.actions import actions_of
    from mlguide_assets.experiment.canary.counts import canary_counts
    from mlguide_assets.experiment.canary.evaluation import evaluate
    from mlguide_assets.experiment.plans import late_plan
    from mlguide_assets.prepare.clock import data_clock

    settings, actions = problem.canary, actions_of(tables, problem)
    until = data_clock(actions, problem.decision.time)
    if settings is None or until is None or not _has_bundle(home, lake, problem, version):
        return Look(progress, f"Version {version} cannot be looked at: its bundle or the data are missing.")
    late = late_plan(lake, problem, progress.experiment) if progress else None
    if progress is None:
        found = _begin(settings)
    else:
        counts = canary_counts(lake, problem, progress, actions=actions, until=until, slow_ms=settings.slow_ms)
        days, in_step = ((until.date() - since).days for since in (progress.begun, progress.step_begun))
        # The file may have fewer steps than it had.
        step = min(progress.step, len(settings.ramp) - 1)
        found = evaluate(settings, counts, step=step, days_in_step=in_step, days=days)
        if progress.looked >= until.date() and found.share == progress.share:
            return Look(progress, progress.reason, late)
        found = replace(found, reason=f"{found.reason} {late}") if late else found
    champion = str(row["champion_before"])
    progress = add_step(lake, found, version=version, champion=champion, day=until.date(), run_id=run_id)
    _publish(home, lake, problem, progress)
    if not found.share:
        return _end(home, lake, problem, row, progress, run_id)
    return Look(progress, found.reason, late)


def with_canary(lake: Lake, problem: Problem, assigned: "ibis.Table | None") -> "ibis.Table | None":
    """The assignments of a day, and those of the canary: of all units that no experiment has taken.

    Of those that follow another policy than the champion's only the probabilities are said: the canary is none of
    theirs.

    Args:
        assigned: rows as of `deploy.policies.assigned_schema`; None where no experiment assigns any.
    """
    progress = running_canary(lake) if lake.exists(CANARY_STEPS) else None
    route = progress.route if progress else None
    if progress is None or route is None:
        return assigned
    import ibis

    from mlguide_assets.deploy.plan.policies import exactly, followed_policies
    from mlguide_assets.experiment.actions import members_of, tables_of_actions
    from mlguide_assets.statistics.draws import draw_column

    units = members_of(tables_of_actions(lake, problem), problem).select(unit_id="id")
    others = units.anti_join(assigned, "unit_id") if assigned is not None else units
    rows = followed_policies(others, problem.policies, salt=problem.exploration.salt)
    own = rows.policy == CONTROL
    arm = ibis.ifelse(draw_column(route.arm_salt, rows.unit_id) < route.arms[0].end, TREATMENT, CONTROL)
    champion, text = problem.policies.champion, ibis.null("string")
    shares = {**problem.policies.shares, "champion": champion * (1 - progress.share)}
    shares["challenger"] = champion * progress.share
    canary = rows.select(
        unit_id=rows.unit_id,
        experiment=ibis.ifelse(own, route.experiment, text),
        arm=ibis.ifelse(own, arm, text),
        policy=ibis.ifelse(own & (arm == TREATMENT), "challenger", rows.policy),
        policy_shares=ibis.struct({policy: exactly(shares[policy]) for policy in POLICIES}),
    )
    return canary if assigned is None else ibis.union(assigned.select(canary.columns), canary)


def _begin(settings: Canary) -> "Evaluation":
    from mlguide_assets.experiment.canary.evaluation import Evaluation

    return Evaluation("start", 0, settings.ramp[0], f"It begins with {percent(settings.ramp[0])} of the units.", ())


def _going_live(home: Home, lake: Lake, problem: Problem, run_id: str) -> dict[str, Any] | None:
    """The decision on the version that goes live. Where it has yet to begin, those before it no longer wait."""
    waiting = canaries(lake)
    if not waiting:
        return None
    if problem.canary is None:
        for row in waiting:
            _decide(home, lake, problem, _Ending(row, KEPT, "The problem file has no canary any more.", run_id))
        return None
    first, *others = waiting
    if progress_of(lake, first["version"]) is None:
        for row in reversed(others):
            reason = f"Version {first['version']} passed the gate since, and goes live in its place."
            _decide(home, lake, problem, _Ending(row, KEPT, reason, run_id))
    return first


def _note_end(lake: Lake, run_id: str) -> None:
    """Put on record that a canary ended: by a person whose stop was interrupted, or with the decision on another
    version, or with the problem file's."""
    last = last_canary(lake)
    if last is not None and last.share:
        from mlguide_assets.experiment.canary.evaluation import Evaluation

        of_version = [row for row in decisions(lake) if row["version"] == last.version]
        if of_version and of_version[-1]["verdict"] == ABORTED:
            ended = Evaluation("stop", last.step, 0.0, " ".join(of_version[-1]["reasons"]), ())
        else:
            ended = Evaluation("give_up", last.step, 0.0, "Another decision ended it: see promotion_decisions.", ())
        add_step(lake, ended, version=last.version, champion=last.champion, day=last.looked, run_id=run_id)


def _lost_feature(home: Home, lake: Lake, problem: Problem, version: str) -> str | None:
    """A feature that the version needs and the problem no longer has, if any; what is lost of itself says none."""
    from mlguide_assets.deploy.bundle import bundled_versions
    from mlguide_assets.deploy.gate.scorable import lost_feature
    from mlguide_assets.deploy.registry.registration import registry_of
    from mlguide_assets.deploy.registry.registry import LostVersionError

    bundles = home.bundles(problem.key)
    if version in bundled_versions(bundles):
        return lost_feature(bundles / version, lake, problem)
    with scratch_folder(home.root, "A registered version") as folder:
        try:
            return lost_feature(registry_of(home, problem).fetch(version, folder), lake, problem)
        except LostVersionError:
            return None


def _has_bundle(home: Home, lake: Lake, problem: Problem, version: str) -> bool:
    from mlguide_assets.deploy.bundle import CHALLENGER

    bundles = home.bundles(problem.key)
    if pointed_version(bundles, CHALLENGER) != version:
        from mlguide_assets.deploy.gate.promotion import install_challenger

        install_challenger(home, lake, problem)
    return pointed_version(bundles, CHALLENGER) == version


def _end(home: Home, lake: Lake, problem: Problem, row: dict[str, Any], progress: Progress, run_id: str) -> Look:
    """Take the version out of the ramp: into production, or away from it.

    By what is on record alone: an earlier look may have ended it, and been interrupted.
    """
    from mlguide_assets.deploy.gate.promotion import decide_again, install_challenger, install_promoted
    from mlguide_assets.deploy.gate.recorded_criteria import record_criterion

    criterion = _criterion(progress)
    if progress.action in ("abort", "stop"):
        _decide(home, lake, problem, _Ending(row, ABORTED, progress.reason, run_id, criterion))
    else:
        record_criterion(lake, version=progress.version, criterion=criterion, recorded_by=BY, run_id=run_id)
        decide_again(home, lake, problem, progress.version, run_id=run_id, by=BY)
        install_promoted(home, lake, problem)
    install_challenger(home, lake, problem)
    return Look(progress, progress.reason)


def _criterion(progress: Progress) -> "Criterion":
    from mlguide_assets.deploy.gate.criteria import CANARY_CRITERION, Criterion

    found = progress.deciding
    value, low, high = (found[f"ratio_{name}"] if found else None for name in ("value", "low", "high"))
    accepted = 1 + found["margin"] if found else None
    return Criterion(CANARY_CRITERION, value, low, high, accepted, progress.action == "promote", progress.reason)


def _decide(home: Home, lake: Lake, problem: Problem, ending: _Ending) -> None:
    """Record a decision of the canary, which the gate did not make, and write it on the version."""
    from mlguide_assets.deploy.registry.registration import registry_of

    _put_on_record(home, lake, problem, ending)
    registry_of(home, problem).record_verdict(ending.row["version"], ending.verdict, [ending.reason])


def _put_on_record(home: Home, lake: Lake, problem: Problem, ending: _Ending) -> None:
    """Raises DecidedMeanwhileError where another decision ended the canary."""
    import json

    from mlguide_assets.deploy.gate.decision_lock import decision_lock

    with decision_lock(home, problem):
        _refuse_ended(lake, ending.row["version"])
        record(
            lake,
            version=ending.row["version"],
            trained_at=ending.row["trained_at"],
            verdict=ending.verdict,
            reasons=[ending.reason],
            criteria=json.dumps([ending.criterion.to_json()] if ending.criterion else []),
            champion_before=pointed_version(home.bundles(problem.key)),
            decided_by=ending.by,
            run_id=ending.run_id,
        )


def _publish(home: Home, lake: Lake, problem: Problem, progress: Progress) -> None:
    """Let servers follow what is on record. Raises DecidedMeanwhileError where another decision ended the canary."""
    from mlguide_assets.deploy.gate.decision_lock import decision_lock

    with decision_lock(home, problem):
        if progress.share:
            _refuse_ended(lake, progress.version)
        publish_canary(home, problem, progress.route)


def _refuse_ended(lake: Lake, version: str) -> None:
    if not any(row["version"] == version for row in canaries(lake)):
        by = decisions(lake)[-1]["decided_by"]
        raise DecidedMeanwhileError(
            f"The canary of version {version} was ended by a decision of {by} meanwhile, so nothing was changed: "
            f"'mlguide history' has it."
        )
