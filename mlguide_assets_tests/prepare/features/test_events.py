"""Conditions on columns: which values fulfil them."""

from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.prediction import Comparison
from mlguide_assets.prepare.features.events import comparison

FLAGS, NUMBERS, TEXTS = pa.array([True, False, None]), pa.array([2.0, 3.0, None]), pa.array(["Yes", "no", None])


@pytest.mark.parametrize(
    ("kind", "values", "asked", "fulfilled"),
    [
        *(("flag", FLAGS, {"one_of": (text,)}, [True, False, False]) for text in ("Yes", "T", "1.0", "on", "true")),
        *(("flag", FLAGS, {"one_of": (text,)}, [False, True, False]) for text in ("No", "f", "0")),
        ("flag", FLAGS, {"not": ("Y",)}, [False, True, False]),
        ("flag", FLAGS, {"one_of": ("Y", "N")}, [True, True, False]),
        ("number", NUMBERS, {"one_of": ("2", "7")}, [True, False, False]),
        ("number", NUMBERS, {"not": ("2.0",), "at_most": 3}, [False, True, False]),
        ("category", TEXTS, {"one_of": ("yes", "no")}, [False, True, False]),
    ],
)
def test_a_value_is_compared_as_its_kind(
    kind: str, values: pa.Array, asked: dict[str, Any], fulfilled: list[bool]
) -> None:
    rows = ibis.memtable(pa.table({"place": [0, 1, 2], "value": values}))
    found = rows.select("place", fits=comparison(rows["value"], kind, Comparison.model_validate(asked)))
    assert found.order_by("place").to_pyarrow()["fits"].to_pylist() == fulfilled
