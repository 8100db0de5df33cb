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

from mlguide_assets.define.decision import Decision
from mlguide_assets.define.policies import MODEL_POLICIES, POLICIES, Exploration, Policies, Policy
from mlguide_assets.deploy.plan.actions import generic_action
from mlguide_assets.deploy.plan.plan_table import plan_schema
from mlguide_assets.deploy.plan.policies import followed_policies
from mlguide_assets.deploy.plan.propensities import Scores, mixed, propensities
from mlguide_assets.english import counted, plural
from mlguide_assets.prepare.computing import Engine
from mlguide_assets.prepare.lake.data_files import TableLike
from mlguide_assets.statistics.arrays import Flags, Floats
from mlguide_assets.statistics.draws import SIZE, draw_column, draw_index_column

PAIRS_AT_ONCE = 400_000
BEST, EXPLORE, FIXED = "best", "explore", "fixed"
Ids = npt.NDArray[Any]


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
    asked = _Asked.of(predictions, choosing, day, planned_at, run_id)
    return pa.RecordBatchReader.from_batches(asked.schema, _batches(predictions, choosing, asked))


def plan_choices_on(
    engine: Engine, predictions: ibis.Table, choosing: Choosing, *, day: date, planned_at: datetime, run_id: str
) -> TableLike:
    """`plan_choices` by an engine: where rows are on other machines, each chooses for the units that it holds.

    Args:
        predictions: and the tables of `choosing`: of this engine.
    """
    if not engine.elsewhere:
        return plan_choices(predictions, choosing, day=day, planned_at=planned_at, run_id=run_id)
    asked = _Asked.of(predictions, choosing, day, planned_at, run_id)

    def chosen(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield from asked.answered(*_said_and_drawn(pa.Table.from_batches([batch]), asked))

    rows = _with_what_is_said(predictions, choosing, day, len(asked.offered))
    return engine.mapped(rows, chosen, asked.schema).order_by(asked.decision.unit_id)


@dataclass(frozen=True)
class _Said:
    """What a model says of some units, and its version (n,)."""

    scores: Scores
    version: Any


@dataclass(frozen=True)
class _Asked:
    """What is the same for all units of a day: what they are offered, how it is explored, and how rows are stamped."""

    decision: Decision
    exploration: Exploration
    offered: Ids
    day: date
    planned_at: datetime
    run_id: str
    schema: pa.Schema

    @classmethod
    def of(cls, predictions: ibis.Table, choosing: Choosing, day: date, planned_at: datetime, run_id: str) -> "_Asked":
        decision, choose = choosing.decision, str(choosing.decision.choose_id)
        offered = np.sort(predictions.select(choose).distinct().to_pyarrow()[choose].to_numpy())
        schema = plan_schema(predictions.select(*decision.ids).schema().to_pyarrow())
        return cls(decision, choosing.exploration, offered, day, planned_at, run_id, schema)

    def answered(
        self, units: pa.ChunkedArray, champion: _Said, challenger: _Said, draws: pa.Table
    ) -> Iterator[pa.RecordBatch]:
        """The rows of some units, in their order."""
        same = {"scoring_date": self.day, "salt": self.exploration.salt}
        same |= {"planned_at": self.planned_at, "run_id": self.run_id}
        version = np.where(pc.equal(draws["policy"], "challenger"), challenger.version, champion.version)
        columns = _columns(units, champion.scores, challenger.scores, draws, self) | {
            "model_version": version,
            **{name: pa.array([value] * len(units)) for name, value in same.items()},
        }
        rows = pa.table({name: columns[name] for name in self.schema.names}).cast(self.schema)
        yield from rows.combine_chunks().to_batches()


def _batches(predictions: ibis.Table, choosing: Choosing, asked: _Asked) -> Iterator[pa.RecordBatch]:
    unit = asked.decision.unit_id
    units = predictions.select(unit).distinct().order_by(unit).to_pyarrow()[unit]
    # All pairs at once might not fit in memory.
    step = max(PAIRS_AT_ONCE // max(len(asked.offered), 1), 1)
    for start in range(0, len(units), step):
        some = units.slice(start, step)
        champion = challenger = _read(predictions, some, asked)
        if choosing.challenger is not None:
            challenger = _read(choosing.challenger, some, asked)
        counts = {"candidates": champion.scores.candidates, "others": challenger.scores.candidates}
        table = ibis.memtable(pa.table({"unit_id": some, **counts}))
        draws = _drawn(table, choosing, asked.day, len(asked.offered)).order_by("unit_id")
        yield from asked.answered(some, champion, challenger, predictions.get_backend().to_pyarrow(draws))


def _read(predictions: ibis.Table, units: pa.ChunkedArray, asked: _Asked) -> _Said:
    """What a model says of some units."""
    unit, choose = asked.decision.ids
    slice_ = predictions.filter(predictions[unit].between(units[0].as_py(), units[-1].as_py()))
    rows = slice_.order_by(unit, choose).to_pyarrow()
    usable = pc.equal(rows["decision"], asked.decision.actions[0])
    scores = _scores(rows[choose], rows["probability"], usable, len(units), asked)
    return _Said(scores, rows["model_version"][0].as_py())


def _scores(
    choices: pa.ChunkedArray, probability: pa.ChunkedArray, usable: pa.ChunkedArray, units: int, asked: _Asked
) -> Scores:
    """Pairs in the order of units, then of candidates, as a row per unit."""
    shape, decision = (units, len(asked.offered)), asked.decision
    if len(choices) != units * len(asked.offered) or (choices.to_numpy().reshape(shape) != asked.offered).any():
        raise ValueError(
            f"{counted(len(choices), 'prediction')} for {counted(shape[0], decision.unit)} and {shape[1]} "
            f"{plural(str(decision.choose))}; expected every pair"
        )
    return Scores(probability.to_numpy().reshape(shape), usable.to_numpy().reshape(shape))


def _drawn(units: ibis.Table, choosing: Choosing, day: date, offered: int) -> ibis.Table:
    """The policy that each unit follows, and the numbers that its draws give.

    Args:
        units: `unit_id`, and how many `candidates` the champion would use, and how many `others` the challenger.
    """
    salt, when = choosing.exploration.salt, day.isoformat()
    followed = followed_policies(
        units, choosing.policies, salt=salt, assigned=choosing.assigned, has_challenger=choosing.challenger is not None
    )
    rows = units.inner_join(followed, "unit_id")
    count = ibis.ifelse(rows.policy == "challenger", rows.others, rows.candidates)
    return rows.mutate(
        explore=draw_column(f"{salt}/explore:{when}", rows.unit_id),
        which=draw_index_column(f"{salt}/which:{when}", rows.unit_id, count),
        any=draw_index_column(f"{salt}/random:{when}", rows.unit_id, ibis.literal(offered, "int64")),
    )


def _with_what_is_said(predictions: ibis.Table, choosing: Choosing, day: date, offered: int) -> ibis.Table:
    """A row per unit: its draws, and in a list in the order of candidates what each model says of them."""
    champion = _said_of_units(predictions, choosing.decision, "champion")
    if choosing.challenger is None:
        said = champion.mutate(others=champion.candidates)
    else:
        other = _said_of_units(choosing.challenger, choosing.decision, "challenger").rename(others="candidates")
        said = champion.inner_join(other, "unit_id")
    counts = said.select("unit_id", "candidates", "others")
    draws = _drawn(counts, choosing, day, offered).drop("candidates", "others")
    return said.inner_join(draws, "unit_id")


def _said_of_units(predictions: ibis.Table, decision: Decision, model: str) -> ibis.Table:
    unit, choose = decision.ids
    usable = predictions.decision == decision.actions[0]
    said = ibis.struct({"choice": predictions[choose], "probability": predictions.probability, "usable": usable})
    pairs = predictions.select("model_version", unit_id=predictions[unit], usable=usable, said=said)
    return pairs.group_by("unit_id").aggregate(
        pairs.usable.cast("int64").sum().name("candidates"),
        pairs.said.collect(order_by=pairs.said).name(model),
        pairs.model_version.max().name(f"{model}_version"),
    )


def _said_and_drawn(rows: pa.Table, asked: _Asked) -> tuple[pa.ChunkedArray, _Said, _Said, pa.Table]:
    """From rows of `_with_what_is_said`: the units, what champion and challenger say of them, and their draws."""
    said = {model: _of_model(rows, model, asked) for model in MODEL_POLICIES if model in rows.column_names}
    return rows["unit_id"], said["champion"], said.get("challenger", said["champion"]), rows


def _of_model(rows: pa.Table, model: str, asked: _Asked) -> _Said:
    pairs = pc.list_flatten(rows[model])
    choices, probability, usable = (pc.struct_field(pairs, name) for name in ("choice", "probability", "usable"))
    return _Said(_scores(choices, probability, usable, rows.num_rows, asked), rows[f"{model}_version"].to_numpy())


def _columns(
    units: pa.ChunkedArray, champion: Scores, challenger: Scores, draws: pa.Table, asked: _Asked
) -> dict[str, Any]:
    """What is done with each unit, how that was chosen, and how probable it was."""
    offered, policy, share = asked.offered, draws["policy"].to_numpy(), asked.exploration.share
    of_model, row = np.isin(policy, MODEL_POLICIES), np.arange(len(policy))
    own = _of_either(policy == "challenger", challenger, champion)
    candidates, best = own.candidates, own.best
    explored = of_model & (candidates > 0) & (draws["explore"].to_numpy() < round(share * SIZE))
    generic = offered.tolist().index(generic_action(offered.tolist(), salt=asked.exploration.salt, day=asked.day))
    chosen = np.where(explored, own.drawn(draws["which"].to_numpy()), best)
    chosen = np.select([policy == "generic", policy == "random"], [generic, draws["any"].to_numpy()], chosen)
    withheld = of_model & (candidates == 0)

    shares: dict[Policy, Floats] = {each: pc.struct_field(draws["policy_shares"], each).to_numpy() for each in POLICIES}
    of_all = propensities(champion, challenger, share=share, generic=generic)
    of_these = of_all.of_actions(chosen, withheld)
    act, leave = asked.decision.actions
    unit, choose = asked.decision.ids
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


def _of_either(second: Flags, one: Scores, other: Scores) -> Scores:
    """The scores of one model for some of the units, and of the other for the rest."""
    choice = second[:, None]
    return Scores(np.where(choice, one.probability, other.probability), np.where(choice, one.usable, other.usable))


def _struct(columns: dict[Policy, Floats]) -> pa.StructArray:
    return pa.StructArray.from_arrays([columns[policy] for policy in POLICIES], list(POLICIES))
