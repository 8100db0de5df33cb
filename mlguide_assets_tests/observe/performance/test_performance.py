"""Performance by day: equal to scikit-learn on all rows, right as often as the intervals say, honest about the gap."""

from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pandas.testing import assert_frame_equal
from scipy.stats import binom
from sklearn import metrics as oracle

from mlguide_assets.observe.performance.performance import estimated, realised
from mlguide_assets.observe.performance.tallies import MEASURES
from mlguide_assets.observe.performance.verdict import (
    GAP_SCHEMA,
    TOO_MANY_MISSES,
    VERDICTS_SCHEMA,
    check_performance,
    gap,
    most_misses,
    trusted,
)
from mlguide_assets.observe.performance.windows import SCHEMA
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.evaluation.metrics import brier_rows, log_loss_rows, point
from mlguide_assets.train.evaluation.slices import ALL_ROWS
from mlguide_assets_tests.observe.days import FIRST, World, sends

THRESHOLD = 0.05
NEVER = Estimate(float("nan"), float("nan"), float("nan"))


def realised_of(rows: pa.Table, **changed: Any) -> pa.Table:
    asked: dict[str, Any] = {"threshold": THRESHOLD, "columns": [], "min_positives": 10} | changed
    return realised(rows, **asked)


def column(table: pa.Table, metric: str, window: int = 1, *, of: str = ALL_ROWS) -> dict[str, Any]:
    """The columns of one metric of the whole, or of a slice, in order of days."""
    asked = pc.and_(pc.equal(table["metric"], metric), pc.equal(table["window_days"], window))
    if "slice" in table.column_names:
        asked = pc.and_(asked, pc.equal(table["slice"], of))
    found = table.filter(asked)
    return {name: found[name].to_numpy(zero_copy_only=False) for name in found.column_names}


def expected_of(rows: pa.Table, threshold: float = THRESHOLD) -> dict[str, float]:
    labels, scores = rows["label"].to_numpy(), rows["probability"].to_numpy()
    withheld = scores >= threshold
    return {
        "roc_auc": oracle.roc_auc_score(labels, scores),
        "pr_auc": oracle.average_precision_score(labels, scores),
        "log_loss": oracle.log_loss(labels, scores),
        "brier": oracle.brier_score_loss(labels, scores),
        "calibration_gap": scores.mean() - labels.mean(),
        "base_rate": labels.mean(),
        "withheld_share": withheld.mean(),
        "precision": oracle.precision_score(labels, withheld),
        "recall": oracle.recall_score(labels, withheld),
    }


def values(table: pa.Table, day: date, window: int, of: str = ALL_ROWS) -> dict[str, float]:
    asked = [row for row in table.to_pylist() if (row["day"], row["window_days"], row["slice"]) == (day, window, of)]
    return {row["metric"]: row["value"] for row in asked}


