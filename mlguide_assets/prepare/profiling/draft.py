"""A problem file drafted from tables without a description."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mlguide_assets.define.decision import TAKEN
from mlguide_assets.define.rules import MAX_SET_ASIDE
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.profiling.candidates import FEWEST, Candidate, span_of
from mlguide_assets.prepare.profiling.columns import file_name
from mlguide_assets.prepare.profiling.drafting import DraftTable, Line, kind_of
from mlguide_assets.prepare.profiling.ended_units import why_ended
from mlguide_assets.prepare.profiling.futures import FEWEST_DAYS
from mlguide_assets.prepare.profiling.labels import label_candidates, label_leaks, why_none
from mlguide_assets.prepare.profiling.listing import list_tables, reasons
from mlguide_assets.prepare.profiling.nouns import is_person
from mlguide_assets.prepare.profiling.roles import Source, look_at
from mlguide_assets.prepare.profiling.tables import HEADER, draft_tables, key_of_columns, rules_of_empty_keys
from mlguide_assets.progress import Report


@dataclass(frozen=True)
class Draft:
    """All that a drafted problem file says.

    Attributes:
        unused: tables of the source that the file does not name, and why.
        candidates: what could be predicted, the best first.
        known: columns of the event to be predicted that might be known when it happens.
        choose: an entity of that event among whose like a decision might choose.
    """

    tables: list[DraftTable]
    unused: dict[str, str]
    candidates: list[Candidate]
    first: datetime
    last: datetime
    known: tuple[str, ...] = ()
    choose: str | None = None


def draft_problem(uri: str, connection: Any, scratch: Path, report: Report) -> Draft:
    """Look at all tables of a source and draft what a problem file says of them.

    Args:
        uri: a folder, or the URI of a database.
        connection: the DuckDB of this process.
        scratch: a folder for copies, which the caller removes.

    Raises:
        InputError: the source cannot be read, or has no events, or nothing of which an outcome is known.
    """
    listing = list_tables(uri, connection, scratch, report)
    report(f"looking at {len(listing.tables)} table{'s'[: len(listing.tables) != 1]}")
    source = look_at(listing, connection)
    tables = draft_tables(source)
    unused = {**source.reasons, **_codes(source), **listing.unread}
    events = [table for table in tables if table.shape == "event"]
    if not events:
        raise InputError(
            "No table of the source can be read as events, each with a time and the id of what it is about "
            f"({reasons(unused)}): "
            "add such a table, or to one of these what it lacks; or write the problem file by hand."
        )
    candidates = label_candidates(source, tables)
    if not candidates:
        why = filter(None, (why_none(source, tables), reasons(unused)))
        raise InputError(
            f"Nothing can be predicted from these tables ({'; '.join(why)}): add rows with both outcomes, {FEWEST} of "
            f"each or more, or {FEWEST_DAYS} days of events and a table with a row for each id that has them and what "
            f"is known of it, or write the problem file by hand if you know better."
        )
    tables, known = _without_leaks(source, tables, candidates[0])
    tables = _with_a_key(source, tables, candidates[0])
    tables, known, candidates = _with_free_names(tables, known, candidates)
    best = [table for table in events if table.name == candidates[0].table]
    first, last = _span(source, best)
    choose = _choose(tables, best[0], candidates[0])
    candidates[0] = _with_end(source, best[0], candidates[0], choose)
    return Draft(tables, unused, candidates, first, last, known, choose)


def _with_end(source: Source, event: DraftTable, best: Candidate, choose: str | None) -> Candidate:
    """The candidate, whose label says that a positive outcome ends the unit where the rows show that it does."""
    unit = next((noun for noun in event.of if noun != choose), "")
    evidence = why_ended(source, event, best, unit)
    if not evidence:
        return best
    predict = {**best.predict, "label": {**best.predict["label"], "ends_unit": True}}
    return replace(best, predict=predict, doubt="; ".join(filter(None, (best.doubt, evidence))))


def _choose(tables: list[DraftTable], event: DraftTable, best: Candidate) -> str | None:
    """Of an event of a person and of something that has a table: the latter, such as the email that a user is sent."""
    declared = {table.noun for table in tables if table.shape == "entity" and not table.noun.endswith(HEADER)}
    others = [noun for noun in event.of if noun in declared and not is_person(noun)]
    if best.column is None or len(event.of) != 2 or len(others) != 1:
        return None
    return others[0]


def _codes(source: Source) -> dict[str, str]:
    return {name: "it only says what codes mean" for name, role in source.roles.items() if role == "code"}


def _span(source: Source, events: list[DraftTable]) -> tuple[datetime, datetime]:
    spans = [span_of(source, table) for table in events]
    known = [(first, last) for first, last in spans if first is not None and last is not None]
    if not known:
        raise InputError("All times of the source lie in the future: check how its dates are written.")
    return min(first for first, _ in known), max(last for _, last in known)


def _without_leaks(
    source: Source, tables: list[DraftTable], best: Candidate
) -> tuple[list[DraftTable], tuple[str, ...]]:
    """Columns that say what the label says are left out; of the others, some may be known when the event happens."""
    if best.column is None:
        return tables, ()
    place = next(place for place, table in enumerate(tables) if table.name == best.table and table.shape == "event")
    table = tables[place]
    leaks = {file_name(name): name for name in label_leaks(source, table, best)}
    named = {file_name(best.column), *table.of.values(), *_names(table)}
    columns = tuple(line for line in table.columns if line.key not in leaks or line.key in named)
    left_out = [(name, f"? it says what {best.column} says") for key, name in leaks.items() if key not in named]
    ids = {file_name(best.column), *table.of.values()}
    known = tuple(
        line.key for line in columns if line.key not in ids and kind_of(line) in ("number", "category", "flag")
    )
    changed = replace(table, columns=columns, left_out=(*table.left_out, *left_out))
    return [*tables[:place], changed, *tables[place + 1 :]], known


def _with_a_key(source: Source, tables: list[DraftTable], best: Candidate) -> list[DraftTable]:
    """Each row of what is predicted needs a name: of a few that no column distinguishes, one of each is kept."""
    place = next(place for place, table in enumerate(tables) if table.name == best.table and table.shape == "event")
    table = tables[place]
    line = next(line for line in table.lines if line.key == "key")
    if best.column is None or line.value:
        return tables
    rows, back = source.rows(table.profile.table.name), {file_name(name): name for name in table.profile.columns}
    never = {best.column, *(name for name, why in table.left_out if why.startswith("? it says what"))}
    of = [back[name] for name in table.of.values()]
    columns, excess, _ = key_of_columns(table.profile, rows, table.at, of, never)
    if excess > MAX_SET_ASIDE * table.rows:
        return tables
    key = [file_name(name) for name in columns]
    key_line = Line("key", key, f"? {excess:,} of {table.profile.table.of_rows} repeat another one, and are set aside")
    rule = f"{{table: {table.name}, rule: unique, columns: [{', '.join(key)}], action: quarantine}}"
    changed = replace(
        table,
        lines=tuple(key_line if each is line else each for each in table.lines),
        left_out=tuple((name, why) for name, why in table.left_out if name not in columns),
        contracts=(*table.contracts, *rules_of_empty_keys(table.name, table.profile, columns), rule),
    )
    return [*tables[:place], changed, *tables[place + 1 :]]


def _with_free_names(
    tables: list[DraftTable], known: tuple[str, ...], candidates: list[Candidate]
) -> tuple[list[DraftTable], tuple[str, ...], list[Candidate]]:
    """The same, where columns that may be known are called as none is that tables of features and scores have."""
    best = candidates[0]
    new = {name: f"{best.predict['each']}_{name}" for name in known if name.lower() in TAKEN}
    if not new:
        return tables, known, candidates
    place = next(place for place, table in enumerate(tables) if table.name == best.table and table.shape == "event")
    columns = tuple(_called(new.get(line.key, line.key), line) for line in tables[place].columns)
    tables = [*tables[:place], replace(tables[place], columns=columns), *tables[place + 1 :]]
    return tables, tuple(new.get(name, name) for name in known), [_naming(new, best.table, each) for each in candidates]


def _naming(new: dict[str, str], table: str, candidate: Candidate) -> Candidate:
    """A candidate that names the column of its label as the table does now."""
    label = candidate.predict["label"]
    if candidate.table != table or label.get("column") not in new:
        return candidate
    return replace(candidate, predict={**candidate.predict, "label": {**label, "column": new[label["column"]]}})


def _called(name: str, line: Line) -> Line:
    """The line of a column under another name, such as that of a column that tables of scores have of their own."""
    if name == line.key:
        return line
    value = line.value if isinstance(line.value, dict) else {"kind": line.value}
    return replace(line, key=name, value={"kind": value["kind"], "name": line.key, **value})


def _names(table: DraftTable) -> set[str]:
    """Columns that other lines of the table name."""
    found: set[str] = set()
    for line in table.lines:
        values = line.value if isinstance(line.value, list) else [line.value]
        found |= {str(value) for value in values}
    return found
