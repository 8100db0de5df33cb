"""What the columns of this stage's tables mean: each table says it beside its schema."""

from mlguide_assets.experiment import exposure, ledger, results_table
from mlguide_assets.experiment.canary import record as canary
from mlguide_assets.experiment.off_policy import record as off_policy
from mlguide_assets.experiment.tables import CANARY_STEPS, EXPERIMENTS, EXPOSURES, RESULTS

COLUMNS = {
    EXPERIMENTS: ledger.COLUMNS,
    CANARY_STEPS: canary.COLUMNS,
    EXPOSURES: exposure.COLUMNS,
    RESULTS: results_table.COLUMNS,
    off_policy.OFFLINE_AND_ONLINE: off_policy.COLUMNS,
}
"""Table → column → meaning."""
