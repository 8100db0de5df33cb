"""Experiment: who is assigned to which arm, who met it, and what came of it."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from mlguide_assets.defs.days import chosen_day, newest_day
from mlguide_assets.defs.workspace import OWNERS, PROBLEM, SCORING_DATES, Workspace

GROUP = "experiment"
# Where nothing is chosen, these assets are left out: see scope.py.
ACTIONS = PROBLEM.action_tables if PROBLEM.chooses else ()
TABLES = {name: dg.AssetIn(name) for name in ACTIONS}
PLAN = PROBLEM.decision.plan_table


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    partitions_def=SCORING_DATES,
    deps=["champion_model", "feature_declarations", *ACTIONS],
)
def experiment_assignments(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
    """Which units of the running experiments follow which arm on a day; the plan follows it."""
    from mlguide_assets.defs.metadata import data_version, table_metadata, version_of
    from mlguide_assets.deploy.batch import refuse_unreached
    from mlguide_assets.experiment.day import assign_day

    home, lake, problem, key = workspace.home, workspace.lake, workspace.problem, chosen_day(context)
    day = date.fromisoformat(key)
    refuse_unreached(day, newest_day(workspace))
    assigned = assign_day(home, lake, problem, day, report=context.log.warning)
    if assigned is None:
        return dg.MaterializeResult(data_version=version_of("no experiment"), metadata={"experiments": "none runs"})
    return dg.MaterializeResult(
        data_version=data_version(assigned.snapshot, key),
        metadata=table_metadata(lake, assigned.snapshot, problem, key)
        | {"experiments": ", ".join(assigned.running) or "none runs"},
    )


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    partitions_def=SCORING_DATES,
    deps=[PLAN, "prediction_log"],
)
def exposures(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
    """When each unit first met its arm, by the plan or the API: rows are only ever added, the first one counts."""
    from mlguide_assets.defs.metadata import metadata_of_kept, version_of
    from mlguide_assets.experiment.day import expose_day
    from mlguide_assets.experiment.tables import EXPOSURES

    lake, problem, day = workspace.lake, workspace.problem, chosen_day(context)
    found = expose_day(lake, problem, date.fromisoformat(day), report=context.log.warning)
    return dg.MaterializeResult(
        data_version=version_of(day, str(found)),
        metadata={"first_exposures": found} | metadata_of_kept(lake, EXPOSURES, problem),
    )


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    ins=TABLES,
    deps=["exposures"],
    check_specs=[
        dg.AssetCheckSpec(
            "experiments_are_healthy",
            asset="experiment_results",
            description="Every running experiment assigns, exposes and measures its units as its file says.",
        )
    ],
)
def experiment_results(
    context: dg.AssetExecutionContext, workspace: Workspace, **tables: Any
) -> Iterator[dg.MaterializeResult[None]]:
    """What the experiments found, a row per look: a verdict, the rule that fired, and all evidence."""
    from mlguide_assets.defs.metadata import metadata_of_kept, plots, version_of
    from mlguide_assets.experiment.day import look_day
    from mlguide_assets.experiment.tables import RESULTS

    home, lake, problem = workspace.home, workspace.lake, workspace.problem
    found = look_day(home, lake, problem, tables=tables, run_id=context.run.run_id)
    yield dg.MaterializeResult(
        data_version=version_of(found.version),
        metadata={
            "running": found.running,
            "verdicts": found.verdicts,
            **plots(home, problem, found.pictures),
            **metadata_of_kept(lake, RESULTS, problem),
        },
        check_results=[
            dg.AssetCheckResult(
                passed=not found.faults,
                severity=dg.AssetCheckSeverity.WARN,
                description=" ".join(found.faults) or "Every running experiment is healthy, or none runs.",
            )
        ],
    )


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    ins=TABLES,
    # A new challenger is valued before it decides anything.
    deps=["experiment_results", PLAN, "challenger_model"],
)
def offline_and_online(
    context: dg.AssetExecutionContext, workspace: Workspace, **tables: Any
) -> dg.MaterializeResult[None]:
    """What the plans say of each policy, and of the challenger before it decides anything, beside what experiments
    found; rows are added."""
    from mlguide_assets.defs.metadata import metadata_of_kept, version_of
    from mlguide_assets.experiment.off_policy.comparing import compare_policies
    from mlguide_assets.experiment.off_policy.record import OFFLINE_AND_ONLINE

    home, lake, problem = workspace.home, workspace.lake, workspace.problem
    found = compare_policies(lake, problem, tables=tables, run_id=context.run.run_id, home=home)
    if found.late:
        context.log.warning(found.late)
    return dg.MaterializeResult(
        data_version=version_of(found.version),
        metadata={"estimates": found.estimates, "supported": found.supported, "results": found.results}
        | metadata_of_kept(lake, OFFLINE_AND_ONLINE, problem),
    )


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    ins=TABLES,
    # A new challenger begins at once; an experiment's verdict may let one begin.
    deps=["challenger_model", "prediction_log", "experiment_results"],
)
def canary_steps(context: dg.AssetExecutionContext, workspace: Workspace, **tables: Any) -> dg.MaterializeResult[None]:
    """Every look at a version that goes live step by step: what was counted, and whether it goes on, pauses or ends."""
    from mlguide_assets.defs.metadata import metadata_of_kept, version_of
    from mlguide_assets.experiment.canary.day import look_at_canary
    from mlguide_assets.experiment.tables import CANARY_STEPS
    from mlguide_assets.retrain.decision_alerts import announce_decisions

    home, lake, problem = workspace.home, workspace.lake, workspace.problem
    look = look_at_canary(home, lake, problem, tables=tables, run_id=context.run.run_id)
    announce_decisions(home, problem)
    if look.late:
        context.log.warning(f"The canary: {look.late}")
    share = look.progress.share if look.progress else 0.0
    return dg.MaterializeResult(
        data_version=version_of(look.said),
        metadata={"share": share, "said": look.said, **metadata_of_kept(lake, CANARY_STEPS, problem)},
    )
