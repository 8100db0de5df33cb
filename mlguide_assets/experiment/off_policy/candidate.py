"""What a model would be worth in production, before it decides anything: from the plans that others have made.

A plan says for each unit and day what was done, and with which probability. The model scores the same units and
candidates, with the features of that day, so it is known with which probability its policy would have done the same:
the best candidate, or one of those that it would choose, as the plan explored. Where the plans explore too little of
what the model would do, no value is given, with the reason.

A model must not be valued by outcomes that it has learned from. Where enough outcomes were positive on days after its
last training row, these days are taken. Otherwise the days of its test window are, with its holdout model: the same
recipe, fitted on the rows before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import Decision
from mlguide_assets.define.policies import POLICIES, Policy
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.batch import Scorer, scores_on
from mlguide_assets.deploy.gate.scorable import lost_feature
from mlguide_assets.deploy.plan.propensities import Scores, propensities
from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.experiment.off_policy.planned import PolicyValue, followed, policy_value
from mlguide_assets.prepare.hosts.scratch import scratch_folder
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.train.files import HOLDOUT
from mlguide_assets.train.storage import load_facts

MODEL: Policy = "challenger"
"""The policy whose propensities are those of the model, whatever its version."""

AGAINST: Policy = "champion"


@dataclass(frozen=True)
class ModelValue:
    """What the plans say of a model.

    Attributes:
        which: in words, which of its two models was valued, on which days.
        value: None where there is no day to value it on, or the plans were not followed; then `which` says why.
        decisions: those that it was valued on.
    """

    version: str
    which: str
    value: PolicyValue | None
    decisions: pa.Table


def value_of_version(
    home: Home, lake: Lake, problem: Problem, version: str, decisions: pa.Table, *, against: Policy = AGAINST
) -> ModelValue:
    """Value a registered version.

    Args:
        decisions: as `planned.planned_decisions` gives them.

    Raises:
        LostVersionError: the registry has no such version, or has lost its files.
    """
    with scratch_folder(home.root, "A registered version") as folder:
        candidate = registry_of(home, problem).fetch(version, folder)
        return value_of_model(candidate, version, lake, problem, decisions, against=against)


def value_of_model(
    candidate: Path, version: str, lake: Lake, problem: Problem, decisions: pa.Table, *, against: Policy = AGAINST
) -> ModelValue:
    """Value a model.

    Args:
        candidate: its folder, as `train.storage` describes it.
    """
    facts = load_facts(candidate)
    rows, holdout, which = _unseen(decisions, facts, problem)
    if lost := lost_feature(candidate, lake, problem):
        why = f"the version needs the feature {lost!r}, which the problem no longer has."
        return ModelValue(version, f"No {which} can be taken: {why}", None, rows.slice(0, 0))
    # Before every unit is scored with every candidate, on each of the days.
    rows, contradiction = followed(rows)
    if contradiction:
        return ModelValue(version, f"No {which} can be taken: {contradiction}", None, rows.slice(0, 0))
    scorer = Scorer(candidate / HOLDOUT if holdout else candidate, facts["threshold"], version)
    known = _with_model(rows, scorer, lake, problem)
    if not known.num_rows:
        return ModelValue(version, f"There is no {which}, of which the features were kept.", None, known)
    return ModelValue(version, which, policy_value(known, MODEL, against), known)


def _unseen(decisions: pa.Table, facts: Mapping[str, Any], problem: Problem) -> tuple[pa.Table, bool, str]:
    """The decisions whose outcomes a model has not learned from, whether it is its holdout model, and both in words."""
    days = decisions["scoring_date"].to_numpy()
    fresh = days > np.datetime64(facts["refit_until"]).astype("datetime64[D]")
    positives = float(decisions["reward"].to_numpy()[fresh].sum())
    if positives >= problem.gate.min_fresh_positives:
        return decisions.filter(pa.array(fresh)), False, "planned day after the last that it has learned from"
    first = np.datetime64(facts["test_from"]).astype("datetime64[D]")
    kept = pa.array(days > first)
    return decisions.filter(kept), True, f"planned day of its test window, after {first}, for its holdout model"


def _with_model(decisions: pa.Table, scorer: Scorer, lake: Lake, problem: Problem) -> pa.Table:
    """The decisions of days that can be scored, with the model's propensities as those of `MODEL`."""
    parts = [
        rows.set_column(rows.column_names.index("policy_propensities"), "policy_propensities", _replaced(rows, own))
        for rows, own in _scored(decisions, scorer, lake, problem)
    ]
    return pa.concat_tables(parts) if parts else decisions.slice(0, 0)


def _scored(decisions: pa.Table, scorer: Scorer, lake: Lake, problem: Problem) -> Iterator[tuple[pa.Table, Floats]]:
    """Decisions, some units of a day at a time, and the probability of each under the model's policy."""
    decision = problem.decision
    unit, store = decision.unit_id, decision.store_tables[decision.unit]
    stored = lake.snapshot(store).partitions if lake.exists(store) else {}
    columns = lake.read(store, partitions=[max(stored)]).columns if stored else ()
    for day in sorted(set(decisions["scoring_date"].to_pylist())):
        # Features of before the problem changed are not those that the model needs.
        kept = day.isoformat() in stored
        if not kept or lake.read(store, partitions=[day.isoformat()]).columns != columns:
            continue
        rows = decisions.filter(pc.equal(decisions["scoring_date"], pa.scalar(day)))
        for batch in scores_on(scorer, lake, problem, day=day, run_id=""):
            own = rows.filter(pc.is_in(rows["unit_id"], batch[unit].unique())).sort_by("unit_id")
            if own.num_rows:
                yield _probabilities(own, batch, decision)


def _probabilities(rows: pa.Table, said: pa.RecordBatch, decision: Decision) -> tuple[pa.Table, Floats]:
    """Those of the rows whose action was a candidate, and the probability of each.

    Args:
        rows: decisions of one day, all of whose units are in `said`, by unit.
        said: predictions of units with every candidate, by unit and candidate.
    """
    units, chosen = (said[str(name)].to_numpy(zero_copy_only=False) for name in (decision.unit_id, decision.choose_id))
    act, leave = decision.actions
    candidates = np.unique(chosen)
    shape = -1, len(candidates)
    place = np.searchsorted(units.reshape(shape)[:, 0], rows["unit_id"].to_numpy())
    risk = said["probability"].to_numpy().reshape(shape)[place]
    usable = pc.equal(said["decision"], act).to_numpy(zero_copy_only=False).reshape(shape)[place]
    withheld = pc.equal(rows["decision"], leave).to_numpy()
    action = rows["choice_id"].to_numpy()
    which = np.minimum(np.searchsorted(candidates, action), len(candidates) - 1)
    scores, share = Scores(risk, usable), float(rows["exploration_share"][0].as_py())
    own = propensities(scores, scores, share=share, generic=0).of_actions(which, withheld)[MODEL]
    known = withheld | (candidates[which] == action)
    return rows.filter(pa.array(known)), own[known]


def _replaced(rows: pa.Table, own: Floats) -> pa.StructArray:
    """The propensities of each policy, those of `MODEL` being its own."""
    known = rows["policy_propensities"].combine_chunks()
    columns = [pa.array(own) if policy == MODEL else known.field(policy) for policy in POLICIES]
    return pa.StructArray.from_arrays(columns, list(POLICIES))
