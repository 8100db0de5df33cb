"""The evaluation of a planted truth: figures, intervals, decisions at the threshold, and pictures."""

import math

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.training import Costs
from mlguide_assets.train.evaluation.decisions import DECISION_METRICS
from mlguide_assets.train.evaluation.evaluation import Evaluation, evaluate
from mlguide_assets.train.evaluation.metrics import METRICS
from mlguide_assets_tests.train.sends import PROBLEM

THRESHOLD = PROBLEM.costs.threshold


def planted(rows: int = 2000, *, oracle: bool = False) -> pa.Table:
    """Outcomes drawn from known probabilities, which `xgboost` knows and the others do not."""
    random = np.random.default_rng(0)
    truth = random.beta(1, 12, rows)
    columns = {
        "user_id": random.integers(0, 300, rows),
        "email_id": random.integers(0, 20, rows),
        "delivered_at": np.datetime64("2025-01-01", "us") + np.arange(rows),
        "label": (random.random(rows) < truth).astype(np.int8),
        "base_rate": np.full(rows, truth.mean()),
        "logistic_regression": random.random(rows),
        "xgboost": truth,
    }
    return pa.table(columns | ({"oracle": truth} if oracle else {}))


def evaluated(scores: pa.Table, problem: Problem = PROBLEM) -> Evaluation:
    """The evaluation of scores, sliced by a theme and compared by a gender that were drawn at random."""
    random = np.random.default_rng(1)
    columns = {"theme": ["food", "art"], "country": ["US", "JP"], "category": ["a", "b"], "gender": ["f", "m"]}
    rows = scores.select(["user_id", "label", "xgboost"])
    for name, values in columns.items():
        rows = rows.append_column(name, pa.array(random.choice(values, len(rows))))
    return evaluate(scores, rows, "xgboost", problem)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    asking = PROBLEM.evaluation.model_copy(update={"sensitive": ("gender",)})
    return evaluated(planted(oracle=True), PROBLEM.model_copy(update={"evaluation": asking}))


def test_every_column_of_scores_is_a_model(evaluation: Evaluation) -> None:
    assert list(evaluation.estimates) == ["base_rate", "logistic_regression", "xgboost", "oracle"]


def test_every_metric_of_every_model_lies_in_its_interval(evaluation: Evaluation) -> None:
    for model, metrics in evaluation.estimates.items():
        assert set(metrics) == {*METRICS, *(DECISION_METRICS if model in ("xgboost", "oracle") else ())}
        assert all(estimate.low <= estimate.value <= estimate.high for estimate in metrics.values())


def test_the_table_has_one_row_per_model_and_metric(evaluation: Evaluation) -> None:
    table = evaluation.table()
    assert table.column_names == ["model", "metric", "value", "low", "high"]
    assert table.num_rows == 4 * len(METRICS) + 2 * len(DECISION_METRICS)
    rows = {(row["model"], row["metric"]): row["value"] for row in table.to_pylist()}
    assert rows["base_rate", "roc_auc"] == 0.5
    assert rows["xgboost", "roc_auc"] == rows["oracle", "roc_auc"] > 0.6


def test_the_decision_is_evaluated_at_the_threshold_of_the_costs(evaluation: Evaluation) -> None:
    scores = planted()
    flagged = scores["xgboost"].to_numpy() >= THRESHOLD
    labels = scores["label"].to_numpy() == 1
    numbers = evaluation.numbers()
    assert pytest.approx(0.5 / 12.5) == THRESHOLD
    assert numbers["withheld_share"] == pytest.approx(flagged.mean())
    assert numbers["precision"] == pytest.approx(labels[flagged].mean())
    assert numbers["recall"] == pytest.approx(flagged[labels].mean())


def test_calibration_error_separates_right_probabilities_from_wrong_ones(evaluation: Evaluation) -> None:
    scores = planted()
    wrong = evaluated(scores.set_column(6, "xgboost", pa.array(scores["xgboost"].to_numpy() / 3)))
    errors = [each.numbers()["calibration_error"] for each in (evaluation, wrong)]
    assert errors[0] < 0.02 < errors[1]
    assert "oracle" not in wrong.estimates


def test_numbers_keep_their_names_when_nothing_is_flagged() -> None:
    never = PROBLEM.model_copy(update={"costs": Costs(missed=0.001, false_alarm=1000.0)})
    numbers = evaluated(planted(), never).numbers()
    assert set(numbers) == {*METRICS, *DECISION_METRICS}
    assert math.isnan(numbers["precision"])
    assert numbers["recall"] == 0


def test_plots_are_pictures(evaluation: Evaluation) -> None:
    expected = {"roc_curve", "pr_curve", "calibration", "confusion_matrix", "score_histogram", "slices", "cost_curve"}
    assert set(evaluation.plots) == expected
    assert all(png.startswith(b"\x89PNG") for png in evaluation.plots.values())


def test_slices_and_groups_are_evaluated_beside_the_whole(evaluation: Evaluation) -> None:
    judged_slices = {(row["column"], row["slice"]) for row in evaluation.slices.to_pylist()}
    assert {("theme", "food"), ("country", "JP"), ("category", "b")} < judged_slices
    assert {row["column"] for row in evaluation.groups.to_pylist()} >= {"gender"}


def test_without_sensitive_columns_no_groups_are_compared() -> None:
    assert not any(row["column"] == "gender" for row in evaluated(planted()).groups.to_pylist())
