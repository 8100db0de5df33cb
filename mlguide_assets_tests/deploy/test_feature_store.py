"""The online store: one whole state at any moment, never an older one after a newer, equal to the lake."""

import sqlite3
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.deploy.feature_store import look_up, publish, published_as_of
from mlguide_assets.prepare.core import join_core_users
from mlguide_assets.prepare.features.tables import email_state, user_state
from mlguide_assets.prepare.lake import Lake
from mlguide_assets_tests.samples import USERS, Tables
from mlguide_assets_tests.train.sends import PROBLEM

NOON = datetime(2024, 4, 1, 12)
EMAILS = pa.table({"email_id": [1], "theme": ["food"]})


def state(stamp: int, users: int = 500) -> pa.Table:
    return pa.table({"user_id": range(users), "stamp": [stamp] * users})


def put(path: Path, as_of: datetime, users: pa.Table, batch_rows: int = 100_000) -> bool:
    tables = {"users": ibis.memtable(users), "emails": ibis.memtable(EMAILS)}
    return publish(path, as_of=as_of, **tables, batch_rows=batch_rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "an online store, 100%?" / "sample#1.sqlite"


def test_nothing_is_published_at_first(path: Path) -> None:
    assert published_as_of(path) is None


def test_a_state_is_looked_up_by_key(path: Path) -> None:
    assert put(path, NOON, state(1))
    assert published_as_of(path) == NOON
    assert look_up(path, "users", 7) == {"user_id": 7, "stamp": 1}
    assert look_up(path, "emails", 1) == {"email_id": 1, "theme": "food"}


def test_unknown_keys_have_no_state(path: Path) -> None:
    put(path, NOON, state(1))
    assert look_up(path, "users", 10_000) is None
    assert look_up(path, "emails", 2) is None


def test_unknown_tables_are_an_error(path: Path) -> None:
    put(path, NOON, state(1))
    with pytest.raises(KeyError):
        look_up(path, "users; DROP TABLE users", 1)


def test_values_keep_their_kind(path: Path) -> None:
    kinds = pa.table(
        {
            "user_id": pa.array([1], pa.int64()),
            "small": pa.array([3], pa.int16()),
            "share": pa.array([0.5], pa.float32()),
            "text": pa.array(["007"]),
            "nothing": pa.array([None], pa.float64()),
            "at": pa.array([NOON], pa.timestamp("us")),
        }
    )
    put(path, NOON, kinds)
    row = look_up(path, "users", 1)
    assert row is not None
    assert datetime.fromisoformat(row.pop("at")) == NOON
    assert row == {"user_id": 1, "small": 3, "share": 0.5, "text": "007", "nothing": None}


def test_an_older_state_does_not_replace_a_newer(path: Path) -> None:
    put(path, NOON, state(2))
    assert not put(path, NOON - timedelta(hours=1), state(1))
    assert look_up(path, "users", 0) == {"user_id": 0, "stamp": 2}


def test_the_same_instant_again_replaces(path: Path) -> None:
    put(path, NOON, state(1))
    assert put(path, NOON, state(2))
    assert look_up(path, "users", 0) == {"user_id": 0, "stamp": 2}


def test_a_slow_older_state_does_not_replace_a_newer_that_overtook_it(path: Path) -> None:
    """The older one looks first, sees nothing, and is still being written while the newer is published."""

    class Slow:
        """Rows whose reading lets the newer state pass."""

        def to_pyarrow_batches(self, chunk_size: int) -> pa.RecordBatchReader:
            newer = threading.Thread(target=put, args=(path, NOON, state(2)))
            newer.start()
            newer.join()
            return state(1).to_reader()

    published = publish(path, as_of=NOON - timedelta(days=1), users=Slow(), emails=ibis.memtable(EMAILS))
    assert not published
    assert look_up(path, "users", 0) == {"user_id": 0, "stamp": 2}


def test_batches_of_any_size_give_the_same_state(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    put(path, NOON, state(1))
    put(other, NOON, state(1), batch_rows=7)
    dumps = []
    for file in (path, other):
        with sqlite3.connect(file) as database:
            dumps.append("\n".join(database.iterdump()))
    assert dumps[0] == dumps[1]


def test_a_failed_publication_leaves_the_state_and_no_litter(path: Path) -> None:
    put(path, NOON, state(1))
    twice = pa.concat_tables([state(2), state(2)])
    with pytest.raises(sqlite3.IntegrityError):
        put(path, NOON + timedelta(hours=1), twice)
    assert look_up(path, "users", 0) == {"user_id": 0, "stamp": 1}
    assert {file.name for file in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}


READER = """
import sqlite3, sys
from datetime import datetime
from pathlib import Path
from mlguide_assets.deploy.feature_store import look_up, published_as_of
path, stop = Path(sys.argv[1]), Path(sys.argv[2])
reads, seen, last = 0, set(), datetime.min
print("ready", flush=True)
while not stop.exists():
    as_of = published_as_of(path)
    assert as_of is not None and as_of >= last, (as_of, last)
    last = as_of
    assert look_up(path, "users", 499) is not None
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as database:
        counted = database.execute("SELECT count(*), min(stamp), max(stamp) FROM users").fetchone()
        published = database.execute("SELECT count(*) FROM published").fetchone()
    database.close()
    assert counted[0] == 500 and counted[1] == counted[2] and published == (1,), (counted, published)
    seen.add(counted[1])
    reads += 1
print(reads, len(seen))
"""


def test_a_reader_in_another_process_always_sees_one_whole_state(path: Path, tmp_path: Path) -> None:
    put(path, NOON, state(0))
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", READER, str(path), str(stop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        for stamp in range(1, 21):
            assert put(path, NOON + timedelta(minutes=stamp), state(stamp), batch_rows=50)
            time.sleep(0.02)
        stop.touch()
        out, err = reader.communicate(timeout=60)
    assert reader.returncode == 0, err
    reads, states = map(int, out.split())
    assert reads >= states > 3


def test_the_online_state_equals_the_lake(path: Path, tmp_path: Path, tables: Tables) -> None:
    lake = Lake(tmp_path / "lake")
    profiles, content, sends = (
        ibis.memtable(tables[name]) for name in ("user_profiles", "email_content", "user_emails")
    )
    core = join_core_users(profiles, sends, content)
    users = user_state(core, profiles, PROBLEM, NOON)
    emails = email_state(core, content, PROBLEM, NOON)
    assert publish(path, as_of=NOON, users=users, emails=emails)
    lake.write("users", users.to_pyarrow())
    rows = lake.read("users").to_pyarrow().to_pylist()
    assert len(rows) == USERS
    for row in rows:
        online = look_up(path, "users", row["user_id"])
        assert online is not None
        times = {name for name, value in row.items() if isinstance(value, datetime)}
        assert {name: datetime.fromisoformat(online[name]) for name in times} == {name: row[name] for name in times}
        assert {name: online[name] for name in row if name not in times} == {
            name: value for name, value in row.items() if name not in times
        }
