"""Values that a problem file compares columns with: those that a column of its kind can have, and no others."""

from typing import Any

import pytest

from mlguide_assets.define.conditions import fault_of
from mlguide_assets.define.prediction import Comparison


def asked(**comparison: Any) -> Comparison:
    return Comparison.model_validate(comparison)


FITTING: list[tuple[Any, Comparison]] = [
    ("number", asked(one_of=("2", "-0.5", "1e3"), at_least=0)),
    ("integer", asked(**{"not": ("2",)})),
    ("flag", asked(one_of=("Yes", "0", "T"), at_least=1)),
    ("category", asked(one_of=("2", "maybe"))),
    ("text", asked(**{"not": ("true",)})),
    ("id", asked(one_of=("u-17",))),
]
UNFITTING: list[tuple[Any, Comparison, str]] = [
    ("number", asked(one_of=("2", "abc")), "'abc' is none; write one, such as 2"),
    ("integer", asked(**{"not": ("true",)}), "'c' is a whole number, and 'true' is none"),
    ("number", asked(one_of=("nan",)), "'nan' is none"),
    ("number", asked(one_of=("1_000",)), "'1_000' is none"),
    ("flag", asked(one_of=("yes", "partly")), "'partly' is none; write true or false"),
    ("flag", asked(**{"not": ("2",)}), "'c' is a flag, and '2' is none"),
    ("category", asked(at_least=2), "of kind category, which has no order"),
    ("id", asked(at_most=2), "of kind id, which has no order"),
    ("time", asked(at_least=5), "conditions compare no times"),
    ("time", asked(one_of=("2024-01-01",)), "conditions compare no times"),
]


@pytest.mark.parametrize(("kind", "comparison"), FITTING)
def test_what_a_column_of_a_kind_can_be_passes(kind: Any, comparison: Comparison) -> None:
    assert fault_of("c", kind, comparison) is None


@pytest.mark.parametrize(("kind", "comparison", "said"), UNFITTING)
def test_what_it_cannot_be_is_named_with_its_kind(kind: Any, comparison: Comparison, said: str) -> None:
    assert said in str(fault_of("c", kind, comparison))
