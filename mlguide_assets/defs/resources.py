"""Resources and the executor. This is the one module here that says so through `@definitions`."""

import dagster as dg

from mlguide_assets.defs.workspace import LakeIOManager, Workspace


@dg.definitions
def resources() -> dg.Definitions:
    workspace = Workspace()
    return dg.Definitions(
        resources={"workspace": workspace, "io_manager": LakeIOManager(workspace=workspace)},
        # One process: the heavy libraries (sklearn, shap, mlflow) are imported once per run, not per step.
        executor=dg.in_process_executor,
    )
