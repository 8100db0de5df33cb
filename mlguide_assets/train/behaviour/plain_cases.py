"""Minimum functionality: cases so plain that a model which fails them is broken, not weak."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mlguide_assets.define.decision import Decision
from mlguide_assets.define.problem import Problem
from mlguide_assets.english import counted, plural
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.train.behaviour.results import Behaviour, Kind, example_of, share_of
from mlguide_assets.train.behaviour.samples import (
    newest_candidates,
    one_per,
    overwritten,
    pairs_of,
    scores_of,
    some_of,
)
from mlguide_assets.train.models.models import ServableModel

SAMPLE_ROWS = 2_000

MIN_LIFT = 1.05
"""Of the odds of the mean score of the decisions with the positive outcome over those of the others. All are training
rows: a calibrated model whose ROC AUC on these is 0.57 reaches it (normal log-odds of standard deviation s: AUC is
Phi(s / sqrt 2), the ratio exp s^2), and one that does not has learned nothing, or the wrong sign. Odds, since scores
near one, as of an outcome that most decisions have, cannot differ by this factor, however good the model is."""

MIN_DISTINCT = 20
MAX_FACTOR = 2.0
MAX_FACTOR_MISSING = 10.0
"""How far from the base rate: the mean score, and the score where little or nothing is known."""

MIN_MISSING = 0.01
"""Share of the decisions from which on a column of an entity counts as one that may be missing."""

UNITS_CHOOSING = 200
MIN_SPREAD = 1.05
"""A unit's candidates differ if the odds of the riskiest are at least this multiple of those of the safest."""

MAX_INDIFFERENT = 0.5

_UNSEEN = "a value that training never saw"


def plain_cases_are_right(
    model: ServableModel, rows: pa.Table, sample: pa.Table, problem: Problem, random: np.random.Generator
) -> Iterator[Behaviour]:
    """The tests of minimum functionality.

    Args:
        rows: matured decisions with their features, of both outcomes.
        sample: some of them.
    """
    decision, labels = problem.decision, rows[problem.label.column]
    base_rate = float(labels.to_numpy().mean())
    yield from _sane_scores(model, sample, base_rate, decision)
    yield _positives_score_higher(model, rows, problem.label.column, random)
    yield _missing_values_are_survived(model, sample, base_rate, problem)
    if problem.decision.choose:
        yield _candidates_are_told_apart(model, sample, one_per(problem.decision.unit_id, sample, random), problem)


