"""What the columns of this stage's tables mean: each table says it beside its schema."""

from mlguide_assets.retrain import ticks

COLUMNS = {ticks.RETRAINING_DECISIONS: ticks.COLUMNS}
"""Table → column → meaning."""
