"""Slices are cut as a reader would, measured as if alone, compared in the same resamples, and drawn."""

import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.statistics.bootstrap import ClusterBootstrap
from mlguide_assets.train.evaluation.fairness import FAIRNESS_METRICS, LARGEST_DIFFERENCE, fairness
from mlguide_assets.train.evaluation.metrics import confusion, point
from mlguide_assets.train.evaluation.slices import (
    ALL_ROWS,
    GAP,
    SCHEMA,
    SLICE_METRICS,
    SliceSettings,
    slice_gaps,
    slice_metrics,
    worst_slice,
)
from mlguide_assets.train.evaluation.slicing import BANDS, MISSING, MOST_VALUES, OTHER, already_cut, slicing
from mlguide_assets.train.models.calibration import log_odds, sigmoid
from mlguide_assets.train.plots import drawing
from mlguide_assets.train.plots import slices as slice_plots
from mlguide_assets.train.plots.slices import slice_plot

THRESHOLD = 0.08
SETTINGS = SliceSettings("xgboost", "user_id", THRESHOLD, min_positives=20)


def measured(rows: pa.Table, columns: Sequence[str], **changed: Any) -> pa.Table:
    return slice_metrics(rows, columns, replace(SETTINGS, **changed))


def compared(rows: pa.Table, columns: Sequence[str], *, comparisons: int | None = None, **changed: Any) -> pa.Table:
    return slice_gaps(rows, columns, replace(SETTINGS, **changed), comparisons=comparisons)


def treated(rows: pa.Table, columns: Sequence[str], **changed: Any) -> pa.Table:
    return fairness(rows, columns, replace(SETTINGS, **changed))


def sends(users: int = 1500, each: int = 4, seed: int = 0) -> pa.Table:
    """Sends whose probabilities are right, except that of users from DE they know little."""
    generator = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), each)
    n = len(user)
    truth = sigmoid(-3 + 0.9 * generator.standard_normal(users)[user] + 0.5 * generator.standard_normal(n))
    country = np.array(["US", "DE", "FR", None], dtype=object)[generator.choice(4, users, p=[0.5, 0.3, 0.19, 0.01])][
        user
    ]
    blurred = sigmoid(-3 + 0.2 * (log_odds(truth) + 3) + 0.9 * generator.standard_normal(n))
    age = generator.integers(18, 70, users).astype(float)
    age[generator.random(users) < 0.05] = np.nan
    return pa.table(
        {
            "user_id": user,
            "label": (generator.random(n) < truth).astype(np.int8),
            "xgboost": np.where(country == "DE", blurred, truth),
            "country": pa.array(list(country)),
            "age": pa.array(age[user].astype(object).tolist(), from_pandas=True).cast(pa.int64()),
            "spend": np.where(generator.random(n) < 0.8, 0.0, generator.exponential(10, n)),
            "group": pa.array(np.array(["a", "b"])[generator.choice(2, users)][user]),
            "premium": generator.random(n) < 0.5,
        }
    )


SENDS = sends()
COLUMNS = ["country", "age", "spend", "group", "premium"]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return measured(SENDS, COLUMNS)


def row(table: pa.Table, column: str, name: str, metric: str) -> dict[str, Any]:
    (found,) = (
        each for each in table.to_pylist() if (each["column"], each["slice"], each["metric"]) == (column, name, metric)
    )
    return dict(found)


def names(values: Any, kind: pa.DataType | None = None) -> list[str]:
    return list(slicing("it", pa.chunked_array([pa.array(values, kind)])).names)


def test_numbers_are_cut_into_bands_of_about_equal_count_with_readable_names() -> None:
    cut = slicing("age", pa.chunked_array([pa.array(range(18, 58))]))
    assert cut.names == ("18–27", "28–37", "38–47", "48–57")
    assert np.bincount(cut.codes).tolist() == [10, 10, 10, 10]
    assert names([3, 1, 2, 2]) == ["1", "2", "3"]
    assert names([0.5, 0.25, 12345.678, 3.14159]) == ["0.25", "0.5", "3.14", "12300"]
    assert names([-3, -1, 4, 9, 12]) == ["-3 to -1", "4", "9", "12"]
    assert names([1000.1, 1000.2, 1000.3]) == ["1000.1", "1000.2", "1000.3"]
    assert names([Decimal("1.50"), Decimal("2.50")]) == ["1.5", "2.5"]
    assert names([float("inf"), 1.0, -float("inf")]) == ["-inf", "1", "inf"]


