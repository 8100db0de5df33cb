"""The analysis of an experiment, from a table of its units to a verdict: health, then effects, then the decision.

It computes and writes nothing. Where an experiment is unhealthy its numbers are withheld: `results` is empty.
"""

from collections.abc import Sequence
from dataclasses import replace

import ibis

from mlguide_assets.experiment.analysis.design import Design
from mlguide_assets.experiment.analysis.estimates import estimate_effects
from mlguide_assets.experiment.analysis.health import check_health
from mlguide_assets.experiment.analysis.results import Analysis, HealthCheck
from mlguide_assets.experiment.analysis.rows import check_rows
from mlguide_assets.experiment.analysis.units import Units, read_units
from mlguide_assets.experiment.analysis.verdict import decide


def analyse(rows: ibis.Table, design: Design) -> Analysis:
    """Analyse an experiment.

    Args:
        rows: one row per unit, or several, of all units assigned and exposed; see `Design` for its columns. Binary
            outcomes are 0 and 1 or booleans.

    Raises:
        InputError: the rows are not what the design says; see `rows.py`.

    >>> from mlguide_assets.experiment.analysis.design import Metric
    >>> lost = [n % 40 < 1 + 6 * (n % 2) for n in range(4000)]
    >>> units = ibis.memtable({"user": range(4000), "arm": ["new", "old"] * 2000, "lost": lost})
    >>> metrics = (Metric("lost", better="lower"),)
    >>> found = analyse(units, Design(unit="user", variant="arm", control="old", metrics=metrics))
    >>> found.verdict, found.rule
    ('ship', 'primary_better')
    """
    arms = check_rows(rows, design)
    units = read_units(rows, design, arms)
    found = _analyse(units, design)
    if units.triggered:
        return replace(found, triggered=_analyse(units.triggered, design))
    return found


def withheld(found: Analysis, check: str, text: str) -> Analysis:
    """An analysis whose numbers cannot be trusted for a reason that its rows do not show.

    Args:
        check: the name of what is wrong, and `text` a sentence on it, without its full stop.
    """
    health = (*found.health, HealthCheck(check, 0.0, None, False, text))
    failed = [each for each in health if not each.passed]
    return replace(
        found,
        health=health,
        results=(),
        verdict="unhealthy",
        rule=failed[0].check,
        reason=_withheld(failed),
        variant=None,
        triggered=None,
    )


def _analyse(units: Units, design: Design) -> Analysis:
    health = check_health(units, design)
    counts = {name: arm.units for name, arm in units.arms.items()}
    waiting = {name: arm.units - arm.closed for name, arm in units.arms.items()}
    if failed := [check for check in health if not check.passed]:
        return Analysis(health, counts, waiting, (), "unhealthy", failed[0].check, _withheld(failed), rows=units.rows)
    results = estimate_effects(units, design)
    decision = decide(results, design)
    return Analysis(
        health,
        counts,
        waiting,
        results,
        decision.verdict,
        decision.rule,
        decision.reason,
        variant=decision.variant,
        rows=units.rows,
    )


def _withheld(failed: Sequence[HealthCheck]) -> str:
    found = "; ".join(f"{check.check}: {check.text}" for check in failed)
    return f"The numbers are withheld, because they cannot be trusted. {found}."
