"""From feature columns to the numbers a model takes. Learned on the training rows, stored with the model.

Numbers pass as they are, missing ones as NaN. A category becomes its position in the list of values that training saw;
one that it never saw is missing. Of a category with more than `MOST_VALUES` values the most frequent of the training
rows keep a position, and all others, also those never seen, share one.

Where training never lacked a feature, no model could learn what its absence means, and trees would send it to either
side: the median of a number stands in for it, and the most frequent value of a category.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import Feature
from mlguide_assets.prepare.features.comparing import floats, single_precision

Matrix = npt.NDArray[np.float32]

MOST_VALUES = 100
"""So many values of a category have a position of their own."""


@dataclass(frozen=True)
class EncodedFeature:
    """One column of the matrix; `categories` is None for a number.

    `others`: whether any other value has the position after the last category; else it is missing. `usual`: the number,
    or the position of the category, that stands in for what is missing; None where it stays so.
    """

    name: str
    categories: tuple[str, ...] | None = None
    others: bool = False
    usual: float | None = None

    @property
    def positions(self) -> int:
        """How many positions a category has; 0 for a number."""
        return len(self.categories or ()) + self.others


@dataclass(frozen=True)
class Encoding:
    """The columns of the matrix, in order."""

    features: tuple[EncodedFeature, ...]

    @classmethod
    def fit(cls, rows: pa.Table, features: Sequence[Feature]) -> "Encoding":
        """Learn the categories from the training rows; features that are not for models are left out."""
        return cls(
            tuple(
                _category(feature.name, rows[feature.name])
                if feature.kind == "category"
                else EncodedFeature(feature.name, usual=_usual(rows[feature.name]))
                for feature in features
                if feature.for_models
            )
        )

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    @property
    def bounded(self) -> list[str]:
        """The categories of which only the most frequent values are kept."""
        return [feature.name for feature in self.features if feature.others]

    @cached_property
    def xgboost_names(self) -> list[str]:
        """Names that XGBoost takes: their own, but numbers where one of them has a character that it refuses.

        A column may be called `price [EUR]` or `age < 18`.
        """
        if not any(set("[]<") & set(name) for name in self.names):
            return self.names
        return [f"f{position}" for position in range(len(self.features))]

    @property
    def xgboost_types(self) -> list[str]:
        return ["c" if feature.categories is not None else "q" for feature in self.features]

    def matrix(self, rows: pa.Table) -> Matrix:
        """Encode rows as float32 (rows, features), NaN for what is missing or was never seen and has no `usual`.

        What is too large for a model is the largest that it takes (`single_precision`), in training and in answers.

        Raises:
            InputError: a feature that training had is not among the columns.
        """
        self._refuse_absent(rows.column_names)
        encoded = np.empty((rows.num_rows, len(self.features)), dtype=np.float32)
        for position, feature in enumerate(self.features):
            column = rows[feature.name]
            numbers = single_precision(floats(column if feature.categories is None else _positions(feature, column)))
            if feature.usual is not None:
                np.copyto(numbers, feature.usual, where=np.isnan(numbers))
            encoded[:, position] = numbers
        return encoded

    def matrix_of_values(self, columns: Mapping[str, Sequence[Any]]) -> Matrix:
        """The same from plain values, None for what is missing: of a few rows, without Arrow's fixed costs.

        Raises:
            InputError: a feature that training had is not among the columns.
        """
        self._refuse_absent(columns)
        rows = len(columns[self.names[0]])
        numbers = np.empty((rows, len(self.features)))
        for position, (feature, codes) in enumerate(zip(self.features, self._codes, strict=True)):
            values = columns[feature.name]
            if codes is not None:
                other = len(codes) if feature.others else None
                values = [None if value is None else codes.get(value, other) for value in values]
            numbers[:, position] = np.array(values, dtype=np.float64)
        return single_precision(np.where(np.isnan(numbers), self._usual, numbers))

    @cached_property
    def _usual(self) -> npt.NDArray[np.float64]:
        """What stands in for what is missing, feature by feature; NaN where nothing does."""
        return np.array([np.nan if feature.usual is None else feature.usual for feature in self.features])

    @cached_property
    def _codes(self) -> list[dict[str, int] | None]:
        """The position of each category, or None for a number, feature by feature."""
        return [
            None if feature.categories is None else {value: code for code, value in enumerate(feature.categories)}
            for feature in self.features
        ]

    def _refuse_absent(self, known: Container[str]) -> None:
        absent = next((name for name in self.names if name not in known), None)
        if absent is not None:
            raise InputError(
                f"The model knows the feature {absent!r}, which the problem no longer has: train and promote a "
                f"model for the changed problem, or bring the feature back in the problem file."
            )

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {"name": feature.name, "categories": feature.categories}
            | ({"others": True} if feature.others else {})
            | ({"usual": feature.usual} if feature.usual is not None else {})
            for feature in self.features
        ]

    @classmethod
    def from_json(cls, stored: Sequence[Mapping[str, Any]]) -> "Encoding":
        return cls(
            tuple(
                EncodedFeature(
                    item["name"],
                    None if item["categories"] is None else tuple(item["categories"]),
                    item.get("others", False),
                    item.get("usual"),
                )
                for item in stored
            )
        )


def _usual(column: pa.ChunkedArray) -> float | None:
    """The median of a number that is never missing, one that occurs; else None."""
    numbers = single_precision(floats(column))
    middle = (len(numbers) - 1) // 2
    return float(np.partition(numbers, middle)[middle]) if len(numbers) and not np.isnan(numbers).any() else None


def _category(name: str, column: pa.ChunkedArray) -> EncodedFeature:
    """The values of a category, the most frequent where there are too many."""
    found = pc.value_counts(column.drop_null())
    counts = dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))
    by_frequency = sorted(counts, key=lambda value: (-counts[value], value))
    kept = sorted(by_frequency[:MOST_VALUES])
    usual = float(kept.index(by_frequency[0])) if kept and not column.null_count else None
    return EncodedFeature(name, tuple(kept), others=len(counts) > len(kept), usual=usual)


def _positions(feature: EncodedFeature, column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_dictionary(column.type):
        texts = column.combine_chunks()
        return pa.chunked_array([_positions(feature, texts.dictionary).take(texts.indices)])
    found = pc.index_in(column, value_set=pa.array(feature.categories, pa.string()))
    if not feature.others:
        return found
    is_other = pc.and_(pc.is_valid(column), pc.is_null(found))
    return pc.if_else(is_other, pa.scalar(len(feature.categories or ()), pa.int32()), found)
