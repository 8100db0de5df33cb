"""Measure what the design promises: `python -m mlguide_assets_tests.benchmarks [--sends 1000000 ...]`.

Every row is a process of its own, so its peak memory is its own; what is compared is taken in one run.
"""

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mlguide_assets_tests.benchmarks.replays import (
    BUDGET,
    DAYS,
    GIGABYTES,
    SECONDS,
    SENDS_OF_MANY,
    binomial_at_least,
    fulfilled,
    holds_the_truth,
    in_words,
    play,
)

PYTHON = sys.executable
GIGABYTE = 1024**3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sends", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes for the features")
    parser.add_argument("--no-pandas-above", type=int, default=10_000_000, help="leave pandas out of larger sizes")
    parser.add_argument("--only", help="run the rows whose name contains this")
    parser.add_argument("--seeds", type=int, default=1, help="replays of calm; of an experiment four times as many")
    arguments = parser.parse_args()
    table = Table(
        "what", "measured", "budget", "within", title=f"{os.cpu_count()} cores, Python {sys.version.split()[0]}"
    )
    with tempfile.TemporaryDirectory(prefix="mlguide-benchmarks-") as folder:
        rows = _rows(Path(folder), arguments.sends, arguments.no_pandas_above)
        if arguments.only and arguments.only in "replay":
            # Only where it is asked for: each scenario takes minutes.
            rows = [*rows, ("replay", lambda: _replays(arguments.seeds))]
        if arguments.only and arguments.only in "scale":
            rows = [*rows, ("scale", lambda: _scale(Path(folder), arguments.sends))]
        if arguments.only and arguments.only in "engines":
            rows = [*rows, ("engines", lambda: _engines(Path(folder)))]
        if arguments.only and arguments.only in "skewed":
            rows = [*rows, ("skewed", lambda: _skewed(Path(folder), arguments.sends))]
        for name, measure in rows:
            if arguments.only and arguments.only not in name:
                continue
            for row in measure():
                table.add_row(*row)
                Console(stderr=True).print("  ".join(row))
    Console(width=120).print(table)


Row = tuple[str, str, str, str]


def _rows(folder: Path, sizes: list[int], no_pandas_above: int) -> list[tuple[str, Callable[[], list[Row]]]]:
    rows: list[tuple[str, Callable[[], list[Row]]]] = [
        ("import", _import_time),
        ("generator", lambda: _generator(folder)),
    ]
    for sends in sizes:
        rows.append((f"features {sends}", lambda sends=sends: _features(folder, sends, sends <= no_pandas_above)))
    for sends in sizes:
        rows.append((f"one more day {sends}", lambda sends=sends: _one_more_day(folder, sends)))
    return [
        *rows,
        ("whole run", lambda: _whole_run(folder)),
        ("rollback", lambda: _rollback(folder)),
        ("serving", lambda: _serving(folder)),
        ("drift", lambda: _drift(folder)),
        ("analyse", lambda: _analyse(folder)),
        ("figures", _figures),
        ("off_policy", _off_policy),
        ("experiments", _experiments),
        ("problems", _problems),
        ("spark", lambda: _spark(folder)),
    ]


def _import_time() -> list[Row]:
    """The median of five: what a code location or a sensor pays."""
    code = (
        "import time; t = time.perf_counter(); import mlguide_assets.definitions as d; d.defs();"
        "print(time.perf_counter() - t)"
    )
    runs = sorted(float(_output(["-c", code], MLGUIDE_HOME="/nonexistent-home")) for _ in range(5))
    return [("import and load mlguide_assets.definitions", f"{runs[2]:.2f} s", "≤ 3 s", _within(runs[2] <= 3))]


def _generator(folder: Path) -> list[Row]:
    code = (
        "import json, resource, sys, time; from pathlib import Path; from datetime import date\n"
        "from mlguide_assets.prepare.simulator.generate import write\n"
        "from mlguide_assets.prepare.simulator.world import World\n"
        "t = time.perf_counter(); n = write(World(sends=1_000_000), Path(sys.argv[1]))['user_emails']\n"
        "print(json.dumps([time.perf_counter() - t, n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))"
    )
    seconds, sends, kilobytes = json.loads(_output(["-c", code, str(folder / "world")]))
    figure = f"{sends:,} sends in {seconds:.1f} s ({sends / seconds:,.0f} per s), {kilobytes * 1024 / GIGABYTE:.1f} GB"
    return [("simulate and write 1 M sends", figure, "≤ 10 s", _within(seconds <= 10))]


