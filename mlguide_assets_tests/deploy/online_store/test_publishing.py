"""From the lake to both kinds of store: online equals the lake, and what it was computed from is kept."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.deploy.online_store.publishing import (
    KEPT_PUBLICATIONS,
    MOST_CANDIDATES,
    SOME_IDS,
    last_decisions,
    pinned_publications,
    publish_online,
    published_from,
    state_of,
)
from mlguide_assets.deploy.online_store.store import State
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.deploy.online_store.states import Place, state
from mlguide_assets_tests.email_case import by_name, send_features
from mlguide_assets_tests.samples import EMAILS, USERS, Tables
from mlguide_assets_tests.train.sends import PROBLEM, replaced

NOON = datetime(2024, 4, 1, 12)
PUBLISHED_FROM = published_from(PROBLEM)
"""An instant of some sends: those do not count yet."""

FEATURES = [feature.name for feature in features_of(PROBLEM) if feature.for_models]


@pytest.fixture(scope="session")
def sends(tables: Tables) -> pa.Table:
    """The features of every send."""
    return features_of_sends(tables)


def features_of_sends(tables: Tables) -> pa.Table:
    return send_features(by_name(tables), PROBLEM).to_pyarrow()


@pytest.fixture
def lake(tmp_path: Path, tables: Tables) -> Lake:
    lake = Lake(tmp_path / "lake", keep=5)
    for name, rows in tables.items():
        lake.write(name, rows)
    return lake


def sample_state(lake: Lake, sends: pa.Table, as_of: datetime) -> State:
    tables = {name: lake.read(name) for name in PROBLEM.tables}
    states = {noun: entity_state(tables, PROBLEM, noun, as_of) for noun in PROBLEM.decision.nouns}
    return state_of(states, ibis.memtable(sends), PROBLEM, lake)


def test_the_online_state_equals_the_lake(place: Place, lake: Lake, sends: pa.Table) -> None:
    published = sample_state(lake, sends, NOON)
    assert publish_online(place.open(), published, lake, newest=NOON.date()) == "Published."
    snapshot = place.open().current()
    assert snapshot is not None
    counts: dict[str, int] = {}
    for name, rows in published.tables.items():
        expected = {row[published.publication.keys[name]]: row for row in rows.to_pyarrow().to_pylist()}
        online = snapshot.look_up(name, list(expected))
        assert {key: with_times(row, expected[key]) for key, row in online.items()} == expected
        counts[name] = len(expected)
    assert counts == {"users": USERS, "emails": EMAILS, "last_sends": len({*sends["user_id"].to_pylist()})}


def with_times(online: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    times = {name for name, value in stored.items() if isinstance(value, datetime)}
    return {name: datetime.fromisoformat(value) if name in times else value for name, value in online.items()}


def test_a_publication_names_emails_users_and_snapshots(lake: Lake, sends: pa.Table, tables: Tables) -> None:
    publication = sample_state(lake, sends, NOON).publication
    emails = sorted(tables["email_content"].to_pylist(), key=lambda row: (row["created_at"], row["id"]), reverse=True)
    assert publication.as_of == NOON
    assert list(publication.candidates) == [row["id"] for row in emails][:MOST_CANDIDATES]
    earlier = [row["user_id"] for row in tables["user_emails"].to_pylist() if row["delivered_at"] < NOON]
    busiest = sorted({*range(1, USERS + 1)}, key=lambda user: (-earlier.count(user), user))
    assert list(publication.examples["users"]) == busiest[:SOME_IDS]
    assert publication.snapshots == {table: lake.snapshot(table).id for table in PUBLISHED_FROM}


def test_emails_of_the_future_are_not_published(lake: Lake, sends: pa.Table, tables: Tables) -> None:
    created = sorted(tables["email_content"]["created_at"].to_pylist())
    published = sample_state(lake, sends, created[3])
    assert sorted(published.publication.candidates) == sorted(
        row["id"] for row in tables["email_content"].to_pylist() if row["created_at"] <= created[3]
    )


def test_what_a_publication_was_computed_from_survives_later_writes(on_disk: Place, tmp_path: Path) -> None:
    lake, published = Lake(tmp_path / "lake", keep=2), []
    for day in range(KEPT_PUBLICATIONS + 6):
        ids = {table: lake.write(table, pa.table({"day": [day]})).id for table in PUBLISHED_FROM}
        if day < KEPT_PUBLICATIONS + 2:
            shown = from_snapshots(day, ids)
            assert publish_online(on_disk.open(), shown, lake, newest=shown.publication.as_of.date()) == "Published."
            published.append(ids)
    kept = published[-KEPT_PUBLICATIONS:]
    for table in PUBLISHED_FROM:
        assert list(lake.pinned(table).values()) == [ids[table] for ids in kept]
        for day, ids in enumerate(kept, start=len(published) - len(kept)):
            assert lake.read_arrow(table, snapshot_id=ids[table]).to_pylist() == [{"day": day}]
        # The newest two, and those that are pinned: nothing else.
        assert len(lake.history(table)) == 2 + KEPT_PUBLICATIONS


def test_only_the_newest_day_is_published_and_it_replaces_what_was_taken_back(on_disk: Place, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    ids = {table: lake.write(table, pa.table({"day": [0]})).id for table in PUBLISHED_FROM}
    states = [from_snapshots(day, ids) for day in range(KEPT_PUBLICATIONS + 3)]
    for each in states:
        publish_online(on_disk.open(), each, lake, newest=each.publication.as_of.date())
    older = publish_online(on_disk.open(), states[1], lake, newest=states[-1].publication.as_of.date())
    assert older.startswith(f"Not published: what is served is as of {states[-1].publication.as_of.date()}")
    message = publish_online(on_disk.open(), states[1], lake, newest=states[1].publication.as_of.date())
    assert message.startswith(f"Published, in place of the state of {states[-1].publication.as_of}")
    current = on_disk.open().current()
    assert current is not None
    assert current.publication.id == states[1].publication.id
    assert states[1].publication.id in pinned_publications(lake, PUBLISHED_FROM), "answers of now can be asked after"


def from_snapshots(day: int, snapshots: dict[str, str]) -> State:
    stamped = state(day, NOON + timedelta(days=day))
    return State(replace(stamped.publication, snapshots=snapshots), stamped.tables)


class TestLastSends:
    """The newest send of each user strictly before the instant, as training sees it."""

    def test_they_are_rows_of_the_training_table(self, sends: pa.Table) -> None:
        newest: dict[int, dict[str, Any]] = {}
        for row in sorted(sends.to_pylist(), key=lambda row: (row["delivered_at"], row["email_id"])):
            if row["delivered_at"] < NOON:
                newest[row["user_id"]] = row
        found = last_of(sends)
        names = ["user_id", "email_id", "delivered_at", *FEATURES]
        assert found == {user: {name: row[name] for name in names} for user, row in newest.items()}
        assert any(row["delivered_at"] == NOON for row in sends.to_pylist())
        assert any(row["delivered_at"] == NOON - timedelta(hours=12) for row in found.values())

    def test_a_tie_goes_to_the_larger_email_id(self, sends: pa.Table) -> None:
        last, times = last_of(sends), [(row["user_id"], row["delivered_at"]) for row in sends.to_pylist()]
        assert any(times.count((user, row["delivered_at"])) > 1 for user, row in last.items())

    @pytest.mark.parametrize("user", [1, 8, 17, 41, 58])
    def test_they_say_nothing_of_what_came_of_them(self, sends: pa.Table, tables: Tables, user: int) -> None:
        before = last_of(sends)[user]
        rows, key = tables["user_emails"].to_pylist(), ("user_id", "email_id", "delivered_at")
        (position,) = (place for place, row in enumerate(rows) if all(row[name] == before[name] for name in key))
        outcomes = [row["unsubscribed"] for row in rows]
        outcomes[position] = "no" if outcomes[position] == "yes" else "yes"
        emails = replaced(tables["user_emails"], "unsubscribed", outcomes)
        changed = features_of_sends({**tables, "user_emails": emails})
        assert changed["unsubscribed"].to_pylist() != sends["unsubscribed"].to_pylist()
        assert last_of(changed)[user] == before

    def test_before_the_first_send_there_are_none(self, sends: pa.Table) -> None:
        first = min(sends["delivered_at"].to_pylist())
        assert last_of(sends, as_of=first) == {}
        assert last_of(sends, as_of=first + timedelta(microseconds=1)) != {}


def last_of(sends: pa.Table, as_of: datetime = NOON) -> dict[int, dict[str, Any]]:
    rows = last_decisions(ibis.memtable(sends), PROBLEM, as_of).to_pyarrow().to_pylist()
    assert len({row["user_id"] for row in rows}) == len(rows)
    return {row["user_id"]: row for row in rows}