def test_a_number_that_most_rows_have_is_a_band_by_itself() -> None:
    cut = slicing("spend", pa.chunked_array([pa.array([0] * 80 + list(range(1, 21)))]))
    assert cut.names[0] == "0"
    assert len(cut.names) == BANDS
    assert np.bincount(cut.codes).tolist() == [80, 7, 7, 6]


def test_texts_are_slices_the_commonest_first_and_the_rare_together() -> None:
    assert names(["b", "a", "b", "", None]) == ["b", "(empty)", "a", MISSING]
    many = [f"v{value:02}" for value in range(30) for _ in range(40 - value)]
    assert names(many) == [f"v{value:02}" for value in range(MOST_VALUES)] + [OTHER]
    # One more than the limit is kept: a slice of others would hold only that one.
    assert OTHER not in names(many[: sum(40 - value for value in range(MOST_VALUES + 1))])
    assert names([OTHER, *many]).count(OTHER) == 1
    encoded = pa.array(["x", "y", "x"]).dictionary_encode()
    assert list(slicing("it", pa.chunked_array([encoded])).names) == ["x", "y"]
    assert names([True, False, True, None]) == ["true", "false", MISSING]


def test_a_part_of_rows_that_are_cut_has_the_slices_of_all() -> None:
    rows = pa.table({"age": [*range(100), None], "theme": [*(f"v{row % 20}" for row in range(100)), None]})
    cut = already_cut(rows, ["age", "theme"])
    for column in ("age", "theme"):
        whole, part = slicing(column, rows[column]), slicing(column, cut[column].slice(60))
        assert part.names == whole.names
        assert part.codes.tolist() == whole.codes[60:].tolist()


def test_no_value_is_a_slice_of_its_own() -> None:
    cut = slicing("age", pa.chunked_array([pa.array([1.0, None, float("nan"), 2.0])]))
    assert cut.names == ("1", "2", MISSING)
    assert cut.codes.tolist() == [0, 2, 2, 1]
    for kind in (pa.null(), pa.string(), pa.int64(), pa.float32(), pa.bool_()):
        assert names([None, None], kind) == [MISSING]
    for kind in (pa.string(), pa.int64(), pa.float32()):
        assert names([], kind) == []


def test_every_row_is_in_the_slice_that_its_value_names() -> None:
    generator = np.random.default_rng(0)
    for numbers in (generator.integers(-5, 30, 500), generator.poisson(0.3, 500), generator.integers(0, 10**6, 500)):
        cut = slicing("it", pa.chunked_array([pa.array(numbers)]))
        for code, name in enumerate(cut.names):
            low, *high = (int(end) for end in (name.split(" to ") if " to " in name else name.split("–")))
            inside = numbers[cut.codes == code]
            assert (inside.min(), inside.max()) == (low, high[0] if high else low)


def test_each_slice_is_measured_as_if_it_were_alone(table: pa.Table) -> None:
    assert table.schema == SCHEMA
    assert set(table["metric"].to_pylist()) == set(SLICE_METRICS)
    labels, scores = SENDS["label"].to_numpy() == 1, SENDS["xgboost"].to_numpy()
    country = np.array(SENDS["country"].to_pylist())
    for column, name, inside in (("country", "DE", country == "DE"), (ALL_ROWS, ALL_ROWS, np.full(len(labels), True))):
        found = {metric: row(table, column, name, metric) for metric in SLICE_METRICS}
        expected = {
            "roc_auc": point("roc_auc", labels[inside], scores[inside]),
            "log_loss": point("log_loss", labels[inside], scores[inside]),
            "base_rate": labels[inside].mean(),
            "withheld_share": (scores[inside] >= THRESHOLD).mean(),
            "calibration_gap": scores[inside].mean() - labels[inside].mean(),
        }
        assert {metric: each["value"] for metric, each in found.items()} == pytest.approx(expected)
        assert {(each["rows"], each["positives"]) for each in found.values()} == {(inside.sum(), labels[inside].sum())}
        assert all(each["low"] < each["value"] < each["high"] for each in found.values())