def _features(folder: Path, sends: int, with_pandas: bool) -> list[Row]:
    """Ours, hand-written SQL and pandas on the same core table, twice each in turn; the better of two counts."""
    place = folder / f"features-{sends}"
    place.mkdir()
    _output(["-m", "mlguide_assets_tests.benchmarks.features", "prepare", str(place), str(sends)])
    ways = ["ours", "sql"] + (["pandas"] if with_pandas else [])
    best: dict[str, tuple[float, float]] = {}
    for way in ways * (2 if sends <= 1_000_000 else 1):
        output = _output(["-m", "mlguide_assets_tests.benchmarks.features", way, str(place), str(sends)])
        best[way] = min(best.get(way, (float("inf"), 0.0)), tuple(json.loads(output)))
    seconds, gigabytes = best["ours"]
    name = f"features of {sends:,} sends"
    budget = sends == 10_000_000
    rows = [
        (
            name,
            f"{seconds:.1f} s, {gigabytes:.1f} GB",
            "≤ 30 s, ≤ 4 GB" if budget else "",
            _within(seconds <= 30 and gigabytes <= 4) if budget else "",
        )
    ]
    for way in ways[1:]:
        ratio = best[way][0] / seconds
        asked, fine = ("≥ 0.8", ratio >= 0.8) if way == "sql" else ("", True)
        rows.append(
            (
                f"  rate against {way}",
                f"{ratio:.2f} × ({best[way][0]:.1f} s, {best[way][1]:.1f} GB)",
                asked,
                _within(fine) if asked else "",
            )
        )
    return rows


def _scale(folder: Path, sizes: list[int]) -> list[Row]:
    """Features, training in external memory and batch scores by size, and how time and memory grow with it."""
    rows: list[Row] = []
    done: dict[int, tuple[float, float]] = {}
    for sends in sizes:
        place, users = folder / f"scale-{sends}", sends // 10
        place.mkdir()
        features = ["-m", "mlguide_assets_tests.benchmarks.features"]
        _output([*features, "prepare", str(place), str(sends)])
        done[sends] = seconds, gigabytes = tuple(json.loads(_output([*features, "ours", str(place), str(sends)])))
        is_asked = sends == 100_000_000

        def row(what: str, seconds: float, gigabytes: float, most: tuple[int, int], is_asked: bool = is_asked) -> Row:
            asked = f"≤ {most[0] // 60} min, ≤ {most[1]} GB" if is_asked else ""
            fine = _within(seconds <= most[0] and gigabytes <= most[1]) if is_asked else ""
            return what, f"{seconds:.0f} s, {gigabytes:.1f} GB", asked, fine

        rows.append(row(f"features of {sends:,} sends", seconds, gigabytes, (360, 6)))
        for way in ("train", "batch"):
            module = ["-m", "mlguide_assets_tests.benchmarks.scale", way, str(place), str(sends), str(users)]
            got = json.loads(_output(module))
            what = (
                f"  training on {got['rows']:,} in external memory, {got['rounds']} rounds"
                if way == "train"
                else f"  {got['rows']:,} batch scores, 20 candidates each"
            )
            rows.append(row(what, got["seconds"], got["gigabytes"], (900, 8) if way == "train" else (600, 4)))
        shutil.rmtree(place)
    return rows + _growth(done)


def _growth(done: dict[int, tuple[float, float]]) -> list[Row]:
    """The exponents with which time and memory of the features grow from the smallest size to the largest."""
    if len(done) < 2:
        return []
    (few, first), (many, last) = min(done.items()), max(done.items())
    time_exponent, memory_exponent = (math.log(b / a) / math.log(many / few) for a, b in zip(first, last, strict=True))
    fine = time_exponent <= 1.15 and memory_exponent <= 0.3
    grown = f"time {time_exponent:.2f}, memory {memory_exponent:.2f}"
    return [(f"growth exponents of the features, {few:,} to {many:,}", grown, "≤ 1.15, ≤ 0.3", _within(fine))]