def test_values_are_scikit_learns_on_each_day_window_and_slice() -> None:
    rows = sends(World(level=-2.5), days=6, per_day=300, seed=1)
    # Ties, a day without sends, and an order that means nothing.
    rounded = pc.add(pc.round(rows["probability"], 2), 0.001)
    theme = pa.array(np.where(np.arange(len(rows)) % 3 == 0, "Pirates", "Elves"))
    rows = rows.set_column(3, "probability", rounded).append_column("theme", theme)
    day = pc.cast(rows["decided_at"], pa.date32())
    rows, day = rows.filter(pc.not_equal(day, date(2024, 3, 4))), day.filter(pc.not_equal(day, date(2024, 3, 4)))
    order = np.random.default_rng(0).permutation(len(rows))
    table = realised_of(rows.take(order), columns=["theme"], window_days=3)
    assert table.schema == SCHEMA
    assert set(table["day"].to_pylist()) == {date(2024, 3, each) for each in (1, 2, 3, 5, 6)}
    for last, window in product((2, 5, 6), (1, 3)):
        end = date(2024, 3, last)
        inside = rows.filter(pc.and_(pc.greater(day, end - timedelta(window)), pc.less_equal(day, end)))
        for name, part in [(ALL_ROWS, inside), ("Elves", inside.filter(pc.equal(inside["theme"], "Elves")))]:
            assert values(table, end, window, name) == pytest.approx(expected_of(part), abs=1e-12)
            counted = column(table, "brier", window, of=name)
            at = list(counted["day"]).index(np.datetime64(end))
            assert (counted["rows"][at], counted["positives"][at]) == (len(part), pc.sum(part["label"]).as_py())
    assert tuple(values(table, date(2024, 3, 6), 3)) == MEASURES


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_days_are_those_of_utc(zone: str | None) -> None:
    instants = [datetime(2024, 3, 9, 23, 59, 59, 999_999), datetime(2024, 3, 10), datetime(1969, 12, 31, 23)]
    given = pa.array([each.replace(tzinfo=UTC) for each in instants], pa.timestamp("us", "UTC"))
    given = given.cast(pa.timestamp("us", zone)) if zone else given.cast(pa.timestamp("us"))
    rows = pa.table({"unit_id": ["a", "b", "c"], "decided_at": given, "label": [0, 1, 0], "probability": [0.1] * 3})
    days = column(realised_of(rows), "base_rate")["day"]
    assert list(days) == [np.datetime64(each) for each in ("1969-12-31", "2024-03-09", "2024-03-10")]


def test_estimate_is_the_mean_over_all_outcomes() -> None:
    scores = np.array([0.02, 0.05, 0.05, 0.2, 0.45, 0.6, 0.8])
    rows = sends(World(), 1, len(scores), seed=0).set_column(3, "probability", pa.array(scores)).drop_columns("label")
    outcomes = np.array(list(product((False, True), repeat=len(scores))))
    chance = np.prod(np.where(outcomes, scores, 1 - scores), axis=1)
    found = values(estimated(rows, threshold=THRESHOLD), FIRST, 1)
    assert found["log_loss"] == pytest.approx(chance @ [log_loss_rows(each, scores).mean() for each in outcomes])
    assert found["brier"] == pytest.approx(chance @ [brier_rows(each, scores).mean() for each in outcomes])
    assert found["base_rate"] == pytest.approx(scores.mean())
    assert found["withheld_share"] == pytest.approx(6 / 7)
    assert found["precision"] == pytest.approx(scores[1:].mean())
    assert found["recall"] == pytest.approx(scores[1:].sum() / scores.sum())
    assert found["calibration_gap"] == pytest.approx(0, abs=1e-12)
    order = (scores[:, None] > scores) + (scores[:, None] == scores) / 2
    pairs = scores[:, None] * (1 - scores)
    assert found["roc_auc"] == pytest.approx((order * pairs).sum() / pairs.sum())


def test_estimate_of_pr_auc_allows_for_few_positives() -> None:
    world = World()
    honest = [sends(world, 1, 3000, seed=seed) for seed in range(40)]
    asked = [values(estimated(rows, threshold=THRESHOLD, window_days=1), FIRST, 1)["pr_auc"] for rows in honest]
    found = [point("pr_auc", rows["label"].to_numpy(), rows["probability"].to_numpy()) for rows in honest]
    differences = np.array(found) - np.array(asked)
    assert abs(differences.mean()) < 2.6 * differences.std(ddof=1) / np.sqrt(40)
    large = sends(world, 1, 400_000, seed=99)
    truth = point("pr_auc", large["label"].to_numpy(), large["probability"].to_numpy())
    assert np.mean(found) > truth + 0.008, "with few positives it is biased, and the estimate must be so too"


def test_estimate_follows_a_covariate_shift() -> None:
    before, after = World(), World(level=-4.2, mean=1.5, spread=0.6)
    truths = {}
    for name, world in (("before", before), ("after", after)):
        population = sends(world, 1, 600_000, seed=7)
        truths[name] = point("roc_auc", population["label"].to_numpy(), population["probability"].to_numpy())
        rows = sends(world, 30, 3000, seed=8).drop_columns("label")
        found = column(estimated(rows, threshold=THRESHOLD, window_days=30), "roc_auc", 30)
        assert found["value"][-1] == pytest.approx(truths[name], abs=0.006)
        assert found["low"][-1] < truths[name] < found["high"][-1]
    assert truths["after"] < truths["before"] - 0.05, "there was something to follow"