def test_slices_of_a_column_hold_every_row_once(table: pa.Table) -> None:
    auc = table.filter(pc.equal(table["metric"], "roc_auc"))
    for column in (ALL_ROWS, *COLUMNS):
        of_column = auc.filter(pc.equal(auc["column"], column))
        assert pc.sum(of_column["rows"]).as_py() == SENDS.num_rows
        assert pc.sum(of_column["positives"]).as_py() == pc.sum(SENDS["label"]).as_py()


def test_intervals_are_of_the_slice_in_resamples_of_all_users() -> None:
    bootstrap = ClusterBootstrap(SENDS["user_id"].to_numpy(), 40, 2)
    weights = np.hstack([bootstrap.row_weights(counts) for counts in bootstrap.draws()]).astype(int)
    labels, scores = SENDS["label"].to_numpy(), SENDS["xgboost"].to_numpy()
    inside = np.flatnonzero(np.array(SENDS["country"].to_pylist()) == "FR")
    alone, gaps = [], []
    for weight in weights.T:
        drawn, all_drawn = np.repeat(inside, weight[inside]), np.repeat(np.arange(len(labels)), weight)
        alone.append(point("roc_auc", labels[drawn], scores[drawn]))
        gaps.append(alone[-1] - point("roc_auc", labels[all_drawn], scores[all_drawn]))
    found = row(measured(SENDS, ["country"], repeats=40, seed=2), "country", "FR", "roc_auc")
    assert (found["low"], found["high"]) == pytest.approx(tuple(np.quantile(alone, [0.025, 0.975])))
    gap = row(compared(SENDS, ["country"], repeats=40, seed=2, comparisons=1), "country", "FR", GAP)
    half = 1.959964 * np.std(gaps, ddof=1)
    assert (gap["low"], gap["high"]) == pytest.approx((gap["value"] - half, gap["value"] + half))


@pytest.mark.ml_test_score("model-6")
def test_the_slice_that_the_model_knows_little_of_is_the_worst(table: pa.Table) -> None:
    worst, gap = worst_slice(table), worst_slice(compared(SENDS, COLUMNS), GAP)
    assert worst is not None
    assert gap is not None
    assert (worst["column"], worst["slice"]) == (gap["column"], gap["slice"]) == ("country", "DE")
    whole = row(table, ALL_ROWS, ALL_ROWS, "roc_auc")["value"]
    assert gap["value"] == pytest.approx(worst["value"] - whole)
    assert gap["high"] < -0.02
    by_loss = worst_slice(table, "log_loss")
    assert by_loss is not None
    supported = table.filter(pc.and_(table["supported"], pc.equal(table["metric"], "log_loss")))
    assert by_loss["low"] == max(each["low"] for each in supported.to_pylist() if each["column"] != ALL_ROWS)
    with pytest.raises(ValueError, match="unknown metric 'auc'"):
        worst_slice(table, "auc")


def test_too_few_users_have_a_value_but_no_interval_and_are_never_the_worst(table: pa.Table) -> None:
    few = row(table, "country", MISSING, "roc_auc")
    assert not few["supported"]
    assert np.isnan([few["low"], few["high"]]).all()
    assert np.isfinite(row(table, "country", MISSING, "log_loss")["value"])
    assert worst_slice(measured(SENDS, ["country"], min_positives=10**6)) is None
    assert np.isnan(row(compared(SENDS, ["country"]), "country", MISSING, GAP)["high"])


def test_support_counts_users_not_rows() -> None:
    labels, users = np.arange(200) % 2, np.repeat(["loud", *range(99)], [101, *[1] * 99])
    rows = pa.table(
        {
            "user_id": pa.array(users.astype(str)),
            "label": labels,
            "xgboost": np.linspace(0.1, 0.9, 200),
            "who": pa.array(np.where(users == "loud", "loud", "others")),
        }
    )
    table = measured(rows, ["who"])
    loud, others = (row(table, "who", name, "roc_auc") for name in ("loud", "others"))
    assert loud["positives"] == 50
    assert not loud["supported"]
    assert others["supported"]


def test_more_comparisons_make_wider_intervals() -> None:
    alone, many = compared(SENDS, COLUMNS, comparisons=1), compared(SENDS, COLUMNS)
    for before, after in zip(alone.to_pylist(), many.to_pylist(), strict=True):
        if before["supported"]:
            assert after["low"] < before["low"] < before["high"] < after["high"]
            assert before["value"] == after["value"]
    supported = pc.sum(many["supported"]).as_py()
    assert repr(compared(SENDS, COLUMNS, comparisons=supported).to_pydict()) == repr(many.to_pydict())


