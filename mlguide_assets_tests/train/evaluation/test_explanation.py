"""Explanations find what was planted, from a sample that is the same every time."""

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.evaluation.explanation import Explanation, explain
from mlguide_assets_tests.samples import sample_problem
from mlguide_assets_tests.train.sends import PROBLEM, matured


@pytest.fixture(scope="module")
def explanation(sends: pa.Table, trained: Candidate) -> Explanation:
    return explain(trained.model, ibis.memtable(sends), PROBLEM, rows=300)


def test_the_planted_signal_is_the_top_feature(explanation: Explanation) -> None:
    top, second, *_ = explanation.table().to_pylist()
    assert top["feature"] == "theme"
    assert top["rank"] == 1
    assert top["share"] > 1.2 * second["share"]


def test_the_table_ranks_every_feature_by_its_mean_absolute_contribution(explanation: Explanation) -> None:
    rows = explanation.table().to_pylist()
    assert sorted(row["feature"] for row in rows) == sorted(explanation.names)
    strengths = [row["mean_abs_contribution"] for row in rows]
    assert strengths == sorted(strengths, reverse=True)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))


def test_a_sample_of_matured_sends_is_explained(sends: pa.Table, trained: Candidate, explanation: Explanation) -> None:
    assert explanation.contributions.shape == (300, len(explanation.names))
    every = trained.model.contributions(trained.model.encoding.matrix(matured(sends)))
    assert {row.tobytes() for row in explanation.contributions} <= {row.tobytes() for row in every}


def test_the_same_seed_explains_the_same_rows(sends: pa.Table, trained: Candidate, explanation: Explanation) -> None:
    again = explain(trained.model, ibis.memtable(sends), PROBLEM, rows=300)
    other = explain(trained.model, ibis.memtable(sends), sample_problem("nowhere", evaluation={"seed": 1}), rows=300)
    np.testing.assert_array_equal(again.contributions, explanation.contributions)
    assert again.plots == explanation.plots
    assert not np.array_equal(other.contributions, explanation.contributions)


def test_fewer_rows_than_the_sample_are_all_explained(sends: pa.Table, trained: Candidate) -> None:
    few = matured(sends).slice(0, 40)
    assert len(explain(trained.model, ibis.memtable(few), PROBLEM).contributions) == 40
