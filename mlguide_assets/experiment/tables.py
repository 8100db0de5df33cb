"""The tables of this stage, by name. Nothing is imported, so asking whether one is there costs nothing."""

EXPERIMENTS = "experiments"
EXPOSURES = "exposures"
RESULTS = "experiment_results"
CANARY_STEPS = "canary_steps"
