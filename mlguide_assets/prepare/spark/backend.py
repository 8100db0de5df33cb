"""Spark as Ibis sees it: Ibis's own backend, where needed with other SQL, and with Arrow at its edges.

Only modules that have opened Spark import this one.
"""

import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import pyarrow as pa
import sqlglot.expressions as sge
from ibis.backends.pyspark import Backend
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.common.exceptions import UnsupportedOperationError
from ibis.util import gen_name
from sqlglot import ErrorLevel

from mlguide_assets.prepare.duckdb.backend import selects_apart
from mlguide_assets.prepare.spark.failures import naming_failures
from mlguide_assets.prepare.spark.footers import sort_encodings
from mlguide_assets.prepare.spark.shared_parts import computed_once


class SparkCompiler(PySparkCompiler):  # type: ignore[misc]  # Ibis has no types
    """What Ibis 12 writes for Spark otherwise fails, or has another value than on DuckDB."""

    __slots__ = ()

    def to_sqlglot(self, expr: Any, **kwargs: Any) -> Any:
        """Merged, `SELECT DISTINCT` of rows that are ordered inside is more than Ibis 12 can write for Spark."""
        with selects_apart():
            return super().to_sqlglot(expr, **kwargs)

    def visit_NonNullLiteral(self, op: Any, *, value: Any, dtype: Any) -> Any:  # noqa: N802
        """As a number in Spark's SQL it would be a decimal, and so would what is computed with it."""
        if dtype.is_floating() and math.isfinite(value):
            return self.cast(repr(float(value)), dtype)
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_TimestampAdd(self, op: Any, *, left: Any, right: Any) -> Any:  # noqa: N802
        """Ibis casts a text to an interval, which Spark can parse, but not compile."""
        interval = op.right
        if isinstance(interval, ops.IntervalFromInteger) and interval.unit.short == "us":
            return self.f.anon.timestampadd(sge.var("MICROSECOND"), right.this, left)
        return super().visit_TimestampAdd(op, left=left, right=right)

    def visit_IntervalFromInteger(self, op: Any, *, arg: Any, unit: Any) -> Any:  # noqa: N802
        if unit.short == "us":
            return sge.Paren(this=arg)
        return super().visit_IntervalFromInteger(op, arg=arg, unit=unit)

    def visit_ArrayCollect(self, op: Any, *, arg: Any, where: Any, order_by: Any, **_: Any) -> Any:  # noqa: N802
        """What Spark collects has no order; here it is that of the values, which is all that is asked for."""
        if [key.arg for key in op.order_by] != [op.arg] or op.distinct or op.include_null:
            raise UnsupportedOperationError("Only values in their own order can be collected on Spark.")
        (key,) = op.order_by
        collected = self.f.anon.collect_list(arg if where is None else self.if_(where, arg, sge.Null()))
        return self.f.anon.sort_array(collected, sge.convert(key.ascending))

    def visit_Cast(self, op: Any, *, arg: Any, to: Any) -> Any:  # noqa: N802
        """To DuckDB a text that begins with 0x is a number; Spark reads its digits, of which there are up to 15."""
        if to.is_integer() and isinstance(op.arg, ops.StringConcat) and _is_prefix(op.arg.arg[0]):
            digits = self.f.anon.substr(arg, sge.convert(len(_HEX) + 1))
            return self.cast(self.f.anon.conv(digits, sge.convert(16), sge.convert(10)), to)
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_ScalarUDF(self, op: Any, **arguments: Any) -> Any:  # noqa: N802
        """Functions of DuckDB that are called by name."""
        if op.__func_name__ not in _FUNCTIONS:
            return super().visit_ScalarUDF(op, **arguments)
        return _FUNCTIONS[op.__func_name__](self, *arguments.values())

    def visit_AggUDF(self, op: Any, *, where: Any, **arguments: Any) -> Any:  # noqa: N802
        """DuckDB's histogram over edges: one count for each."""
        if op.__func_name__ != "histogram":
            return super().visit_AggUDF(op, where=where, **arguments)
        value, edges = arguments.values()
        if where is not None:
            value = self.if_(where, value, sge.Null())
        (given,) = op.edges.find(ops.Literal)
        bounds = [self.cast(sge.convert(edge), dt.float64) for edge in given.value]
        inside = [value <= bound for bound in bounds[:1]] + [
            sge.and_(value > below, value <= bound) for below, bound in pairwise(bounds)
        ]
        counts = self.f.array(*(self.f.anon.count_if(each) for each in inside))
        return self.f.anon.map_from_arrays(edges, self.cast(counts, dt.Array(dt.int64)))

    def visit_WindowFunction(self, op: Any, **parts: Any) -> Any:  # noqa: N802
        """Counts and sums in a frame as differences of running ones.

        For each row Spark reads all of a frame that has a beginning, so that its time grows with the square of an
        entity's events.
        """
        if not _is_counted(op):
            return super().visit_WindowFunction(op, **parts)
        value = parts["func"]
        if not isinstance(op.func, ops.Sum):
            return self._difference(op, value, parts)
        found, number = self._difference(op, value, parts), value.this
        if _may_have_fractions(op.func.arg):
            # Sums of numbers so coarse are exact, and those of the rest so small that their errors are, too.
            scale = self.cast(repr(_PARTS_OF_ONE), dt.float64)
            coarse = self.f.anon.rint(number * scale) / scale
            sums = [self._difference(op, self.f.sum(each), parts) for each in (coarse, number - coarse)]
            found = sge.paren(sums[0] + sums[1])
        known = self._difference(op, self.f.count(number), parts)
        return self.if_(known.eq(sge.convert(0)), sge.Null(), found)

    def _difference(self, op: Any, value: Any, parts: Mapping[str, Any]) -> Any:
        """A count or a sum of all before the end of a frame, less that of all before its beginning."""
        before = {"value": sge.convert(_distance(op.start) + 1), "side": "PRECEDING"}
        until, without = (
            super(SparkCompiler, self).visit_WindowFunction(
                op, **{**parts, "func": value.copy(), "start": None, "end": end}
            )
            for end in (parts["end"], before)
        )
        return sge.paren(self.f.coalesce(until, sge.convert(0)) - self.f.coalesce(without, sge.convert(0)))

    def visit_ArrayIndex(self, op: Any, *, arg: Any, index: Any) -> Any:  # noqa: N802
        """Null where there are not so many values: in ANSI mode `element_at` fails there."""
        return self.f.anon.try_element_at(arg, self.cast(index + 1, dt.int32))


