"""The effect of each arm on the primary metric at a look, from its evidence.

The columns of `experiment_results` are of one arm: that to ship, else the first. Of more arms than two, it may be
another at each look, so what follows an arm over the looks asks here.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

FIGURES = (
    "control",
    "treatment",
    "p",
    *(f"{name}{end}" for name in ("ratio", "difference") for end in ("", "_low", "_high")),
)
"""The columns of `experiment_results` that are of one arm."""


def primary_effects(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each arm but the control with its `FIGURES`, in the order of the analysis; none where numbers are withheld.

    Args:
        row: of `experiment_results`; its evidence is JSON, or what was read from that.
    """
    evidence = row["evidence"]
    found = json.loads(evidence) if isinstance(evidence, str) else evidence
    return [{"arm": each["variant"], **figures_of(each)} for each in found["results"] if each["role"] == "primary"]


def of_arm(rows: Sequence[Mapping[str, Any]], arm: str) -> list[dict[str, Any]]:
    """Looks with the figures of one arm, the same at each; those without numbers are left out."""
    return [{**row, **each} for row in rows for each in primary_effects(row) if each["arm"] == arm]


def figures_of(effect: Mapping[str, Any]) -> dict[str, Any]:
    """The `FIGURES` of an effect, in the form that evidence has it."""
    figures: dict[str, Any] = {name: effect[name] for name in ("control", "treatment", "p")}
    for name in ("ratio", "difference"):
        interval = effect[name]
        figures |= {name: interval["value"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}
    return figures
