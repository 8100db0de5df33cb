"""Homes that serve what is nobody's emails: payments of cards, which nobody chose, and customers at cut-offs."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.csv
import pytest

from mlguide_assets.define.loading import current_problem, dump_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.batch import left_out
from mlguide_assets.deploy.bundle import export_bundle, set_champion
from mlguide_assets.deploy.online_store.publishing import publish_online, state_of
from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.prepare.features.building import (
    DECLARATIONS,
    decisions_of,
    declared_features,
    features_from,
    resolved_from,
    tables_of,
)
from mlguide_assets.prepare.features.compiling import with_features
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import train_candidate
from mlguide_assets.train.lineage import Lineage
from mlguide_assets.train.models.models import XGBOOST
from mlguide_assets.train.storage import load_facts, save_candidate
from mlguide_assets_tests.homes import made_once
from mlguide_assets_tests.other_tables import ORDERS, PAYMENTS, START, write_orders, write_payments
from mlguide_assets_tests.prepare.ingesting import keep

AS_OF = START + timedelta(days=110)
"""What the published features know."""

CARDS = ["c-007", "c-001", "c-042"]
SHOPS = [3, 12, 7]


@dataclass(frozen=True)
class OtherHouse:
    """A home with a champion, its tables in the lake, and published features."""

    home: Home
    problem: Problem
    """With its features as the data have decided them."""
    lake: Lake

    @classmethod
    def opened(cls, root: Path) -> "OtherHouse":
        home = Home(root)
        stated = current_problem(home)
        lake = Lake(home.lake(stated.key))
        return cls(home, resolved_from(lake, stated), lake)

    @classmethod
    def build(cls, root: Path, values: dict[str, Any], data: Path) -> "OtherHouse":
        source = {"source": {"kind": "files", "uri": str(data)}, "serving": {"clock": "data"}}
        return cls.of(root, Problem.model_validate({**values, **source}), AS_OF)

    @classmethod
    def of(cls, root: Path, stated: Problem, as_of: datetime) -> "OtherHouse":
        """What a run leaves, from the tables of a problem to a champion that serves.

        Args:
            as_of: what the published features know.
        """
        home = Home(root)
        root.mkdir(parents=True)
        home.active_problem.write_text(dump_problem(stated))
        lake = Lake(home.lake(stated.key))
        with ingest(stated, lake, oracle=root / "oracle", report=lambda _: None) as read:
            keep(lake, read)
        tables = tables_of(lake, stated)
        lake.write("decisions", decisions_of(tables, stated))
        lake.write(DECLARATIONS, declared_features(tables, lake.read("decisions"), stated))
        house = cls(home, resolved_from(lake, stated), lake)
        lake.write(stated.features_table, features_from(tables, house.problem))
        house._promote()
        house._publish(as_of)
        return house

    def _promote(self) -> None:
        features = self.lake.read(self.problem.features_table)
        candidate = train_candidate(features, self.problem, contenders=(XGBOOST,))
        folder, bundles = self.home.root / "candidates" / "one", self.home.bundles(self.problem.key)
        lineage = Lineage({self.problem.features_table: "000001-abc"}, "data", "problem", "recipe", "0.1.0+code")
        save_candidate(candidate, self.problem, lineage, folder)
        export_bundle(folder, bundles, "1", load_facts(folder) | {"trained_at": "2024-04-11"})
        set_champion(bundles, "1")

    def _publish(self, as_of: datetime) -> None:
        tables = tables_of(self.lake, self.problem)
        nouns = self.problem.decision.nouns
        states = {noun: ibis.memtable(entity_state(tables, self.problem, noun, as_of).to_pyarrow()) for noun in nouns}
        unit = self.problem.decision.unit
        unasked = left_out(states[unit], tables, self.problem, as_of)
        features = self.lake.read(self.problem.features_table)
        state = state_of(states, features, self.problem, self.lake, left_out=unasked)
        store = SqliteStore(self.home.online_store(self.problem.key))
        assert publish_online(store, state, self.lake, newest=as_of.date()).startswith("Published")

    def offline(self, cases: Sequence[dict[str, Any]]) -> pa.Table:
        """The features of cases as of the instant of the state, in their order.

        Args:
            cases: ids, the time of the decision, and what is known of an event.
        """
        spine = pa.Table.from_pylist([{**case, "_until": AS_OF, "_place": place} for place, case in enumerate(cases)])
        tables = tables_of(self.lake, self.problem)
        found = with_features(ibis.memtable(spine), tables, self.problem, known_until="_until").order_by("_place")
        return self.lake.connection.to_pyarrow(found)


def payments_house(factory: pytest.TempPathFactory) -> OtherHouse:
    """With one payment each of `CARDS` in `SHOPS` at the very instant of the state, which knows nothing of them."""
    return _copied(factory, "payments", _make_payments)


def orders_house(factory: pytest.TempPathFactory) -> OtherHouse:
    return _copied(factory, "orders", _make_orders)


def _copied(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> OtherHouse:
    """A copy of a home that is built once per session."""
    built = made_once(factory, f"{name}-house", make)
    return OtherHouse.opened(shutil.copytree(built / "home", factory.mktemp(name) / "home"))


def _make_payments(root: Path) -> None:
    data = write_payments(root / "data")
    path = data / "payments.csv"
    rows = pyarrow.csv.read_csv(path)
    at_the_instant = [
        {"payment": 9000 + number, "card": card, "shop": shop, "paid": AS_OF, "amount": 20.5 + number, "fraud": None}
        for number, (card, shop) in enumerate(zip(CARDS, SHOPS, strict=True))
    ]
    pyarrow.csv.write_csv(pa.concat_tables([rows, pa.Table.from_pylist(at_the_instant, rows.schema)]), path)
    OtherHouse.build(root / "home", PAYMENTS, data)


def _make_orders(root: Path) -> None:
    OtherHouse.build(root / "home", ORDERS, write_orders(root / "data"))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)
