"""Spark as Ibis sees it: Ibis's own backend, where needed with other SQL, and with Arrow at its edges.

Only modules that have opened Spark import this one.
"""

from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import sqlglot.expressions as sge
from ibis.backends.pyspark import Backend
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.common.exceptions import UnsupportedOperationError


class SparkCompiler(PySparkCompiler):  # type: ignore[misc]  # Ibis has no types
    """What Ibis 12 writes for Spark otherwise fails, or has another value than on DuckDB."""

    __slots__ = ()

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

    def visit_ArrayIndex(self, op: Any, *, arg: Any, index: Any) -> Any:  # noqa: N802
        """Null where there are not so many values: in ANSI mode `element_at` fails there."""
        return self.f.anon.try_element_at(arg, self.cast(index + 1, dt.int32))


class SparkBackend(Backend):  # type: ignore[misc]  # Ibis has no types
    """Ibis's backend, whose results are Arrow's."""

    name = "pyspark"
    compiler = SparkCompiler()

    def to_pyarrow(
        self, expr: Any, /, *, params: Mapping[Any, Any] | None = None, limit: Any = None, **kwargs: Any
    ) -> Any:
        """Ibis goes by way of pandas, where whole numbers with a null are floats."""
        self._run_pre_execute_hooks(expr)
        table = expr.as_table()
        found = self._session.sql(self.compile(table, params=params, limit=limit, **kwargs)).toArrow()
        return expr.__pyarrow_result__(found.cast(table.schema().to_pyarrow()))

    def execute(self, expr: Any, /, **kwargs: Any) -> Any:
        return expr.__pandas_result__(self.to_pyarrow(expr.as_table(), **kwargs).to_pandas())

    def read_files(self, *paths: Any) -> ibis.Table:
        """Parquet files as one table."""
        from ibis.util import gen_name

        name = gen_name("read_parquet")
        self._session.read.parquet(*map(str, paths)).createOrReplaceTempView(name)
        return self.table(name)


def backend_of(session: Any) -> SparkBackend:
    """A Spark session as Ibis sees it."""
    SparkBackend.register_options()
    return SparkBackend().connect(session)  # type: ignore[no-any-return]
