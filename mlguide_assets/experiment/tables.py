"""The tables of this stage, by name. Next to nothing is imported, so checking whether one exists costs nothing."""

from mlguide_assets.deploy.gate.held_challenger import CANARY_STEPS as CANARY_STEPS
from mlguide_assets.deploy.gate.held_challenger import EXPERIMENTS as EXPERIMENTS

EXPOSURES = "exposures"
RESULTS = "experiment_results"