def _spark(folder: Path) -> list[Row]:
    """Spark on two cores of this machine, which is not what it is for, against DuckDB; twice each in turn."""
    sends, place, best = 1_000_000, folder / "spark", dict[str, float]()
    place.mkdir()
    module = ["-m", "mlguide_assets_tests.benchmarks.features"]
    _output([*module, "prepare", str(place), str(sends)])
    for way in ("ours", "spark", "ours", "spark"):
        output = _output([*module, way, str(place), str(sends)], MLGUIDE_SPARK="local[2]")
        best[way] = min(best.get(way, float("inf")), json.loads(output.splitlines()[-1])[0])
    ratio, figure = best["spark"] / best["ours"], f"({best['spark']:.1f} s, DuckDB {best['ours']:.1f} s)"
    return [(f"features of {sends:,} sends, Spark local[2]", f"{ratio:.1f} × {figure}", "≤ 6 ×", _within(ratio <= 6))]


def _skewed(folder: Path, sizes: list[int]) -> list[Row]:
    """Features by both engines, of sends spread over all users, and where every second one is one user's."""
    rows: list[Row] = []
    module, environment = ["-m", "mlguide_assets_tests.benchmarks.features"], {"MLGUIDE_SPARK": "local[2]"}
    for sends in sizes:
        place = folder / f"skewed-{sends}"
        place.mkdir()
        got = dict[tuple[str, str], tuple[float, float]]()
        for spread in ("prepare", "skew"):
            _output([*module, spread, str(place), str(sends)])
            for way in ("ours", "spark"):
                output = _output([*module, way, str(place), str(sends)], **environment)
                got[spread, way] = tuple(json.loads(output.splitlines()[-1]))
        for way, engine in (("ours", "DuckDB"), ("spark", "Spark local[2]")):
            (seconds, gigabytes), (skewed, more) = got["prepare", way], got["skew", way]
            shown = (
                f"{skewed:.0f} s, {more:.1f} GB; spread {seconds:.0f} s, {gigabytes:.1f} GB: {skewed / seconds:.1f} ×"
            )
            rows.append((f"features of {sends:,} sends, half of them one user's, {engine}", shown, "", ""))
        shutil.rmtree(place)
    return rows


def _engines(folder: Path) -> list[Row]:
    """Problems on both engines to their verdicts; what both say alike is shown once."""
    rows: list[Row] = []
    for name in ("planeswalker", "fraud", "f1_dnf"):
        got = json.loads(_output(["-m", "mlguide_assets_tests.benchmarks.engines", name, str(folder / name)]))
        if "absent" in got:
            rows.append((f"{name} on both engines", f"left out: {got['absent']}", "", ""))
            continue
        quick, slow = got["seconds"]
        rows.append((f"{name} on DuckDB and on Spark", f"{quick:.0f} s, {slow:.0f} s", "", ""))
        for line in got["lines"]:
            said = line["duckdb"] if line["duckdb"] == line["spark"] else f"{line['duckdb']}; {line['spark']}"
            rows.append((f"  {line['what']}", said, "the same", _within(line["agree"])))
    return rows


def _one_more_day(folder: Path, sends: int) -> list[Row]:
    """A lake that follows a source by one day, against one that is made of the later state from scratch."""
    place = folder / f"one-more-day-{sends}"
    place.mkdir()
    module = ["-m", "mlguide_assets_tests.benchmarks.one_more_day"]
    for world, days in (("before", 3), ("after", 2)):
        _output([*module, "world", str(place / world), str(sends), str(days)])
    built = [("before", "followed"), ("after", "followed"), ("after", "new")]
    _, day, full = (json.loads(_output([*module, "build", *(str(place / name) for name in each)])) for each in built)
    if day["content"] != full["content"]:
        raise SystemExit("One more day and a full build differ in content.")
    shutil.rmtree(place)
    ratio, processor = day["seconds"] / full["seconds"], day["processor"] / full["processor"]
    (rebuilt, partitions), budget = day["rebuilt"], sends == 10_000_000
    return [
        (
            f"ingest, join and features of {sends:,} sends from scratch",
            f"{full['seconds']:.1f} s, {full['gigabytes']:.1f} GB",
            "≤ 4 GB" if budget else "",
            _within(full["gigabytes"] <= 4) if budget else "",
        ),
        (
            f"  one more day, {rebuilt} of {partitions} partitions rebuilt, equal content",
            f"{day['seconds']:.1f} s, {ratio:.0%} ({processor:.0%} of the processor's time)",
            "≤ 15 %" if budget else "",
            _within(ratio <= 0.15) if budget else "",
        ),
    ]


