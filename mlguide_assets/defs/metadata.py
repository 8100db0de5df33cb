"""What the UI shows of a table or a plot."""

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import dagster as dg

from mlguide_assets import markdown
from mlguide_assets.define.problem import Problem
from mlguide_assets.defs.workspace import key_of
from mlguide_assets.pages import PLOTS
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ibis.expr.datatypes import DataType

    from mlguide_assets.prepare.column_lineage import Parents
    from mlguide_assets.prepare.lake.lake import Lake
    from mlguide_assets.prepare.lake.snapshots import Snapshot

PREVIEW_ROWS = 5


def table_metadata(lake: "Lake", snapshot: "Snapshot", problem: Problem, partition: str | None) -> dict[str, Any]:
    """Row counts, columns with their meanings, some rows, the newest of a table that grows, and where it is."""
    import ibis

    from mlguide_assets.defs.columns import column_meanings
    from mlguide_assets.prepare.column_lineage import parents_of

    preview = lake.first_rows(snapshot, PREVIEW_ROWS, partition)
    meanings = column_meanings(snapshot.table, problem)
    columns = [
        dg.TableColumn(name, shown_type(type_), description=meanings.get(name))
        for name, type_ in ibis.Schema.from_pyarrow(preview.schema).items()
    ]
    rows = snapshot.partitions[partition].rows if partition else snapshot.rows
    counts = {"dagster/row_count": snapshot.rows} | ({"dagster/partition_row_count": rows} if partition else {})
    parents = parents_of(snapshot.table, problem)
    return {
        **counts,
        **({"dagster/column_lineage": _lineage(parents)} if parents else {}),
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/uri": f"{lake.place}/{snapshot.table}",
        "snapshot": snapshot.id,
        "megabytes": rounded(sum(file.bytes for file in snapshot.partitions.values()) / 1e6),
        "preview": dg.MetadataValue.md(_preview(preview.to_pylist())),
    }


def metadata_of_kept(lake: "Lake", table: str, problem: Problem) -> dict[str, Any]:
    """`table_metadata` of a table to which rows are only added; nothing before the first."""
    return table_metadata(lake, lake.snapshot(table), problem, None) if lake.exists(table) else {}


def shown_type(type_: "DataType") -> str:
    """A type as the UI shows it: the fields of a struct would push the meanings of all columns out of sight.

    >>> import ibis
    >>> shown_type(ibis.dtype("timestamp(6)")), shown_type(ibis.dtype("struct<champion: float64, random: float64>"))
    ('timestamp(6)', 'struct')
    """
    return "struct" if type_.is_struct() else str(type_)


def _lineage(parents: "Parents") -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key=key_of(table), column_name=name) for table, name in sources]
            for column, sources in parents.items()
        }
    )


def rounded(value: Any) -> Any:
    """Metadata with every float to four significant digits, also within lists and mappings."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value


def data_version(snapshot: "Snapshot", partition: str | None = None) -> dg.DataVersion:
    """The content of a table, or of a partition: what is written again unchanged makes nothing downstream stale."""
    return dg.DataVersion(snapshot.partitions[partition].sha256 if partition else snapshot.content_hash)


def version_of(*parts: str) -> dg.DataVersion:
    """The version of what is no table, by the text that says what it is."""
    return dg.DataVersion(hashlib.sha256("\0".join(parts).encode()).hexdigest())


def plots(home: Home, problem: Problem, pictures: "Mapping[str, bytes]") -> dict[str, dg.MarkdownMetadataValue]:
    """Pictures, by name, that the UI shows at once.

    It shows Markdown of less than 1,000 characters in place, which a picture as text is not. So this is its address
    on `mlguide ui`; of another webserver one sees the name alone.
    """
    from mlguide_assets.train.plots.pictures import keep_picture

    shown = {}
    for name, png in pictures.items():
        stem = keep_picture(home.plots / problem.key, name, png)
        address = f"{PLOTS}/{quote(problem.key)}/{quote(stem)}"
        shown[name] = dg.MetadataValue.md(f"[![{name}]({address}.svg)]({address}.png)")
    return shown


def _preview(rows: list[dict[str, Any]]) -> str:
    return markdown.table(list(rows[0]), (rounded(list(row.values())) for row in rows)) if rows else "(no rows)"
