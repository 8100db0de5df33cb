"""An experiment in a file of anyone's: which columns are what, read as numbers, and the design that they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from string import whitespace
from typing import Any

import ibis
import ibis.expr.datatypes as dt

from mlguide_assets.define.values import WHOLE_WITH_FRACTION
from mlguide_assets.english import agreeing, counted
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.analysis.design import Better, Design, Guardrail, Kind, Metric
from mlguide_assets.experiment.analysis.rows import find_arms
from mlguide_assets.prepare.duckdb.functions import duckdb_function
from mlguide_assets.prepare.named import named
from mlguide_assets.prepare.sources.data_file import read_columns, refuse_null_words
from mlguide_assets.prepare.sources.spellings import NULL_WORDS, read_texts, without_null_words

_MEASURES = ("--metric", "--guardrail", "--covariate", "--trigger")

TRIGGER = "(trigger)"
"""Column of the rows that are read: no column of a file is likely to have its name."""


@dataclass(frozen=True)
class MetricOption:
    """A metric as it was given; the kind is None where the values decide."""

    column: str
    kind: Kind | None = None
    better: Better = "higher"


@dataclass(frozen=True)
class GuardrailOption:
    """A guardrail as it was given; the kind is None where the values decide."""

    column: str
    margin: float
    relative: bool = True
    kind: Kind | None = None
    better: Better | None = None


@dataclass(frozen=True)
class ExperimentFile:
    """A file with one row or more per unit, and the columns that matter; see `Design`.

    Attributes:
        ratio: planned shares of the control and of the other variants by name; None: equal.
        trigger: column that is 1 for units to which the variants would have done something different.
        decimal_comma: numbers in text are written as in `1.234,56`.
    """

    path: Path
    unit: str
    variant: str
    control: str
    metrics: tuple[MetricOption, ...]
    guardrails: tuple[GuardrailOption, ...] = ()
    covariates: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    ratio: tuple[float, ...] | None = None
    alpha: float = 0.05
    trigger: str | None = None
    decimal_comma: bool = False

    def options(self) -> list[tuple[str, str]]:
        """Every option that names a column, with the column."""
        return [
            ("--unit", self.unit),
            ("--variant", self.variant),
            *(("--metric", each.column) for each in self.metrics),
            *(("--guardrail", each.column) for each in self.guardrails),
            *(("--covariate", column) for column in self.covariates),
            *(("--segment", column) for column in self.segments),
            *([("--trigger", self.trigger)] if self.trigger is not None else []),
        ]


def read_experiment(file: ExperimentFile, connection: Any, scratch: Path) -> tuple[ibis.Table, Design]:
    """Read the columns of an experiment, and make its design.

    Args:
        connection: as `engine.connect` opens it.
        scratch: an empty folder, which must last as long as the table.

    Raises:
        InputError: the file cannot be read, or a column is missing or holds no numbers where it must.
    """
    measures = _measures(file)
    table = read_columns(
        file.path, file.options(), connection, scratch, numbers=_MEASURES, decimal_comma=file.decimal_comma
    )
    refuse_null_words(table, file.path, [("--unit", file.unit), ("--variant", file.variant)])
    rows = table.select(*named(_ids(table, file)), *measures)
    if file.trigger is not None:
        rows = _with_trigger(rows, file, file.trigger)
    return rows, _design(file, rows)


def _with_trigger(rows: ibis.Table, file: ExperimentFile, trigger: str) -> ibis.Table:
    """With a column of its own that is true where the trigger is 1; it may be a covariate, too."""
    column = rows[trigger]
    strange = int((~column.isin([0, 1])).fill_null(True).sum().to_pyarrow().as_py() or 0)
    if strange:
        raise InputError(
            f"--trigger {trigger}: {counted(strange, 'row')} of {file.path} {agreeing(strange, 'is')} neither 0 "
            "nor 1 (or true and false) "
            f"there; it says of each unit whether the variants would have treated it differently."
        )
    return rows.mutate({TRIGGER: column.cast("boolean").fill_null(False)})


def _measures(file: ExperimentFile) -> dict[str, str]:
    """Each column that must hold numbers, with the option that named it."""
    names = {file.unit, file.variant, *file.segments}
    found = {column: option for option, column in file.options() if option in _MEASURES}
    if both := next((column for column in found if column in names), None):
        raise InputError(f"{found[both]} {both}: that column is the unit, the variant or a segment, not a measure.")
    if file.trigger in (*(each.column for each in file.metrics), *(each.column for each in file.guardrails)):
        raise InputError(
            f"--trigger {file.trigger}: that column is an outcome, and units that it chooses are not comparable; "
            "a trigger says what the variants would have done, whatever came of it."
        )
    return found


def _ids(table: ibis.Table, file: ExperimentFile) -> dict[str, Any]:
    unit = table[file.unit]
    if unit.type().is_string() and not _have_outer_blanks(unit):
        unit = ibis.ifelse(unit.isin(NULL_WORDS), ibis.null("string"), unit)
    else:
        unit = without_null_words(unit, in_text=True)
    _refuse_fractions_of_some(unit, file)
    names = {name: without_null_words(table[name], in_text=True) for name in (file.variant, *file.segments)}
    # A variant that is numbered is 1, also where its column has fractions.
    return {file.unit: unit} | names | {file.variant: read_texts(names[file.variant])}


def _have_outer_blanks(texts: Any) -> bool:
    """Whether any text may begin or end with a blank: rare, and with ten million texts found in a tenth of the time
    that it takes to strip them."""
    # All blanks of ASCII, and few other characters, come before the first that is printed.
    blank = texts < "!"
    for last in whitespace:
        blank |= texts.endswith(last)
    bytes_of = duckdb_function("strlen", (dt.string,), dt.int64)
    return bool((blank | (bytes_of(texts) != texts.length())).any().to_pyarrow().as_py())


def _refuse_fractions_of_some(unit: Any, file: ExperimentFile) -> None:
    """Raise InputError where a unit is written as 7 in some rows and as 7.0 in others, as pandas writes numbers with
    gaps: it would count as two units."""
    if not unit.type().is_string():
        return
    texts = unit.name("unit").as_table()
    some = texts.filter(texts.unit.re_search(WHOLE_WITH_FRACTION)).mutate(whole=lambda row: read_texts(row.unit))
    both = some.filter(some.whole.isin(texts.unit)).order_by("unit").limit(1).to_pyarrow().to_pylist()
    for each in both:
        raise InputError(
            f"--unit {file.unit}: {file.path} has the units {each['whole']!r} and {each['unit']!r}, which count as "
            f"two: write them alike if they are one."
        )


def _design(file: ExperimentFile, rows: ibis.Table) -> Design:
    measures: list[MetricOption | GuardrailOption] = [*file.metrics, *file.guardrails]
    unnamed = sorted({each.column for each in measures if each.kind is None})
    kinds = _kinds(rows, unnamed)
    return Design(
        unit=file.unit,
        variant=file.variant,
        control=file.control,
        metrics=tuple(Metric(each.column, each.kind or kinds[each.column], each.better) for each in file.metrics),
        guardrails=tuple(
            Guardrail(each.column, each.margin, each.kind or kinds[each.column], each.better, each.relative)
            for each in file.guardrails
        ),
        covariates=file.covariates,
        segments=file.segments,
        weights=_weights(file, rows),
        alpha=file.alpha,
        trigger=TRIGGER if file.trigger is not None else None,
    )


def _kinds(rows: ibis.Table, columns: Sequence[str]) -> dict[str, Kind]:
    """A column of nothing but 0 and 1 is binary."""
    if not columns:
        return {}
    found = rows.agg({name: rows[name].isin([0, 1]).all() for name in columns}).to_pyarrow().to_pylist()[0]
    return {name: "binary" if found[name] else "mean" for name in columns}


def _weights(file: ExperimentFile, rows: ibis.Table) -> dict[str, float]:
    if file.ratio is None:
        return {}
    arms = find_arms(rows, file.variant, file.control)
    if len(arms) != len(file.ratio):
        raise InputError(
            f"--ratio has {counted(len(file.ratio), 'share')}, but {file.path} has {len(arms)} variants: give one "
            f"share for each of {', '.join(map(repr, arms))}, in this order."
        )
    if not all(isfinite(share) and share > 0 for share in file.ratio):
        raise InputError("--ratio needs shares above 0, such as 1:1 or 90:10.")
    return dict(zip(arms, file.ratio, strict=True))
