"""Values as revenue has them, in variants of unequal size: what rests on their means is not believed too readily."""

import ibis
import numpy as np
import pytest
from scipy.stats import norm

from mlguide_assets.experiment.analysis import analyse
from mlguide_assets.experiment.design import Better, Design, Guardrail, Metric
from mlguide_assets.experiment.results import Analysis, Effect, HealthCheck

REVENUE = np.exp(2 * norm.ppf((np.arange(3000) + 0.5) / 3000))
MARGIN = Guardrail("spent", 0.9, "mean", "higher", relative=True)


def read(share: int, guardrails: tuple[Guardrail, ...], secondary: tuple[Metric, ...] = ()) -> Analysis:
    """B has a unit for each `share` of A, sells far more often, and earns as much."""
    spent = {"A": REVENUE, "B": REVENUE[share // 2 :: share]}
    counts = {name: len(values) for name, values in spent.items()}
    sold = np.concatenate([np.arange(counts["A"]) % 10 < 2, np.arange(counts["B"]) % 10 < 5])
    arm = np.repeat(list(counts), list(counts.values()))
    columns = {"unit": np.arange(len(arm)), "arm": arm, "sold": sold, "spent": np.concatenate(list(spent.values()))}
    rows = ibis.memtable({name: values.tolist() for name, values in columns.items()})
    design = Design("unit", "arm", "A", (Metric("sold"),), guardrails, secondary, weights={"A": share, "B": 1})
    return analyse(rows, design)


def spent_in(found: Analysis) -> tuple[HealthCheck, Effect]:
    check = next(each for each in found.health if each.check == "skewness:spent")
    return check, next(each for each in found.results if each.metric == "spent")


def test_a_guardrail_of_equal_variants_passes_however_skewed() -> None:
    found = read(1, (MARGIN,))
    check, effect = spent_in(found)
    assert (found.verdict, effect.guardrail, check.warning) == ("ship", "passed", False)


@pytest.mark.parametrize("better", ["higher", "lower", None])
def test_a_guardrail_whose_values_are_too_skewed_stays_open_and_nothing_ships(better: Better | None) -> None:
    found = read(10, (Guardrail("spent", 0.9, "mean", better, relative=True),))
    check, effect = spent_in(found)
    assert effect.guardrail == "open"
    assert (check.passed, check.warning) == (True, True)
    assert check.text.endswith("times as many units, so this guardrail cannot pass")
    assert (found.healthy, found.verdict, found.rule) == (True, "inconclusive", "guardrail_open")
    assert "the values of spent are too skewed to rule out a loss beyond its margin" in found.reason


def test_a_secondary_metric_that_is_too_skewed_is_a_warning() -> None:
    found = read(10, (), (Metric("spent", "mean"),))
    check, _ = spent_in(found)
    assert (found.verdict, check.passed, check.warning) == ("ship", True, True)
    assert check.text.endswith("times as many units")
