"""The automatic features of a problem as `mlguide check` lists them: which there are, and what each one means."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import pyarrow as pa

from mlguide_assets.define.features import Declaration
from mlguide_assets.english import counted
from mlguide_assets.prepare.features.building import declaration_of
from mlguide_assets.prepare.features.catalogue import Declared, in_words

MOST_LINES = 40
"""The most lines that are shown on a screen."""


@dataclass(frozen=True)
class ListedFeature:
    """One declaration that the data made.

    Attributes:
        name: as below `features.declared`; with `*` where it makes a feature per value.
        text: the declaration as one line of a problem file.
        description: what it means, as a sentence.
    """

    name: str
    text: str
    description: str

    @property
    def declaration(self) -> Declaration:
        return declaration_of(self.text)


def automatic_of(declarations: pa.Table) -> tuple[ListedFeature, ...]:
    """The automatic ones in the table `building.DECLARATIONS`."""
    return tuple(
        ListedFeature(row["feature"], row["declaration"], row["description"])
        for row in declarations.to_pylist()
        if row["automatic"]
    )


def number_of_features(listed: Sequence[ListedFeature]) -> int:
    """How many columns they are: one with `split` is several."""
    return sum(each.declaration.number_of_features for each in listed)


def in_lines(listed: Sequence[ListedFeature], problem: Declared) -> list[str]:
    """A line for features that differ in their window alone, such as `member_visit_count_{7d, all}: Number of …`.

    Returns:
        At most `MOST_LINES`, of which the last says how many features are left out, and where they are listed.
    """
    groups: dict[str, list[ListedFeature]] = {}
    for each in listed:
        alike = each.declaration.model_copy(update={"within": None, "values": ()})
        groups.setdefault(repr(alike), []).append(each)
    every = list(groups.values())
    shown = every if len(every) <= MOST_LINES else every[: MOST_LINES - 1]
    lines = [f"{_names([each.name for each in group])}: {_meaning(group, problem)}" for group in shown]
    rest = number_of_features([each for group in every[len(shown) :] for each in group])
    return [*lines, f"and {counted(rest, 'more feature')}: --json lists all"] if rest else lines


def _names(names: Sequence[str]) -> str:
    """Names that begin alike, once.

    >>> _names(["visit_count_3d", "visit_count_30d", "visit_count_all"]), _names(["hour"])
    ('visit_count_{3d, 30d, all}', 'hour')
    """
    if len(names) == 1:
        return names[0]
    alike = takewhile(lambda parts: len(set(parts)) == 1, zip(*(name.split("_") for name in names), strict=False))
    start = "_".join(part for part, *_ in alike)
    return f"{start}_{{{', '.join(name[len(start) + 1 :] for name in names)}}}"


def _meaning(group: Sequence[ListedFeature], problem: Declared) -> str:
    """What features mean that differ in their window alone."""
    declaration = group[0].declaration
    plain = declaration.model_copy(update={"within": None, "split": None, "values": ()})
    if declaration.split is None:
        return in_words(plain, None, problem)
    values = dict.fromkeys(value for each in group for value in each.declaration.values)
    return in_words(plain, (declaration.split, f"one of {', '.join(values)} each"), problem)
