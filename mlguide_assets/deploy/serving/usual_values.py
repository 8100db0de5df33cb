"""The usual values of columns that are known when an event happens, from the reference profile of the champion.

For examples: what the data never had would be scored, and its answer would mean nothing. Ibis, which makes profiles, is
not imported.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import ColumnKind
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.hosts.shared_files import fetch_folder
from mlguide_assets.settings import Home
from mlguide_assets.train.files import PROFILE


def usual_values(home: Home, problem: Problem) -> dict[str, Any]:
    """Column → the median of a number, as the bins of the profile show it, or the most frequent category.

    Without those of which a profile knows none, as before there is a champion.
    """
    if problem.decision.choose or not isinstance(problem.predict, PredictEvent):
        return {}
    columns = problem.schema.event(problem.predict.each).columns
    try:
        bundles = home.bundles(problem.key)
        version = pointed_version(bundles)
        content = (fetch_folder(bundles / version) / PROFILE).read_bytes() if version else b'{"columns": []}'
        profiled = {each["name"]: each for each in json.loads(content)["columns"]}
        found = {name: _usual(profiled[name]) for name in problem.predict.known if name in profiled}
    except (InputError, OSError, ValueError, KeyError, TypeError):
        # Examples are no reason not to serve; what is damaged is told where it is needed.
        return {}
    return {name: _of_kind(columns[name].kind, value) for name, value in found.items() if value is not None}


def _of_kind(kind: ColumnKind, value: float | str) -> Any:
    if isinstance(value, str):
        return value
    return round(value) if kind == "integer" else value >= 0.5 if kind == "flag" else value


def _usual(profiled: Mapping[str, Any]) -> float | str | None:
    bins, counts = profiled["bins"], profiled["counts"]
    if bins["kind"] == "category":
        return _most_frequent(bins["categories"], counts)
    return _median(bins["edges"], counts)


def _most_frequent(categories: Sequence[str], counts: Sequence[int]) -> str | None:
    """Of the categories that have a bin each.

    >>> _most_frequent(["A", "B"], [3, 7, 20, 1])
    'B'
    """
    known = dict(zip(categories, counts, strict=False))
    return max(known, key=known.__getitem__) if known else None


def _median(edges: Sequence[float], counts: Sequence[int]) -> float | None:
    """The upper edge of the bin that half of the values reach, to four digits.

    >>> _median([1.0, 2.0, 3.0], [10, 30, 25, 10, 5])
    2.0
    """
    known = counts[:-1]
    if not edges or not sum(known):
        return None
    place = next(place for place, reached in enumerate(accumulate(known)) if 2 * reached >= sum(known))
    return float(f"{edges[min(place, len(edges) - 1)]:.4g}")