def test_adjusted_intervals_rarely_blame_equal_slices_and_unadjusted_ones_often_do() -> None:
    blamed = {None: 0, 1: 0}
    for seed in range(60):
        generator = np.random.default_rng(seed)
        rows = sends(400, 3, seed).filter(pc.not_equal(pc.fill_null(sends(400, 3, seed)["country"], "US"), "DE"))
        columns = [f"random_{index}" for index in range(6)]
        of_user = generator.choice(["a", "b", "c"], (6, 400))
        for column, values in zip(columns, of_user, strict=True):
            rows = rows.append_column(column, pa.array(values[rows["user_id"].to_numpy()]))
        for comparisons in blamed:
            gaps = compared(rows, columns, repeats=80, seed=seed, min_positives=5, comparisons=comparisons)
            blamed[comparisons] += any(each["high"] < 0 for each in gaps.to_pylist())
    assert blamed[None] <= 8
    assert blamed[1] >= 15


def test_groups_are_treated_as_a_plain_count_says() -> None:
    table = treated(SENDS, ["group"])
    labels, scores = SENDS["label"].to_numpy(), SENDS["xgboost"].to_numpy()
    group = np.array(SENDS["group"].to_pylist())
    rates: dict[str, list[float]] = {
        name: [] for name in ("withheld_share", "true_positive_rate", "false_positive_rate")
    }
    for name in ("a", "b"):
        plain = confusion(labels[group == name], scores[group == name], THRESHOLD)
        n = plain.tp + plain.fp + plain.fn + plain.tn
        expected = {
            "base_rate": plain.base_rate,
            "withheld_share": (plain.tp + plain.fp) / n,
            "true_positive_rate": plain.recall,
            "false_positive_rate": plain.fp / (plain.fp + plain.tn),
        }
        assert {metric: row(table, "group", name, metric)["value"] for metric in expected} == pytest.approx(expected)
        for metric in rates:
            rates[metric].append(expected[metric])
    share, true, false = (abs(a - b) for a, b in rates.values())
    found = {each["metric"]: each for each in table.to_pylist() if each["slice"] == LARGEST_DIFFERENCE}
    assert {metric: each["value"] for metric, each in found.items()} == pytest.approx(
        {
            "demographic_parity_difference": share,
            "equal_opportunity_difference": true,
            "equalised_odds_difference": max(true, false),
        }
    )
    assert all(each["supported"] and each["rows"] == SENDS.num_rows for each in found.values())
    assert set(table["metric"].to_pylist()) == {*FAIRNESS_METRICS, *found}


@pytest.mark.ml_test_score("model-7")
def test_a_planted_difference_is_reported_from_the_noise_of_equal_groups() -> None:
    seen = {"equal": 0, "unequal": 0}
    for seed in range(50):
        rows = sends(500, 3, seed)
        equal = np.array(rows["group"].to_pylist())
        # Half of those that are withheld move to group b as well, which makes it withheld more often.
        moved = (rows["xgboost"].to_numpy() >= THRESHOLD) & (np.random.default_rng(seed).random(len(equal)) < 0.5)
        rows = rows.append_column("equal", pa.array(equal))
        rows = rows.append_column("unequal", pa.array(np.where(moved, "b", equal)))
        table = treated(rows, ["equal", "unequal"], repeats=100, seed=seed)
        for column in seen:
            seen[column] += row(table, column, LARGEST_DIFFERENCE, "demographic_parity_difference")["low"] > 0
    assert seen["equal"] <= 7
    assert seen["unequal"] == 50


def test_one_group_alone_has_no_difference() -> None:
    rows = SENDS.append_column("constant", pa.array(["x"] * SENDS.num_rows))
    found = row(treated(rows, ["constant"]), "constant", LARGEST_DIFFERENCE, "equalised_odds_difference")
    assert np.isnan([found["value"], found["low"], found["high"]]).all()
    assert not found["supported"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [0, 1, 7])