@cache
def concept_shift() -> tuple[pa.Table, pa.Table]:
    """Realised and estimated over 40 days; from the 21st on users react to the seen feature half as much."""
    rows = pa.concat_tables([sends(World(), 20, 3000, seed=3), sends(World(slope=0.3), 20, 3000, seed=4, start=20)])
    return realised_of(rows), estimated(rows, threshold=THRESHOLD)


def test_estimate_does_not_see_a_concept_shift_but_the_gap_does() -> None:
    found, expected = concept_shift()
    realised_auc, estimated_auc = (column(table, "roc_auc", 7)["value"] for table in (found, expected))
    assert realised_auc[:20].mean() - realised_auc[26:].mean() > 0.1
    assert abs(estimated_auc[:20].mean() - estimated_auc[26:].mean()) < 0.006
    gaps = gap(found, expected)
    assert gaps.schema == GAP_SCHEMA
    by_day, by_week = column(gaps, "roc_auc"), column(gaps, "roc_auc", 7)
    assert by_day["sees_concept_drift"][:20].sum() <= 4
    assert by_day["sees_concept_drift"][20:].mean() >= 0.8
    assert by_week["sees_concept_drift"][23:].all(), "four days of seven are enough"
    assert (by_day["high"][by_day["sees_concept_drift"] & (by_day["value"] < 0)] < 0).all()
    np.testing.assert_allclose(by_day["value"], by_day["realised"] - by_day["estimated"])


def test_estimate_is_trusted_until_it_missed_too_often() -> None:
    gaps = gap(*concept_shift())
    earlier = gaps.filter(pc.less(gaps["day"], FIRST + timedelta(20)))
    assert all(trusted(earlier, metric) for metric in MEASURES)
    assert not trusted(gaps, "roc_auc")
    assert trusted(gaps, "withheld_share"), "it does not depend on outcomes"
    assert trusted(gaps.slice(0, 0), "roc_auc"), "nothing speaks against it"


@pytest.mark.parametrize("days", [0, 1, 7, 20, 60, 3650])
def test_the_misses_allowed_are_the_binomial_quantile(days: int) -> None:
    assert most_misses(days, 0.05) == binom.ppf(TOO_MANY_MISSES, days, 0.05)


@pytest.mark.parametrize(("misses", "verdict"), [(0, True), (4, True), (5, False), (20, False)])
def test_trust_is_lost_beyond_the_binomial_quantile(misses: int, verdict: bool) -> None:
    def row(day: int, window: int, metric: str, low: float, missed: bool) -> dict[str, Any]:
        numbers = {"rows": 1, "realised": 0.0, "estimated": 0.0, "value": 0.0, "low": low, "high": 0.0}
        return {"day": FIRST + timedelta(day), "window_days": window, "metric": metric, **numbers} | {
            "sees_concept_drift": missed
        }

    days = [row(day, 1, "roc_auc", -0.1, day < misses) for day in range(20)]
    beside = [row(day, 7, "roc_auc", -0.1, True) for day in range(20)]
    beside += [row(day, 1, "brier", -0.1, True) for day in range(20)]
    unknown = [row(day, 1, "roc_auc", float("nan"), False) for day in range(20, 400)]
    assert trusted(pa.Table.from_pylist(days + beside + unknown, schema=GAP_SCHEMA), "roc_auc") is verdict


@cache
def clustered_days() -> tuple[pa.Table, dict[str, float]]:
    """200 days of 100 users with ten sends on average, who differ in what the champion cannot see; and the truth."""
    world = World(level=-3.5, taste=1.8)
    rows = sends(world, 200, 1000, seed=5, users=100, own_users=True)
    population = sends(world, 1, 400_000, seed=6, users=400_000)
    return realised_of(rows, window_days=1), expected_of(population)


