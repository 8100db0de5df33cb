"""What the columns of this stage's tables mean: each table says it beside its schema."""

from mlguide_assets.define.problem import Problem
from mlguide_assets.observe import online_parity
from mlguide_assets.observe.drift.data_drift import drift_columns
from mlguide_assets.observe.performance import verdict as performance_verdict
from mlguide_assets.observe.performance.champion_watch import watch_columns
from mlguide_assets.observe.performance.performance import estimated_columns, realised_columns
from mlguide_assets.observe.performance.unchanged_windows import MADE_FROM_COLUMN
from mlguide_assets.observe.rows import landed_columns
from mlguide_assets.observe.serving_health import health_columns


def columns_of(problem: Problem) -> dict[str, dict[str, str]]:
    """Table → column → meaning, for every table of this stage."""
    return {
        "landed_days": landed_columns(problem),
        "champion_watch": watch_columns(problem),
        "data_drift": drift_columns(problem),
        "model_performance": realised_columns(problem) | MADE_FROM_COLUMN,
        "estimated_performance": estimated_columns(problem) | MADE_FROM_COLUMN,
        "performance_gap": performance_verdict.GAP_COLUMNS,
        "performance_verdicts": performance_verdict.verdict_columns(problem),
        "online_parity": online_parity.COLUMNS,
        "serving_health": health_columns(problem),
    }