def _whole_run(folder: Path) -> list[Row]:
    """The default world in a new home, all packages installed and read once before."""
    command = [str(Path(PYTHON).with_name("mlguide")), "run", "--home"]
    _measured([*command, str(folder / "warm-up"), "--sends", "2000"], folder / "printed")
    printed, seconds, gigabytes = _measured([*command, str(folder / "home")], folder / "printed")
    found = re.search(r"model_explanations\s+[\d,]+ rows\s+([\d.]+) s", printed)
    explaining = float(found[1]) if found else float("nan")
    rate = json.loads(_output(["-m", "mlguide_assets_tests.benchmarks.explaining", str(folder / "home")]))
    return [
        ("whole run, warm, default world", f"{seconds:.1f} s", "≤ 30 s", _within(seconds <= 30)),
        ("  peak memory", f"{gigabytes:.1f} GB", "≤ 3 GB", _within(gigabytes <= 3)),
        ("  explaining, with imports and plots", f"{explaining:.1f} s, {explaining / seconds:.0%} of the run", "", ""),
        ("exact SHAP contributions", f"{rate:,.0f} rows per s", "", ""),
    ]


def _rollback(folder: Path) -> list[Row]:
    """The whole command, between two champions that were promoted by hand: how good they are does not matter."""
    home, log = folder / "two-champions", folder / "printed"
    command = [str(Path(PYTHON).with_name("mlguide"))]
    for until in ("2025-11-01T00:00:00", "2025-12-01T00:00:00"):
        _measured([*command, "run", "--sends", "3000", "--home", str(home)], log, MLGUIDE_WORLD_TIME=until)
    for version in ("1", "2"):
        # One that the gate has promoted is champion already.
        subprocess.run(
            [*command, "promote", version, "--reason", "benchmark", "--home", str(home)],
            check=False,
            capture_output=True,
        )
    _, seconds, _ = _measured([*command, "rollback", "--reason", "benchmark", "--home", str(home)], log)
    return [("`mlguide rollback`, the whole command", f"{seconds:.1f} s", "≤ 1 s", _within(seconds <= 1))]


def _serving(folder: Path) -> list[Row]:
    """The API on the home of the whole run, which is made here where that was left out."""
    if not (folder / "home").exists():
        _measured([str(Path(PYTHON).with_name("mlguide")), "run", "--home", str(folder / "home")], folder / "printed")
    place = folder / "serving"
    place.mkdir()
    got = json.loads(_output(["-m", "mlguide_assets_tests.benchmarks.serving", str(folder / "home"), str(place)]))

    def latencies(name: str, what: str, p50: float, p99: float | None = None) -> Row:
        shown = f"p50 {got[name]['p50']:.1f} ms, p99 {got[name]['p99']:.1f} ms"
        budget = f"p50 ≤ {p50:.0f} ms" + (f", p99 ≤ {p99:.0f} ms" if p99 else "")
        fine = got[name]["p50"] <= p50 and (p99 is None or got[name]["p99"] <= p99)
        return what, shown, budget, _within(fine)

    def rate(name: str, what: str) -> Row:
        measured = got[name]["rate"]
        return what, f"{measured:,.0f} requests per s", "≥ 1,500", _within(measured >= 1500)

    def against(workers: int) -> Row:
        found, plural = got[f"{workers} against mlflow"], "s" if workers > 1 else ""
        what = f"  against `mlflow models serve`, {workers} worker{plural} each"
        shown = f"{found['ratio']:.1f} × ({found['mlflow']:,.0f} requests per s)"
        return what, shown, "≥ 5", _within(found["ratio"] >= 5)

    return [
        ("`mlguide serve` until it is ready", f"{got['start']:.1f} s", "≤ 3 s", _within(got["start"] <= 3)),
        latencies("one", "one pair at a time, durably logged", 2, 8),
        latencies("fifty", "50 users at a time", 5),
        (
            "  with a canary on, latency over that without (p50, p99)",
            f"{got['routed']['p50']:.2f}, {got['routed']['p99']:.2f}",
            "≤ 1.1",
            _within(got["routed"]["p50"] <= 1.1),
        ),
        rate("1 against mlflow", "16 connections, 1 worker"),
        against(1),
        rate("2 against mlflow", "16 connections, 2 workers"),
        against(2),
        (
            "memory after 100,000 requests",
            f"{got['megabytes']:.0f} MB, {got['grown']:+.0f} MB",
            "flat",
            _within(got["grown"] <= 10),
        ),
        latencies("one of many", "one pair at a time, of 1 M users", 2, 8),
        rate("sixteen of many", "16 connections, 1 M users"),
    ]