_PARTS_OF_ONE = 2.0**16
"""How coarse the numbers are whose sums are exact: up to 10^11 in all."""


def _distance(boundary: Any) -> int:
    """How far before a row a frame begins."""
    (literal,) = boundary.value.find(ops.Literal)
    return int(literal.value)


def _is_counted(op: Any) -> bool:
    """Whether a window counts or adds up what lies between two distances before each row."""
    bounds = op.start, op.end
    return (
        op.how == "range"
        and isinstance(op.func, ops.Sum | ops.Count | ops.CountStar)
        and op.func.where is None
        and all(each is not None and each.preceding for each in bounds)
    )


def _may_have_fractions(number: Any) -> bool:
    return not (isinstance(number, ops.Cast) and (number.arg.dtype.is_integer() or number.arg.dtype.is_boolean()))


_HEX = "0x"


def _is_prefix(text: ops.Value) -> bool:
    return isinstance(text, ops.Literal) and text.value == _HEX


def _hash(compiler: SparkCompiler, value: Any) -> Any:
    """One of Spark's, which skips nulls, so that they count by a column of their own."""
    if isinstance(value, sge.Struct):
        columns = [each.unalias() for each in value.expressions]
        known = [each for column in columns for each in (column, column.is_(sge.Null()))]
    else:
        known = [value]
    # As a decimal, since sums of whole numbers overflow.
    return compiler.cast(compiler.f.anon.xxhash64(*known), dt.Decimal(20, 0))


def _list_position(compiler: SparkCompiler, values: Any, value: Any) -> Any:
    """What is in no list has the place 0 in Spark's, which null is not."""
    typed = compiler.cast(values, dt.Array(dt.string))
    return compiler.f.nullif(compiler.f.anon.array_position(typed, value), sge.convert(0))


