"""From columns to numbers: what training saw has a number, everything else is missing."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.train.models.encoding import MOST_VALUES, EncodedFeature, Encoding
from mlguide_assets_tests.train.sends import PROBLEM

FEATURES = (
    Feature("theme", "category", "content", "What it is about."),
    Feature("subject", "text", "content", "Subject."),
    Feature("age", "number", "profile", "Age."),
    Feature("rate", "number", "email_history", "A share."),
)
ROWS = pa.table(
    {
        "user_id": pa.array([1, 2, 3]),
        "theme": pa.array(["food", None, "art"]),
        "subject": pa.array(["a", "b", "c"]),
        "age": pa.array([30, None, 50]),
        "rate": pa.array([0.25, 0.5, None]),
    }
)
ENCODING = Encoding.fit(ROWS, FEATURES)


def test_columns_keep_the_order_of_the_features() -> None:
    assert ENCODING.names == ["theme", "age", "rate"]
    assert ENCODING.xgboost_types == ["c", "q", "q"]


def test_known_values_are_encoded_and_nulls_are_missing() -> None:
    expected = np.array([[1, 30, 0.25], [np.nan, np.nan, 0.5], [0, 50, np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(ENCODING.matrix(ROWS), expected)
    assert ENCODING.matrix(ROWS).dtype == np.float32


def test_a_category_that_training_never_saw_is_missing() -> None:
    row = pa.table({"theme": ["sports"], "age": [1], "rate": [0.0]})
    assert np.isnan(ENCODING.matrix(row)[0, 0])


def test_a_category_that_was_always_null_encodes_every_value_as_missing() -> None:
    nothing = pa.table({"theme": pa.array([None, None], pa.string()), "age": [1, 2], "rate": [0.1, 0.2]})
    assert np.isnan(Encoding.fit(nothing, FEATURES).matrix(ROWS)[:, 0]).all()


def test_what_is_too_large_for_a_model_is_the_largest_that_it_takes_in_training_and_in_answers() -> None:
    rates = [1e300, -1e300, float("inf"), 3.5e38, 1e19]
    rows = pa.table({"theme": ["art"] * 5, "age": [2**63 - 1] * 5, "rate": rates})
    matrix = ENCODING.matrix(rows)
    np.testing.assert_array_equal(matrix[:, 2], np.array([1e30, -1e30, 1e30, 1e30, 1e19], dtype=np.float32))
    np.testing.assert_array_equal(ENCODING.matrix_of_values(rows.to_pydict()), matrix)


def test_what_training_never_lacked_is_its_usual_value_where_it_is_missing() -> None:
    """Trees would send it to either side: one of which nothing was known scored as the largest amounts do."""
    rows = pa.table({"theme": ["art", "sport", "art", "zoo"], "age": [30, 70, 40, 60], "rate": [0.1, None, 0.3, 0.2]})
    encoding = Encoding.fit(rows, FEATURES)
    assert Encoding.from_json(json.loads(json.dumps(encoding.to_json()))) == encoding
    nothing: dict[str, list[Any]] = {"theme": [None, "zoo", "new"], "age": [None, 20, 1], "rate": [None, 0.5, 0]}
    types = {"theme": pa.string(), "age": pa.int64(), "rate": pa.float64()}
    expected = np.array([[0, 40, np.nan], [2, 20, 0.5], [0, 1, 0]], dtype=np.float32)
    table = pa.table({name: pa.array(values, types[name]) for name, values in nothing.items()})
    np.testing.assert_array_equal(encoding.matrix(table), expected)
    np.testing.assert_array_equal(encoding.matrix_of_values(nothing), expected)


def test_columns_in_several_chunks_are_encoded_like_one() -> None:
    chunked = pa.concat_tables([ROWS.slice(0, 1), ROWS.slice(1)])
    assert chunked["theme"].num_chunks == 2
    np.testing.assert_array_equal(ENCODING.matrix(chunked), ENCODING.matrix(ROWS))


def test_no_rows_give_an_empty_matrix() -> None:
    assert ENCODING.matrix(ROWS.slice(0, 0)).shape == (0, 3)


def test_order_of_the_training_rows_does_not_matter() -> None:
    assert Encoding.fit(ROWS.take([2, 1, 0]), FEATURES) == ENCODING


def test_it_survives_json() -> None:
    assert Encoding.from_json(json.loads(json.dumps(ENCODING.to_json()))) == ENCODING


def test_neither_subject_nor_ids_nor_label_are_in_the_matrix_of_a_problem(sends: pa.Table) -> None:
    names = Encoding.fit(sends, features_of(PROBLEM)).names
    forbidden = {"subject", "user_id", "email_id", "id", "delivered_at", "unsubscribed", "matured_at"}
    assert not forbidden & set(names)
    assert {"theme", "category", "gender", "country", "age", "number_of_emails"} <= set(names)


def test_a_feature_that_is_gone_is_named_with_what_to_do() -> None:
    with pytest.raises(InputError, match=r"knows the feature 'theme', which the problem no longer has: train") as said:
        ENCODING.matrix(ROWS.drop(["theme"]))
    assert str(said.value).endswith("or bring the feature back in the problem file.")


MANY = pa.table({"theme": [f"theme {n:04}" for n in range(3000)] + ["art"] * 9 + ["food"] * 5 + [None]})
BOUNDED = Encoding.fit(MANY, FEATURES[:1])
OTHERS = float(MOST_VALUES)


def test_of_a_category_of_thousands_the_most_frequent_are_kept_and_the_rest_is_one() -> None:
    [theme] = BOUNDED.features
    assert (theme.positions, theme.others, BOUNDED.bounded) == (MOST_VALUES + 1, True, ["theme"])
    assert theme.categories is not None
    # Of equally frequent ones the first by name are kept.
    assert set(theme.categories) == {"art", "food", *(f"theme {n:04}" for n in range(MOST_VALUES - 2))}
    rows = {"theme": ["food", "theme 2999", "never seen", None]}
    expected = np.array([[1.0], [OTHERS], [OTHERS], [np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(BOUNDED.matrix(pa.table(rows)), expected)
    np.testing.assert_array_equal(BOUNDED.matrix_of_values(rows), expected)
    assert Encoding.from_json(json.loads(json.dumps(BOUNDED.to_json()))) == BOUNDED


def test_as_many_values_as_are_kept_have_no_others() -> None:
    rows = pa.table({"theme": [str(n) for n in range(MOST_VALUES)] * 2})
    [theme] = Encoding.fit(rows, FEATURES[:1]).features
    assert theme == EncodedFeature("theme", tuple(sorted({str(n) for n in range(MOST_VALUES)})), usual=0.0)
    assert Encoding((theme,)).to_json() == [{"name": "theme", "categories": theme.categories, "usual": 0.0}]
