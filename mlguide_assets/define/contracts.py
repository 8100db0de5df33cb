"""The vocabulary of data contracts: what a rule can say and what happens where it is broken.

A rule speaks of one source table. Evaluating it is the work of prepare/contracts/validation.py.
"""

from abc import ABC, abstractmethod
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlguide_assets.define.schema import ColumnKind, Schema, TableName
from mlguide_assets.define.values import CanonicalText, Duration

Action = Literal["block", "quarantine", "warn"]

IS_NOT_EMPTY = "_is_not_empty"
"""How the facts about a whole column end: where one is broken, the column is in doubt, not its rows."""


class _Rule(BaseModel, ABC):
    model_config = ConfigDict(extra="forbid", frozen=True)

    table: TableName
    action: Action
    rule: str

    @property
    @abstractmethod
    def columns_used(self) -> tuple[str, ...]:
        """The columns of its table that the rule reads."""

    @property
    @abstractmethod
    def fact(self) -> str:
        """The name of the rule within its table: a fact that should hold."""

    @property
    def name(self) -> str:
        return f"{self.table}.{self.fact}"

    def holds(self, violations: int, rows: int) -> bool:
        """Whether a table with so many violations keeps the rule."""
        return violations == 0

    def check(self, schema: Schema) -> None:
        """Refuse a rule that the tables cannot have.

        Raises:
            ValueError: says what is given, and what there is.
        """
        self._require_table(schema, self.table)
        for column in self.columns_used:
            self._require_column(schema, self.table, column)

    def _require_table(self, schema: Schema, table: TableName) -> None:
        if table not in schema.tables:
            raise ValueError(f"{table!r} is not a table ({', '.join(schema.tables)})")

    def _require_column(self, schema: Schema, table: TableName, column: str) -> ColumnKind:
        columns = schema.tables[table].columns
        if column not in columns:
            raise ValueError(f"{column!r} is not a column of {table} ({', '.join(columns)})")
        return columns[column].kind

    def _require_kind(self, schema: Schema, table: TableName, column: str, *kinds: ColumnKind, fault: str) -> None:
        """The column of the table is of one of these kinds, or there is this fault."""
        if self._require_column(schema, table, column) not in kinds:
            raise ValueError(f"{column!r} {fault}")

    def _require_target(self, schema: Schema, key: str, target: TableName) -> None:
        """The key can hold ids of the target, which is checked first."""
        self._require_table(schema, target)
        order = list(schema.ordered)
        if order.index(target) >= order.index(self.table) or target not in schema.entity_tables:
            raise ValueError(f"{self.table} cannot refer to {target}, only to entity tables that are checked before it")
        kinds: tuple[ColumnKind, ...] = ("id", "integer", "category", "text")
        self._require_kind(schema, self.table, key, *kinds, fault="is a number or a time, so it holds no ids")


class _OfColumn(_Rule):
    """A rule of one column."""

    column: str

    @property
    def columns_used(self) -> tuple[str, ...]:
        return (self.column,)


class _OfTime(_OfColumn):
    """A rule of a column of times."""

    def check(self, schema: Schema) -> None:
        super().check(schema)
        self._require_kind(schema, self.table, self.column, "time", fault="is not a time")


class WellTyped(_Rule):
    """Every value that is given reads as the type of its column."""

    rule: Literal["well_typed"]

    @property
    def columns_used(self) -> tuple[str, ...]:
        return ()

    @property
    def fact(self) -> str:
        return "values_are_well_typed"


class Present(_OfColumn):
    """The column has a value in every row."""

    rule: Literal["present"]

    @property
    def fact(self) -> str:
        return f"{self.column}_is_present"


class Filled(_OfColumn):
    """The column has a value in at least one row. An empty column is not a fault of any row, so none is set aside."""

    rule: Literal["filled"]
    action: Literal["block", "warn"]

    @property
    def fact(self) -> str:
        return f"{self.column}{IS_NOT_EMPTY}"

    def holds(self, violations: int, rows: int) -> bool:
        return violations < max(rows, 1)


class SetAside(_Rule):
    """At most this share of the rows is set aside: more is a fault of the source, or of a rule."""

    rule: Literal["set_aside"]
    action: Literal["block", "warn"]
    max_share: Annotated[float, Field(ge=0, le=1)]

    @property
    def columns_used(self) -> tuple[str, ...]:
        return ()

    @property
    def fact(self) -> str:
        return "few_rows_are_set_aside"

    def holds(self, violations: int, rows: int) -> bool:
        return violations <= self.max_share * rows


class Unique(_Rule):
    """No two rows share these columns."""

    rule: Literal["unique"]
    columns: Annotated[tuple[str, ...], Field(min_length=1)]

    @property
    def columns_used(self) -> tuple[str, ...]:
        return self.columns

    @property
    def fact(self) -> str:
        return f"{'_'.join(self.columns)}_is_unique"


