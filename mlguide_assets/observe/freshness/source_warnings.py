"""What the source no longer delivers, in sentences, for `mlguide run`, `mlguide status` and the report."""

from collections.abc import Sequence
from datetime import date

from mlguide_assets.define.problem import Problem
from mlguide_assets.observe.drift.windows import Landed
from mlguide_assets.observe.freshness.lost_rows import lost_parts, lost_rows
from mlguide_assets.observe.freshness.missing_outcomes import missing_outcomes
from mlguide_assets.observe.freshness.old_data import old_data
from mlguide_assets.prepare.lake.lake import Lake


def source_warnings(lake: Lake, landed: Sequence[Landed], problem: Problem, *, today: date) -> list[str]:
    """Rows that are gone, outcomes that do not come, and data that ended long ago.

    Args:
        landed: rows of `landed_days`.
        today: by the clock of the wall, UTC.
    """
    found = (
        lost_rows(lake, problem),
        missing_outcomes(landed, problem),
        *lost_parts(lake, problem),
        old_data(landed, problem, today=today),
    )
    return [each.sentence for each in found if each]
