"""Prepare: sources under contract, the joined core table, point-in-time features."""

from collections.abc import Iterator
from inspect import getdoc
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlguide_assets.defs.check_names import check_names
from mlguide_assets.defs.preload import FOR_TRAINING, preload
from mlguide_assets.defs.workspace import OWNERS, PROBLEM, Workspace, key_of

if TYPE_CHECKING:
    from mlguide_assets.define.contracts import Rule
    from mlguide_assets.prepare.sources.simulation_clock import Visible

GROUP = "prepare"
_CHECKS = check_names(PROBLEM.rules)

_TABLES = PROBLEM.schema.ordered
_OUTPUTS = {name: table.description or f"One row per {table.noun}." for name, table in _TABLES.items()} | {
    "contract_results": "What every rule of the contract found at the last ingest.",
    "quarantined_rows": "Rows set aside by the contract, with their reasons.",
}


_ON_FAILURE = {
    "block": "the run ends, and what was read before stays (action: block)",
    "quarantine": "the rows are set aside, in quarantined_rows (action: quarantine)",
    "warn": "the rows stay, and it is said (action: warn)",
}


def _prose(rule: "Rule") -> str:
    """What a rule asks for, as its class says, without indentation, which the UI would show as code; and its action.

    In words: of what our code blocks, Dagster says that the check is non-blocking.
    """
    asked = (getdoc(type(rule)) or "").partition("\n\nAttributes:")[0]
    return f"{asked} On failure {_ON_FAILURE[rule.action]}."


@dg.multi_asset(
    name="ingest",
    # Outputs rather than specs: a spec has no value, and so no IO manager.
    outs={
        name: dg.AssetOut(description=text, group_name=GROUP, kinds={"parquet"}, owners=OWNERS)
        for name, text in _OUTPUTS.items()
    },
    deps=["problem_definition"],
    check_specs=[
        dg.AssetCheckSpec(_CHECKS[rule.name], asset=rule.table, description=_prose(rule)) for rule in PROBLEM.rules
    ],
)
def ingest_sources(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """Read the tables of the problem, check their contracts, and keep all of them or none."""
    from mlguide_assets.define.changing import changing_columns, changing_warnings
    from mlguide_assets.prepare.contracts.refused_runs import refuse
    from mlguide_assets.prepare.contracts.validation import results_table
    from mlguide_assets.prepare.forgetting.same_entities import listed_elsewhere, neighbours
    from mlguide_assets.prepare.ingest import ingest
    from mlguide_assets.prepare.sources.simulation_clock import visible

    preload(FOR_TRAINING)
    home, problem, lake = workspace.home, workspace.problem, workspace.lake
    seen = visible(problem, home.simulation_clock(problem.key))
    if seen:
        context.log.info(seen.description())
    for warning in changing_warnings(problem):
        context.log.warning(warning)
    changing = changing_columns(problem)
    until, oracle, report = seen.until if seen else None, home.oracle(problem.key), context.log.info
    forgotten = home.forgotten(problem.key)
    elsewhere = listed_elsewhere(problem, neighbours(home), home.forgotten)
    with ingest(
        problem, lake, oracle=oracle, report=report, until=until, forgotten=forgotten, elsewhere=elsewhere
    ) as read:
        for result in read.results:
            yield dg.AssetCheckResult(
                asset_key=key_of(result.table),
                check_name=_CHECKS[result.rule],
                passed=result.passed,
                severity=dg.AssetCheckSeverity.ERROR if result.action == "block" else dg.AssetCheckSeverity.WARN,
                metadata={"violations": result.violations, "rows": result.rows, "action": result.action}
                | {name: text for name, text in (("example", result.example), ("cause", result.cause)) if text},
            )
        refuse(read, problem, lake)
        for table, rows in read.tables.items():
            younger = {"may_be_younger_than_a_decision": ", ".join(changing[table])} if table in changing else {}
            yield dg.Output(rows, output_name=table, metadata=_world_metadata(seen) | younger)
        yield dg.Output(results_table(read.results), output_name="contract_results")
        yield dg.Output(read.quarantined, output_name="quarantined_rows")


def _world_metadata(seen: "Visible | None") -> dict[str, Any]:
    if seen is None:
        return {}
    return {"world_seen_until": seen.until.isoformat(), "world_ends": seen.end.isoformat(), "world_ended": seen.ended}


_KINDS = {"parquet", "ibis"}


@dg.asset(name=PROBLEM.core_table, deps=list(_TABLES), group_name=GROUP, kinds=_KINDS, owners=OWNERS)
def core_table(workspace: Workspace) -> Iterator[dg.Output[Any]]:
    """One row per decision: about whom, when, how it ended, and its entities as of then. For people and exports; models
    learn from the features."""
    from mlguide_assets.prepare.core import core_by_partition

    with core_by_partition(workspace.lake, PROBLEM) as rows:
        yield dg.Output(rows)


@dg.asset_check(
    asset=key_of(PROBLEM.core_table),
    additional_deps=[key_of(name) for name in _TABLES],
    description="The join to entities, whose tables may have a row per change, loses no decision and doubles none.",
)
def every_decision_is_there_once(workspace: Workspace) -> dg.AssetCheckResult:
    from mlguide_assets.prepare.core import count_core

    rows = count_core(workspace.lake, PROBLEM)
    return dg.AssetCheckResult(
        passed=rows.found == rows.expected,
        description=rows.said(PROBLEM),
        metadata={"rows": rows.found, "decisions": rows.expected},
    )


@dg.asset(deps=list(_TABLES), group_name=GROUP, kinds=_KINDS, owners=OWNERS)
def feature_declarations(workspace: Workspace) -> Any:
    """The features, as a problem file declares them: its own, and the automatic ones, chosen before the test."""
    from mlguide_assets.prepare.features.building import declarations_of

    return declarations_of(workspace.lake, PROBLEM)


@dg.asset(
    name=PROBLEM.features_table,
    deps=[*_TABLES, "feature_declarations"],
    group_name=GROUP,
    kinds=_KINDS,
    owners=OWNERS,
)
def features(workspace: Workspace) -> Iterator[dg.Output[Any]]:
    """Point-in-time features of every decision: only what was known strictly before it."""
    from mlguide_assets.prepare.features.incremental import features_by_partition

    with features_by_partition(workspace.lake, workspace.problem) as partitions:
        yield dg.Output(partitions)
