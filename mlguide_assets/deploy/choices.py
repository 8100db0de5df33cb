"""The plan of a decision that chooses: which candidate each unit gets on a day, by which policy, how probably.

Which policy a unit follows is in `policies.py`. The policy of a model, champion or challenger, is greedy but for a
random share: a unit gets the least risky candidate, or, for `exploration.share` of the units that get one, a candidate
drawn uniformly from the K that the model would give them. What it holds to be too risky is never tried to learn from
it: exploration costs no more than the threshold allows, and withholding is not put to the test. So these are the
probabilities of the actions, given the policy, with N candidates:

    champion,      some below the threshold    the best: 1 - share (K - 1) / K    each of the K - 1 others: share / K
    challenger     none is                     withhold: 1; the row names the least risky one, which is not used
    generic                                    the candidate of the day: 1
    random                                     each candidate: 1 / N

which sum to 1. The propensity of a row is the probability of its action over all draws, that of the policy included:
the sum of `policy_shares` times `policy_propensities`. The draws are those of `statistics.draws`, by salt, day and
unit, so the same day is planned the same way again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import Decision, plural
from mlguide_assets.define.policies import POLICIES, Exploration, Policies, Policy
from mlguide_assets.deploy.actions import generic_action
from mlguide_assets.deploy.policies import PER_POLICY, followed_policies
from mlguide_assets.deploy.propensities import Bools, Floats, Scores, mixed, propensities
from mlguide_assets.statistics.draws import SIZE, draw_column, draw_index_column

PAIRS_AT_ONCE = 400_000
BEST, EXPLORE, FIXED = "best", "explore", "fixed"
Ids = npt.NDArray[Any]
MODELS: tuple[Policy, ...] = ("champion", "challenger")


def plan_schema(ids: pa.Schema) -> pa.Schema:
    """The columns of a plan.

    Args:
        ids: names and types of the ids of the unit and of what is chosen.
    """
    return pa.schema([("scoring_date", pa.date32()), *ids, *_COLUMNS])


_COLUMNS = pa.schema(
    [
        ("probability", pa.float64()),
        ("best_probability", pa.float64()),
        ("decision", pa.string()),
        ("experiment", pa.string()),
        ("arm", pa.string()),
        ("policy", pa.string()),
        ("choice", pa.string()),
        ("propensity", pa.float64()),
        ("policy_shares", PER_POLICY),
        ("policy_propensities", PER_POLICY),
        ("candidates", pa.int64()),
        ("offered", pa.int64()),
        ("supported", pa.int64()),
        ("exploration_share", pa.float64()),
        ("salt", pa.string()),
        ("model_version", pa.string()),
        ("planned_at", pa.timestamp("us")),
        ("run_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class Choosing:
    """Who chooses: the shares of the policies, whom an experiment assigned, and what the challenger says.

    Attributes:
        decision: which entity gets which.
        assigned: rows as of `policies.assigned_schema`.
        challenger: predictions as those of the champion, for the same units and candidates.
    """

    decision: Decision
    exploration: Exploration
    policies: Policies
    assigned: ibis.Table | None = None
    challenger: ibis.Table | None = None


def plan_choices(
    predictions: ibis.Table, choosing: Choosing, *, day: date, planned_at: datetime, run_id: str
) -> pa.RecordBatchReader:
    """Choose for every unit of a day's predictions, a slice of the units at a time, in order of their ids.

    Args:
        predictions: every unit with every candidate, as `batch.score` makes them; empty without a champion.
        planned_at: now, by the problem's clock, UTC.

    Raises:
        ValueError: a unit lacks a candidate.
    """
    same = {"scoring_date": day, "salt": choosing.exploration.salt, "planned_at": planned_at, "run_id": run_id}
    schema = plan_schema(predictions.select(*choosing.decision.ids).schema().to_pyarrow())
    return pa.RecordBatchReader.from_batches(schema, _batches(predictions, choosing, schema, day, same))


def _batches(
    predictions: ibis.Table, choosing: Choosing, schema: pa.Schema, day: date, same: dict[str, Any]
) -> Iterator[pa.RecordBatch]:
    unit, choose = choosing.decision.ids
    units = predictions.select(unit).distinct().order_by(unit).to_pyarrow()[unit]
    offered = np.sort(predictions.select(choose).distinct().to_pyarrow()[choose].to_numpy())
    # All pairs at once might not fit in memory.
    step = max(PAIRS_AT_ONCE // max(len(offered), 1), 1)
    for start in range(0, len(units), step):
        some = units.slice(start, step)
        champion, version = _read(predictions, some, offered, choosing.decision)
        other = (champion, version)
        if choosing.challenger is not None:
            other = _read(choosing.challenger, some, offered, choosing.decision)
        challenger, other_version = other
        draws = _draws(predictions, some, choosing, day, (champion, challenger))
        columns = _columns(some, offered, champion, challenger, draws, choosing, day) | {
            "model_version": np.where(pc.equal(draws["policy"], "challenger"), other_version, version),
            **{name: pa.array([value] * len(some)) for name, value in same.items()},
        }
        rows = pa.table({name: columns[name] for name in schema.names}).cast(schema)
        yield from rows.combine_chunks().to_batches()


def _read(predictions: ibis.Table, units: pa.ChunkedArray, offered: Ids, decision: Decision) -> tuple[Scores, str]:
    """What a model says of some units, and its version."""
    unit, choose = decision.ids
    slice_ = predictions.filter(predictions[unit].between(units[0].as_py(), units[-1].as_py()))
    rows = slice_.order_by(unit, choose).to_pyarrow()
    shape = len(units), len(offered)
    if rows.num_rows != len(units) * len(offered) or (rows[choose].to_numpy().reshape(shape) != offered).any():
        raise ValueError(
            f"{rows.num_rows} predictions for {shape[0]} {plural(decision.unit)} and {shape[1]} "
            f"{plural(str(decision.choose))}; expected every pair"
        )
    sendable = pc.equal(rows["decision"], decision.actions[0]).to_numpy()
    scores = Scores(rows["probability"].to_numpy().reshape(shape), sendable.reshape(shape))
    return scores, rows["model_version"][0].as_py()


def _draws(
    predictions: ibis.Table, units: pa.ChunkedArray, choosing: Choosing, day: date, models: tuple[Scores, Scores]
) -> pa.Table:
    """One row per unit in order: the policy that it follows, and the numbers that their draws give."""
    salt, when = choosing.exploration.salt, day.isoformat()
    champion, challenger = models
    units = ibis.memtable(
        pa.table({"unit_id": units, "candidates": champion.candidates, "others": challenger.candidates})
    )
    followed = followed_policies(
        units, choosing.policies, salt=salt, assigned=choosing.assigned, has_challenger=choosing.challenger is not None
    )
    rows = units.inner_join(followed, "unit_id").order_by("unit_id")
    count = ibis.ifelse(rows.policy == "challenger", rows.others, rows.candidates)
    offered = ibis.literal(champion.probability.shape[1], "int64")
    drawn = rows.mutate(
        explore=draw_column(f"{salt}/explore:{when}", rows.unit_id),
        which=draw_index_column(f"{salt}/which:{when}", rows.unit_id, count),
        any=draw_index_column(f"{salt}/random:{when}", rows.unit_id, offered),
    )
    return predictions.get_backend().to_pyarrow(drawn)


def _columns(
    units: pa.ChunkedArray,
    offered: Ids,
    champion: Scores,
    challenger: Scores,
    draws: pa.Table,
    choosing: Choosing,
    day: date,
) -> dict[str, Any]:
    """What is done with each unit, how that was chosen, and how probable it was."""
    policy, share = draws["policy"].to_numpy(), choosing.exploration.share
    of_model, row = np.isin(policy, MODELS), np.arange(len(policy))
    own = _of_either(policy == "challenger", challenger, champion)
    candidates, best = own.candidates, own.best
    explored = of_model & (candidates > 0) & (draws["explore"].to_numpy() < round(share * SIZE))
    generic = offered.tolist().index(generic_action(offered.tolist(), salt=choosing.exploration.salt, day=day))
    chosen = np.where(explored, own.drawn(draws["which"].to_numpy()), best)
    chosen = np.select([policy == "generic", policy == "random"], [generic, draws["any"].to_numpy()], chosen)
    withheld = of_model & (candidates == 0)

    shares: dict[Policy, Floats] = {each: pc.struct_field(draws["policy_shares"], each).to_numpy() for each in POLICIES}
    of_all = propensities(champion, challenger, share=share, generic=generic)
    of_these = of_all.of_actions(chosen, withheld)
    act, leave = choosing.decision.actions
    unit, choose = choosing.decision.ids
    return {
        unit: units,
        choose: offered[chosen],
        "probability": own.probability[row, chosen],
        "best_probability": own.probability[row, best],
        "decision": np.where(withheld, leave, act),
        **{name: draws[name] for name in ("experiment", "arm", "policy")},
        "choice": np.select([policy == "generic", (policy == "random") | explored], [FIXED, EXPLORE], BEST),
        "propensity": mixed(shares, of_these),
        "policy_shares": _struct(shares),
        "policy_propensities": _struct(of_these),
        "candidates": candidates,
        "offered": np.full(len(row), len(offered)),
        "supported": of_all.supported(shares),
        "exploration_share": np.full(len(row), share),
    }


def _of_either(second: Bools, one: Scores, other: Scores) -> Scores:
    """The scores of one model for some of the units, and of the other for the rest."""
    choice = second[:, None]
    return Scores(np.where(choice, one.probability, other.probability), np.where(choice, one.sendable, other.sendable))


def _struct(columns: dict[Policy, Floats]) -> pa.StructArray:
    return pa.StructArray.from_arrays([columns[policy] for policy in POLICIES], list(POLICIES))
