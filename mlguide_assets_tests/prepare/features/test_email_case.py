"""The features of the email case are pinned, value by value and type by type, whatever computes them."""

import hashlib
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
import yaml

from mlguide_assets.define.features import Features
from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import Schema
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.compiling import decision_features
from mlguide_assets.prepare.features.events import POSITIVE
from mlguide_assets.prepare.simulator.generate import write
from mlguide_assets.prepare.sources.simulated import world_of
from mlguide_assets_tests.email_case import send_features
from mlguide_assets_tests.guide import look_alike
from mlguide_assets_tests.samples import TABLES

PINNED = {
    "planeswalker": "fe8da3fbee53d9c28037805d19c3d0b6b1422431d37d1f5078257b6053f198a3",
    "guide": "c6e9506c1f0aea9c5e4c0b7120746c91bb0269bc4ca24f1c078cbfb295211dc6",
}
SENDS = 20_000

DECLARED = """
tables:
  user_profiles:
    entity: user
    key: id
    known_from: date_joined
    columns:
      date_joined: time
      age: integer
      gender: category
      country: category
      words_in_description: integer
      purchases: integer
  email_content:
    entity: email
    key: id
    known_from: created_at
    columns:
      theme: category
      category: category
      subject: text
      number_of_buttons: integer
      number_of_sections: integer
      number_of_items: integer
      created_at: time
  user_emails:
    event: send
    at: delivered_at
    of: {user: user_id, email: email_id}
    columns: {unsubscribed: category}
predict:
  each: send
  choose: email
  label: {column: unsubscribed, positive: "yes", negative: "no", window: 7d}
features:
  declared:
    number_of_emails:          {count: send, by: user}
    number_of_unsubscribes:    {count: send, by: user, labelled: positive}
    emails_last_7_days:        {count: send, by: user, within: 7d}
    emails_last_30_days:       {count: send, by: user, within: 30d}
    number_of_email_theme_*:   {count: send, by: user, split: email.theme, values: [shopping, food, lifestyle]}
    number_of_email_category_*:
      {count: send, by: user, split: email.category, values: [newsletter, promotional, transactional]}
    email_matured_sends:       {count: send, by: email, labelled: known, as_of: day}
    email_unsubscribe_rate:    {rate: label, by: email, as_of: day}
    tenure_days:               {age: user}
    email_age_days:            {age: email}
    days_since_last_email:     {since_last: send, by: user}
    day_of_week:               {calendar: day_of_week}
    hour_of_day:               {calendar: hour}
"""


class Email:
    """The email case in declarations, with the contract of a shipped problem."""

    def __init__(self, shipped: Problem) -> None:
        document = yaml.safe_load(DECLARED)
        self.schema = Schema.model_validate({"tables": document["tables"]})
        self.predict = PredictEvent.model_validate(document["predict"])
        self.features = Features.model_validate(document["features"])
        self.contracts = shipped.contracts


def content_hash(table: pa.Table) -> str:
    """Of the names, types and values of all columns, rows in their order; it depends on no library's version."""
    hashed = hashlib.sha256()
    for name in table.column_names:
        column = table[name]
        hashed.update(f"{name} {column.type} {column.to_pylist()!r}".encode())
    return hashed.hexdigest()


def tables_of(problem: str, folder: Path, duck: Any) -> dict[str, ibis.Table]:
    """A small world of a shipped problem."""
    if problem == "guide":
        return {name: ibis.memtable(table) for name, table in look_alike().items()}
    write(world_of(with_overrides(load_problem(problem), sends=SENDS)), folder)
    written = {name: duck.read_parquet(str(folder / f"{name}.parquet")) for name in TABLES}
    dates = {
        name: [column for column, kind in table.schema().items() if kind.is_date()] for name, table in written.items()
    }
    return {
        name: table.mutate(**{column: table[column].cast("timestamp") for column in dates[name]})
        for name, table in written.items()
    }


@pytest.mark.parametrize("name", PINNED)
def test_features_of_the_email_case_are_the_pinned_ones(name: str, tmp_path: Path, duck: Any) -> None:
    tables = tables_of(name, tmp_path, duck)
    features = send_features(tables, load_problem(name))
    rows = duck.to_pyarrow(features.order_by("delivered_at", "user_id", "email_id"))
    assert rows.num_rows > 1000
    assert content_hash(rows) == PINNED[name]


@pytest.mark.parametrize("name", PINNED)
def test_the_compiler_gives_the_pinned_features(name: str, tmp_path: Path, duck: Any) -> None:
    shipped, tables = load_problem(name), tables_of(name, tmp_path, duck)
    pinned = duck.to_pyarrow(send_features(tables, shipped).order_by("delivered_at", "user_id", "email_id"))
    features = decision_features(tables, Email(shipped)).order_by("delivered_at", "user_id", "email_id")
    rows = duck.to_pyarrow(features.drop(POSITIVE))
    assert rows.equals(pinned.drop_columns(["unsubscribed", "matured_at"]))
    assert [(each.name, each.kind) for each in features_of(Email(shipped))] == [
        (each.name, each.kind) for each in features_of(shipped)
    ]
