"""How well other people's tables are predicted."""

import contextlib
import json
import subprocess
import time
from pathlib import Path

from mlguide_assets_tests.benchmarks.chance import WORLDS, about, write_world
from mlguide_assets_tests.benchmarks.problem_data import AbsentError, folder_of
from mlguide_assets_tests.benchmarks.rows import MLGUIDE, Row, measured, printed_by, within
from mlguide_assets_tests.benchmarks.trips import write_trips

_REFERENCES = {
    "f1_dnf": {"roc_auc": 0.82},
    "f1_top3": {"roc_auc": 0.92},
    "fraud": {"roc_auc": 0.90, "pr_auc": 0.74},
    "journey_churn": {},
}
"""Published or hand-made figures that tables of other shapes are held to."""


WIDE = "7d,14d,30d,60d,90d,180d,all"
"""Windows over which the purchases of `journey_churn` give as many automatic features as its file allows: 150."""


def problems() -> list[Row]:
    """Other people's tables: decision rows, features as the problem file wants them, XGBoost, the test window."""
    rows: list[Row] = []
    for name, least in _REFERENCES.items():
        got = json.loads(printed_by(["-m", "mlguide_assets_tests.benchmarks.problem_scores", name]))
        if "absent" in got:
            rows.append((f"problem {name}", f"left out: {got['absent']}", "", ""))
            continue
        if "by_hand" in got:
            least = {"roc_auc": got["by_hand"][0] - 0.005}
        for metric, title in (("roc_auc", "ROC AUC"), ("pr_auc", "average precision")):
            value, low, high = got[metric]
            budget, fine = (f"≥ {least[metric]:.3f}", within(value >= least[metric])) if metric in least else ("", "")
            what = f"problem {name}, {title}, {got['rows']['test']:,} rows, {got['features']} features"
            rows.append((what, f"{value:.3f} ({low:.3f}–{high:.3f})", budget, fine))
        seconds, gigabytes = got["resolving_seconds"] + got["feature_seconds"], got["gigabytes"]
        rows.append((f"  its features, processor time, {name}", f"{seconds:.0f} s, {gigabytes:.1f} GB", "", ""))
    return [*rows, *_wide_problem()]


def _wide_problem() -> list[Row]:
    """The budget is for 150 automatic features, and the four windows of the file give fewer."""
    got = json.loads(printed_by(["-m", "mlguide_assets_tests.benchmarks.problem_scores", "journey_churn", WIDE]))
    if "absent" in got:
        return [("features of 1.47 M purchases", f"left out: {got['absent']}", "", "")]
    seconds, gigabytes = got["resolving_seconds"] + got["feature_seconds"], got["gigabytes"]
    value, low, high = got["roc_auc"]
    what = f"features of 1.47 M purchases, {got['automatic']} automatic ones, processor time; ROC AUC with them"
    figure = f"{seconds:.0f} s, {gigabytes:.1f} GB; {value:.3f} ({low:.3f}–{high:.3f})"
    return [(what, figure, "≤ 60 s, ≤ 4 GB", within(seconds <= 60 and gigabytes <= 4))]


def check(folder: Path) -> list[Row]:
    """`mlguide check` of drafts: of a million trips of few places, and of the purchases of `journey_churn`."""
    write_trips(folder / "trips", 1_000_000)
    sources = {"1 M trips between 263 places": folder / "trips"}
    with contextlib.suppress(AbsentError):
        sources["1.47 M purchases and their tables"] = folder_of("journey")
    return [
        row for number, (what, source) in enumerate(sources.items()) for row in _checked(folder, what, source, number)
    ]


def _checked(folder: Path, what: str, source: Path, number: int) -> list[Row]:
    file = folder / f"drafted-{number}.yaml"
    measured([MLGUIDE, "init", "--source", str(source), "--out", str(file)], folder / "printed")
    start = time.perf_counter()
    shown = subprocess.run([MLGUIDE, "check", str(file), "--json"], check=True, capture_output=True, text=True)
    seconds, found = time.perf_counter() - start, json.loads(shown.stdout)
    millions = max(table["rows"] for table in found["tables"].values()) / 1_000_000
    figure = f"{seconds:.1f} s, {seconds / millions:.1f} s for 1 M"
    name = f"mlguide check of {what}, {len(found['features']['automatic'])} automatic features"
    return [(name, figure, "1 M: ≤ 10 s", within(seconds / millions <= 10))]


def chance(folder: Path) -> list[Row]:
    """Drafted files as they are, where the outcome cannot be predicted: a model that does has looked ahead."""
    return [_told_from_chance(name, folder / name) for name in WORLDS]


def _told_from_chance(name: str, folder: Path) -> Row:
    """What `init` and `run` make of a world, and whether the gate tells it from chance."""
    outcome, file, home = write_world(name, folder / "data"), folder / "drafted.yaml", str(folder / "home")
    measured([MLGUIDE, "init", "--source", str(folder / "data"), "--out", str(file)], folder / "printed")
    file.write_text(about(outcome, file.read_text()))
    measured([MLGUIDE, "run", "--problem", str(file), "--home", home], folder / "printed")
    shown = subprocess.run([MLGUIDE, "status", "--json", "--home", home], check=True, capture_output=True, text=True)
    status = json.loads(shown.stdout)
    evaluation = status["evaluation"]
    auc = {**evaluation["baselines"], "xgboost": evaluation["xgboost"]}[evaluation["candidate"]]["roc_auc"]
    gate = next(each for each in status["gate"] if each["criterion"] == "is_not_chance")
    figure = f"ROC AUC {auc['value']:.3f} ({auc['low']:.3f}–{auc['high']:.3f}), p = {gate['value']:.2g}"
    return f"draft of {name}, whose {outcome} is chance", figure, f"p > {gate['threshold']}", within(not gate["passed"])