def _positives_score_higher(model: ServableModel, rows: pa.Table, label: str, random: np.random.Generator) -> Behaviour:
    """Decisions with the positive outcome score higher on average than the others."""
    labels = rows[label].to_numpy()
    sides = []
    for outcome in (1, 0):
        # As many of each: among 2,000 rows of a rare outcome, chance alone would decide.
        of_outcome = np.flatnonzero(labels == outcome)
        sides.append(scores_of(model, rows.take(of_outcome[some_of(len(of_outcome), SAMPLE_ROWS // 2, random)])))
    lost, kept = sides
    ratio = _odds_ratio(float(lost.mean()), float(kept.mean()))
    message = (
        f"The odds of the mean score of {counted(len(lost), 'row')} with the positive outcome must be at least "
        f"{MIN_LIFT:g} times those of {len(kept):,} others, and are {ratio:.2f} times (scores of {lost.mean():.2%} "
        f"against {kept.mean():.2%})."
    )
    count = len(lost) + len(kept)
    kind: Kind = "minimum functionality"
    return Behaviour("positives_score_higher", kind, ratio >= MIN_LIFT, ratio, MIN_LIFT, count, message)


def _sane_scores(model: ServableModel, sample: pa.Table, base_rate: float, decision: Decision) -> Iterator[Behaviour]:
    """Scores are probabilities, differ, and are right on average."""
    kind: Kind = "minimum functionality"
    scores = scores_of(model, sample)
    broken = ~((scores >= 0) & (scores <= 1))
    share, count = share_of(broken), len(scores)
    message = f"Every score must lie between 0 and 1; {share:.1%} of {count:,} do not."
    example = example_of(sample, decision.keys, scores, scores, broken)
    yield Behaviour("scores_are_probabilities", kind, share <= 0, share, 0.0, count, message, example)

    distinct = len(np.unique(scores[~broken]))
    # Of few rows, many may be alike.
    asked_for = max(2, min(MIN_DISTINCT, count // 10))
    message = f"{counted(count, 'row')} must get at least {asked_for} different scores, and get {distinct:,}."
    yield Behaviour("scores_vary", kind, distinct >= asked_for, float(distinct), float(asked_for), count, message)

    factor = _factor(float(scores.mean()), base_rate)
    message = (
        f"The mean of {count:,} scores must be within a factor of {MAX_FACTOR:g} of the base rate, {base_rate:.2%}, "
        f"and is {scores.mean():.2%}."
    )
    yield Behaviour("mean_score_is_near_the_base_rate", kind, factor <= MAX_FACTOR, factor, MAX_FACTOR, count, message)


def _missing_values_are_survived(
    model: ServableModel, sample: pa.Table, base_rate: float, problem: Problem
) -> Behaviour:
    """Where little or nothing is known of a decision, its score stays in reach of the base rate.

    Categories may always bring a value that training never saw. A column of an entity, but not of a candidate, may be
    missing where the sample has it missing. Of what is always there the model could not learn what its absence means:
    a usual value stands in for it (`models.encoding`). So one of which nothing is known is like the usual decision,
    which may be far below the base rate where outcomes are rare, and must not be farther.
    """
    features = features_of(problem)
    lasting = [each.name for each in features if each.origin == "column" and each.noun in problem.decision.stored]
    optional = [name for name in lasting if sample[name].null_count >= MIN_MISSING * sample.num_rows]
    unseen = {feature.name: _UNSEEN for feature in features if feature.kind == "category"}
    nothing = dict.fromkeys(feature.name for feature in features)
    before, after = scores_of(model, sample), scores_of(model, overwritten(sample, unseen | dict.fromkeys(optional)))
    empty = float(scores_of(model, overwritten(sample.slice(0, 1), nothing))[0])
    usual = float(np.median(before))
    nearest = min(max(empty, min(usual, base_rate)), base_rate)
    factor = max(_factor(float(after.mean()), base_rate), _factor(empty, nearest))
    passed = factor <= MAX_FACTOR_MISSING
    message = (
        f"Scores must stay within a factor of {MAX_FACTOR_MISSING:g} of the base rate, {base_rate:.2%}; with unseen "
        f"categories{' and without ' + ', '.join(optional) if optional else ''} {len(after):,} "
        f"{problem.decision.plural} average {after.mean():.2%}, and one of which nothing is known scores {empty:.2%} "
        f"(half of all score {usual:.2%} or less)."
    )
    furthest = np.array([_factor(score, base_rate) for score in after.tolist()])
    example = (
        None if passed else example_of(sample, problem.decision.keys, before, after, furthest > MAX_FACTOR_MISSING)
    )
    kind: Kind = "minimum functionality"
    return Behaviour(
        "missing_values_are_survived", kind, passed, factor, MAX_FACTOR_MISSING, len(after) + 1, message, example
    )


def _candidates_are_told_apart(model: ServableModel, sample: pa.Table, asked: pa.Table, problem: Problem) -> Behaviour:
    """For most units, which of the newest candidates they get makes a difference.

    Args:
        sample: where the candidates come from, each as it was in its latest decision.
        asked: one row per unit, the moment at which the choice could be another one.
    """
    decision = problem.decision
    units = asked.slice(0, UNITS_CHOOSING)
    candidates = newest_candidates(sample, decision)
    pairs = pairs_of(units, candidates, problem)
    scores = scores_of(model, pairs).reshape(units.num_rows, candidates.num_rows)
    safest, riskiest = scores.min(axis=1), scores.max(axis=1)
    # Odds without a quotient, which a score of 0 or 1 has not.
    apart = riskiest * (1 - safest) >= MIN_SPREAD * safest * (1 - riskiest)
    indifferent = ~apart | ~(riskiest > safest)
    share = share_of(indifferent)
    many = plural(str(decision.choose))
    message = (
        f"Each of {units.num_rows:,} {plural(decision.unit)} was scored with each of {candidates.num_rows} recent "
        f"{many}; for most of them the odds of the riskiest must be at least {MIN_SPREAD:g} times those of the safest, "
        f"and for {share:.1%} they are not."
    )
    passed = share <= MAX_INDIFFERENT
    example = None if passed else example_of(units, decision.keys, safest, riskiest, indifferent)
    kind: Kind = "minimum functionality"
    return Behaviour(f"{many}_are_told_apart", kind, passed, share, MAX_INDIFFERENT, pairs.num_rows, message, example)


def _odds_ratio(one: float, other: float) -> float:
    """NaN, which passes no test, where it has none.

    >>> round(_odds_ratio(0.95, 0.94), 2), round(_odds_ratio(0.02, 0.01), 2), _odds_ratio(0.5, 0.0)
    (1.21, 2.02, nan)
    """
    return (one / (1 - one)) / (other / (1 - other)) if 0 <= one < 1 and 0 < other < 1 else float("nan")


def _factor(score: float, base_rate: float) -> float:
    """How many times one is the other, at least 1; infinite for what is not above zero."""
    return max(score / base_rate, base_rate / score) if score > 0 else float("inf")
