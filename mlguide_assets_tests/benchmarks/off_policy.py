"""Off-policy estimates against the truth of simulated worlds that followed their send plans: `off_policy SEEDS`.

Every seed is another company. Its champion knows the true risks but for noise, and a share of the users is sent
anything at random. The policy of a user is drawn again each day: where users keep it, those who are left of a risky
policy are not those who are left of another, and no propensity of a day says so. Prints JSON.
"""

import json
import sys
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from multiprocessing import get_context
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import binom

from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.policies import Exploration, Policies, Policy
from mlguide_assets.deploy.plan.actions import generic_action
from mlguide_assets.deploy.plan.choices import Choosing, plan_choices
from mlguide_assets.deploy.plan.propensities import Scores, propensities
from mlguide_assets.experiment.off_policy.planned import planned_decisions, policy_value
from mlguide_assets.prepare.simulator import generate, truth
from mlguide_assets.prepare.simulator.plans import NO_PLANS, WITHHOLD, Plans
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets_tests.deploy.plans import PREDICTIONS_SCHEMA

PROBLEM = load_problem("planeswalker")
EXPLORING = Choosing(PROBLEM.decision, Exploration(share=0.2), Policies(champion=0.5, random=0.25, generic=0.25))
NOTHING_DRAWN = Choosing(PROBLEM.decision, Exploration(), Policies(champion=1.0))
PAIRS: tuple[tuple[Policy, Policy], ...] = (("champion", "random"), ("generic", "random"), ("champion", "generic"))
POLICIES: tuple[Policy, ...] = ("champion", "generic", "random")

EMAILS = 8
DAYS = 6
WITHOUT_DRAWS = 10
"""Seeds that are also tried without draws."""

NOISE = 0.6
THRESHOLD = 0.15


@dataclass
class Operated:
    """A world that followed its plans for some days, and what each policy would have been worth in them."""

    world: World
    first: date
    choosing: Choosing
    plans: Plans = NO_PLANS
    rows: list[pa.Table] = field(default_factory=list)
    worth: dict[Policy, float] = field(default_factory=lambda: dict.fromkeys(POLICIES, 0.0))

    def decisions(self) -> pa.Table:
        end = self.first + timedelta(days=DAYS)
        final = datetime.combine(end, time()) + PROBLEM.label.window
        sends = pa.concat_tables(generate.sends(self.world, self.first, end, final, plans=self.plans))
        return planned_decisions(ibis.memtable(pa.concat_tables(self.rows)), ibis.memtable(sends), PROBLEM, until=final)


def operate(seed: int, choosing: Choosing) -> Operated:
    """Plan some days of a new world, each from the history that the days before have made."""
    world = World(seed=seed, sends=40_000, days=60, base_rate=0.06)
    operated, noise = Operated(world, world.start + timedelta(days=50), choosing), np.random.default_rng(seed)
    for number in range(DAYS):
        _plan(operated, operated.first + timedelta(days=number), noise)
    return operated


def _plan(operated: Operated, day: date, noise: np.random.Generator) -> None:
    world, plans = operated.world, operated.plans
    exploration = operated.choosing.exploration.model_copy(update={"salt": day.isoformat()})
    choosing = replace(operated.choosing, exploration=exploration)
    users = generate.user_profiles(world, day)["id"].to_numpy()
    emails = np.sort(generate.email_content(world, day)["id"].to_numpy())[-EMAILS:]
    pairs = np.repeat(users, EMAILS), np.tile(emails, len(users))
    risk = truth.true_probabilities(world, day, *pairs, plans).reshape(len(users), EMAILS)
    said = np.minimum(risk * np.exp(noise.normal(0, NOISE, risk.shape)), 1)
    midnight = datetime.combine(day, time())
    reader = plan_choices(
        ibis.memtable(_predictions(day, *pairs, said)), choosing, day=day, planned_at=midnight, run_id="run"
    )
    rows = reader.read_all()
    email = np.where(pc.equal(rows["decision"], "send").to_numpy(), rows["email_id"].to_numpy(), WITHHOLD)
    operated.rows.append(rows)
    generic = emails.tolist().index(generic_action(emails.tolist(), salt=exploration.salt, day=day))
    of_all = propensities(*[Scores(said, said < THRESHOLD)] * 2, share=exploration.share, generic=generic)
    due = np.isin(users, truth.opportunities(world, day, plans))
    for policy in POLICIES:
        operated.worth[policy] += float((of_all.using[policy] * risk)[due].sum())
    operated.plans = plans.with_day(day, rows["user_id"].to_numpy(), email)


def _predictions(
    day: date, users: npt.NDArray[Any], emails: npt.NDArray[Any], said: npt.NDArray[np.float64]
) -> pa.Table:
    risks = said.ravel()
    same = {"scoring_date": day, "model_version": "1", "run_id": "run", "feature_time": datetime.combine(day, time())}
    columns = {"user_id": users, "email_id": emails, "probability": risks}
    columns |= {"decision": np.where(risks < THRESHOLD, "send", "withhold")}
    columns |= {name: [value] * len(risks) for name, value in same.items()}
    return pa.table(
        {name: pa.array(columns[name], PREDICTIONS_SCHEMA.field(name).type) for name in PREDICTIONS_SCHEMA.names}
    )


@dataclass(frozen=True)
class Trial:
    """What one seed gave: for each supported pair whether its interval holds the truth, and its relative error.

    `refused` says whether a world in which nothing is drawn was refused; None where that was not tried.
    """

    pairs: dict[tuple[Policy, Policy], tuple[bool, float]]
    refused: bool | None


def trial(seed: int) -> Trial:
    operated = operate(seed, EXPLORING)
    decisions, pairs = operated.decisions(), {}
    for policy, against in PAIRS:
        found = policy_value(decisions, policy, against, repeats=400, seed=seed).ratio
        if found is not None:
            true = operated.worth[policy] / operated.worth[against]
            pairs[policy, against] = found.low <= true <= found.high, found.value / true - 1
    if seed >= WITHOUT_DRAWS:
        return Trial(pairs, None)
    decisions = operate(seed, NOTHING_DRAWN).decisions()
    return Trial(pairs, policy_value(decisions, "random", "champion", repeats=1).ratio is None)


def main(seeds: int) -> dict[str, Any]:
    # A process for some seeds: Ibis keeps every table that it was given in memory.
    with get_context("spawn").Pool(2, maxtasksperchild=10) as processes:
        trials = processes.map(trial, range(seeds), chunksize=1)
    refused = [each.refused for each in trials if each.refused is not None]
    return {
        "seeds": seeds,
        "pairs": {f"{policy} against {against}": _summary(trials, (policy, against)) for policy, against in PAIRS},
        "refused_without_draws": sum(refused),
        "without_draws": len(refused),
    }


def _summary(trials: list[Trial], pair: tuple[Policy, Policy]) -> dict[str, float]:
    found = [each.pairs[pair] for each in trials if pair in each.pairs]
    errors = [error for _, error in found]
    return {
        "supported": len(found),
        "covered": sum(holds for holds, _ in found),
        "at_least": float(binom.ppf(0.005, len(found), 0.95) / len(found)),
        "mean_error": float(np.mean(errors)),
        "spread": float(np.std(errors)),
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
