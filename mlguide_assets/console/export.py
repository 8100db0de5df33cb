"""`mlguide export`: a table of the lake as one file, or as a folder for another engine."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import ibis

from mlguide_assets.console.export_folder import FILE_SUFFIXES, Format, export_folder
from mlguide_assets.console.out import check_out
from mlguide_assets.console.terminal import console, screen
from mlguide_assets.define.loading import current_problem
from mlguide_assets.deploy.batch import per_scoring_day, reached_days
from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.contracts.contract_tables import QUARANTINED
from mlguide_assets.prepare.contracts.refused_runs import REFUSED
from mlguide_assets.prepare.files import disk_reason
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.sources.simulation_clock import day_reached
from mlguide_assets.retrain.trigger_state import landed
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

_FORMULA = r"^[=+\-@\t\r]"
"""Text that a spreadsheet takes for a formula (OWASP, CSV injection)."""


@dataclass(frozen=True)
class Which:
    """Which days of a table are exported.

    Attributes:
        day: only this one. By default the newest one of a table that is written per scoring day, and all of others.
        all_days: every day.
    """

    day: date | None = None
    all_days: bool = False


NEWEST = Which()


def parse_day(text: str) -> date:
    """The day that `--day` names.

    Raises:
        InputError: it names none.

    >>> parse_day("2026-01-31")
    datetime.date(2026, 1, 31)
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--day {text}: this is no day; write one as YYYY-MM-DD, such as 2026-01-31.") from None


def export_table(home: Home, table: str, out: Path, which: Which = NEWEST, format_: Format | None = None) -> None:
    """Write the current snapshot of a table, whole or not at all.

    Args:
        format_: of a folder; without it, a file is written, of the kind that its suffix says.

    Raises:
        InputError: there is no such table or day, or the file cannot be written.
    """
    home.require_used()
    problem = current_problem(home)
    lake, per_day = Lake(home.lake(problem.key)), per_scoring_day(problem)
    # Those of an ingest that was refused are what its message speaks of; the next one that is not removes them.
    table = REFUSED if table == QUARANTINED and lake.exists(REFUSED) else table
    if format_ is None:
        check_out(out, FILE_SUFFIXES)
    kept = lake.snapshot(table).partitions
    today = day_reached(problem, home.simulation_clock(problem.key), datetime.now(UTC))
    reached = reached_days(kept, landed(lake), today=today)
    days = days_to_export(table, sorted(kept), which, per_day, reached=reached)
    try:
        if format_ is None:
            _write_file(lake, lake.read(table, partitions=days, by_name=True), out)
        else:
            export_folder(lake, table, sorted(kept) if days is None else days, out, format_)
    except (OSError, duckdb.IOException) as error:
        raise InputError(f"{out} cannot be written ({disk_reason(error)}): choose another place with --out.") from error
    count = sum(file.rows for key, file in kept.items() if days is None or key in days)
    of_day = f" for {days[0]}" if days and len(days) == 1 else ""
    console.print(f"{counted(count, 'row')} of {table}{of_day} in {out}")
    if not which.day and not which.all_days and days and len(kept) > 1:
        console.print(f"The newest of {counted(len(kept), 'day')}; --day YYYY-MM-DD chooses another, --all writes all.")


def _write_file(lake: Lake, rows: ibis.Table, out: Path) -> None:
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        if out.suffix == ".csv":
            lake.connection.to_csv(_without_formulas(rows), str(temporary))
        else:
            lake.connection.to_parquet(rows, str(temporary))
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def days_to_export(
    table: str,
    partitions: "Sequence[str]",
    which: Which,
    per_day: "Container[str]",
    *,
    reached: "Sequence[str] | None" = None,
) -> list[str] | None:
    """The partitions to export, or None for all of them.

    A table that is written once per scoring day may hold the same entities again for each day: a tool that is
    given all of them would act on each entity several times. So only its newest day is exported by default.

    >>> days_to_export("send_plan", ["2026-01-01", "2026-01-02"], Which(), per_day=["send_plan"])
    ['2026-01-02']

    Args:
        per_day: tables that are written once per scoring day.
        reached: the days that the data still reach, of which the last is the newest; default: all.

    Raises:
        InputError: the table has no such day.
    """
    if which.day and which.all_days:
        raise InputError("--day and --all exclude each other: --day exports one day, --all every day.")
    if which.day:
        day = which.day.isoformat()
        if day not in partitions:
            span = f"{partitions[0]} to {partitions[-1]}" if len(partitions) > 1 else ""
            known = f"{counted(len(partitions), 'day')}, {span or partitions[0]}" if partitions else "none"
            what = f"it has {known}" if table in per_day else "it is not kept by day: leave --day out"
            raise InputError(f"Table {table!r} has no day {day} ({what}).")
        return [day]
    if which.all_days or table not in per_day:
        return None
    within = partitions if reached is None else reached
    if partitions and not within:
        raise InputError(
            f"The data no longer reach any day of table {table!r}: its last is {partitions[-1]}. --day exports one, "
            f"and 'mlguide run' scores the newest."
        )
    return list(within[-1:])


def list_tables(home: Home) -> None:
    """Print every table that can be exported, with its rows."""
    home.require_used()
    problem = current_problem(home)
    tables, per_day = Lake(home.lake(problem.key)).tables(), per_scoring_day(problem)
    if not tables:
        raise InputError(f"The home {home.root} has no tables yet: 'mlguide run' makes them.")
    width = max(map(len, tables))
    for name, snapshot in tables.items():
        days = f"  {counted(len(snapshot.partitions), 'day'):>9}" if name in per_day else ""
        screen.print(f"{name:<{width}}  {snapshot.rows:>12,} rows{days}")


def _without_formulas(rows: ibis.Table) -> ibis.Table:
    """Text that a spreadsheet would run is written behind an apostrophe, which they do not show; also in the header."""
    texts = [name for name, type_ in rows.schema().items() if type_.is_string()]
    safe: dict[str, Any] = {
        name: ibis.ifelse(rows[name].re_search(_FORMULA), ibis.literal("'") + rows[name], rows[name]) for name in texts
    }
    named = {f"'{name}": name for name in rows.columns if re.search(_FORMULA, name)}
    return (rows.mutate(safe) if safe else rows).rename(named)
