"""What a user waits for: a whole run, a rollback, the API, drift, and the analysis of an experiment."""

import json
import re
import subprocess
from pathlib import Path

from mlguide_assets_tests.benchmarks.rows import MLGUIDE, Row, measured, printed_by, within


def loading() -> list[Row]:
    """The median of five: what a code location or a sensor pays."""
    code = (
        "import time; t = time.perf_counter(); import mlguide_assets.definitions as d; d.defs();"
        "print(time.perf_counter() - t)"
    )
    runs = sorted(float(printed_by(["-c", code], MLGUIDE_HOME="/nonexistent-home")) for _ in range(5))
    return [("import and load mlguide_assets.definitions", f"{runs[2]:.2f} s", "≤ 3 s", within(runs[2] <= 3))]


def whole_run(folder: Path) -> list[Row]:
    """The default world in a new home, all packages installed and read once before."""
    command = [MLGUIDE, "run", "--home"]
    measured([*command, str(folder / "warm-up"), "--sends", "2000"], folder / "printed")
    printed, seconds, gigabytes = measured([*command, str(folder / "home")], folder / "printed")
    found = re.search(r"model_explanations\s+[\d,]+ rows\s+([\d.]+) s", printed)
    explaining = float(found[1]) if found else float("nan")
    rate = json.loads(printed_by(["-m", "mlguide_assets_tests.benchmarks.explaining", str(folder / "home")]))
    return [
        ("whole run, warm, default world", f"{seconds:.1f} s", "≤ 30 s", within(seconds <= 30)),
        ("  peak memory", f"{gigabytes:.1f} GB", "≤ 3 GB", within(gigabytes <= 3)),
        ("  explaining, with imports and plots", f"{explaining:.1f} s, {explaining / seconds:.0%} of the run", "", ""),
        ("exact SHAP contributions", f"{rate:,.0f} rows per s", "", ""),
    ]


def rollback(folder: Path) -> list[Row]:
    """The whole command, between two champions that were promoted by hand: how good they are does not matter."""
    home, log = folder / "two-champions", folder / "printed"
    command = [MLGUIDE]
    for until in ("2025-11-01T00:00:00", "2025-12-01T00:00:00"):
        measured([*command, "run", "--sends", "3000", "--home", str(home)], log, MLGUIDE_WORLD_TIME=until)
    for version in ("1", "2"):
        # One that the gate has promoted is champion already.
        subprocess.run(
            [*command, "promote", version, "--reason", "benchmark", "--home", str(home)],
            check=False,
            capture_output=True,
        )
    _, seconds, _ = measured([*command, "rollback", "--reason", "benchmark", "--home", str(home)], log)
    return [("`mlguide rollback`, the whole command", f"{seconds:.1f} s", "≤ 1 s", within(seconds <= 1))]


