"""Tags of runs that are read also where no problem can be loaded."""

PROBLEM_TAG = "mlguide/problem"
"""The key of the problem that a run works on: several problems of a home share one Dagster, and the names of jobs."""
