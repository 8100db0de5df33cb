"""An analysis from rows to verdict: each rule, each reason to withhold the numbers, and what it refuses."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, skew

from mlguide_assets.errors import InputError
from mlguide_assets.experiment.analysis.analysis import analyse
from mlguide_assets.experiment.analysis.design import Design, Guardrail, Looks, Metric
from mlguide_assets.experiment.analysis.results import Analysis

DESIGN = Design(unit="user", variant="arm", control="A", metrics=(Metric("lost", better="lower"),))
NAMED = {"A": 3000, "B": 3000}


def arms(events: Mapping[str, int], units: Mapping[str, int] = NAMED, **columns: Any) -> pd.DataFrame:
    """One row per unit; the first units of each arm have the event. `columns`: a value for each arm, or one for all."""
    frames = []
    for name, count in units.items():
        frame = pd.DataFrame({"arm": [name] * count, "lost": np.arange(count) < events[name]})
        for column, value in columns.items():
            frame[column] = value[name] if isinstance(value, dict) else value
        frames.append(frame)
    return pd.concat(frames, ignore_index=True).assign(user=lambda rows: np.arange(len(rows)))


def run(rows: pd.DataFrame, **changed: Any) -> Analysis:
    return analyse(ibis.memtable(rows), replace(DESIGN, **changed))


def rates(**shares: float) -> dict[str, np.ndarray]:
    """A binary column of each arm of 3000 units, spread evenly over them."""
    return {name: np.arange(3000) % 1000 < 1000 * share for name, share in shares.items()}


BETTER, WORSE, ALIKE = {"A": 300, "B": 220}, {"A": 220, "B": 300}, {"A": 300, "B": 290}


@pytest.mark.parametrize(
    ("events", "better", "verdict", "rule"),
    [
        (BETTER, "lower", "ship", "primary_better"),
        (BETTER, "higher", "keep", "primary_worse"),
        (WORSE, "lower", "keep", "primary_worse"),
        (ALIKE, "lower", "inconclusive", "no_significant_difference"),
    ],
)
def test_the_direction_that_is_better_decides(events: dict[str, int], better: Any, verdict: str, rule: str) -> None:
    found = run(arms(events), metrics=(Metric("lost", better=better),))
    assert (found.verdict, found.rule, found.variant) == (verdict, rule, "B" if verdict == "ship" else None)
    assert found.units == NAMED


def test_it_says_what_was_found_as_the_contract_has_it() -> None:
    found = run(arms(BETTER)).as_json()
    assert list(found) == ["health", "healthy", "units", "results", "verdict", "reason"]
    [result] = found["results"]
    assert list(result) == ["variant", "metric", "control", "treatment", "difference", "ratio", "p"]
    assert (result["control"], result["treatment"]) == (0.1, 220 / 3000)
    assert result["difference"]["value"] == pytest.approx(-80 / 3000)
    assert result["ratio"]["value"] == pytest.approx(220 / 300)
    assert result["ratio"]["low"] < result["ratio"]["value"] < result["ratio"]["high"] < 1
    assert found["reason"].startswith("'B': lost is 26.7% lower than in 'A' (95 % CI -")


def test_rows_of_a_unit_are_made_one() -> None:
    rows = arms(BETTER, spent=1.0)
    again = rows.head(2000).assign(lost=False, spent=0.5)
    found = run(pd.concat([rows, again]), secondary=(Metric("spent", "mean"),))
    lost, spent = found.results
    assert (found.rows, sum(found.units.values())) == (8000, 6000)
    assert (lost.control, lost.treatment) == (0.1, 220 / 3000)
    assert spent.control == pytest.approx(1 + 0.5 * 2000 / 3000)


@pytest.mark.parametrize(
    ("guardrail", "shares", "outcome", "rule"),
    [
        (Guardrail("slow", 0.03, better="lower"), (0.1, 0.1), "passed", "primary_better"),
        (Guardrail("slow", 0.01, better="lower"), (0.1, 0.1), "open", "guardrail_open"),
        (Guardrail("slow", 0.03, better="lower"), (0.1, 0.15), "harmed", "guardrail_harmed"),
        (Guardrail("slow", 0.03, better="lower"), (0.1, 0.05), "passed", "primary_better"),
        (Guardrail("slow", 0.03, better="higher"), (0.1, 0.05), "harmed", "guardrail_harmed"),
        (Guardrail("slow", 0.03), (0.1, 0.05), "harmed", "guardrail_harmed"),
        (Guardrail("slow", 0.03), (0.1, 0.1), "passed", "primary_better"),
        (Guardrail("slow", 0.2, better="lower", relative=True), (0.1, 0.1), "passed", "primary_better"),
        (Guardrail("slow", 0.1, better="lower", relative=True), (0.1, 0.1), "open", "guardrail_open"),
        (Guardrail("slow", 0.1, better="lower", relative=True), (0.0, 0.0), "open", "guardrail_open"),
    ],
)
def test_guardrails_are_shown_to_be_harmless_or_stop_the_shipping(
    guardrail: Guardrail, shares: tuple[float, float], outcome: str, rule: str
) -> None:
    found = run(arms(BETTER, slow=rates(A=shares[0], B=shares[1])), guardrails=(guardrail,))
    assert found.results[1].guardrail == outcome
    assert found.rule == rule


def test_a_share_of_a_mean_that_is_not_above_0_is_no_margin() -> None:
    rows = arms(BETTER, balance=-10.0).assign(balance=lambda each: each["balance"] + each.index % 3)
    found = run(rows, guardrails=(Guardrail("balance", 0.5, "mean", "higher", relative=True),))
    assert (found.results[1].guardrail, found.rule) == ("open", "guardrail_open")
    assert found.reason.endswith(", but a share is no margin for balance, whose mean is not above 0 in both variants.")
    found = run(rows, guardrails=(Guardrail("balance", 0.5, "mean", "higher"),))
    assert found.reason.endswith("every guardrail passed.")


def test_several_arms_and_metrics_are_corrected_together_and_the_best_one_ships() -> None:
    units = dict.fromkeys("ABCD", 3000)
    found = run(arms({"A": 300, "B": 250, "C": 200, "D": 300}, units))
    p = {each.variant: (each.p, each.p_adjusted) for each in found.results}
    assert p["B"][0] < 0.05
    assert p["B"][1] == pytest.approx(2 * p["B"][0])
    assert (found.verdict, found.variant) == ("ship", "C")


def test_arms_that_are_alike_to_the_last_digit_are_said_to_be() -> None:
    assert run(arms({"A": 300, "B": 300}, {"A": 3000, "B": 3000})).reason.startswith("'B': lost is as high as in 'A' (")


def test_one_unit_is_not_many() -> None:
    (events,) = (each for each in run(arms({"A": 2, "B": 1}, {"A": 30, "B": 30})).health if "minimum" in each.check)
    assert "would have 1 unit in the rarer" in events.text


def test_a_rate_without_a_ratio_differs_by_percentage_points() -> None:
    found = run(arms({"A": 0, "B": 300}), metrics=(Metric("lost", better="lower"),))
    assert found.reason.startswith("'B': lost is 10 percentage points higher than in 'A' (95 % CI +8.")


def test_secondary_metrics_never_decide() -> None:
    found = run(arms(ALIKE, paid=rates(A=0.1, B=0.2)), secondary=(Metric("paid"),))
    assert found.results[1].p_adjusted < 1e-6
    assert found.verdict == "inconclusive"


def test_an_effect_that_is_too_small_to_matter_is_a_reason_to_keep() -> None:
    found = run(arms(ALIKE), smallest_effect=0.305)
    assert (found.rule, "30.5% or more is excluded" in found.reason) == ("effect_too_small", True)
    assert run(arms(ALIKE), smallest_effect=0.1).rule == "no_significant_difference"


def test_a_look_before_the_end_needs_more_than_the_last() -> None:
    rows = arms({"A": 300, "B": 240})
    early, late, fixed = (
        run(rows, looks=looks) for looks in (Looks((0.2, 0.5)), Looks((0.2, 0.5, 0.9), final=True), None)
    )
    assert (early.verdict, late.verdict, fixed.verdict) == ("inconclusive", "ship", "ship")
    assert early.results[0].p > late.results[0].p > fixed.results[0].p
    assert early.results[0].difference.low < late.results[0].difference.low < fixed.results[0].difference.low


def test_covariates_take_out_variance_and_missing_ones_do_no_harm() -> None:
    generator = np.random.default_rng(1)
    rows = arms(BETTER)
    rows["before"] = generator.normal(size=len(rows))
    rows["spent"] = rows["before"] + generator.normal(size=len(rows))
    rows.loc[::10, "before"] = np.nan
    found = run(rows, metrics=(Metric("spent", "mean"),), covariates=("before",))
    assert 0.35 < found.results[0].variance_reduction < 0.5
    ours = [check.check for check in found.health if check.check.endswith(":before")]
    assert ours == ["balance:before", "missing:before"]


def test_a_guardrail_that_nobody_hit_has_not_passed_by_that_whatever_the_covariates() -> None:
    rows = arms(BETTER, slow=False)
    rows["before"] = rows["user"] % 7
    found = run(rows, covariates=("before",), guardrails=(Guardrail("slow", 0.0005, better="lower"),))
    assert found.results[1].guardrail == "open"
    assert found.results[1].variance_reduction is None


def test_a_change_relative_to_what_may_be_zero_is_told_in_the_units_of_the_metric() -> None:
    generator = np.random.default_rng(2)
    rows = arms(BETTER, profit={name: generator.normal(0.001, 1.0, 3000) for name in NAMED})
    rows["profit"] -= rows.groupby("arm")["profit"].transform("mean") - rows["arm"].map({"A": 1e-4, "B": 0.1})
    found = run(rows, metrics=(Metric("profit", "mean"),), guardrails=(Guardrail("lost", 0.1, better="lower"),))
    assert found.reason.startswith("'B': profit is 0.0999 higher than in 'A' (95 % CI +0.049")
    ratio = found.as_json()["results"][0]["ratio"]
    assert (ratio["value"], ratio["low"], ratio["high"]) == (pytest.approx(1000), None, None)
    guarded = run(rows, guardrails=(Guardrail("profit", 0.5, "mean", "higher", relative=True),))
    assert guarded.results[1].guardrail == "open"


def test_units_for_which_the_arms_agree_are_left_out_of_the_triggered_analysis() -> None:
    rows = arms(BETTER)
    rows["differ"] = rows["lost"] | (rows["user"] % 10 == 0)
    rows.loc[(rows["arm"] == "B") & ~rows["lost"], "differ"] = rows["user"] % 8 == 0
    triggered = run(rows, trigger="differ").triggered
    assert triggered is not None
    assert sum(triggered.units.values()) == rows["differ"].sum()
    lopsided = run(rows.assign(differ=rows["lost"] & (rows["arm"] == "A") | (rows["user"] % 9 == 0)), trigger="differ")
    assert lopsided.verdict == "ship"
    assert lopsided.triggered.rule == "sample_ratio"


def test_units_whose_window_is_open_wait_and_need_no_outcome() -> None:
    rows = arms(BETTER).astype({"lost": "object"})
    rows["closed"] = rows["user"] % 3 > 0
    rows.loc[~rows["closed"], "lost"] = None
    found = run(rows, closed="closed")
    assert found.waiting == {"A": 1000, "B": 1000}
    assert found.results[0].control == pytest.approx(200 / 2000)
    assert "maturity" in {check.check for check in found.health}
    late = run(
        rows.assign(closed=rows["closed"] | (rows["arm"] == "A"), lost=rows["lost"].fillna(False)), closed="closed"
    )
    assert (late.rule, late.results) == ("maturity", ())


SKEWED = np.exp(2 * norm.ppf((np.arange(3000) + 0.5) / 3000))


UNHEALTHY: dict[str, tuple[pd.DataFrame, dict[str, Any]]] = {
    "sample_ratio": (arms({"A": 9000, "B": 8000}, {"A": 90_000, "B": 88_000}), {}),
    "sample_ratio, unplanned arm": (
        arms({"A": 300, "B": 300, "C": 30}, {"A": 3000, "B": 3000, "C": 300}),
        {"weights": {"A": 1, "B": 1}},
    ),
    "sample_ratio, empty arm": (arms(ALIKE), {"weights": {"A": 1, "B": 1, "C": 1}}),
    "sample_ratio, at looks": (
        arms({"A": 9000, "B": 8000}, {"A": 90_000, "B": 87_500}),
        {"looks": Looks((0.5,))},
    ),
    "sample_ratio:country": (
        arms(BETTER, country={"A": ["de"] * 1700 + ["fr"] * 1300, "B": ["de"] * 1300 + ["fr"] * 1700}),
        {"segments": ("country",)},
    ),
    "sample_ratio:country, at looks": (
        arms(BETTER, country={"A": ["de"] * 1700 + ["fr"] * 1300, "B": ["de"] * 1300 + ["fr"] * 1700}),
        {"segments": ("country",), "looks": Looks((0.5,))},
    ),
    "mixed_exposure": (pd.concat([arms(BETTER), arms(BETTER).tail(1).assign(user=0)]), {}),
    "outcome_before_exposure": (
        arms(BETTER, met=datetime(2026, 1, 2), left=[datetime(2026, 1, 1)] + [None] * 2999),
        {"exposed_at": "met", "outcome_at": "left"},
    ),
    "balance:before": (
        arms(BETTER, before={"A": np.arange(3000), "B": np.arange(3000) + 100}),
        {"covariates": ("before",)},
    ),
    "missing:before": (
        arms(BETTER, before={"A": [*range(2900), *[np.nan] * 100], "B": [*range(2840), *[np.nan] * 160]}),
        {"covariates": ("before",)},
    ),
    "minimum_events:lost, few": (arms({"A": 28, "B": 21}), {}),
    "minimum_events:lost, none": (arms({"A": 0, "B": 0}), {}),
    "minimum_events:lost, all": (arms({"A": 3000, "B": 3000}), {}),
    "skewness:spent": (
        arms(
            {"A": 300, "B": 30},
            {"A": 3000, "B": 300},
            spent={"A": SKEWED.tolist(), "B": SKEWED[::10].tolist()},
        ),
        {"metrics": (Metric("spent", "mean"),), "weights": {"A": 10, "B": 1}},
    ),
    "minimum_events:spent": (arms(BETTER, spent=7.0), {"metrics": (Metric("spent", "mean"),)}),
}


@pytest.mark.parametrize("name", UNHEALTHY)
def test_an_unhealthy_experiment_has_no_verdict_and_no_numbers(name: str) -> None:
    rows, changed = UNHEALTHY[name]
    found = run(rows, **changed)
    rule = name.partition(",")[0]
    assert (found.verdict, found.rule, found.results) == ("unhealthy", rule, ())
    assert not found.healthy
    assert f"{rule}: " in found.reason


def test_a_variant_that_hardly_loses_a_unit_is_found_to_be_better() -> None:
    for lost in (21, 2, 0):
        found = run(arms({"A": 130, "B": lost}))
        assert (found.healthy, found.verdict) == (True, "ship")
    (result,) = found.results
    assert result.ratio.low == 0 < result.ratio.high < 0.1


@pytest.mark.parametrize(("offset", "share", "warns"), [(0.0, 1, False), (1e6, 1, False), (0.0, 4, True)])
def test_skewed_values_need_more_units_the_less_equal_the_arms_are(offset: float, share: int, warns: bool) -> None:
    values = offset + np.exp(norm.ppf((np.arange(3000) + 0.5) / 3000))
    spent = {"A": values.tolist(), "B": values[::share].tolist()}
    rows = arms(ALIKE, {"A": 3000, "B": 3000 // share}, spent=spent)
    found = run(rows, metrics=(Metric("spent", "mean"),), weights={"A": share, "B": 1})
    check = next(each for each in found.health if each.check == "skewness:spent")
    assert (check.passed, check.warning) == (True, warns)
    said = check.text.removeprefix("a skewness of ").partition(",")[0]
    assert float(said) == pytest.approx(skew(rows["spent"]), rel=0.01)


@pytest.mark.parametrize(
    ("value", "said"),
    [(3.0, "'A' has 0 units with another value than 3;"), (0.0, "'A' has 0 units with a value other")],
)
def test_values_that_are_all_alike_are_named(value: float, said: str) -> None:
    assert said in run(arms(ALIKE, spent=value), metrics=(Metric("spent", "mean"),)).reason


def test_sums_that_differ_by_rounding_alone_do_not_differ() -> None:
    # Ten rows of 0.1 are not the sum that one row of 1 is.
    apart = arms(ALIKE, spent=1.0)
    tenths = pd.concat([apart[apart["arm"] == "B"].assign(spent=0.1)] * 10)
    rows = pd.concat([apart[apart["arm"] == "A"], tenths]).assign(before=0.1)
    guarded = run(
        rows, metrics=(Metric("lost"),), guardrails=(Guardrail("spent", 0.1, "mean"),), covariates=("before",)
    )
    spent = guarded.results[1]
    assert (spent.p, spent.difference.low, spent.difference.high) == (1, 0, 0)
    assert "the covariate does not vary" in {each.text for each in guarded.health}


def test_a_ratio_that_is_unusual_but_possible_is_a_warning() -> None:
    found = run(arms({"A": 320, "B": 250}, {"A": 3120, "B": 2900}))
    assert found.healthy
    assert found.health[0].warning


REFUSED: dict[str, tuple[pd.DataFrame, dict[str, Any]]] = {
    "no column 'gone'": (arms(ALIKE), {"covariates": ("gone",)}),
    "measured twice": (arms(ALIKE), {"secondary": (Metric("lost"),)}),
    "an outcome and a covariate": (arms(ALIKE), {"covariates": ("lost",)}),
    "must hold numbers": (arms(ALIKE, word="x"), {"secondary": (Metric("word"),)}),
    "must hold true or false": (arms(ALIKE, closed=1), {"closed": "closed"}),
    "must hold times": (arms(ALIKE, met=1), {"exposed_at": "met", "outcome_at": "met"}),
    "no variant 'a'; did you mean 'A'": (arms(ALIKE), {"control": "a"}),
    **{
        f"has the variants {first!r}, {second!r}, which differ only in how they are written": (
            arms({"A": 300, first: 290, second: 290}, {"A": 3000, first: 3000, second: 3000}),
            {},
        )
        for first, second in (("B", "b "), ("01", "1"), ("1.5", "1.50"), ("e\u0301", "\u00e9"))
    },
    "has the variants '0', 'no', which differ only in how they are written": (
        arms({"0": 300, "no": 290, "yes": 290}, {"0": 3000, "no": 3000, "yes": 3000}),
        {"control": "0"},
    ),
    "only the control": (arms({"A": 300}, {"A": 3000}), {}),
    "more than 100 values": (arms(ALIKE).assign(arm=lambda rows: rows["user"].astype(str)), {"control": "1"}),
    "no rows": (arms(ALIKE).head(0), {}),
    "'user' is empty in 1 row": (arms(ALIKE).assign(user=[None, *range(5999)]), {}),
    "'arm' is empty in 6,000 rows": (pd.concat([arms(ALIKE), arms(ALIKE).assign(arm=None)]), {}),
    "'spent' has no value in 6,000 rows": (arms(ALIKE, spent=np.nan), {"metrics": (Metric("spent", "mean"),)}),
    "other values than 0 and 1 in 6,000": (arms(ALIKE, spent=2), {"metrics": (Metric("spent"),)}),
    "'spent' is infinite": (arms(ALIKE, spent=np.inf), {"metrics": (Metric("spent", "mean"),)}),
    "'spent' is infinite or beyond 1e": (arms(ALIKE, spent=1e160), {"metrics": (Metric("spent", "mean"),)}),
    "'before' is infinite or beyond 1e": (arms(ALIKE, before=-1e200), {"covariates": ("before",)}),
    "'before' is named twice": (arms(ALIKE, before=1.0), {"covariates": ("before", "before")}),
    "'arm' is named twice among unit, variant": (arms(ALIKE), {"unit": "arm"}),
    "'arm' is named twice among unit, variant and": (arms(ALIKE), {"segments": ("arm",)}),
    "'before' is infinite": (arms(ALIKE, before=np.inf), {"covariates": ("before",)}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_rows_that_are_not_what_the_design_says_are_refused(message: str) -> None:
    rows, changed = REFUSED[message]
    with pytest.raises(InputError, match=message):
        run(rows, **changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"alpha": 2.0}, "alpha must be above 0"),
        ({"metrics": ()}, "at least one metric"),
        ({"weights": {"A": -1}}, "at least 0"),
        ({"weights": {"B": 1}}, "control 'A' must have a weight"),
    ],
)
def test_designs_that_cannot_be_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(DESIGN, **changed)


def test_margins_and_looks_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="margin"):
        Guardrail("slow", 0.0)
    for better in ("higher", None):
        with pytest.raises(InputError, match=r"500%.*never exceeded.*such as slow:5%"):
            Guardrail("slow", 5.0, better=better, relative=True)
    assert Guardrail("slow", 5.0, better="lower", relative=True).margin == 5
    with pytest.raises(InputError, match="above that before"):
        Looks((0.5, 0.5))
