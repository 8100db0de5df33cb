"""The verdict: silent where nothing happened, also where rows share users, and awake where something did."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.observe.drift.drift import check_drift
from mlguide_assets.observe.drift.quality import Finding, Level, check_volume
from mlguide_assets.observe.drift.verdict import DRIFT_SCHEMA, ColumnMeasures, ColumnResult, DriftVerdict, conclude
from mlguide_assets.train.reference.counting import WindowCounts, inflation, window_counts
from mlguide_assets.train.reference.profile import Profile, reference_profile
from mlguide_assets_tests.observe.drifting import (
    KINDS,
    Columns,
    as_table,
    counted,
    profile_of,
    sends,
    users,
)

WINDOWS = 300


@pytest.fixture(scope="module")
def reference() -> Profile:
    return profile_of(users(30_000, np.random.default_rng(0)), {"x0": 0.5, "x3": 0.1, "c0": 0.3})


@pytest.fixture
def window() -> Columns:
    """A window like the reference, of 2,000 rows."""
    return users(2000, np.random.default_rng(1))


def drift_of(columns: Any, profile: Profile) -> DriftVerdict:
    return check_drift(profile, window_counts(as_table(columns), profile))


def row_of(verdict: DriftVerdict, column: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = verdict.columns.to_pylist()
    (row,) = [row for row in rows if row["column"] == column]
    return row


def share(verdicts: list[DriftVerdict], *levels: Level) -> float:
    return float(np.mean([verdict.level in levels for verdict in verdicts]))


def test_one_pass_counts_what_numpy_counts(reference: Profile, window: Columns) -> None:
    assert window_counts(as_table(window), reference) == counted(window, reference)


@pytest.mark.parametrize("rows", [500, 2000])
def test_independent_rows_without_drift_alarm_less_than_once_in_a_hundred_windows(
    reference: Profile, rows: int
) -> None:
    random = np.random.default_rng(rows)
    verdicts = [check_drift(reference, counted(users(rows, random), reference)) for _ in range(WINDOWS)]
    assert share(verdicts, "act") <= 0.01
    assert share(verdicts, "warn", "act") <= 0.02
    # The test by itself, without the floor under the effect, keeps its level too.
    least = np.array([np.nanmin(verdict.columns["q_value"].to_numpy()) for verdict in verdicts])
    assert np.mean(least <= 0.01) <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / WINDOWS)
    any_small = [np.nanmin(verdict.columns["p_value"].to_numpy()) < 0.05 for verdict in verdicts]
    assert np.mean(any_small) > 0.6


def test_many_categories_alike_do_not_alarm() -> None:
    random = np.random.default_rng(13)
    profile = profile_of({"c0": np.array([f"city {at}" for at in random.integers(100, size=20_000)], dtype=object)})
    (column,) = profile.columns
    shares = np.array([0.01] * 30 + [0.7, 0])
    drawn = [WindowCounts(2000, {"c0": tuple(counts)}) for counts in random.multinomial(2000, shares, WINDOWS).tolist()]
    verdicts = [check_drift(profile, window) for window in drawn]
    # Those kept were the commonest by chance, so less than 70 % were others, and one window in three says so beyond
    # chance. It is too little to be told.
    assert column.counts[30] / column.rows < 0.69
    assert share(verdicts, "act") == 0
    assert share(verdicts, "warn") <= 0.02


@pytest.fixture(scope="module")
def variation() -> tuple[Profile, dict[str, float], list[WindowCounts]]:
    """Windows of some 150 users with 15 rows each: the reference, its inflation by 12 of them, and others."""
    random = np.random.default_rng(7)
    profile = profile_of(sends(4000, 15, random))
    history = [counted(sends(150, 15, random), profile) for _ in range(12)]
    return profile, inflation(profile, history), [counted(sends(150, 15, random), profile) for _ in range(WINDOWS)]


def test_rows_that_share_users_alarm_falsely_unless_corrected(
    variation: tuple[Profile, dict[str, float], list[WindowCounts]],
) -> None:
    profile, factors, windows = variation
    uncorrected = [check_drift(profile, window) for window in windows]
    corrected = [check_drift(profile.with_inflation(factors), window) for window in windows]
    assert share(uncorrected, "act") > 0.3
    assert share(corrected, "act") <= 0.01
    assert share(corrected, "warn", "act") <= 0.05


def test_inflation_is_the_rows_of_a_user(variation: tuple[Profile, dict[str, float], list[WindowCounts]]) -> None:
    profile, _, windows = variation
    factors = inflation(profile, windows)
    assert min(factors.values()) > 12
    assert max(factors.values()) < 22


def test_clustered_drift_is_still_seen(variation: tuple[Profile, dict[str, float], list[WindowCounts]]) -> None:
    profile, factors, _ = variation
    random = np.random.default_rng(8)
    window = sends(150, 15, random)
    window["x0"] = window["x0"] + 1.5
    verdict = check_drift(profile.with_inflation(factors), counted(window, profile))
    assert (verdict.drift, verdict.worst) == ("act", ("x0",))
    assert row_of(verdict, "x0")["inflation"] == factors["x0"]


def test_inflation_of_independent_rows_is_close_to_one(reference: Profile) -> None:
    random = np.random.default_rng(9)
    factors = inflation(reference, [counted(users(2000, random), reference) for _ in range(60)])
    assert set(factors) == set(KINDS)
    assert min(factors.values()) >= 1
    assert max(factors.values()) < 1.35


def test_windows_of_the_reference_itself_tell_the_inflation_too() -> None:
    random = np.random.default_rng(10)
    weeks = [sends(200, 10, random) for _ in range(12)]
    profile = profile_of({name: np.concatenate([week[name] for week in weeks]) for name in KINDS})
    counts = [counted(week, profile) for week in weeks]
    within, as_if_apart = inflation(profile, counts, within=True), inflation(profile, counts)
    outside = inflation(profile, [counted(sends(200, 10, random), profile) for _ in range(60)])
    assert np.mean(list(within.values())) == pytest.approx(np.mean(list(outside.values())), rel=0.2)
    assert all(as_if_apart[name] < within[name] for name in KINDS)
    with pytest.raises(ValueError, match="not part of the reference"):
        inflation(profile, [counted(sends(4000, 10, random), profile)], within=True)


def test_inflation_without_history_is_one(reference: Profile) -> None:
    assert set(inflation(reference, []).values()) == {1.0}


def test_a_shift_of_a_fifth_of_a_deviation_is_seen_in_2000_rows(reference: Profile) -> None:
    random = np.random.default_rng(11)
    seen = []
    for _ in range(40):
        window = users(2000, random)
        window["x0"] = window["x0"] + 0.2
        verdict = check_drift(reference, counted(window, reference))
        seen.append(row_of(verdict, "x0")["q_value"] <= 0.01)
        # Seen, and as small as it is left alone: its PSI is about 0.04.
        assert row_of(verdict, "x0")["level"] == "none"
    assert all(seen)


@pytest.mark.parametrize(("shift", "level"), [(0.0, "none"), (0.2, "none"), (0.4, "warn"), (0.7, "act")])
def test_the_level_follows_the_size_of_a_shift(reference: Profile, window: Columns, shift: float, level: Level) -> None:
    window["x0"] = window["x0"] + shift
    verdict = drift_of(window, reference)
    assert (verdict.level, verdict.quality) == (level, "none")
    assert verdict.worst == (("x0",) if shift > 0.2 else ())
    assert verdict.sentence.endswith(".")
    if level == "act":
        assert verdict.sentence.startswith("1 of 30 columns over 2,000 rows calls for action; x0: PSI 0.4")


@pytest.mark.ml_test_score("monitor-2")
def test_a_column_turning_60_percent_null_is_seen(reference: Profile, window: Columns) -> None:
    emptied = np.where(np.random.default_rng(2).random(2000) < 0.6, np.nan, window["x0"])
    verdict = drift_of({**window, "x0": emptied}, reference)
    assert (verdict.level, verdict.quality, verdict.worst) == ("act", "act", ("x0",))
    row = row_of(verdict, "x0")
    assert (row["check"], row["reference_null_share"]) == ("nulls", 0)
    assert row["null_share"] == pytest.approx(0.6, abs=0.05)
    assert row["reason"] == f"{row['null_share']:.1%} are null, against 0.0% in the reference"


def test_some_more_nulls_warn(reference: Profile, window: Columns) -> None:
    values = window["c0"].astype(object)
    values[:160] = None
    verdict = drift_of({**window, "c0": values}, reference)
    assert (verdict.quality, row_of(verdict, "c0")["check"]) == ("warn", "nulls")


def test_fewer_nulls_are_seen_as_well(window: Columns) -> None:
    profile = profile_of({"x0": np.where(np.arange(9000) % 2, np.nan, users(9000, np.random.default_rng(2))["x0"])})
    row = row_of(drift_of({"x0": window["x0"]}, profile), "x0")
    assert (row["level"], row["reason"]) == ("act", "0.0% are null, against 50.0% in the reference")


def test_nulls_of_a_column_that_always_moves_are_seen(reference: Profile, window: Columns) -> None:
    emptied = {**window, "x0": np.where(np.arange(2000) < 600, np.nan, window["x0"])}
    assert drift_of(emptied, reference.with_inflation({"x0": 1000.0})).quality == "act"


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_counts_as_null(reference: Profile, window: Columns, odd: float) -> None:
    window["x1"][:1000] = odd
    verdict = drift_of(window, reference)
    assert row_of(verdict, "x1")["null_share"] == 0.5
    assert verdict.quality == "act"


def test_a_day_of_unseen_categories(reference: Profile, window: Columns) -> None:
    window["c3"], window["x0"] = "neu – 新 " + window["c3"], window["x0"] + 1
    verdict = drift_of(window, reference)
    assert verdict.worst == ("c3", "x0")
    assert (verdict.level, verdict.quality, verdict.drift) == ("act", "act", "act")
    row = row_of(verdict, "c3")
    assert (row["unseen_share"], row["check"], row["psi"]) == (1.0, "categories", None)
    assert row["reason"] == "100.0% are of categories that the reference does not have"


@pytest.mark.ml_test_score("monitor-2")
def test_one_new_category_warns(window: Columns) -> None:
    profile = profile_of({"c0": users(30_000, np.random.default_rng(0))["c0"]})
    renamed = window["c0"].copy()
    renamed[:60] = "kind 东京"
    verdict = drift_of({"c0": renamed}, profile)
    assert (verdict.level, verdict.quality, verdict.drift) == ("warn", "warn", "none")
    assert row_of(verdict, "c0")["unseen_share"] == 0.03


def test_more_outside_the_commonest_categories_is_reported_against_the_reference() -> None:
    random = np.random.default_rng(3)
    names = np.array([f"city {at}" for at in range(100)], dtype=object)
    common = 1 / np.arange(1, 101) / np.sum(1 / np.arange(1, 101))
    profile = reference_profile(as_table({"city": random.choice(names, 20_000, p=common)}), {"city": "category"}, {})
    row = row_of(drift_of({"city": random.choice(names[60:], 2000)}, profile), "city")
    assert row["level"] == "act"
    assert row["reason"].startswith("100.0% are outside the 30 commonest categories of the reference, against 2")
    assert row_of(drift_of({"city": random.choice(names, 2000, p=common)}, profile), "city")["level"] == "none"


def test_constants_and_ties(window: Columns) -> None:
    random = np.random.default_rng(4)
    columns = {"constant": np.full(20_000, 3), "zeros": np.where(random.random(20_000) < 0.7, 0, random.random(20_000))}
    profile = reference_profile(as_table(columns), dict.fromkeys(columns, "number"), {})
    same = {name: values[:2000] for name, values in columns.items()}
    verdict = drift_of(same, profile)
    assert verdict.level == "none"
    assert row_of(verdict, "constant")["p_value"] is None
    assert row_of(drift_of({**same, "constant": np.full(2000, 3.0001)}, profile), "constant")["level"] == "act"
    fewer_zeros = {**same, "zeros": np.where(random.random(2000) < 0.4, 0, random.random(2000))}
    row = row_of(drift_of(fewer_zeros, profile), "zeros")
    assert row["level"] == "act"
    assert "% are 0, against 70." in row["reason"]


@pytest.mark.parametrize("rows", [0, 1, 499])
def test_too_few_rows_are_not_none(reference: Profile, rows: int) -> None:
    verdict = drift_of(
        {name: values[:rows] for name, values in users(500, np.random.default_rng(5)).items()}, reference
    )
    assert (verdict.level, verdict.quality, verdict.drift, verdict.worst) == (*["too_few"] * 3, ())
    few = "1 row is" if rows == 1 else f"{rows} rows are"
    assert verdict.sentence == f"No verdict: {few} too few to test, 500 are needed."
    assert set(verdict.columns["level"].to_pylist()) == {"too_few"}
    assert verdict.columns["psi"].null_count == 30


@pytest.mark.ml_test_score("monitor-1")
def test_columns_that_changed_come_first_however_few_the_rows(reference: Profile) -> None:
    window: dict[str, Any] = {name: values[:50] for name, values in users(50, np.random.default_rng(6)).items()}
    del window["c1"]
    window["x0"], window["c2"] = window["x0"].astype(str), np.arange(50)
    verdict = drift_of({"new": [1] * 50, **window}, reference)
    assert (verdict.level, verdict.quality, verdict.drift) == ("act", "act", "too_few")
    assert verdict.worst == ("x0", "c1", "c2")
    assert verdict.columns["column"].to_pylist()[:4] == ["x0", "c1", "c2", "new"]
    assert verdict.columns["reason"].to_pylist()[:4] == [
        "it is stored as text, in the reference as number",
        "the column is missing",
        "it is stored as integer, in the reference as text",
        "the reference has no such column",
    ]
    assert verdict.columns["level"].to_pylist()[:5] == ["act", "act", "act", "warn", "too_few"]
    assert verdict.columns.num_rows == 31


def test_columns_that_the_reference_had_beside_the_profiled_are_expected() -> None:
    rows = as_table({"user_id": range(600), "x": [1.0] * 600})
    profile = reference_profile(rows, {"x": "number"}, {})
    assert check_drift(profile, window_counts(rows, profile)).columns["column"].to_pylist() == ["x"]


def test_another_width_of_number_or_nulls_only_is_no_other_type(reference: Profile, window: Columns) -> None:
    counts = window_counts(
        as_table({**window, "x2": window["x2"].astype(np.int8), "x0": pa.nulls(2000), "c0": pa.nulls(2000)}), reference
    )
    assert not counts.retyped
    assert counts.counts["x2"] == counted(window, reference).counts["x2"]
    verdict = check_drift(reference, counts)
    assert [row_of(verdict, name)["check"] for name in ("x0", "c0")] == ["nulls", "nulls"]


def test_columns_are_ranked_by_importance_times_psi(reference: Profile, window: Columns) -> None:
    window["x0"], window["x3"], window["x6"] = window["x0"] + 0.5, window["x3"] + 3, window["x6"] + 1
    verdict = drift_of(window, reference)
    # PSI 9 with importance 0.1, PSI 0.25 with 0.5, and PSI 1 with none.
    assert verdict.worst == ("x3", "x0", "x6")
    weights = [row["importance"] * row["psi"] for row in verdict.columns.to_pylist()]
    assert weights == sorted(weights, reverse=True)


def drifted(column: str, reason: str, cost: float | None, level: Level = "act") -> ColumnResult:
    return ColumnResult(ColumnMeasures(column, cost_effect=cost), (Finding(level, "distribution", reason),))


def test_every_column_that_is_as_bad_is_named_the_costliest_first() -> None:
    amount = drifted("amount", "100.0% are null", 0.0)
    verdict = conclude([amount, drifted("channel", "unseen", 33.8), drifted("age", "PSI 0.11", 50.0, "warn")], rows=900)
    assert verdict.sentence == (
        "2 of 3 columns over 900 rows call for action; channel: unseen, expected cost +33.8 per 1,000 decisions; "
        "amount: 100.0% are null, expected cost +0.0 per 1,000 decisions."
    )
    assert verdict.worst == ("channel", "amount")


def test_what_cannot_be_measured_comes_first() -> None:
    verdict = conclude([drifted("dear", "PSI 0.3", -40.0), drifted("gone", "the column is missing", None)], rows=900)
    assert verdict.worst == ("gone", "dear")


def test_of_many_columns_some_are_counted_only() -> None:
    many = [drifted(f"x{number}", "moved", float(number)) for number in range(8)]
    assert conclude(many, rows=900).sentence == (
        "8 of 8 columns over 900 rows call for action; "
        + "; ".join(f"x{number}: moved, expected cost {number:+}.0 per 1,000 decisions" for number in (7, 6, 5, 4, 3))
        + "; and 3 more."
    )


def test_the_table_has_a_row_per_column(reference: Profile, window: Columns) -> None:
    verdict = drift_of(window, reference)
    assert verdict.columns.schema == DRIFT_SCHEMA
    assert sorted(verdict.columns["column"].to_pylist()) == sorted(KINDS)
    assert set(verdict.columns["rows"].to_pylist()) == {2000}
    assert verdict.columns["check"].null_count == 30
    assert all(verdict.columns["reason"].to_pylist())
    assert verdict.sentence == "None of 30 columns has drifted enough for a warning, over 2,000 rows."


USUAL = [1000, 1100, 900, 1050, 950, 1020, 980]


@pytest.mark.parametrize(
    ("rows", "earlier", "level"),
    [
        (1000, USUAL, "none"),
        (600, USUAL, "none"),
        (400, USUAL, "warn"),
        (100, USUAL, "act"),
        (0, USUAL, "act"),
        (2500, USUAL, "warn"),
        (9000, USUAL, "act"),
        (0, [4, 5, 3, 4, 6], "none"),
        (400, [1000, 100, 3000, 20, 2000], "none"),
        (3, [0, 0, 0, 0, 0], "none"),
        (50, [0, 0, 0, 0, 0], "act"),
        (0, [0, 0, 0, 0, 0], "none"),
        (0, [1000, 1000, 1000, 1000], "too_few"),
    ],
)
def test_volume(rows: int, earlier: list[int], level: Level) -> None:
    finding = check_volume(rows, earlier)
    assert (finding.level, finding.check) == (level, "volume")
    assert finding.reason.startswith(f"{rows:,} rows, ")
