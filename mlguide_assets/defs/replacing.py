"""Definitions with other assets, and all else as it was."""

from collections.abc import Iterable
from typing import Any

import dagster as dg


def with_assets(found: dg.Definitions, assets: Iterable[Any], checks: Iterable[Any] | None = None) -> dg.Definitions:
    """The definitions with these assets in place of theirs, and with these checks, if any are given."""
    return dg.Definitions(
        assets=[*assets],
        asset_checks=found.asset_checks if checks is None else [*checks],
        jobs=found.jobs,
        schedules=found.schedules,
        sensors=found.sensors,
        resources=found.resources,
        executor=found.executor,
    )
