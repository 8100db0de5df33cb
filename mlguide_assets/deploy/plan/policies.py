"""Which policy a unit follows, and the schema in which an experiment says so.

    generic       one action for all units of a day, chosen for no unit in particular; nothing is withheld
    champion      the action that the model in production scores best, with its exploration
    challenger    the same with the challenger's scores; the champion's where there is no challenger
    random        one of the candidates, all equally likely; nothing is withheld

Units of an experiment follow the policy of their arm. What assigns them stands to the right of this stage, so it
writes rows: the table `ASSIGNMENTS` of the lake, one partition per scoring day, with the columns of
`assigned_schema`. The
others follow `policies` of the problem file by a draw of their own. No draw here depends on the day, so a unit stays
with its policy. What a policy then does is in `choices.py`.
"""

from datetime import date

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from mlguide_assets.define.policies import POLICIES, Policies, Policy
from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.statistics.draws import draw_share_column

ASSIGNMENTS = "experiment_assignments"
"""The units of experiments with the policies of their arms, a partition per day, which the plan of the day follows."""

PER_POLICY = pa.struct([(policy, pa.float64()) for policy in POLICIES])
"""A number for each policy."""

_ASSIGNED = pa.schema(
    [
        ("experiment", pa.string()),
        ("arm", pa.string()),
        ("policy", pa.string()),
        # With which probability the draw of the arm gave the unit each policy: they sum to 1.
        ("policy_shares", PER_POLICY),
    ]
)

COLUMNS = {
    "unit_id": "The unit.",
    "experiment": "Name of the experiment.",
    "arm": "The arm that the unit is in.",
    "policy": "The policy of the arm, which chooses the unit's action.",
    "policy_shares": "With which probability the draw of the arm gave the unit each policy.",
}
"""Of assignments: column → meaning."""


def assigned_schema(unit: pa.DataType) -> pa.Schema:
    """One row per assigned unit; a unit has one row or none.

    Args:
        unit: the type of the ids of units.
    """
    return pa.schema([("unit_id", unit), *_ASSIGNED])


_ROUNDING = 1e-9


def assigned_units(lake: Lake, day: date) -> ibis.Table | None:
    """The rows of `ASSIGNMENTS` for a day; None where no experiment assigned any.

    Raises:
        InputError: a unit has two rows, or a row has no known policy or shares that it cannot have been drawn with.
    """
    partition = day.isoformat()
    if not lake.exists(ASSIGNMENTS) or partition not in lake.snapshot(ASSIGNMENTS).partitions:
        return None
    rows = lake.open(ASSIGNMENTS, partitions=[partition])
    _refuse_wrong(rows, day)
    return rows


def needs_challenger(policies: Policies, assigned: ibis.Table | None) -> bool:
    """Whether any unit may follow the challenger."""
    if policies.challenger > 0 or assigned is None:
        return policies.challenger > 0
    largest = assigned.agg(share=assigned.policy_shares["challenger"].max()).to_pyarrow()["share"][0].as_py()
    return bool(largest and largest > 0)


def followed_policies(
    units: ibis.Table,
    policies: Policies,
    *,
    salt: str,
    assigned: ibis.Table | None = None,
    has_challenger: bool = False,
) -> ibis.Table:
    """Which policy each unit follows, and how probable each of the policies was.

    Args:
        units: any table with one row per unit and `unit_id`.
        policies: of units that are not assigned.
        salt: another one draws other units.
        assigned: rows as of `assigned_schema`.
        has_challenger: otherwise the challenger's units follow the champion.

    Returns:
        unit_id, experiment, arm, policy and `policy_shares`; the first two are null where nothing is assigned.
    """
    text, numbers = ibis.null("string"), _struct(policies.shares)
    drawn = units.select(
        "unit_id", experiment=text, arm=text, policy=_drawn(units, policies, salt), policy_shares=numbers
    )
    if assigned is not None:
        given = assigned.select("unit_id", *_ASSIGNED.names)
        others = drawn.anti_join(given, "unit_id")
        drawn = ibis.union(given.semi_join(units, "unit_id"), others)
    return drawn if has_challenger else _without_challenger(drawn)


def _drawn(units: ibis.Table, policies: Policies, salt: str) -> ir.StringValue:
    """The policy whose part of [0, 1) holds the unit's draw."""
    wanted = [(policy, share) for policy, share in policies.shares.items() if share > 0]
    draw, reached, cases = draw_share_column(f"{salt}/policy", units.unit_id), 0.0, []
    for policy, share in wanted[:-1]:
        reached += share
        cases.append((draw < exactly(reached), ibis.literal(policy)))
    last = ibis.literal(wanted[-1][0])
    return ibis.cases(*cases, else_=last) if cases else last


def _without_challenger(followed: ibis.Table) -> ibis.Table:
    shares: ir.StructValue = followed.policy_shares
    champion: dict[str, ir.FloatingValue] = {
        "champion": shares["champion"] + shares["challenger"],
        "challenger": ibis.literal(0.0),
    }
    return followed.mutate(
        policy=ibis.ifelse(followed.policy == "challenger", "champion", followed.policy),
        policy_shares=ibis.struct({policy: champion.get(policy, shares[policy]) for policy in POLICIES}),
    )


def _struct(shares: dict[Policy, float]) -> ir.StructValue:
    return ibis.struct({policy: exactly(share) for policy, share in shares.items()})


def exactly(share: float) -> ir.FloatingValue:
    """A number as it is: as a number in SQL it would be a decimal, which is rounded otherwise than Python's."""
    value: ir.FloatingValue = ibis.literal(repr(share)).cast("float64")
    return value


def _refuse_wrong(rows: ibis.Table, day: date) -> None:
    shares: ir.StructValue = rows.policy_shares
    own = ibis.cases(*((rows.policy == policy, shares[policy]) for policy in POLICIES), else_=0.0)
    total = sum((shares[policy] for policy in POLICIES), start=ibis.literal(0.0))
    sound = (own > 0) & ((total - 1).abs() <= _ROUNDING)
    found = rows.agg(
        rows=rows.count(), units=rows.unit_id.nunique(), sound=rows.count(where=sound.fill_null(False))
    ).to_pyarrow()
    count, units, right = (found[name][0].as_py() for name in ("rows", "units", "sound"))
    if units < count:
        raise InputError(
            f"{ASSIGNMENTS} of {day} has {counted(count, 'row')} for {counted(units, 'unit')}; expected one row per "
            "unit: "
            "experiments that choose for the same units belong to one exclusion group."
        )
    if right < count:
        raise InputError(
            f"{ASSIGNMENTS} of {day} has {counted(count - right, 'row')} that cannot be right: expected a policy "
            f"({', '.join(POLICIES)}) with a share above 0, and shares that sum to 1."
        )