def _drift(folder: Path) -> list[Row]:
    """Replayed days of a world without and with a planted covariate shift."""
    place = folder / "drift"
    place.mkdir()
    got = json.loads(_output(["-m", "mlguide_assets_tests.benchmarks.drift", str(place)]))
    alarms = 100 * got["false_acts"] / got["windows"]
    return [
        (
            f"drift: false alarms in {got['windows']} days without a shift",
            f"{got['false_acts']} calls for action, {got['false_warnings']} warnings",
            "≤ 1 per 100",
            _within(alarms <= 1),
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
            _within(40 * got["false_warnings_of_classifier"] <= got["windows"]),
        ),
        ("  one day's verdict", f"{got['seconds'] * 1000:.0f} ms", "", ""),
    ]


def _analyse(folder: Path) -> list[Row]:
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
            _output(["-c", code, str(data), unit])
            options = ["--unit", "unit", "--variant", "arm", "--control", "old", "--covariate", "earlier", "--json"]
            command = [str(Path(PYTHON).with_name("mlguide")), "experiment", "analyse", "--data", str(data), *options]
            metrics = ["--metric", "paid:binary", "--metric", "spent:mean"]
            _, seconds, gigabytes = _measured([*command, *metrics], folder / "printed")
            data.unlink()
            what = f"analyse of 10 M rows, {ending}, units are {kind}"
            fine = _within(seconds <= 10 and gigabytes <= 3)
            rows.append((what, f"{seconds:.1f} s, {gigabytes:.1f} GB", "≤ 10 s, ≤ 3 GB", fine))
    return rows


def _figures() -> list[Row]:
    """The figures of 75,000 test rows, of 90 days of 3,000 sends, and of a window of a million rows by 30 columns."""
    budgets = {"slices": 10, "decisions": 3, "intervals of five models": 5, "permutations": 3}
    budgets |= {"ninety days of performance": 5, "drift of a million rows": 3}
    got = json.loads(_output(["-m", "mlguide_assets_tests.benchmarks.figures"]))
    return [
        (f"figures: {name}", f"{seconds:.1f} s", f"≤ {budgets[name]} s", _within(seconds <= budgets[name]))
        for name, seconds in got.items()
    ]


def _experiments() -> list[Row]:
    """The path from assignment to verdict where no arm does anything, and the assignment alone."""
    got = json.loads(_output(["-m", "mlguide_assets_tests.benchmarks.experiments", "200"]))
    low, high = got["bounds"]
    seconds = got["assign_a_million_seconds"]
    return [
        (
            "A/A, from assignment to verdict: rejections at 5 %",
            f"{got['rejected']} of {got['experiments']} (p-values uniform: p = {got['uniform_p']:.2f})",
            f"{low} to {high}, 99 % binomial",
            _within(low <= got["rejected"] <= high),
        ),
        ("assign 1 M units to arms", f"{seconds:.2f} s", "≤ 1 s", _within(seconds <= 1)),
    ]


def _off_policy() -> list[Row]:
    """Values of policies by the send plans of 200 simulated companies, against the truth of each."""
    got = json.loads(_output(["-m", "mlguide_assets_tests.benchmarks.off_policy", "200"]))
    rows = []
    for pair, found in got["pairs"].items():
        share = found["covered"] / found["supported"]
        rows.append(
            (
                f"off-policy ratio, {pair}: 95 % intervals that hold the truth",
                f"{share:.1%} of {found['supported']} (error {found['mean_error']:+.1%} ± {found['spread']:.0%})",
                f"≥ {found['at_least']:.1%}, 99 % binomial",
                _within(share >= found["at_least"]),
            )
        )
    refused, plans = got["refused_without_draws"], got["without_draws"]
    return [*rows, ("  refused where nothing is drawn", f"{refused} of {plans}", "all", _within(refused == plans))]


def _replays(seeds: int) -> list[Row]:
    """Every scenario to its end; with more seeds than one, those that chance can spoil again and again."""
    rows = []
    for scenario, days in DAYS.items():
        played = play(scenario, days=days)
        what, done = f"replay of {scenario}, {days} days", _within(fulfilled(played.outcome))
        rows.append((what, in_words(played.outcome), BUDGET[scenario], done))
        took = f"{played.seconds:.0f} s (processor: {played.processor:.0f} s), {played.gigabytes:.1f} GB"
        fine = played.seconds <= SECONDS and played.gigabytes <= GIGABYTES
        rows.append(("  what it took", took, f"≤ {SECONDS} s, ≤ {GIGABYTES} GB", _within(fine)))
    return rows if seeds == 1 else [*rows, *_many_replays(seeds)]


