"""The tables of this stage, by name. Nothing is imported, so checking whether one exists costs nothing."""

EXPERIMENTS = "experiments"
EXPOSURES = "exposures"
RESULTS = "experiment_results"
CANARY_STEPS = "canary_steps"
