"""Define: the problem as an asset that everything else depends on."""

import dagster as dg

from mlguide_assets.defs.workspace import OWNERS, Workspace


@dg.asset(group_name="define", kinds={"yaml"}, owners=OWNERS)
def problem_definition(workspace: Workspace) -> dg.MaterializeResult[None]:
    """What is decided, what is predicted, from which tables, and how it is evaluated: one validated file."""
    from mlguide_assets.define.loading import dump_problem
    from mlguide_assets.defs.metadata import rounded, version_of
    from mlguide_assets.english import duration
    from mlguide_assets.markdown import code
    from mlguide_assets.prepare.sources.reading import describe

    problem = workspace.problem
    text = dump_problem(problem)
    return dg.MaterializeResult(
        data_version=version_of(text),
        metadata={
            "problem": problem.name,
            "statement": problem.statement,
            "hypothesis": problem.hypothesis,
            "source": describe(problem),
            "primary_metric": problem.metric.primary,
            "decision_threshold": rounded(problem.costs.threshold),
            "label_window": duration(problem.label.window),
            "rules": len(problem.rules),
            "file": dg.MetadataValue.md(code(text, "yaml")),
        },
    )
