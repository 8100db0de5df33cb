"""The scenarios of `mlguide replay`, each to its end: what the system made of them, and what that took.

What is asked of each is in `fulfilled`; it is decided from the JSON that the command prints, as a user would read it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binom

from mlguide_assets.define.loading import load_problem

GIGABYTE = 1024**3
SECONDS, GIGABYTES = 300, 3

DAYS: Mapping[str, int] = {
    "calm": 90,
    "covariate_shift": 90,
    "concept_shift": 90,
    "broken_feed": 60,
    "better_challenger": 60,
    "harmful_challenger": 60,
    "experiment": 60,
}
SENDS_OF_MANY = 150_000
"""Of the worlds in which an experiment is replayed many times: its arms are then half as large, which suffices."""

WATCH_DAYS = load_problem("planeswalker").retraining.watch_for.days
"""How long a new champion is watched."""

BUDGET: Mapping[str, str] = {
    "calm": "no false alarm, no training by evidence, no rollback",
    "covariate_shift": "noticed as drift",
    "concept_shift": "noticed, retrained, recovered",
    "broken_feed": "noticed as broken data",
    "better_challenger": "promoted",
    "harmful_challenger": f"refused, or rolled back within {WATCH_DAYS} days",
    "experiment": "ship, truth within its interval",
}


@dataclass(frozen=True)
class Played:
    """What a replay printed, the processor's seconds and those of the clock, and its peak memory in GB."""

    outcome: Mapping[str, Any]
    seconds: float
    processor: float
    gigabytes: float


def play(scenario: str, *, days: int, seed: int = 7, sends: int | None = None) -> Played:
    """Replay a scenario by the command, in a process of its own."""
    asked = ["--scenario", scenario, "--days", str(days), "--seed", str(seed), "--json"]
    command = [str(Path(sys.executable).with_name("mlguide")), "replay", *asked]
    command += ["--sends", str(sends)] if sends else []
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        printed = process.stdout.read() if process.stdout else ""
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed.")
    used = usage.ru_utime + usage.ru_stime
    return Played(json.loads(printed), time.perf_counter() - start, used, usage.ru_maxrss * 1024 / GIGABYTE)


def fulfilled(outcome: Mapping[str, Any]) -> bool:
    """Whether the system did what `BUDGET` asks of it in the scenario."""
    scenario = outcome["scenario"]
    planted = next((each["day"] for each in outcome["events"] if each["kind"] == "planted"), 0)
    if scenario == "calm":
        return not (outcome["false_alarms"] or outcome["rollbacks"] or _trained_by_evidence(outcome, 0))
    if scenario == "covariate_shift":
        return bool(_days(outcome, planted, "noticed", "drift"))
    if scenario == "concept_shift":
        trained = [*_trained(outcome, planted)]
        return bool(_days(outcome, planted, "noticed", "drift", "performance") and trained and _recovered(outcome))
    if scenario == "broken_feed":
        return planted in _days(outcome, planted, "noticed", "data")
    if scenario == "better_challenger":
        return bool(outcome["promotions"])
    if scenario == "harmful_challenger":
        return bool(outcome["harmful_days"] <= WATCH_DAYS and (outcome["rollbacks"] or not outcome["harmful_days"]))
    return shipped_with_the_truth(outcome)


def shipped_with_the_truth(outcome: Mapping[str, Any]) -> bool:
    """The experiment's verdict is ship, and the interval of its effect holds the true one."""
    found = outcome["experiment"]
    return bool(found and found["verdict"] == "ship" and holds_the_truth(found))


def holds_the_truth(found: Mapping[str, Any]) -> bool:
    """The interval of an experiment's effect holds the true one."""
    ratio, truth = found["ratio"], found["truth"]
    known = None not in (ratio["low"], ratio["high"], truth)
    return known and bool(ratio["low"] <= truth <= ratio["high"])


def in_words(outcome: Mapping[str, Any]) -> str:
    """When what was planted was noticed and acted on, and how often nothing was amiss."""
    events = outcome["events"]
    planted = next((each["day"] for each in events if each["kind"] == "planted"), None)
    said = []
    if planted is not None:
        noticed = _days(outcome, planted, "noticed", "drift", "performance", "data")
        acted = _days(outcome, max(planted, 1), "action", "training", "decision", "rollback", "experiment")
        said = [f"planted on day {planted}", _first("noticed", noticed), _first("acted on", acted)]
    said.append(f"{outcome['false_alarms']} false alarms")
    said.append(f"{outcome['retrainings']} trainings, {outcome['promotions']} promotions")
    said.append(f"{outcome['rollbacks']} rollbacks, {outcome['harmful_days']} harmful days")
    if found := outcome["experiment"]:
        ratio = "{value}, {low} to {high}".format(**found["ratio"])
        said.append(f"{found['verdict']}: {ratio}; truth {found['truth']}")
    return "; ".join(said)


def binomial_at_least(trials: int, share: float = 0.95) -> int:
    """Successes that so many trials have at least, in 99 of 100 cases.

    >>> binomial_at_least(20)
    16
    """
    return int(binom.ppf(0.005, trials, share))


def _first(what: str, days: list[int]) -> str:
    return f"{what} on day {days[0]}" if days else f"not {what}"


def _days(outcome: Mapping[str, Any], planted: int, side: str, *about: str) -> list[int]:
    """Days from the planted one on with such an event; what was resolved is none."""
    return [
        each["day"]
        for each in outcome["events"]
        if each["kind"] == side
        and each["about"] in about
        and each["day"] >= planted
        and not each["what"].startswith("resolved")
    ]


def _trained(outcome: Mapping[str, Any], planted: int) -> Iterator[str]:
    """What the system said of its trainings after a day."""
    for each in outcome["events"]:
        if each["kind"] == "action" and each["about"] == "training" and each["day"] > planted:
            yield each["what"]


def _trained_by_evidence(outcome: Mapping[str, Any], planted: int) -> bool:
    return any(
        what.startswith(("training (drift)", "training (performance_drop)")) for what in _trained(outcome, planted)
    )


def _recovered(outcome: Mapping[str, Any]) -> bool:
    """Every alert of the champion's performance was resolved in the end."""
    messages = [
        each["what"] for each in outcome["events"] if each["kind"] == "noticed" and each["about"] == "performance"
    ]
    resolved = sum(what.startswith("resolved: performance-") for what in messages)
    return resolved >= sum(what.startswith("alert: ") for what in messages)
