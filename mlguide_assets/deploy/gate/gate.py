"""The gate: may this model become champion? Always a verdict, with a criterion for every reason.

A refusal is an answer, not an error. The criteria themselves are in `criteria.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.gate import criteria as ask
from mlguide_assets.deploy.gate.comparison import Comparison, Incomparable
from mlguide_assets.deploy.gate.criteria import Criterion
from mlguide_assets.deploy.gate.parity import Parity
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.evaluation.uncertainty import replicate_metrics
from mlguide_assets.train.models.baselines import BASE_RATE
from mlguide_assets.train.rows import clusters_of

Verdict = Literal["promoted", "canary", "waiting", "kept", "refused"]
"""What the gate may say. `waiting` passed so far and waits for an experiment or a person, `canary` goes live step by
step, as the problem file configures."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that is known of a candidate when the gate decides.

    Attributes:
        model: which model the candidate is, and so which column of `scores` is its own.
        chosen_because: why it was chosen among the models, in one sentence; None for a candidate of before there was
            a choice.
        scores: keys, label, and the probabilities of the base rate and of the candidate, on the test window.
        sampled: it was trained with more rows than memory holds, and the test window is that of a seeded sample.
        contract_results: rule, violations, rows and action of every rule at the last ingest.
        comparison: with the champion; None where there is none.
        calibration_error, calibration_by_chance: of the candidate, and of perfectly calibrated probabilities.
        slices, groups: tables of `train.slices`.
        behaviours: name, passed and message of every behaviour test.
        outgrown: its features that grow with the calendar, see `train/outgrown.py`.
        withdrawn: when, by whom and why this very version was rolled back.
        same_as_champion: the candidate is the champion, trained again from the same inputs.
        recorded: criteria that others measured on this version, see `recorded_criteria.py`.
    """

    model: str
    chosen_because: str | None
    scores: pa.Table
    contract_results: Sequence[dict[str, Any]]
    comparison: Comparison | Incomparable | None
    calibration_error: Estimate
    calibration_by_chance: Estimate
    slices: pa.Table
    groups: pa.Table
    behaviours: Sequence[dict[str, Any]]
    parity: Parity
    bundle_megabytes: float
    latency_ms: float
    sampled: bool = False
    outgrown: Sequence[str] = ()
    withdrawn: str | None = None
    same_as_champion: bool = False
    recorded: Sequence[Criterion] = ()


@dataclass(frozen=True)
class Decision:
    """The verdict and the criteria behind it."""

    verdict: Verdict
    reasons: tuple[str, ...]
    criteria: tuple[Criterion, ...]


def decide(evidence: Evidence, problem: Problem) -> Decision:
    """Refused where the model fails by itself, kept where it only fails to beat the champion, else promoted."""
    by_itself = _by_itself(evidence, problem)
    chosen = (evidence.chosen_because,) if evidence.chosen_because else ()
    failed = tuple(criterion.reason for criterion in by_itself if not criterion.passed)
    if evidence.same_as_champion:
        same = "The same data, problem and code give the champion again: nothing to change."
        return Decision("refused", (*chosen, *failed), by_itself) if failed else Decision("kept", (same,), by_itself)
    measured = (*by_itself, ask.beats_champion(evidence.comparison, problem))
    return conclude(measured, evidence.recorded, problem, chosen=chosen, contested=_is_contested(evidence.comparison))


def conclude(
    measured: Sequence[Criterion],
    recorded: Sequence[Criterion],
    problem: Problem,
    *,
    chosen: Sequence[str] = (),
    contested: bool,
) -> Decision:
    """The verdict that follows from criteria, wherever they come from.

    Args:
        measured: the gate's own criteria. Where only `beats_champion` fails, the champion is kept.
        recorded: those of others. Experiment and canary decide where the problem requires them; the rest is reported.
        chosen: why this model was chosen among the candidates.
        contested: there is a champion that can score, and so can be the other arm of an experiment.
    """
    required = _required_of_others(recorded, problem) if contested else ()
    names = {each.criterion for each in required}
    others = (ask.reported(each) for each in recorded if each.criterion not in names)
    criteria = (*measured, *required, *others)
    failed = [each for each in measured if not each.passed]
    by_itself = tuple(each.reason for each in failed if each.criterion != ask.BEATS_CHAMPION)
    if by_itself:
        return Decision("refused", (*chosen, *by_itself), criteria)
    if failed:
        return Decision("kept", (*chosen, failed[0].reason), criteria)
    missing = [each for each in required if not each.passed]
    if spoke := next((each for each in missing if each in recorded), None):
        return Decision("kept", (*chosen, spoke.reason), criteria)
    reasons = (*chosen, *(each.reason for each in criteria))
    if missing and missing[0].criterion == ask.EXPERIMENT:
        waits = "It passed the gate and waits for the verdict of an experiment."
        return Decision("waiting", (waits, *reasons), criteria)
    if missing:
        return Decision("canary", ("It passed the gate and goes live by canary.", *reasons), criteria)
    if problem.approval == "required":
        return Decision("waiting", ("It passed the gate and waits for 'mlguide promote'.", *reasons), criteria)
    return Decision("promoted", reasons, criteria)


def _required_of_others(recorded: Sequence[Criterion], problem: Problem) -> tuple[Criterion, ...]:
    """What the problem requires beyond the gate, in the order in which it comes about; not passed while missing."""
    missing = (
        *((ask.experiment_is_missing(),) if problem.experiment.required else ()),
        *((ask.canary_is_missing(),) if problem.canary is not None else ()),
    )
    found = {each.criterion: each for each in recorded}
    return tuple(found.get(each.criterion, each) for each in missing)


def _is_contested(comparison: Comparison | Incomparable | None) -> bool:
    return comparison is not None and not (isinstance(comparison, Incomparable) and comparison.champion_is_unfit)


def _by_itself(evidence: Evidence, problem: Problem) -> tuple[Criterion, ...]:
    """Every criterion that needs no champion."""
    settings, scores = problem.evaluation, evidence.scores
    labels, clusters = scores["label"].to_numpy(), clusters_of(scores, problem)
    replicates = replicate_metrics(
        labels,
        {name: scores[name].to_numpy() for name in (evidence.model, BASE_RATE)},
        clusters,
        repeats=settings.bootstrap_repeats,
        seed=settings.seed,
    )
    sides = labels == 1, labels == 0
    units = len(np.unique(clusters[sides[0]])), len(np.unique(clusters[sides[1]]))
    rows = int(sides[0].sum()), int(sides[1].sum())
    limit = problem.gate.max_group_gap
    return (
        ask.beats_base_rate(replicates, evidence.model, units, rows, problem, sampled=evidence.sampled),
        ask.is_not_chance(scores, evidence.model, problem),
        ask.data_can_be_believed(evidence.contract_results, problem),
        ask.is_calibrated(
            evidence.calibration_error, evidence.calibration_by_chance, replicates.units, problem, evidence.outgrown
        ),
        ask.no_slice_is_much_worse(evidence.slices, problem),
        *((ask.treats_groups_alike(evidence.groups, limit, problem),) if limit is not None else ()),
        ask.behaves(evidence.behaviours),
        ask.features_agree(evidence.parity),
        ask.bundle_is_small(evidence.bundle_megabytes, problem),
        ask.scores_fast(evidence.latency_ms, problem),
        ask.was_not_withdrawn(evidence.withdrawn),
    )
