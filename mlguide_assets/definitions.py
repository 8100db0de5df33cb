"""The only entry point for Dagster."""

import warnings
from pathlib import Path

import dagster as dg

# Links from the UI to the code of an asset: still beta. Drop when they no longer are.
for each in ("Function `with_source_code_ref", "Class `LocalFileCodeReference`", "Class `CodeReferencesMetadataValue`"):
    warnings.filterwarnings("ignore", each, dg.BetaWarning)
# A single run for several days of drift: beta only as a parameter of the decorator. Drop when it no longer is.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)


@dg.definitions
def defs() -> dg.Definitions:
    from mlguide_assets.defs.prefixed import prefixed
    from mlguide_assets.defs.replacing import with_assets
    from mlguide_assets.defs.scope import in_scope

    found = in_scope(prefixed(dg.load_from_defs_folder(path_within_project=Path(__file__).parent / "defs")))
    return with_assets(found, dg.with_source_code_references([*(found.assets or ())]))
