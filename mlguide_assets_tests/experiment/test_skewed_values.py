"""Values as revenue has them, in variants of unequal size: what rests on their means is not believed too readily."""

from dataclasses import replace

import ibis
import numpy as np
import pytest
from scipy.stats import binom, norm, rankdata

from mlguide_assets.experiment.analysis.analysis import analyse
from mlguide_assets.experiment.analysis.design import Better, Design, Guardrail, Looks, Metric
from mlguide_assets.experiment.analysis.health import BLOCK, WARN, check_health
from mlguide_assets.experiment.analysis.ranks import PARTS, some_of
from mlguide_assets.experiment.analysis.results import Analysis, Effect, HealthCheck
from mlguide_assets.experiment.analysis.units import Arm, Units
from mlguide_assets.statistics.kruskal_wallis import Ranks

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


BEFORE = Design("unit", "arm", "A", (Metric("sold"),), covariates=("before",), weights={"A": 1, "B": 19})


def balance(units: Units, design: Design = BEFORE) -> HealthCheck:
    return next(each for each in check_health(units, design) if each.check == "balance:before")


def units_of(before: np.ndarray, few: int) -> Units:
    """So many units of A, and all others of B, by what was known of them before."""
    ranks = (rankdata(before) - (len(before) + 1) / 2) / len(before)
    sides = before[:few], before[few:]
    arms = {
        name: Arm(
            len(of),
            len(of),
            (100,),
            np.array([np.nan, of.mean()]),
            np.diag([np.nan, of.var()]),
            np.full(1, np.nan),
            missing=(0,),
        )
        for name, of in zip("AB", sides, strict=True)
    }
    sums = float(ranks[:few].sum()), float(ranks[few:].sum())
    found = Ranks((few, len(before) - few), sums, float((ranks**2).mean()), float((ranks**3).mean()))
    return Units(len(before), arms, 0, 0, {}, {"before": found})


def test_a_skewed_covariate_alarms_as_rarely_as_is_said() -> None:
    experiments, generator = 400, np.random.default_rng(3)
    found = [balance(units_of(generator.lognormal(0, 2.5, 2000), 100)) for _ in range(experiments)]
    assert sum(not each.passed for each in found) <= binom.ppf(0.999, experiments, BLOCK)
    assert sum(each.warning for each in found) <= binom.ppf(0.999, experiments, WARN)


def test_a_covariate_that_differs_is_found_however_skewed() -> None:
    before = np.random.default_rng(3).lognormal(0, 2.5, 2000)
    before[100:] *= 4
    assert not balance(units_of(before, 100)).passed


def test_a_covariate_that_is_nearly_always_the_same_is_not_tested() -> None:
    before = (np.arange(2000) < 3).astype(float)
    check = balance(units_of(before, 100))
    assert (check.passed, check.p, check.text) == (
        True,
        None,
        "too few units differ from all others in it to be tested",
    )


def test_balance_keeps_its_level_over_all_looks_together() -> None:
    units = units_of(np.arange(2000.0) + 300 * (np.arange(2000) < 100), 100)
    once, *looks = (
        balance(units, replace(BEFORE, looks=each)).p
        for each in (None, *(Looks(tuple(k / 5 for k in range(1, look + 1))) for look in (1, 2, 3)))
    )
    assert looks == pytest.approx([2 * once, 6 * once, 12 * once])


def test_of_too_many_units_whole_parts_are_ranked_and_show_what_all_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlguide_assets.experiment.analysis.ranks.MOST_RANKED", 500)
    table = ibis.memtable({"part": [unit % PARTS for unit in range(4000)]})
    assert some_of(table, 400).count().to_pyarrow().as_py() == 4000
    # Eight of 64 parts, of 63 units each.
    assert some_of(table, 4000).count().to_pyarrow().as_py() == 504
    assert set(some_of(table, 4_000_000).to_pyarrow()["part"].to_pylist()) == {0}
    unit = np.arange(4000)
    columns = {"unit": unit, "arm": np.repeat(["A", "B"], 2000), "sold": unit % 10 < 3, "before": unit % 50 / 7}
    alike = ibis.memtable({name: values.tolist() for name, values in columns.items()})
    higher = alike.mutate(before=ibis.ifelse(alike.arm == "B", alike.before + 3, alike.before))
    for rows, passed in ((alike, True), (higher, False)):
        health = analyse(rows, replace(BEFORE, weights={})).health
        assert [each.passed for each in health if each.check == "balance:before"] == [passed]


def test_of_many_units_without_a_covariate_none_is_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlguide_assets.experiment.analysis.ranks.MOST_RANKED", 500)
    columns = {"unit": np.arange(2000), "arm": np.repeat(["A", "B"], 1000), "sold": np.arange(2000) % 10 < 3}
    rows = ibis.memtable({name: values.tolist() for name, values in columns.items()})
    found = analyse(rows, replace(BEFORE, covariates=(), weights={}))
    assert [each.passed for each in found.health] == [True] * len(found.health)


def test_units_are_ranked_alike_whatever_the_rounding_of_their_means() -> None:
    columns = {"unit": np.arange(4000), "arm": np.repeat(["A", "B"], 2000), "sold": np.arange(4000) % 10 < 3}
    single = ibis.memtable({name: values.tolist() for name, values in columns.items()} | {"before": [0.1] * 4000})
    tenfold = ibis.union(single, *[single.filter(single.arm == "B")] * 9)
    seldom = tenfold.mutate(before=ibis.ifelse(tenfold.unit % 7 == 0, 0.3, tenfold.before))
    design = replace(BEFORE, weights={})
    check = next(each for each in analyse(seldom, design).health if each.check == "balance:before")
    assert check.p is not None
    assert check.p > 0.5
