"""The evaluation of a planted truth: figures, intervals, decisions at the threshold, and pictures."""

import math

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Costs
from mlguide_assets.train.evaluation import Evaluation, evaluate
from mlguide_assets.train.metrics import METRICS
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


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(planted(oracle=True), PROBLEM)


def test_every_column_of_scores_is_a_model(evaluation: Evaluation) -> None:
    assert list(evaluation.estimates) == ["base_rate", "logistic_regression", "xgboost", "oracle"]


def test_every_metric_of_every_model_lies_in_its_interval(evaluation: Evaluation) -> None:
    for metrics in evaluation.estimates.values():
        assert list(metrics) == list(METRICS)
        assert all(estimate.low <= estimate.value <= estimate.high for estimate in metrics.values())


def test_the_table_has_one_row_per_model_and_metric(evaluation: Evaluation) -> None:
    table = evaluation.table()
    assert table.column_names == ["model", "metric", "value", "low", "high"]
    assert table.num_rows == 4 * len(METRICS)
    rows = {(row["model"], row["metric"]): row["value"] for row in table.to_pylist()}
    assert rows["base_rate", "roc_auc"] == 0.5
    assert rows["xgboost", "roc_auc"] == rows["oracle", "roc_auc"] > 0.6


def test_the_decision_is_judged_at_the_threshold_of_the_costs(evaluation: Evaluation) -> None:
    scores = planted()
    flagged = scores["xgboost"].to_numpy() >= THRESHOLD
    labels = scores["label"].to_numpy() == 1
    assert evaluation.threshold == THRESHOLD == pytest.approx(0.5 / 12.5)
    assert evaluation.confusion.tp == (flagged & labels).sum()
    assert evaluation.confusion.fp == (flagged & ~labels).sum()


def test_calibration_error_tells_right_probabilities_from_wrong_ones(evaluation: Evaluation) -> None:
    scores = planted()
    wrong = evaluate(scores.set_column(6, "xgboost", pa.array(scores["xgboost"].to_numpy() / 3)), PROBLEM)
    assert evaluation.calibration_error < 0.02 < wrong.calibration_error
    assert "oracle" not in wrong.estimates


def test_numbers_keep_their_names_when_nothing_is_flagged() -> None:
    never = PROBLEM.model_copy(update={"costs": Costs(lost_user=0.001, withheld_send=1000.0)})
    numbers = evaluate(planted(), never).numbers()
    assert set(numbers) == {*METRICS, "calibration_error", "precision", "recall", "lift"}
    assert math.isnan(numbers["precision"])
    assert numbers["recall"] == 0


def test_plots_are_pictures(evaluation: Evaluation) -> None:
    assert set(evaluation.plots) == {"roc_curve", "pr_curve", "calibration", "confusion_matrix", "score_histogram"}
    assert all(png.startswith(b"\x89PNG") for png in evaluation.plots.values())
