"""Features that grow with the calendar are named by the training that learns from them."""

import numpy as np
import pyarrow as pa

from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.outgrown import SAMPLE, outgrown_features, sampled
from mlguide_assets_tests.train.sends import PROBLEM, replaced


def test_a_number_that_grows_with_the_calendar_is_named_in_whatever_order_the_rows_come(sends: pa.Table) -> None:
    assert "age" not in outgrown_features(sends, PROBLEM)
    days = sends["delivered_at"].to_numpy().astype("datetime64[D]").astype(float)
    growing = replaced(sends, "age", days)
    mixed = growing.take(np.random.default_rng(0).permutation(growing.num_rows))
    assert "age" in outgrown_features(growing, PROBLEM)
    assert outgrown_features(mixed, PROBLEM) == outgrown_features(growing, PROBLEM)
    many = pa.concat_tables([mixed] * (2 * SAMPLE // mixed.num_rows + 2))
    some = sampled(np.arange(many.num_rows))
    assert SAMPLE <= len(some) < many.num_rows
    assert "age" in outgrown_features(many.take(some), PROBLEM)


def test_a_candidate_states_them(trained: Candidate) -> None:
    """In 120 days, most users have got more emails in the end than anybody had before."""
    assert "number_of_emails" in trained.facts["outgrown_features"]