@cache
def honest_days() -> tuple[pa.Table, pa.Table]:
    """Realised and estimated over 200 days on which probabilities mean what they say."""
    rows = sends(World(level=-3.0), 200, 1000, seed=9, users=400, own_users=True)
    return realised_of(rows, window_days=1), estimated(rows, threshold=THRESHOLD, window_days=1)


@pytest.mark.parametrize("metric", [name for name in MEASURES if name != "pr_auc"])
def test_intervals_hold_as_often_as_they_say(metric: str) -> None:
    found, truth = clustered_days()
    days = column(found, metric)
    covered = np.mean((days["low"] <= truth[metric]) & (truth[metric] <= days["high"]))
    assert 0.90 <= covered <= 0.985


def test_rows_alone_would_promise_too_much() -> None:
    """The test above is one of clustering only if intervals that ignore users fail it."""
    found, truth = clustered_days()
    days = column(found, "base_rate")
    half = 1.96 * np.sqrt(days["value"] * (1 - days["value"]) / days["rows"])
    assert np.mean(np.abs(days["value"] - truth["base_rate"]) <= half) < 0.9


@pytest.mark.parametrize("metric", [name for name in MEASURES if name != "withheld_share"])
def test_gap_sees_nothing_where_nothing_is(metric: str) -> None:
    gaps = gap(*honest_days())
    assert 0.01 <= column(gaps, metric)["sees_concept_drift"].mean() <= 0.09
    assert trusted(gaps, metric)


def test_estimates_interval_holds_what_others_will_find() -> None:
    _, expected = honest_days()
    others = realised_of(sends(World(level=-3.0), 200, 1000, seed=11, users=400, own_users=True), window_days=1)
    for metric in ("roc_auc", "log_loss", "base_rate", "recall"):
        band, value = column(expected, metric), column(others, metric)["value"]
        # The band's own centre varies with its users, so it misses a little more than 5 %.
        assert 0.86 <= np.mean((band["low"] <= value) & (value <= band["high"])) <= 0.98


def test_resamples_without_a_withheld_send_are_left_out() -> None:
    rows = sends(World(level=-3.0), 1, 3000, seed=22)
    fifth = float(np.sort(rows["probability"].to_numpy())[-5])
    table = realised(rows, threshold=fifth, columns=[], min_positives=10)
    (precision,) = table.filter(
        pc.and_(pc.equal(table["metric"], "precision"), pc.equal(table["window_days"], 1))
    ).to_pylist()
    assert 0 <= precision["low"] <= precision["high"] <= 1
    assert precision["noise"] > 0


def test_same_inputs_same_table_in_any_order_of_rows() -> None:
    rows = sends(World(), 9, 800, seed=12)
    rows = rows.append_column("theme", pa.array(np.where(rows["unit_id"].to_numpy() % 2, "Pirates", "Elves")))
    shuffled = rows.take(np.random.default_rng(0).permutation(len(rows)))
    for of in (partial(realised_of, columns=["theme"]), partial(estimated, threshold=THRESHOLD)):
        once = of(rows).to_pandas()
        assert_frame_equal(of(shuffled).to_pandas(), once, check_exact=True)
        assert not of(rows, seed=1).to_pandas().equals(once)


def test_last_window_needs_only_its_own_rows() -> None:
    rows, day = sends(World(), 20, 1000, seed=13), FIRST + timedelta(19)
    recent = rows.filter(pc.greater(pc.cast(rows["decided_at"], pa.date32()), day - timedelta(7)))
    for window in (1, 7):
        whole, part = (values(realised_of(each), day, window) for each in (rows, recent))
        assert part == pytest.approx(whole, abs=1e-12)
        whole, part = (values(estimated(each, threshold=THRESHOLD), day, window) for each in (rows, recent))
        # Bins are those of the rows given, and with them what the mean over drawn outcomes adds.
        assert part.pop("pr_auc") == pytest.approx(whole.pop("pr_auc"), abs=1e-3)
        assert part == pytest.approx(whole, abs=1e-4)


