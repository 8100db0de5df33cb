"""Experiment: assignment, exposure, analysis, canary, off-policy value."""
