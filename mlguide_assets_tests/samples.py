"""Three small consistent tables in the guide's columns, and a problem that reads them. No simulator needed."""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

from mlguide_assets.define.loading import SHIPPED, parse_problem
from mlguide_assets.define.problem import Problem

Tables = dict[str, pa.Table]

GUIDE_FOLDER = Path(__file__).parents[2] / "shared" / "data" / "guide"
START = datetime(2024, 1, 1)
DAYS = 120
USERS = 60
EMAILS = 12
SENDS = 600
SILENT_USERS = 2
"""The last users, who are never sent anything."""

THEMES = ("shopping", "food", "lifestyle")
CATEGORIES = ("newsletter", "promotional", "transactional")
_ARROW = {
    "id": pa.int64(),
    "integer": pa.int64(),
    "category": pa.string(),
    "text": pa.string(),
    "time": pa.timestamp("us"),
}

_EMAILS = yaml.safe_load((SHIPPED / "planeswalker.yaml").read_bytes())

TABLES = {
    name: {column: pa.field(column, _ARROW[each["kind"]]) for column, each in table["columns"].items()}
    for name, table in _EMAILS["tables"].items()
}
"""Columns of the three tables, by their names."""

PROBLEM: dict[str, Any] = {
    "name": "sample",
    "statement": "Emails lose users.",
    "hypothesis": "Better emails lose fewer.",
    "history_start": "2024-01-01",
    **{name: _EMAILS[name] for name in ("tables", "predict", "features")},
    "costs": {"missed": 12.0, "false_alarm": 0.5},
    "evaluation": {"bootstrap_repeats": 50},
    "gate": {"permutations": 100},
    "scoring": {"candidates": 5},
}


def sample_problem(source: str | Path, /, **changes: Any) -> Problem:
    """The sample's problem, reading from a folder, a URL or a database.

    `changes` replace top-level keys. `label` is that of `predict`, `themes` and `categories` are the values that are
    counted, and `tables` changes keys of tables and of their columns, of which a text is the name in the source.
    """
    address = str(source)
    database = "://" in address and not address.startswith("http")
    values = {**PROBLEM, "source": {"kind": "database" if database else "files", "uri": address}}
    if label := changes.pop("label", None):
        values["predict"] = {**PROBLEM["predict"], "label": {"column": "unsubscribed", **label}}
    if tables := changes.pop("tables", None):
        values["tables"] = {name: _changed(table, tables.get(name, {})) for name, table in PROBLEM["tables"].items()}
    splits = {"theme": changes.pop("themes", THEMES), "category": changes.pop("categories", CATEGORIES)}
    declared = {
        f"number_of_email_{column}_*": {"count": "send", "by": "user", "split": f"email.{column}", "values": list(each)}
        for column, each in splits.items()
    }
    values["features"] = {"declared": PROBLEM["features"]["declared"] | declared}
    values |= changes
    return parse_problem(yaml.safe_dump(values, sort_keys=False).encode(), Path("sample.yaml"))


def with_themes(problem: Problem, *themes: str) -> Problem:
    """The problem with other themes to count."""
    values = problem.model_dump(mode="json", by_alias=True, exclude_none=True)
    values["features"]["declared"]["number_of_email_theme_*"]["values"] = list(themes)
    return Problem.model_validate(values)


def _changed(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    columns = dict(table["columns"])
    for name, change in changes.get("columns", {}).items():
        columns[name] = {**columns.get(name, {}), **({"name": change} if isinstance(change, str) else change)}
    return {**table, **changes, "columns": columns}


def sample_tables(seed: int = 0, sends: int = SENDS) -> Tables:
    """Users who joined before the emails were created before any was sent; some sends share an instant."""
    chance = random.Random(seed)
    users = [
        {
            "id": user,
            "date_joined": START - timedelta(days=chance.randrange(1, 700)),
            "gender": chance.choice(("male", "female")),
            "age": chance.randrange(18, 60),
            "country": chance.choice(("US", "KO", "JP")),
            "words_in_description": chance.randrange(0, 300),
            "purchases": chance.randrange(0, 100),
        }
        for user in range(1, USERS + 1)
    ]
    emails = [
        {
            "id": email,
            "subject": f"Subject {email}, with a comma",
            "theme": THEMES[email % 3],
            "category": CATEGORIES[email // 3 % 3],
            "number_of_buttons": chance.randrange(0, 10),
            "number_of_sections": chance.randrange(0, 6),
            "number_of_items": chance.randrange(0, 8),
            "created_at": START - timedelta(days=chance.randrange(1, 60)),
        }
        for email in range(1, EMAILS + 1)
    ]
    # Two instants a day, so that ties between and within users are common; a set, since the triple is a key.
    triples: set[tuple[datetime, int, int]] = set()
    while len(triples) < sends:
        delivered = START + timedelta(hours=12 * chance.randrange(DAYS * 2))
        triples.add((delivered, chance.randrange(1, USERS + 1 - SILENT_USERS), chance.randrange(1, EMAILS + 1)))
    deliveries = [
        {
            "user_id": user,
            "email_id": email,
            "unsubscribed": "yes" if chance.random() < (0.3 if email % 3 == 1 else 0.05) else "no",
            "delivered_at": delivered,
        }
        for delivered, user, email in sorted(triples)
    ]
    rows: dict[str, list[dict[str, Any]]] = {
        "user_profiles": users,
        "email_content": emails,
        "user_emails": deliveries,
    }
    return {table: arrow(table, rows[table]) for table in TABLES}


def arrow(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as one of the three tables, with its types."""
    return pa.Table.from_pylist(rows, schema=pa.schema(list(TABLES[table].values())))


def guide_name(column: str) -> str:
    """A column as the guide's files call it: `delivered at`, but `user_id`."""
    return column if column.endswith("_id") else column.replace("_", " ")


def write_sample(
    folder: Path, kind: Literal["csv", "parquet"] = "csv", tables: Mapping[str, pa.Table] | None = None
) -> Path:
    """Write the tables into a folder, with the guide's column names, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in (tables or sample_tables()).items():
        named = rows.rename_columns([guide_name(name) for name in rows.column_names])
        path = folder / f"{table}.{kind}"
        if kind == "parquet":
            pq.write_table(named, path)
        else:
            pyarrow.csv.write_csv(named, path)
    return folder