@pytest.mark.parametrize("label", [0, 1])
def test_odd_tables_are_measured_compared_and_drawn(rows: int, label: int) -> None:
    few = SENDS.slice(0, rows).drop_columns("label").append_column("label", pa.array([label] * rows, pa.int8()))
    few = few.append_column("empty", pa.nulls(rows)).append_column("text", pa.nulls(rows, pa.string()))
    columns = [*COLUMNS, "empty", "text"]
    table = measured(few, columns, repeats=20)
    assert worst_slice(table) is None
    assert not pc.any(table["supported"]).as_py()
    assert np.isnan(table["low"].to_numpy()).all()
    assert pc.max(table["rows"]).as_py() == rows
    slice_plot(table, "user")
    assert np.isnan(compared(few, columns, repeats=20)["value"].to_numpy()).all()
    assert treated(few, columns, repeats=20).num_rows > 0


@pytest.mark.filterwarnings("error")
def test_one_user_constant_scores_and_no_columns() -> None:
    flat = SENDS.drop_columns("xgboost").append_column("xgboost", pa.array(np.full(SENDS.num_rows, 0.05)))
    table = measured(flat, ["group"], repeats=20)
    assert row(table, "group", "a", "roc_auc")["value"] == 0.5
    assert row(table, "group", "a", "withheld_share")["value"] == 0
    slice_plot(table, "user")
    alone = SENDS.drop_columns("user_id").append_column("user_id", pa.array(["only"] * SENDS.num_rows))
    assert np.isnan(measured(alone, ["group"], repeats=20)["high"].to_numpy()).all()
    assert set(measured(SENDS, [], repeats=20)["column"].to_pylist()) == {ALL_ROWS}
    assert compared(SENDS, [], repeats=20).num_rows == treated(SENDS, [], repeats=20).num_rows - 5 == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["US$ and CA$", "$^$", "$\\frac{$", "\x1b[31m\x07", "日本", "{x}"])
def test_any_name_can_be_drawn(name: str) -> None:
    """Between dollars, matplotlib reads a formula, and fails on what is none; a font lacks many scripts."""
    group = pa.array([name if each == "a" else each for each in SENDS["group"].to_pylist()])
    assert slice_plot(
        measured(SENDS.drop_columns("group").append_column("group", group), ["group"], repeats=20), "user"
    )


def test_what_cannot_be_sliced_is_named() -> None:
    with pytest.raises(ValueError, match="no column 'city' to slice or group by: there are user_id, label"):
        measured(SENDS, ["city"])
    with pytest.raises(ValueError, match=r"cannot slice by 'when': text, booleans and numbers can be, timestamp"):
        measured(SENDS.append_column("when", pa.nulls(SENDS.num_rows, pa.timestamp("us"))), ["when"])
    unknown = SENDS.drop_columns("label").append_column("label", pa.nulls(SENDS.num_rows, pa.int8()))
    with pytest.raises(ValueError, match="labels must be 0 or 1"):
        measured(unknown, ["age"])


def digest() -> str:
    """Of every table and picture of one sample."""
    table = measured(SENDS, COLUMNS, repeats=30)
    tables = table, compared(SENDS, COLUMNS, repeats=30), treated(SENDS, COLUMNS, repeats=30)
    written = "".join(repr(each.to_pydict()) for each in tables).encode()
    return hashlib.sha256(written + slice_plot(table, "user")).hexdigest()


def test_every_process_gives_the_same_bytes() -> None:
    code = "from mlguide_assets_tests.train.evaluation.test_slices import digest; print(digest())"
    environment = {**os.environ, "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "5"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, env=environment)
    assert other.stdout.strip() == digest()


def test_picture_names_the_worst_slice_or_says_that_none_is(table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []

    def recording(title: str, x: str, y: str, *, height: float) -> object:
        titles.append(title)
        return drawing.new_axes(title, x, y, height=height)

    monkeypatch.setattr(slice_plots, "new_axes", recording)
    png = slice_plot(table, "user")
    width, height = struct.unpack(">II", png[16:24])
    assert png.startswith(b"\x89PNG")
    assert 400 <= width <= 700
    assert 300 <= height <= 900
    assert len(png) < 60_000
    slice_plot(measured(SENDS, ["group"]), "user")
    slice_plot(measured(SENDS, ["group"], min_positives=10**6), "card")
    worst, none, few = titles
    assert worst.startswith("country DE is ranked worst: ROC AUC 0.")
    assert none.endswith("on all rows, and no slice lies wholly below")
    assert few.endswith("no slice has enough cards to be compared")