def test_windows_that_end_since_a_day_are_as_they_are_among_all() -> None:
    rows, day = sends(World(), 9, 800, seed=13), FIRST + timedelta(7)
    rows = rows.append_column("theme", pa.array(np.where(rows["unit_id"].to_numpy() % 2, "Pirates", "Elves")))
    for of in (partial(realised_of, columns=["theme"]), partial(estimated, threshold=THRESHOLD)):
        later = of(rows, since=day).to_pandas()
        every = of(rows).to_pandas()
        assert_frame_equal(later, every[every["day"] >= day].reset_index(drop=True), check_exact=True)


def test_slices_without_support_have_values_but_no_bounds() -> None:
    rows = sends(World(level=-3.0), 2, 2000, seed=14)
    # One user's twenty unsubscribes are one witness.
    rare = np.arange(len(rows)) % 40 == 0
    users = np.where(rare, 0, rows["unit_id"].to_numpy())
    labels = np.where(rare, np.arange(len(rows)) % 80 == 0, rows["label"].to_numpy()).astype(np.int64)
    rows = rows.set_column(0, "unit_id", pa.array(users)).set_column(2, "label", pa.array(labels))
    rows = rows.append_column("theme", pa.array(np.where(rare, "rare", "common")))
    table = realised_of(rows, columns=["theme"], min_positives=10)
    rare_rows, common = (table.filter(pc.equal(table["slice"], name)).to_pandas() for name in ("rare", "common"))
    assert (rare_rows["positives"] >= 20).all()
    assert not rare_rows["supported"].any()
    assert rare_rows[["low", "high"]].isna().all(axis=None)
    assert rare_rows["value"].notna().all()
    assert common["supported"].all()
    assert (common["low"] <= common["value"]).all()
    assert (common["value"] <= common["high"]).all()
    assert common["noise"].isna().all()


def test_day_without_positives_has_no_ranking_and_no_bounds() -> None:
    quiet = sends(World(), 1, 500, seed=15)
    quiet = quiet.set_column(2, "label", pa.array(np.zeros(500, dtype=np.int64)))
    table = realised_of(pa.concat_tables([quiet, sends(World(level=-2.0), 1, 500, seed=16, start=1)]))
    first = {row["metric"]: row for row in table.to_pylist() if row["day"] == FIRST and row["window_days"] == 1}
    assert all(np.isnan(first[metric]["value"]) for metric in ("roc_auc", "pr_auc", "recall"))
    assert (first["base_rate"]["value"], first["precision"]["value"], first["base_rate"]["positives"]) == (0, 0, 0)
    assert not any(row["supported"] or row["low"] == row["low"] for row in first.values())
    assert column(table, "roc_auc", 7)["supported"].tolist() == [False, True], "the second day's window has positives"


def test_one_user_has_values_but_no_bounds() -> None:
    rows = sends(World(level=-1.0), 1, 400, seed=17, users=1)
    for table in (realised_of(rows, min_positives=1), estimated(rows, threshold=THRESHOLD)):
        frame = table.to_pandas()
        assert frame["value"].notna().all()
        assert frame[["low", "high", "noise"]].isna().all(axis=None)
        assert not frame["supported"].any()


def test_nothing_in_nothing_out() -> None:
    nothing = sends(World(), 1, 5, seed=0).slice(0, 0).append_column("theme", pa.array([], pa.string()))
    found, expected = realised_of(nothing, columns=["theme"]), estimated(nothing, threshold=THRESHOLD)
    assert (len(found), found.schema, len(expected), expected.schema) == (0, SCHEMA, 0, SCHEMA)
    assert gap(found, expected).schema == GAP_SCHEMA
    verdict = check_performance(found, metric="roc_auc", reference=Estimate(0.7, 0.69, 0.71), max_drop=0.0)
    assert (verdict.verdict, verdict.day) == ("too_few", None)
    assert verdict.reason == "No outcome has matured in the given days, so its ROC AUC is not known."


