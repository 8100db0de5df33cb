"""An analysis as people read it: who was compared, may it be believed, what is the effect, what follows."""

from math import isnan

from rich.table import Table
from rich.text import Text

from mlguide_assets.console.terminal import screen
from mlguide_assets.english import agreeing, counted
from mlguide_assets.experiment.analysis.design import Design, Guardrail, Kind
from mlguide_assets.experiment.analysis.results import Analysis, Effect, HealthCheck, p_text
from mlguide_assets.experiment.analysis.skewness import BLOCK_SKEW
from mlguide_assets.experiment.analysis.verdict import has_no_margin
from mlguide_assets.statistics.intervals import Estimate

_STYLES = {"ship": "bold green", "keep": "bold yellow", "inconclusive": "bold yellow", "unhealthy": "bold red"}
_MEANINGS = {
    "ship": "Ship {variant!r}.",
    "keep": "Keep {control!r}.",
    "inconclusive": "Inconclusive: {control!r} stays.",
    "unhealthy": "Unhealthy: no verdict.",
}
_GUARDRAILS = {
    "passed": ("passed", "green"),
    "harmed": ("harmed", "bold red"),
    "open": ("not excluded yet", "yellow"),
}


def print_analysis(found: Analysis, design: Design, source: str) -> None:
    """Units, health checks, effects, and the verdict with its reason."""
    units = sum(found.units.values())
    screen.print(f"{source}: {counted(units, 'unit')} in {counted(len(found.units), 'variant')}.")
    if found.rows > units:
        screen.print(
            f"The {counted(found.rows, 'row')} {agreeing(found.rows, 'was')} made one per unit: binary metrics by "
            "any of them, means by their sum."
        )
    screen.print(_units(found, design))
    screen.print(_health(found))
    if not design.weights and any(check.check == "sample_ratio" and not check.passed for check in found.health):
        screen.print("Equal shares are expected unless --ratio says what was planned.")
    if found.healthy:
        screen.print(_effects(found, design))
        for note in _notes(found, design):
            screen.print(note)
    if found.triggered is not None:
        _print_triggered(found.triggered, units, design)
    screen.print(
        Text.assemble(
            (_MEANINGS[found.verdict].format(variant=found.variant, control=design.control), _STYLES[found.verdict]),
            f" {found.reason}",
        )
    )


def _print_triggered(found: Analysis, of: int, design: Design) -> None:
    """The units for which the variants differ, alone. They sharpen the effect; the verdict is that of all units."""
    units = sum(found.units.values())
    screen.print(
        f"Triggered: {units:,} of {counted(of, 'unit')}, those that the variants would have treated differently."
    )
    for check in found.health:
        if not check.passed or check.warning:
            screen.print(Text.assemble("  ", _mark(check), f" {check.check}: {check.text}"))
    if found.healthy:
        screen.print(_effects(found, design))
    else:
        screen.print("  Their numbers are withheld, because they cannot be trusted.")


def _units(found: Analysis, design: Design) -> Table:
    table = Table("variant", "units", "share", "planned" if design.weights else "equal")
    total = max(sum(found.units.values()), 1)
    weights = design.weights or dict.fromkeys(found.units, 1.0)
    for name, units in found.units.items():
        role = " (control)" if name == design.control else ""
        planned = weights.get(name, 0.0) / sum(weights.values())
        table.add_row(f"{name}{role}", f"{units:,}", f"{units / total:.2%}", f"{planned:.2%}")
    return table


def _health(found: Analysis) -> Table:
    table = Table("health", "", "found")
    for check in found.health:
        table.add_row(check.check, _mark(check), check.text)
    return table


def _mark(check: HealthCheck) -> Text:
    if not check.passed:
        return Text("FAILED", style="bold red")
    return Text("unusual", style="yellow") if check.warning else Text("ok", style="green")


def _effects(found: Analysis, design: Design) -> Table:
    table = Table("effect", "values", f"change ({100 * (1 - design.alpha):.4g} % CI)", "result")
    table.columns[0].min_width = 20
    table.columns[2].no_wrap = True
    for each in found.results:
        what = f"{each.metric} in {each.variant}\n{_wanted(each, design)}"
        values = f"{_value(each.treatment, each.kind)}\nvs {_value(each.control, each.kind)}"
        change = f"{_relative(each.ratio)}\n{_absolute(each.difference, each.kind)}".strip()
        table.add_row(what, values, change, Text.assemble(_conclusion(each, design), f"\n{p_text(each.p)}"))
    return table


def _value(value: float, kind: Kind) -> str:
    return f"{value:.3%}" if kind == "binary" else f"{value:,.4g}"


def _relative(ratio: Estimate) -> str:
    if isnan(ratio.value):
        return ""
    if isnan(ratio.low):
        return "no percentage: a mean may be 0"
    return f"{ratio.value - 1:+.1%} ({ratio.low - 1:+.1%} to {ratio.high - 1:+.1%})"


def _absolute(difference: Estimate, kind: Kind) -> str:
    """Rates differ by percentage points (pp), which must not be taken for percent."""
    scale, unit = (100, " pp") if kind == "binary" else (1, "")
    value, low, high = (f"{scale * getattr(difference, name):+,.3g}" for name in ("value", "low", "high"))
    return f"{value}{unit}" + (f" ({low} to {high})" if difference.is_bounded else "")


def _wanted(estimate: Effect, design: Design) -> str:
    if estimate.role == "guardrail":
        return f"guardrail: {_margin(next(each for each in design.guardrails if each.column == estimate.metric))}"
    return f"{'exploratory, ' if estimate.role == 'secondary' else ''}{estimate.better} is better"


def _conclusion(estimate: Effect, design: Design) -> Text:
    if estimate.guardrail:
        words, style = _GUARDRAILS[estimate.guardrail]
        if estimate.guardrail == "open" and estimate.skewness > BLOCK_SKEW:
            words = "too skewed to say"
        elif has_no_margin(estimate, design):
            words = "no share of 0 or less"
        return Text(words, style=style)
    if estimate.p_adjusted is None or estimate.p_adjusted > design.alpha:
        return Text("may be chance")
    improved = (estimate.difference.value > 0) == (estimate.better == "higher")
    return Text("better", style="bold green") if improved else Text("worse", style="bold red")


def _margin(guardrail: Guardrail) -> str:
    size = f"{guardrail.margin:.4g}"
    if guardrail.relative:
        size = f"{100 * guardrail.margin:.4g}%"
    elif guardrail.kind == "binary":
        size = f"{100 * guardrail.margin:.4g} pp"
    match guardrail.better:
        case "higher":
            return f"may fall by {size}"
        case "lower":
            return f"may rise by {size}"
        case None:
            return f"may move by {size}"


def _notes(found: Analysis, design: Design) -> list[str]:
    """What a reader must know to read the table rightly."""
    notes = []
    primary = [each for each in found.results if each.role == "primary"]
    if len(primary) > 1:
        notes.append(f"{len(primary)} comparisons decide together: better and worse are after Holm's correction.")
    for each in primary if design.covariates else []:
        what = f"{each.metric} in {each.variant} is"
        if each.variance_reduction is None:
            notes.append(f"{what} not adjusted: it has too few units or events for the covariates.")
        else:
            # Rounded first: as a figure, less than nothing would be -0.0%.
            taken = round(each.variance_reduction, 3)
            did = f"added {-taken:.1%} to" if taken < 0 else f"took out {abs(taken):.1%} of"
            notes.append(f"{what} adjusted for {', '.join(design.covariates)}: CUPED {did} the variance.")
    return notes