def serving(folder: Path) -> list[Row]:
    """The API on the home of the whole run, which is made here where that was left out."""
    if not (folder / "home").exists():
        measured([MLGUIDE, "run", "--home", str(folder / "home")], folder / "printed")
    place = folder / "serving"
    place.mkdir()
    got = json.loads(printed_by(["-m", "mlguide_assets_tests.benchmarks.serving", str(folder / "home"), str(place)]))

    def latencies(name: str, what: str, p50: float, p99: float | None = None) -> Row:
        shown = f"p50 {got[name]['p50']:.1f} ms, p99 {got[name]['p99']:.1f} ms"
        budget = f"p50 ≤ {p50:.0f} ms" + (f", p99 ≤ {p99:.0f} ms" if p99 else "")
        fine = got[name]["p50"] <= p50 and (p99 is None or got[name]["p99"] <= p99)
        return what, shown, budget, within(fine)

    def rate(name: str, what: str) -> Row:
        measured = got[name]["rate"]
        return what, f"{measured:,.0f} requests per s", "≥ 1,500", within(measured >= 1500)

    def against(workers: int) -> Row:
        found, plural = got[f"{workers} against mlflow"], "s" if workers > 1 else ""
        what = f"  against `mlflow models serve`, {workers} worker{plural} each"
        shown = f"{found['ratio']:.1f} × ({found['mlflow']:,.0f} requests per s)"
        return what, shown, "≥ 5", within(found["ratio"] >= 5)

    return [
        ("`mlguide serve` until it is ready", f"{got['start']:.1f} s", "≤ 3 s", within(got["start"] <= 3)),
        latencies("one", "one pair at a time, durably logged", 2, 8),
        latencies("fifty", "50 users at a time", 5),
        (
            "  with a canary on, latency over that without (p50, p99)",
            f"{got['routed']['p50']:.2f}, {got['routed']['p99']:.2f}",
            "≤ 1.1",
            within(got["routed"]["p50"] <= 1.1),
        ),
        rate("1 against mlflow", "16 connections, 1 worker"),
        against(1),
        rate("2 against mlflow", "16 connections, 2 workers"),
        against(2),
        (
            "memory after 100,000 requests",
            f"{got['megabytes']:.0f} MB, {got['grown']:+.0f} MB",
            "flat",
            within(got["grown"] <= 10),
        ),
        latencies("one of many", "one pair at a time, of 1 M users", 2, 8),
        rate("sixteen of many", "16 connections, 1 M users"),
    ]


def drift(folder: Path) -> list[Row]:
    """Replayed days of a world without and with a planted covariate shift."""
    place = folder / "drift"
    place.mkdir()
    got = json.loads(printed_by(["-m", "mlguide_assets_tests.benchmarks.drift", str(place)]))
    alarms = 100 * got["false_acts"] / got["windows"]
    return [
        (
            f"drift: false alarms in {got['windows']} days without a shift",
            f"{got['false_acts']} calls for action, {got['false_warnings']} warnings",
            "≤ 1 per 100",
            within(alarms <= 1),
        ),
        (
            "  days until the planted covariate shift warns, calls for action",
            f"{got['days_to_warning']}, {got['days_to_act']}",
            "",
            "",
        ),
        (
            "  columns together: false warnings, days until the shift warns",
            f"{got['false_warnings_of_classifier']}, {got['days_to_warning_of_classifier']}",
            "≤ 1 in 40 days",
            within(40 * got["false_warnings_of_classifier"] <= got["windows"]),
        ),
        ("  one day's verdict", f"{got['seconds'] * 1000:.0f} ms", "", ""),
    ]


def analyse(folder: Path) -> list[Row]:
    """`mlguide experiment analyse`, the whole command, on ten million units with two metrics and a covariate."""
    code = (
        "import duckdb, sys; path, unit = sys.argv[1:]\n"
        "duckdb.execute(f\"COPY (SELECT {unit} AS unit, if(random() < 0.5, 'old', 'new') AS arm,"
        "(random() < 0.03)::INT AS paid, round(random() * 20, 2) AS spent, round(random() * 20, 2) AS earlier "
        "FROM range(10000000)) TO '{path}'\")"
    )
    rows = []
    for kind, unit in (("whole numbers", "range"), ("texts of 32 letters", "md5(range::VARCHAR)")):
        for ending in ("parquet", "csv"):
            data = folder / f"experiment.{ending}"
            printed_by(["-c", code, str(data), unit])
            options = ["--unit", "unit", "--variant", "arm", "--control", "old", "--covariate", "earlier", "--json"]
            command = [MLGUIDE, "experiment", "analyse", "--data", str(data), *options]
            metrics = ["--metric", "paid:binary", "--metric", "spent:mean"]
            _, seconds, gigabytes = measured([*command, *metrics], folder / "printed")
            data.unlink()
            what = f"analyse of 10 M rows, {ending}, units are {kind}"
            fine = within(seconds <= 10 and gigabytes <= 3)
            rows.append((what, f"{seconds:.1f} s, {gigabytes:.1f} GB", "≤ 10 s, ≤ 3 GB", fine))
    return rows