def test_few_positives_of_a_rare_event_support_no_estimate() -> None:
    for level, per_day, supported in (
        (-6.0, 10_000, False),
        (-6.0, 40_000, True),
        (-4.0, 900, False),
        (-4.0, 3000, True),
    ):
        table = estimated(sends(World(level=level), 1, per_day, seed=18), threshold=THRESHOLD, repeats=20)
        assert set(table["supported"].to_pylist()) == {supported}, (level, per_day, table["positives"][0])


def test_which_labels_have_matured_is_the_callers_to_say() -> None:
    rows = sends(World(), 1, 50, seed=19)
    for unknown in (pa.array([None] * 50, pa.int64()), pa.array([float("nan")] * 50), pa.array([2] * 50)):
        with pytest.raises(ValueError, match="leave out rows whose label is not known yet"):
            realised_of(rows.set_column(2, "label", unknown))
    with pytest.raises(ValueError, match="no column 'label' to group by"):
        realised_of(rows.drop_columns("label"))
    with pytest.raises(ValueError, match="no column 'theme' to slice by"):
        realised_of(rows, columns=["theme"])
    with pytest.raises(ValueError, match="window_days must be 1 or more, got 0"):
        realised_of(rows, window_days=0)


def test_gap_compares_the_same_rows_only() -> None:
    rows = sends(World(), 3, 2000, seed=20)
    half_matured = rows.slice(0, 5000)
    gaps = gap(realised_of(half_matured), estimated(rows, threshold=THRESHOLD))
    assert set(gaps["day"].to_pylist()) == {FIRST, FIRST + timedelta(1)}


REFERENCE = Estimate(0.76, 0.75, 0.77)


def performing(
    value: float, low: float, high: float, metric: str = "roc_auc", days: int = 1, rows: int = 9000
) -> pa.Table:
    """Realised performance that got so far on the last day, and was perfect before."""
    found = [
        {"day": FIRST + timedelta(day), "window_days": 7, "column": ALL_ROWS, "slice": ALL_ROWS, "rows": rows}
        | {"positives": 210.0, "metric": metric, "value": 1.0, "low": 1.0, "high": 1.0, "supported": True}
        for day in range(days)
    ]
    found[-1] |= {"value": value, "low": low, "high": high, "supported": low == low}
    elsewhere = found[-1] | {"column": "theme", "slice": "Pirates", "value": 0.1, "low": 0.1, "high": 0.1}
    return pa.Table.from_pylist([*found, elsewhere], schema=SCHEMA)


def test_dropped_only_where_all_of_the_interval_is_below() -> None:
    def of(value: float, low: float, high: float) -> Any:
        return check_performance(
            performing(value, low, high, days=8), metric="roc_auc", reference=REFERENCE, max_drop=0.02
        )

    dropped = of(0.70, 0.68, 0.72)
    assert (dropped.verdict, dropped.day) == ("dropped", date(2024, 3, 8))
    assert dropped.difference.value == pytest.approx(-0.06)
    assert dropped.difference.high == pytest.approx(-0.06 + np.hypot(0.02, 0.01))
    assert dropped.difference.low == pytest.approx(-0.06 - np.hypot(0.02, 0.01))
    assert dropped.reason == (
        "It dropped: ROC AUC 0.7000 over the 7 days to 2024-03-08, 0.0600 worse than the 0.7600 at training (95 % "
        "CI -0.0824 to -0.0376), significantly more than the 0.02 allowed."
    )
    assert of(0.70, 0.64, 0.76).verdict == "holds", "it may be chance"
    assert of(0.735, 0.73, 0.74).verdict == "holds", "worse for sure, but perhaps by less than allowed"
    assert of(0.75, 0.74, 0.76).reason.endswith("; the drop is not significantly larger than the 0.02 allowed.")
    assert of(0.80, 0.79, 0.81).reason == (
        "It holds: ROC AUC 0.8000 over the 7 days to 2024-03-08, 0.0400 better than the 0.7600 at training (95 % "
        "CI +0.0259 to +0.0541)."
    ), "there is no drop of which anything could be said"
    earlier = check_performance(
        performing(0.7, 0.68, 0.72, days=3), metric="roc_auc", reference=REFERENCE, max_drop=0.02, day=FIRST
    )
    assert (earlier.verdict, earlier.day) == ("holds", FIRST)


