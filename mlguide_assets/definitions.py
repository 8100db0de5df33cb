"""The only entry point for Dagster."""

import warnings
from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    with warnings.catch_warnings():
        # A single run for several days of drift: beta only as a parameter of the decorator. Drop when it no longer is.
        warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)
        return dg.load_from_defs_folder(path_within_project=Path(__file__).parent / "defs")