def _is_finite(compiler: SparkCompiler, number: Any) -> Any:
    return sge.and_(compiler.f.isnan(number).not_(), compiler.f.abs(number) < compiler.POS_INF)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "hash": _hash,
    "isfinite": _is_finite,
    "list_position": _list_position,
}
"""By DuckDB's name: the same in Spark's SQL."""


class SparkBackend(Backend):  # type: ignore[misc]  # Ibis has no types
    """Ibis's backend, whose results are Arrow's."""

    name = "pyspark"
    compiler = SparkCompiler()

    def _planned(self, expr: Any, **kwargs: Any) -> Any:
        """Spark's data frame of an expression, whose parts are computed once where copies of them would be too many."""
        views: list[str] = []

        def keep(query: sge.Query) -> str:
            from pyspark import StorageLevel

            views.append(gen_name("kept"))
            rows = self._asked(query)
            # On disk: they are as many as the decisions.
            rows.localCheckpoint(eager=False, storageLevel=StorageLevel.DISK_ONLY).createOrReplaceTempView(views[-1])
            return views[-1]

        try:
            return self._asked(computed_once(self.compiler.to_sqlglot(expr, **kwargs), keep))
        finally:
            # What is planned holds the rows, and no longer than it is there itself. Spark Connect plans when it
            # computes: there they stay until the session ends.
            for view in [] if self.is_remote else views:
                self._session.catalog.dropTempView(view)

    def _asked(self, query: sge.Query) -> Any:
        """Spark's data frame of a query. What Spark's SQL cannot say is an error rather than left out."""
        return self._session.sql(query.sql(dialect=self.dialect, copy=False, unsupported_level=ErrorLevel.RAISE))

    @naming_failures()
    def to_pyarrow(
        self, expr: Any, /, *, params: Mapping[Any, Any] | None = None, limit: Any = None, **kwargs: Any
    ) -> Any:
        """Ibis goes by way of pandas, where whole numbers with a null are floats."""
        self._run_pre_execute_hooks(expr)
        table = expr.as_table()
        found = self._planned(table, params=params, limit=limit, **kwargs).toArrow()
        return expr.__pyarrow_result__(found.cast(table.schema().to_pyarrow()))

    @naming_failures()
    def execute(self, expr: Any, /, **kwargs: Any) -> Any:
        return expr.__pandas_result__(self.to_pyarrow(expr.as_table(), **kwargs).to_pandas())

    @naming_failures()
    def _register_in_memory_table(self, op: ops.InMemoryTable) -> None:
        """Ibis goes by way of pandas, where whole numbers with a null are floats, and times have another unit."""
        self._session.createDataFrame(op.data.to_pyarrow(op.schema)).createOrReplaceTempView(op.name)

    @naming_failures()
    def read_files(self, *paths: Path, by_name: bool = False) -> ibis.Table:
        """Parquet files, or folders of them, as one table; what folders above them are called adds no columns."""
        name, reader = gen_name("read_parquet"), self._session.read.option("mergeSchema", by_name)
        reader.parquet(*map(_pattern_of, paths)).createOrReplaceTempView(name)
        return self.table(name)

    @naming_failures()
    def mapped(self, expr: Any, function: Any, schema: pa.Schema) -> ibis.Table:
        """What a function of Arrow batches makes of a table, on the executors, each time that it is asked for."""
        from pyspark.sql.pandas.types import from_arrow_schema

        name = gen_name("mapped")
        self._frame(expr).mapInArrow(function, from_arrow_schema(schema, True)).createOrReplaceTempView(name)
        return self.table(name)

    @naming_failures()
    def to_parquet(self, expr: Any, /, path: Path, **_: Any) -> None:
        """Write a table, in its order, as one file. One task writes it; its rows do not pass through this process."""
        folder = path.with_name(f"{path.name.lstrip('.')}.parts")
        try:
            self._write(self._in_one_task(expr), folder)
            (part,) = folder.glob("*.parquet")
            sort_encodings(part)
            part.replace(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @naming_failures()
    def to_parts(self, expr: Any, folder: Path) -> None:
        """Write a table as a new folder of files, in any order."""
        self._write(self._frame(expr), folder)

    @naming_failures()
    def to_sorted_folders(self, expr: Any, folder: Path, *, by: str, values: int, order: Sequence[str]) -> None:
        """Write a table as a new folder with a folder `by=value` of one sorted file for every value of a column.

        Args:
            values: how many there are, at least one: more tasks than these would have nothing to do.
        """
        from pyspark.sql import functions

        rows = self._frame(expr)
        keys = [functions.col(_name(column)).asc_nulls_last() for column in (by, *order)]
        tasks = min(values, int(self._session.conf.get("spark.sql.shuffle.partitions")))
        self._write(rows.repartition(tasks, by).sortWithinPartitions(*keys), folder, by)

    @property
    def is_remote(self) -> bool:
        """Whether this is Spark Connect, where sessions have no `SparkContext`."""
        from pyspark.sql.utils import is_remote

        return bool(is_remote())

    @property
    def tasks_at_once(self) -> int:
        """How many tasks have room, as the cluster is."""
        context = self._session.sparkContext
        return int(context.defaultParallelism) // int(context.getConf().get("spark.task.cpus", "1"))

    @naming_failures()
    def in_ranges(self, expr: Any, *, by: str, edges: Sequence[datetime], order: Sequence[str]) -> Any:
        """Spark's data frame of a table, with one partition per range of a column, each in an order.

        Spark's own ranges follow from a sample, which is another one each time.

        Args:
            edges: in order; a range begins with each but the first.
        """
        from pyspark.sql import functions

        first, *others = self._numbers_of_tasks(len(edges) + 1)
        number = functions.lit(first)
        for edge, other in zip(edges, others, strict=True):
            number = functions.when(functions.col(_name(by)) >= functions.lit(edge), other).otherwise(number)
        keys = [functions.col(_name(column)).asc() for column in order]
        return self._frame(expr).repartition(len(edges) + 1, number).sortWithinPartitions(*keys)

    def _numbers_of_tasks(self, tasks: int) -> list[int]:
        """A number for each task, which a partition by hash sends there."""
        from pyspark.sql import functions

        number = functions.col("id").cast("int")
        task = functions.pmod(functions.hash(number), functions.lit(tasks))
        # Each number goes to any task: that one gets none of so many is as good as impossible.
        found = self._session.range(100 * tasks).groupBy(task.alias("task")).agg(functions.min(number).alias("number"))
        return [row["number"] for row in found.orderBy("task").collect()]

    def _in_one_task(self, expr: Any) -> Any:
        """Rows in their order. Spark's own global sort would compute them twice, first for a sample of the keys."""
        op = expr.op()
        if not isinstance(op, ops.Sort) or not all(isinstance(key.arg, ops.Field) for key in op.keys):
            return self._frame(expr).coalesce(1)
        return self._frame(op.parent.to_expr()).repartition(1).sortWithinPartitions(*map(_sort_key, op.keys))

    def _register_udfs(self, expr: Any) -> None:
        """There are none but those that the compiler writes, whose types Spark need not know."""

    def _frame(self, expr: Any) -> Any:
        self._run_pre_execute_hooks(expr)
        return self._planned(expr.as_table())

    def _write(self, rows: Any, folder: Path, *by: str) -> None:
        rows.write.option("compression", "zstd").partitionBy(*by).parquet(f"file://{folder}")


def _pattern_of(path: Path) -> str:
    """The pattern that matches a path and nothing else, as Hadoop reads it."""
    return "file://" + re.sub(r"([\\*?\[\]{}])", r"\\\1", str(path))


def _sort_key(key: ops.SortKey) -> Any:
    from pyspark.sql import functions

    column = functions.col(_name(key.arg.name))
    if key.ascending:
        return column.asc_nulls_first() if key.nulls_first else column.asc_nulls_last()
    return column.desc_nulls_first() if key.nulls_first else column.desc_nulls_last()


def _name(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"


def backend_of(session: Any) -> SparkBackend:
    """A Spark session as Ibis sees it."""
    SparkBackend.register_options()
    return SparkBackend().connect(session)  # type: ignore[no-any-return]