def _many_replays(seeds: int) -> list[Row]:
    days, many = DAYS["experiment"], 4 * seeds
    alarms = [play("calm", days=DAYS["calm"], seed=seed).outcome["false_alarms"] for seed in range(seeds)]
    played = (play("experiment", days=days, seed=seed, sends=SENDS_OF_MANY) for seed in range(many))
    found = [each.outcome["experiment"] for each in played]
    verdicts = [each["verdict"] if each else "none" for each in found]
    covered, asked = sum(bool(each) and holds_the_truth(each) for each in found), binomial_at_least(many)
    by_verdict = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in dict.fromkeys(verdicts))
    return [
        (
            f"calm over {seeds} seeds: false alarms",
            f"{sum(alarms)} ({', '.join(map(str, alarms))})",
            "≤ 1 in all",
            _within(sum(alarms) <= 1),
        ),
        (
            f"experiment over {many} seeds: intervals that hold the truth",
            f"{covered} of {many} (verdicts: {by_verdict})",
            f"≥ {asked}, 99 % binomial; ship",
            _within(covered >= asked and set(verdicts) == {"ship"}),
        ),
    ]


_REFERENCES = {
    "f1_dnf": {"roc_auc": 0.82},
    "f1_top3": {"roc_auc": 0.92},
    "fraud": {"roc_auc": 0.90, "pr_auc": 0.74},
    "journey_churn": {},
}
"""Published or hand-made figures that tables of other shapes are held to."""


WIDE = "7d,14d,30d,60d,90d,180d,all"
"""Windows over which the purchases of `journey_churn` give as many automatic features as its file allows: 150."""


def _problems() -> list[Row]:
    """Other people's tables: decision rows, features as the problem file wants them, XGBoost, the test window."""
    rows: list[Row] = []
    for name, least in _REFERENCES.items():
        got = json.loads(_output(["-m", "mlguide_assets_tests.benchmarks.problem_scores", name]))
        if "absent" in got:
            rows.append((f"problem {name}", f"left out: {got['absent']}", "", ""))
            continue
        if "by_hand" in got:
            least = {"roc_auc": got["by_hand"][0] - 0.005}
        for metric, title in (("roc_auc", "ROC AUC"), ("pr_auc", "average precision")):
            value, low, high = got[metric]
            budget, fine = (f"≥ {least[metric]:.3f}", _within(value >= least[metric])) if metric in least else ("", "")
            what = f"problem {name}, {title}, {got['rows']['test']:,} rows, {got['features']} features"
            rows.append((what, f"{value:.3f} ({low:.3f}–{high:.3f})", budget, fine))
        seconds, gigabytes = got["resolving_seconds"] + got["feature_seconds"], got["gigabytes"]
        rows.append((f"  its features, processor time, {name}", f"{seconds:.0f} s, {gigabytes:.1f} GB", "", ""))
    return [*rows, *_wide_problem()]


def _wide_problem() -> list[Row]:
    """The budget is for 150 automatic features, and the four windows of the file give fewer."""
    got = json.loads(_output(["-m", "mlguide_assets_tests.benchmarks.problem_scores", "journey_churn", WIDE]))
    if "absent" in got:
        return [("features of 1.47 M purchases", f"left out: {got['absent']}", "", "")]
    seconds, gigabytes = got["resolving_seconds"] + got["feature_seconds"], got["gigabytes"]
    value, low, high = got["roc_auc"]
    what = f"features of 1.47 M purchases, {got['automatic']} automatic ones, processor time; ROC AUC with them"
    figure = f"{seconds:.0f} s, {gigabytes:.1f} GB; {value:.3f} ({low:.3f}–{high:.3f})"
    return [(what, figure, "≤ 60 s, ≤ 4 GB", _within(seconds <= 60 and gigabytes <= 4))]


def _output(arguments: list[str], **environment: str) -> str:
    return subprocess.run(
        [PYTHON, *arguments], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    ).stdout.strip()


def _measured(command: list[str], log: Path, **environment: str) -> tuple[str, float, float]:
    """What a command printed to stderr, its seconds, and its own peak memory in GB."""
    start = time.perf_counter()
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=out, env={**os.environ, **environment}) as process,
    ):
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()}")
    return log.read_text(), time.perf_counter() - start, usage.ru_maxrss * 1024 / GIGABYTE


def _within(fine: bool) -> str:
    return "yes" if fine else "NO"


if __name__ == "__main__":
    main()
