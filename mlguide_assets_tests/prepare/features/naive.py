"""Features by their definitions, one row and one event after the other: slow, plain, and written for itself.

It reads the problem as the file has it and tables as lists of rows; it shares nothing with what it is to check.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

Row = dict[str, Any]
Document = Mapping[str, Any]
Rows = Mapping[str, list[Row]]

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "w": "weeks"}


def span(text: str) -> timedelta:
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def _table(problem: Document, noun: str) -> tuple[str, Document]:
    for name, table in problem["tables"].items():
        if noun in (table.get("entity"), table.get("event")):
            return name, table
    raise KeyError(noun)


def _entity(problem: Document, rows: Rows, noun: str, id_: Any) -> tuple[Document, list[Row]]:
    name, table = _table(problem, noun)
    return table, [row for row in rows[name] if row[table["key"]] == id_]


def valid(problem: Document, rows: Rows, noun: str, id_: Any, instant: datetime, *, exists: bool = True) -> Row:
    """The row of an entity at an instant; {} where there is none."""
    table, found = _entity(problem, rows, noun, id_)
    if table.get("known_at"):
        found = [row for row in found if row[table["known_at"]] is not None and row[table["known_at"]] < instant]
    if exists and table.get("known_from"):
        since = table["known_from"]
        found = [row for row in found if row[since] is None or row[since] <= instant]
    if history := table.get("history"):
        begin, end = history["from"], history["to"]
        found = [row for row in found if row[begin] is None or row[begin] <= instant]
        found = [row for row in found if row[end] is None or row[end] > instant]
        found.sort(key=lambda row: row[begin] or datetime.min)
    return found[-1] if found else {}


def happened(problem: Document, rows: Rows, noun: str) -> list[Row]:
    """Events with `_at` and `_known`, those without a time left out; see `prepared`."""
    if f"_{noun}" in rows:
        return rows[f"_{noun}"]
    name, table = _table(problem, noun)
    events = []
    for row in rows[name]:
        if "." in table["at"]:
            parent, column = table["at"].split(".")
            found = _entity(problem, rows, parent, row[table["of"][parent]])[1]
            at = found[0][column] if found else None
        else:
            at = row[table["at"]]
        if at is None:
            continue
        known = at
        if table.get("known_at") and row[table["known_at"]] is not None:
            known = row[table["known_at"]]
        if table.get("arrives_within"):
            known = at + span(table["arrives_within"])
        events.append({**row, "_at": at, "_known": known})
    return events


def prepared(problem: Document, rows: Rows) -> Rows:
    """Tables together with their events, which are the same for every decision."""
    nouns = [table["event"] for table in problem["tables"].values() if "event" in table]
    return {**rows, **{f"_{noun}": happened(problem, rows, noun) for noun in nouns}}


def _fulfils(value: Any, asked: Any) -> bool:
    if value is None:
        return False
    if not isinstance(asked, Mapping):
        asked = {"one_of": asked}

    def among(values: Any) -> bool:
        given = values if isinstance(values, list) else [values]
        if isinstance(value, bool):
            return value in [str(each).lower() in ("true", "1") for each in given]
        if isinstance(value, float | int):
            return value in [float(each) for each in given]
        return str(value) in [str(each) for each in given]

    return (
        ("one_of" not in asked or among(asked["one_of"]))
        and ("not" not in asked or not among(asked["not"]))
        and ("at_least" not in asked or value >= asked["at_least"])
        and ("at_most" not in asked or value <= asked["at_most"])
    )


def _at_path(problem: Document, rows: Rows, table: Document, event: Row, path: str) -> Any:
    noun, _, column = path.partition(".")
    if not column:
        return event[path]
    return valid(problem, rows, noun, event[table["of"][noun]], event["_at"], exists=False).get(column)


def feature(problem: Document, rows: Rows, declared: Document, ids: Mapping[str, Any], instant: datetime) -> Any:
    """One feature of one decision.

    Args:
        declared: without `split`.
        ids: noun of an entity: its id.
    """
    if "calendar" in declared:
        return {
            "hour": instant.hour,
            "day_of_week": instant.weekday(),
            "day_of_month": instant.day,
            "month": instant.month,
            "day_of_year": instant.timetuple().tm_yday,
        }[declared["calendar"]]
    day = timedelta(days=1)
    if "age" in declared:
        noun, _, column = declared["age"].partition(".")
        since = valid(problem, rows, noun, ids[noun], instant).get(column or _table(problem, noun)[1]["known_from"])
        return None if since is None else (instant - since) / day
    label = problem["predict"].get("label", {})
    operator = next(
        each
        for each in ("count", "sum", "mean", "min", "max", "last", "distinct", "rate", "share", "since_last")
        if each in declared
    )
    noun, _, column = declared[operator].partition(".")
    if operator == "rate":
        noun = problem["predict"]["each"]
    table = _table(problem, noun)[1]
    if declared.get("as_of") == "day":
        instant = datetime(instant.year, instant.month, instant.day)
    labelled = declared.get("labelled") or ("known" if operator == "rate" else None)
    delay = span(label["window"]) + span(table.get("arrives_within", "0d")) if labelled else timedelta(0)
    key = table["of"][declared["by"]]
    past = []
    for event in happened(problem, rows, noun):
        if event[key] is None or event[key] != ids[declared["by"]]:
            continue
        if not (event["_at"] < instant and event["_known"] < instant and event["_at"] + delay <= instant):
            continue
        if "within" in declared and event["_at"] < instant - delay - span(declared["within"]):
            continue
        outcome = event.get(label.get("column"))
        if labelled and outcome not in (label["positive"], label["negative"]):
            continue
        if labelled in ("positive", "negative") and outcome != label[labelled]:
            continue
        past.append(event)
    chosen = [
        event
        for event in past
        if all(
            _fulfils(_at_path(problem, rows, table, event, path), asked)
            for path, asked in declared.get("where", {}).items()
        )
    ]
    match operator:
        case "count":
            return len(chosen)
        case "share":
            return len(chosen) / len(past) if past else None
        case "rate":
            return (
                sum(event[label["column"]] == label["positive"] for event in chosen) / len(chosen) if chosen else None
            )
        case "since_last":
            return (instant - max(event["_at"] for event in chosen)) / day if chosen else None
        case "last":
            unique = table.get("key") or [*table["of"].values(), table["at"], *sorted(table["columns"])]
            chosen.sort(key=lambda event: [event["_at"], *(_order(event.get(name)) for name in unique)])
            place = declared.get("nth", 1)
            return chosen[-place][column] if len(chosen) >= place else None
    values = [event[column] for event in chosen if event[column] is not None]
    match operator:
        case "sum":
            return float(sum(values))
        case "mean":
            return sum(values) / len(values) if values else None
        case "min":
            return min(values) if values else None
        case "max":
            return max(values) if values else None
        case "distinct":
            return len(set(values))
    raise KeyError(operator)


def _order(value: Any) -> tuple[bool, Any]:
    """Nothing comes after everything."""
    return (value is None, 0 if value is None else value)


def parent(problem: Document, rows: Rows, child: str, noun: str, id_: Any, instant: datetime) -> Any:
    """The id of the parent that the newest event of an entity names."""
    newest: tuple[datetime, Any] | None = None
    for table in problem["tables"].values():
        if "event" not in table or not {child, noun} <= table["of"].keys():
            continue
        unique = table.get("key") or [*table["of"].values(), table["at"]]
        seen = [
            event
            for event in happened(problem, rows, table["event"])
            if event[table["of"][child]] == id_
            and event[table["of"][noun]] is not None
            and event["_at"] < instant
            and event["_known"] < instant
        ]
        seen.sort(key=lambda event: [event["_at"], *(_order(event.get(name)) for name in unique)])
        if seen and (newest is None or seen[-1]["_at"] > newest[0]):
            newest = seen[-1]["_at"], seen[-1][table["of"][noun]]
    return newest[1] if newest else None
