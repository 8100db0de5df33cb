"""`mlguide experiment off-policy`: what a policy would be worth, from the decisions in a file."""

from typing import Any

from rich.table import Table

from mlguide_assets.console.interruption import scratch_folder
from mlguide_assets.console.terminal import console, print_json, screen
from mlguide_assets.english import counted
from mlguide_assets.experiment.off_policy.estimators import DM, DR, IPS, SNIPS, Value
from mlguide_assets.experiment.off_policy.evaluation import Evaluation, evaluate
from mlguide_assets.experiment.off_policy.reading import LogFile, ReadLog, read_log
from mlguide_assets.experiment.off_policy.support import (
    MINIMUM_EFFECTIVE,
    MINIMUM_EFFECTIVE_EVENTS,
    TOLERANCE,
    Diagnostics,
)
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.sources.data_file import refusing_damage
from mlguide_assets.statistics.intervals import Estimate

_NAMES = {IPS: "IPS", SNIPS: "SNIPS", DM: "DM (model only)", DR: "DR"}
_CONTRACT = (IPS, SNIPS, DR)


def show_off_policy(file: LogFile, json_wanted: bool) -> None:
    """Print the value of the target policy, or why the log does not support an estimate.

    Raises:
        InputError: the file cannot be read, or holds what cannot be true.
    """
    with (
        scratch_folder("mlguide-") as folder,
        console.status("Reading the log and fitting its models"),
        refusing_damage(file.path),
    ):
        read = read_log(file, connect(folder), folder)
        found = evaluate(read.log, read.predict)
    if json_wanted:
        print_json(as_json(found))
    else:
        _print(found, file, read)


def as_json(found: Evaluation) -> dict[str, Any]:
    """An evaluation as `--json` prints it."""
    measured = found.diagnostics
    names = ("mean_weight", "effective_sample_size", "max_weight_share", "unsupported_share")
    return {
        "estimates": {name: _interval(found.estimates.get(name)) for name in _CONTRACT},
        "logged_value": found.logged.value,
        "diagnostics": {name: getattr(measured, name) for name in names},
        "supported": found.supported,
        "reason": found.reason,
    }


def _interval(value: Value | None) -> dict[str, float] | None:
    return None if value is None else {name: getattr(value.value, name) for name in ("value", "low", "high")}


def _print(found: Evaluation, file: LogFile, read: ReadLog) -> None:
    units = f" of {counted(found.diagnostics.units, 'unit')}" if file.unit else ""
    screen.print(
        f"{file.path}: {counted(found.diagnostics.rows, 'decision')}{units}, {counted(len(read.actions), 'action')}."
    )
    screen.print(f"Target: {_target(file, read)}.")
    screen.print()
    screen.print(value_table(found))
    screen.print()
    screen.print(support_table(found.diagnostics, with_units=file.unit is not None))
    screen.print()
    if found.supported:
        screen.print(f"Supported: {found.reason}")
        if read.predict is None:
            screen.print(f"No DR: {file.target!r} has the target's probability of the logged actions only.")
    else:
        screen.print(f"Not supported: {found.reason}", style="red")


def _target(file: LogFile, read: ReadLog) -> str:
    if read.target == "uniform":
        return f"each of the {len(read.actions)} logged actions with probability {1 / len(read.actions):.3g}"
    if read.target == "probability":
        return f"takes the logged action with the probability in {file.target!r}"
    return f"takes the action in {file.target!r}"


def value_table(found: Evaluation) -> Table:
    """The logged policy's value and the target's, by estimator."""
    table = Table("", "value (95 % CI)", "above the logged policy", box=None, pad_edge=False)
    table.add_row("logged policy", _shown(found.logged))
    for name, estimate in found.estimates.items():
        # What the model gets wrong is in no replicate: an interval of it alone would be too short.
        shown = (
            [_shown(estimate.value), _shown(estimate.gain, sign="+")] if name != DM else [_digits(estimate.value.value)]
        )
        table.add_row(f"target: {_NAMES[name]}", *shown)
    if not found.supported:
        table.add_row("target", "withheld")
    return table


def _shown(estimate: Estimate, sign: str = "") -> str:
    value, low, high = (_digits(number, sign) for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})" if estimate.is_bounded else value


def _digits(value: float, sign: str = "") -> str:
    return f"{value:{sign}#.3g}"


def support_table(found: Diagnostics, *, with_units: bool) -> Table:
    """What was measured of the support beside what is accepted."""
    table = Table("support", "found", "accepted", "meaning", box=None, pad_edge=False)
    least, most = f"≥ {MINIMUM_EFFECTIVE}", f"≤ {TOLERANCE:.0%}"
    # A propensity of nearly 0 makes numbers of 27 digits.
    mean, error = (
        f"{value:.3f}" if value < 1e6 else f"{value:.3g}" for value in (found.mean_weight, found.mean_weight_error)
    )
    rows = [
        ("mean weight", f"{mean} ± {error}", f"1 ± {TOLERANCE:g}", "1 if propensities are right"),
        ("effective sample size", f"{found.effective_sample_size:,.1f}", least, "in rows of equal weight"),
        ("effective units", f"{found.effective_units:,.1f}", least, "in units of equal weight"),
        (
            "effective events",
            f"{found.effective_events:,.1f}",
            f"≥ {MINIMUM_EFFECTIVE_EVENTS}",
            "but for the commonest outcome",
        ),
        ("largest weight", f"{found.max_weight_share:.2%}", most, "share of all weight"),
        ("largest unit", f"{found.max_unit_share:.2%}", most, "share of all weight"),
        ("without support", f"{found.unsupported_share:.1%}", most, "target's actions never logged"),
    ]
    for row in rows:
        if with_units or "unit" not in row[0]:
            table.add_row(*row)
    return table