def test_a_window_at_the_beginning_of_the_record_is_named_by_the_days_that_it_holds() -> None:
    young = check_performance(performing(0.7, 0.68, 0.72, days=2), metric="roc_auc", reference=REFERENCE, max_drop=0.02)
    assert "ROC AUC 0.7000 over the 2 days to 2024-03-02, " in young.reason


def test_more_loss_is_a_drop() -> None:
    reference = Estimate(0.10, 0.095, 0.105)
    table = performing(0.13, 0.12, 0.14, metric="log_loss")
    verdict = check_performance(table, metric="log_loss", reference=reference, max_drop=0.01)
    assert verdict.verdict == "dropped"
    assert verdict.difference.low < verdict.difference.value == pytest.approx(-0.03)
    better = performing(0.07, 0.06, 0.08, metric="log_loss")
    assert check_performance(better, metric="log_loss", reference=reference, max_drop=0.01).verdict == "holds"


def test_without_an_interval_there_is_no_verdict() -> None:
    table = performing(0.5, float("nan"), float("nan"))
    few = check_performance(table, metric="roc_auc", reference=REFERENCE, max_drop=0.02)
    assert few.verdict == "too_few"
    assert few.reason == (
        "Its ROC AUC is not tested: 9,000 matured decisions of 2024-03-01, 210 of them positive, come from too few "
        "units."
    )
    assert (few.to_row()["current"], few.to_row()["difference_low"]) == (0.5, None)
    assert few.to_row()["day"] == "2024-03-01"
    assert few.to_row().keys() == set(VERDICTS_SCHEMA.names)
    table = performing(0.5, float("nan"), float("nan"), rows=1)
    single = check_performance(
        table, metric="roc_auc", reference=REFERENCE, max_drop=0.02, decision="diagnosis", unit="patient"
    )
    assert "1 matured diagnosis of 2024-03-01, 210 of them positive, comes from too few patients." in single.reason
    table = performing(0.5, 0.4, 0.6)
    unknown = check_performance(table, metric="roc_auc", reference=NEVER, max_drop=0.02)
    assert unknown.verdict == "too_few"
    assert "at training has no interval" in unknown.reason
    with pytest.raises(ValueError, match="unknown metric 'recall'"):
        check_performance(table, metric="recall", reference=REFERENCE, max_drop=0.02)


@pytest.mark.ml_test_score("monitor-7")
def test_verdict_on_sends_with_a_planted_drop() -> None:
    found, _ = concept_shift()
    reference = Estimate(*(float(column(found, "roc_auc", 7)[name][19]) for name in ("value", "low", "high")))
    verdicts = {
        day: check_performance(
            found, metric="roc_auc", reference=reference, max_drop=0.02, day=FIRST + timedelta(day)
        ).verdict
        for day in range(6, 40)
    }
    assert {verdicts[day] for day in range(6, 20)} == {"holds"}
    assert {verdicts[day] for day in range(26, 40)} == {"dropped"}


def test_every_day_window_slice_and_metric_has_a_row() -> None:
    rows = sends(World(), 10, 500, seed=21, users=2000)
    generator = np.random.default_rng(0)
    for name, count in (("country", 7), ("theme", 5), ("category", 4)):
        rows = rows.append_column(
            name,
            pa.array([f"{name} {at}" for at in range(count)]).take(pa.array(generator.integers(count, size=len(rows)))),
        )
    table = realised_of(rows, columns=["country", "theme", "category"], min_positives=30, repeats=20)
    assert len(table) == 10 * 2 * 17 * len(MEASURES)
