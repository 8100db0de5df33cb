"""A picture of an experiment over its looks: the estimate with its interval, and the test beside its boundary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlguide_assets.experiment.arm_effects import of_arm, primary_effects
from mlguide_assets.experiment.started import Started
from mlguide_assets.train.plots.drawing import INK, LINES, PALETTE, REFERENCE, as_text, to_png


def looks_picture(started: Started, rows: Sequence[Mapping[str, Any]]) -> bytes | None:
    """The looks of one experiment as a PNG; None where no look has numbers, as of an unhealthy experiment.

    Args:
        rows: of `experiment_results`, the oldest first.
    """
    from matplotlib.figure import Figure

    names = dict.fromkeys(each["arm"] for row in rows for each in primary_effects(row))
    arms = {name: [each for each in of_arm(rows, name) if _has_interval(each)] for name in names}
    shown = [row for row in rows if any(row["look"] == each["look"] for looks in arms.values() for each in looks)]
    if not shown:
        return None
    figure = Figure(figsize=(8, 6), dpi=80, layout="constrained")
    title = f"{as_text(started.experiment.title)}: {as_text(rows[-1]['verdict'])} after look {rows[-1]['look']}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    above, below = figure.subplots(2, 1, sharex=True)
    days = [row["look_day"][5:] for row in shown]
    places = {row["look"]: place for place, row in enumerate(shown)}
    _ratios(above, days, _drawn(arms, places), started)
    _tests(below, shown, _drawn(arms, places))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#E6E6E6", linewidth=0.8)
        axes.tick_params(colors=INK)
        axes.set_xlim(-0.5, len(shown) - 0.5)
    below.set_xlabel("look (month-day)", color=INK)
    return to_png(above)


@dataclass(frozen=True)
class _Arm:
    """An arm as it is drawn: its looks, where they stand, in which colour, and its name where there are several."""

    looks: Sequence[Mapping[str, Any]]
    places: Sequence[float]
    color: str
    name: str | None


def _drawn(arms: Mapping[str, Sequence[Mapping[str, Any]]], places: Mapping[int, int]) -> list[_Arm]:
    """Arms beside one another at each look."""
    drawn = []
    for number, (arm, looks) in enumerate(arms.items()):
        aside = 0.6 * ((number + 0.5) / len(arms) - 0.5)
        color = (PALETTE[0], *PALETTE[2:])[number % (len(PALETTE) - 1)]
        name = as_text(arm) if len(arms) > 1 else None
        drawn.append(_Arm(looks, [places[each["look"]] + aside for each in looks], color, name))
    return drawn


def _has_interval(effect: Mapping[str, Any]) -> bool:
    return effect["ratio"] is not None and effect["ratio_low"] is not None


def _ratios(axes: Any, days: list[str], arms: Sequence[_Arm], started: Started) -> None:
    primary = started.experiment.primary
    aim = 1 - primary.smallest_effect if primary.better == "lower" else 1 + primary.smallest_effect
    axes.axhline(1, color=INK, linewidth=1, label="no difference")
    axes.axhline(aim, color=REFERENCE, linewidth=1, linestyle=LINES[1], label="smallest effect worth finding")
    for arm in arms:
        errors = [
            [each["ratio"] - each["ratio_low"] for each in arm.looks],
            [each["ratio_high"] - each["ratio"] for each in arm.looks],
        ]
        label, values = arm.name or "estimate with its interval", [each["ratio"] for each in arm.looks]
        axes.errorbar(arm.places, values, yerr=errors, fmt="o", color=arm.color, capsize=4, label=label)
    axes.set_xticks(range(len(days)), days)
    axes.set_ylabel("treatment / control", color=INK)
    if len(arms) > 1:
        # Above the picture: the names of many arms would lie over their points.
        axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    else:
        axes.legend(frameon=False, fontsize=9)


def _tests(axes: Any, rows: Sequence[Mapping[str, Any]], arms: Sequence[_Arm]) -> None:
    places, bounds = list(range(len(rows))), [row["boundary"] for row in rows]
    # Holm's correction asks for more of the first of several arms.
    boundary = "boundary of one comparison" if len(arms) > 1 else "boundary"
    for sign, label in ((1, boundary), (-1, None)):
        axes.plot(
            places, [sign * bound for bound in bounds], color=PALETTE[1], linestyle=LINES[1], marker="_", label=label
        )
    for arm in arms:
        values = [(place, _statistic(each)) for place, each in zip(arm.places, arm.looks, strict=True)]
        found = [(place, value) for place, value in values if value is not None]
        axes.plot(
            [place for place, _ in found],
            [value for _, value in found],
            color=arm.color,
            marker="o",
            label=None if arm.name else "z of the difference",
        )
    axes.set_ylabel("z" if len(arms) == 1 else "z of the difference", color=INK)
    axes.legend(frameon=False, fontsize=9)


def _statistic(row: Mapping[str, Any]) -> float | None:
    """How many standard errors the difference of a look is from none, as its interval says; None where it has none."""
    width = (row["difference_high"] or 0.0) - (row["difference_low"] or 0.0)
    if not width or row["difference"] is None:
        return None
    return float(row["difference"] / (width / (2 * row["boundary"])))