class DecisionKey(Unique):
    """The key of what is predicted, where the file states none. It is added by itself, and not written in a file."""


class NewestKnown(_Rule):
    """Of several rows of one key it is known which is the newest. Asked where all others are set aside."""

    rule: Literal["newest_known"]
    action: Literal["block"]
    key: tuple[str, ...]

    @property
    def columns_used(self) -> tuple[str, ...]:
        return self.key

    @property
    def fact(self) -> str:
        return "newest_row_is_known"


class NotOverlapping(_Rule):
    """Of an entity with a history one row is valid at a time: none begins before the one before it ends."""

    rule: Literal["not_overlapping"]

    @property
    def columns_used(self) -> tuple[str, ...]:
        return ()

    @property
    def fact(self) -> str:
        return "history_does_not_overlap"

    def check(self, schema: Schema) -> None:
        super().check(schema)
        table = schema.entity_tables.get(self.table)
        if table is None or table.history is None:
            raise ValueError(f"{self.table} has no history, so none of its rows can overlap; leave the rule out")


class Range(_OfColumn):
    """The number lies between two bounds, both allowed."""

    rule: Literal["range"]
    min: float | None = None
    max: float | None = None

    @property
    def fact(self) -> str:
        return f"{self.column}_is_in_range"

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if self.min is None and self.max is None:
            raise ValueError("a range needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self

    def check(self, schema: Schema) -> None:
        super().check(schema)
        self._require_kind(
            schema, self.table, self.column, "number", "integer", fault="is not a number, so it has no range"
        )


class OneOf(_OfColumn):
    """The value is one of a list."""

    rule: Literal["one_of"]
    values: Annotated[tuple[CanonicalText, ...], Field(min_length=1)]

    @property
    def fact(self) -> str:
        return f"{self.column}_is_known"

    def check(self, schema: Schema) -> None:
        super().check(schema)
        self._require_kind(
            schema,
            self.table,
            self.column,
            "category",
            "text",
            "flag",
            fault="is no text, so it has no list of values",
        )


class LabelKnown(OneOf):
    """The value is one of the two outcomes, as a label is read. It is added by itself, and not written in a file.

    Attributes:
        positives, negatives: what the problem file counts as each of them.
        by_limit: whether a limit of numbers separates the two, so that every number is one of them.
    """

    positives: tuple[str, ...] = Field(exclude=True)
    negatives: tuple[str, ...] = Field(exclude=True)
    by_limit: bool = Field(exclude=True)


class References(_OfColumn):
    """The value is the id of a row of another table.

    It cannot be let through with a warning: the join would drop the row without a word.
    """

    rule: Literal["references"]
    action: Literal["block", "quarantine"]
    target: TableName

    @property
    def fact(self) -> str:
        return f"{self.column}_exists_in_{self.target}"

    def check(self, schema: Schema) -> None:
        super().check(schema)
        self._require_target(schema, self.column, self.target)


class NotBefore(_OfTime):
    """The time is not before a time of the row that it refers to; rows without such a row are not checked."""

    rule: Literal["not_before"]
    key: str
    target: TableName
    target_column: str

    @property
    def columns_used(self) -> tuple[str, ...]:
        return (self.column, self.key)

    @property
    def fact(self) -> str:
        return f"{self.column}_is_not_before_{self.target_column}"

    def check(self, schema: Schema) -> None:
        super().check(schema)
        self._require_target(schema, self.key, self.target)
        self._require_kind(schema, self.target, self.target_column, "time", fault="is not a time")


class NotAfter(_OfTime):
    """The time has come: it is not after now, give or take `slack` for clocks and zones.

    It cannot be let through with a warning: the features of later rows would know the future.
    """

    rule: Literal["not_after"]
    action: Literal["block", "quarantine"]
    limit: Literal["now"] = "now"
    slack: Duration = timedelta(days=1)

    @property
    def fact(self) -> str:
        return f"{self.column}_is_not_after_now"


NEVER_SET = date(1970, 1, 2)
"""Earlier times are mistakes, unless history begins before: a time that nobody set is written as 0, 1970-01-01."""


class NotEarlier(_OfTime):
    """The time is not so early that it is a mistake, such as one in the year 15."""

    rule: Literal["not_earlier"]
    floor: date = NEVER_SET

    @property
    def fact(self) -> str:
        return f"{self.column}_is_not_too_early"


Rule = Annotated[
    WellTyped
    | Present
    | Filled
    | SetAside
    | Unique
    | NewestKnown
    | NotOverlapping
    | Range
    | OneOf
    | References
    | NotBefore
    | NotAfter
    | NotEarlier,
    Field(discriminator="rule"),
]
