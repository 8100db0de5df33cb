"""The only entry point for Dagster."""

import warnings
from pathlib import Path

import dagster as dg

# A single run for several days of drift: beta only as a parameter of the decorator. Drop when it no longer is.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent / "defs")
