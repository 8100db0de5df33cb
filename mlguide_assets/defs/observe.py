"""Observe: what the running system does, held against what it should do."""

from typing import Any

import dagster as dg

from mlguide_assets.defs.workspace import OWNERS, Workspace

GROUP = "observe"


@dg.asset(group_name=GROUP, kinds={"parquet", "ibis"}, owners=OWNERS)
def online_parity(workspace: Workspace, prediction_log: Any) -> dg.Output[Any]:
    """How many logged values of each feature differ from the same computed offline, as of the same instants."""
    from mlguide_assets.observe.online_parity import online_parity

    parity = online_parity(prediction_log, workspace.lake, workspace.problem)
    return dg.Output(parity.table, metadata={"vectors": parity.rows, "beyond_comparison": parity.beyond})


@dg.asset_check(
    asset="online_parity",
    description="Every logged feature equals what is computed offline as of the same instants, but for rounding "
    "(1e-9 of the value).",
)
def logged_features_agree(online_parity: Any) -> dg.AssetCheckResult:
    from mlguide_assets.observe.online_parity import judge_parity

    verdict = judge_parity(online_parity)
    return dg.AssetCheckResult(
        passed=not verdict.differing,
        description=verdict.sentence,
        metadata={"differing": ", ".join(verdict.differing) or "none"},
    )
