"""Who may take part in an experiment: decided here alone, for the sizing, for the plan, and for servers.

Servers see no tables of units. The online store holds for them what was decided: a flag per unit and experiment.
"""

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

import ibis

from mlguide_assets.define.conditions import fault_of_values
from mlguide_assets.define.prediction import Comparison
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.routing import eligibility_column
from mlguide_assets.experiment.actions import members_of, tables_of_actions
from mlguide_assets.experiment.sections import Condition
from mlguide_assets.experiment.specification import Experiment, kinds_of_units
from mlguide_assets.experiment.tables import EXPOSURES
from mlguide_assets.prepare.features.events import comparison
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.named import named


def eligible(members: ibis.Table, conditions: Sequence[Condition], problem: Problem) -> ibis.Table:
    """The units that may take part: those that meet every condition. An unknown value meets none.

    Args:
        members: as of `actions.members_of`.
    """
    return members.filter(_meets(members, conditions, problem)) if conditions else members


def may_take_part(
    members: ibis.Table, experiment: Experiment, exposed: ibis.Table | None, problem: Problem
) -> ibis.Value:
    """Whether each unit may take part: those that are eligible, and those that were exposed, which stay in their arm.

    Args:
        exposed: rows of `exposures`, if there are any.
    """
    meets = _meets(members, experiment.eligibility, problem)
    if exposed is None or not experiment.eligibility:
        return meets
    name, version = experiment.key
    own = exposed.filter(exposed.experiment == name, exposed.version == version)
    return meets | members.id.isin(own.unit_id).fill_null(False)


def of_experiments(experiments: Sequence[Experiment], lake: Lake, problem: Problem) -> ibis.Table | None:
    """Who may take part in each experiment that does not take everybody.

    Returns:
        One row per unit that may take part in any: its id, and a flag per experiment (`routing.eligibility_column`).
        None where every experiment takes everybody.
    """
    chosen = [each for each in experiments if each.eligibility]
    if not chosen:
        return None
    members = members_of(tables_of_actions(lake, problem), problem)
    exposed = lake.read(EXPOSURES) if lake.exists(EXPOSURES) else None
    flags = {eligibility_column(*each.key): may_take_part(members, each, exposed, problem) for each in chosen}
    units = members.filter(members.id.notnull()).select(members.id.name(problem.decision.unit_id), *named(flags))
    return units.filter(reduce(or_, (units[name] for name in flags)))


def _meets(members: ibis.Table, conditions: Sequence[Condition], problem: Problem) -> ibis.Value:
    kinds = kinds_of_units(problem)
    found = [ibis.literal(True)]
    for each in conditions:
        kind, is_range = kinds.get(each.column), not each.values
        # On record may be what a problem file, or an earlier version, took and this one does not: nobody meets it.
        if kind is None or each.column not in members.columns or (is_range and kind not in ("number", "integer")):
            return ibis.literal(False)
        values = tuple(text for text in each.values if fault_of_values(each.column, kind, (text,)) is None)
        if not values and not is_range:
            return ibis.literal(False)
        asked = Comparison(one_of=values, at_least=each.min, at_most=each.max)
        found.append(comparison(members[each.column], kind, asked))
    return reduce(and_, found)
