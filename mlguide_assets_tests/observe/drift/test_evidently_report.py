"""Evidently's report: whole or absent, of columns it can compare, and named which it cannot."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.observe.drift.evidently_report import incomparable, write_report
from mlguide_assets.train.reference.bins import Kind
from mlguide_assets_tests.deploy.serving.browser import Visit, chromium, harm_done

ROWS = 2000
HARM = "</script><script>alert(1)</script><img src=http://127.0.0.1:9/ onerror=alert(2)>&lt;b&gt;\"'\\"


def side(seed: int, shift: float = 0.0, rows: int = ROWS) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "score": random.normal(size=rows) + shift,
            "city": random.choice(np.array(["Zürich", "東京", HARM, "it's"], dtype=object), rows),
            "many": [f"id {value}" for value in random.integers(5000, size=rows)],
            "active": random.random(rows) < 0.3,
            "constant": np.full(rows, 3),
            "mostly_null": np.where(random.random(rows) < 0.6, np.nan, random.normal(size=rows)),
            f"worst {HARM}": random.normal(size=rows),
            "tail": np.where(random.random(rows) < 0.001, np.inf, np.exp(4 * random.normal(size=rows))),
        }
    )


KINDS: dict[str, Kind] = {
    "score": "number",
    "city": "category",
    "many": "category",
    "active": "number",
    "constant": "number",
    "mostly_null": "number",
    "tail": "number",
    f"worst {HARM}": "number",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: importing Evidently takes seven seconds."""
    reference = side(1).append_column("gone", pa.array([1.0] * ROWS)).append_column("<new>", pa.nulls(ROWS))
    current = side(2, shift=1.0).append_column("<new>", pa.array([1.0] * ROWS))
    columns: dict[str, Kind] = {**KINDS, "gone": "number", "<new>": "number", "nowhere": "category"}
    folder = tmp_path_factory.mktemp("reports")
    return write_report(reference, current, columns, folder / "new" / "2025-01-01.html", seed=0, max_rows=1500)


@pytest.mark.slow
def test_report_shows_what_can_be_compared(report: Path) -> None:
    fields = r'"column_name": "(\w+)", "column_type": "(\w+)", "stattest_name": "([^"]+)"'
    found = {name: (kind, method) for name, kind, method in re.findall(fields, report.read_text(encoding="utf-8"))}
    numbers = dict.fromkeys(("score", "active", "mostly_null", "tail"), ("num", "K-S p_value"))
    assert found == numbers | dict.fromkeys(("city", "many"), ("cat", "Jensen-Shannon distance"))


@pytest.mark.slow
def test_report_does_not_take_the_window_for_the_reference(report: Path) -> None:
    text = report.read_text(encoding="utf-8").partition('"column_name": "score"')[2]
    means = []
    for shown in ("reference", "current"):
        fields = re.search(rf'"{shown}_distribution": (\{{.*?\}})', text)
        assert fields
        bars = json.loads(fields.group(1))
        middles = np.convolve(bars["x"], [0.5, 0.5], mode="valid")
        means.append(np.average(middles, weights=bars["y"]))
    assert means == pytest.approx([0, 1], abs=0.2)


@pytest.mark.slow
def test_report_says_first_what_was_left_out(report: Path) -> None:
    banner = report.read_text(encoding="utf-8").partition("<body>")[2][:1500]
    assert "1,500 of 2,000 rows of the reference and 1,500 of 2,000 of the window" in banner
    for message in (
        "constant: the same value everywhere",
        "gone: absent from the window",
        "&lt;new&gt;: without any value in the reference",
        "nowhere: absent from the reference",
    ):
        assert f"<li>{message}</li>" in banner


@pytest.mark.slow
def test_data_do_nothing_in_the_report(report: Path, tmp_path: Path) -> None:
    """Evidently writes values into a script as they are, and shows names as HTML."""
    with chromium() as browser:
        seen = Visit(browser, report.as_uri()).open()
        seen.see("td", "worst ‹/script›‹script›alert(1)")
        for row in seen.page.locator("tbody button").all():
            row.click()
        seen.see("svg.main-svg")
        assert (seen.said, [each for each in seen.requests if not each.startswith("data:")]) == ([], [report.as_uri()])
        assert harm_done(browser, Path(shutil.copy(report, tmp_path))) == []


@pytest.mark.slow
def test_report_is_one_file_that_needs_no_network(report: Path) -> None:
    assert [path.name for path in report.parent.iterdir()] == ["2025-01-01.html"]
    text = report.read_text(encoding="utf-8")
    assert 'src="http' not in text
    assert '<link rel="stylesheet"' not in text
    assert report.stat().st_size < 10_000_000
    assert os.environ["DO_NOT_TRACK"] == "1"


@pytest.mark.slow
@pytest.mark.usefixtures("report")
def test_what_the_rule_relies_on_in_evidently(tmp_path: Path) -> None:
    """Pinned: why its verdict is none, why it is given a str, and in which order it wants the sides."""
    from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]
    from evidently.presets import DataDriftPreset  # type: ignore[import-untyped]

    random = np.random.default_rng(0)
    before = pa.table({"x": random.normal(size=ROWS)}).to_pandas()
    now = before.assign(x=before["x"].where(random.random(ROWS) >= 0.6))
    definition = DataDefinition(numerical_columns=["x"])
    snapshot = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(now, data_definition=definition), Dataset.from_pandas(before, data_definition=definition)
    )
    count: Any = next(metric for metric in snapshot.dict()["metrics"] if "DriftedColumnsCount" in metric["metric_name"])
    assert count["value"]["count"] == 0
    snapshot.save_html(tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("rows", [0, ROWS])
def test_a_window_without_anything_to_compare_has_a_report_that_says_so(tmp_path: Path, rows: int) -> None:
    columns: dict[str, Kind] = dict.fromkeys(("constant", "absent"), "number")
    path = write_report(side(1), side(2).slice(0, rows), columns, tmp_path / "report.html", seed=0)
    text = path.read_text(encoding="utf-8")
    assert "absent: absent from the reference" in text
    assert ("constant: the same value everywhere" if rows else "constant: without any value in the window") in text


def test_last_reports_are_kept_by_name_and_the_new_one_always(tmp_path: Path) -> None:
    for day in range(10, 15):
        (tmp_path / f"2025-01-{day}.html").write_text("earlier")
    (tmp_path / "notes.txt").write_text("not a report")
    for name in ("2025-01-15", "2025-01-01"):
        write_report(side(1), side(2), {"absent": "number"}, tmp_path / f"{name}.html", seed=0, keep=3)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["2025-01-01.html", *(f"2025-01-{day}.html" for day in (13, 14, 15)), "notes.txt"]


def test_a_failure_leaves_the_earlier_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("earlier")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("mlguide_assets.observe.drift.evidently_report._finish", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        write_report(side(1), side(2), {"absent": "number"}, path, seed=0)
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("report.html", "earlier")]


def test_only_html_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.html, which 'report\.txt'"):
        write_report(side(1), side(2), KINDS, tmp_path / "report.txt", seed=0)


def test_columns_stored_otherwise_are_left_out() -> None:
    columns: dict[str, Kind] = {"city": "number", "score": "category", "active": "category"}
    assert incomparable(side(1), side(2), columns) == {
        "city": "stored as string in the reference, and declared as a number"
    }


def test_importing_the_module_imports_neither_evidently_nor_pandas() -> None:
    module = "mlguide_assets.observe.drift.evidently_report"
    code = f"import sys, {module}; print({{'evidently', 'pandas'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
