"""What the columns of this stage's tables mean: each table says it beside its schema, or beside what writes it."""

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.gate import history, recorded_criteria
from mlguide_assets.deploy.log import fault_landing
from mlguide_assets.deploy.log.landing import PREDICTION_LOG
from mlguide_assets.deploy.log.log_table import log_columns
from mlguide_assets.deploy.plan import policies
from mlguide_assets.deploy.plan.action_plan import action_plan_columns
from mlguide_assets.deploy.plan.plan_table import plan_columns
from mlguide_assets.deploy.predictions_table import PREDICTIONS, best_columns, predictions_columns
from mlguide_assets.deploy.registry import registration


def columns_of(problem: Problem) -> dict[str, dict[str, str]]:
    """Table → column → meaning, for every table of this stage."""
    decision = problem.decision
    found = {
        "registered_model": registration.COLUMNS,
        history.DECISIONS: history.COLUMNS,
        recorded_criteria.RECORDED_CRITERIA: recorded_criteria.COLUMNS,
        fault_landing.REQUEST_FAULTS: fault_landing.COLUMNS,
        PREDICTIONS: predictions_columns(problem),
        PREDICTION_LOG: log_columns(decision),
    }
    if decision.choose is None:
        return {**found, decision.plan_table: action_plan_columns(problem)}
    return {
        **found,
        policies.ASSIGNMENTS: policies.COLUMNS,
        str(decision.best_table): best_columns(problem),
        decision.plan_table: plan_columns(decision),
    }
