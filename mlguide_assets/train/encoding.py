"""From feature columns to the numbers a model takes. Learned on the training rows, stored with the model.

Numbers pass as they are, missing ones as NaN. A category becomes its position in the list of values
that training saw; one that it never saw is missing.
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
from mlguide_assets.prepare.features.comparing import floats

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class EncodedFeature:
    """One column of the matrix; `categories` is None for a number."""

    name: str
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Encoding:
    """The columns of the matrix, in order."""

    features: tuple[EncodedFeature, ...]

    @classmethod
    def fit(cls, rows: pa.Table, features: Sequence[Feature]) -> "Encoding":
        """Learn the categories from the training rows; features that are not for models are left out."""
        return cls(
            tuple(
                EncodedFeature(feature.name, _values(rows[feature.name]) if feature.kind == "category" else None)
                for feature in features
                if feature.for_models
            )
        )

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    @property
    def xgboost_types(self) -> list[str]:
        return ["c" if feature.categories is not None else "q" for feature in self.features]

    def matrix(self, rows: pa.Table) -> Matrix:
        """Encode rows as float32 (rows, features), NaN for what is missing or was never seen.

        Raises:
            InputError: a feature that training had is not among the columns.
        """
        self._refuse_absent(rows.column_names)
        encoded = np.empty((rows.num_rows, len(self.features)), dtype=np.float32)
        for position, feature in enumerate(self.features):
            column = rows[feature.name]
            if feature.categories is not None:
                column = pc.index_in(column, value_set=pa.array(feature.categories, pa.string()))
            encoded[:, position] = floats(column)
        return encoded

    def matrix_of_values(self, columns: Mapping[str, Sequence[Any]]) -> Matrix:
        """The same from plain values, None for what is missing: of a few rows, without Arrow's fixed costs.

        Raises:
            InputError: a feature that training had is not among the columns.
        """
        self._refuse_absent(columns)
        rows = len(columns[self.names[0]])
        encoded = np.empty((rows, len(self.features)), dtype=np.float32)
        for position, (feature, codes) in enumerate(zip(self.features, self._codes, strict=True)):
            values = columns[feature.name]
            encoded[:, position] = np.array(
                values if codes is None else [codes.get(value) for value in values], dtype=np.float64
            )
        return encoded

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
                f"model for the changed problem, or restore its themes and categories."
            )

    def to_json(self) -> list[dict[str, Any]]:
        return [{"name": feature.name, "categories": feature.categories} for feature in self.features]

    @classmethod
    def from_json(cls, stored: Sequence[Mapping[str, Any]]) -> "Encoding":
        return cls(
            tuple(
                EncodedFeature(item["name"], None if item["categories"] is None else tuple(item["categories"]))
                for item in stored
            )
        )


def _values(column: pa.ChunkedArray) -> tuple[str, ...]:
    return tuple(sorted(value for value in column.unique().to_pylist() if value is not None))
