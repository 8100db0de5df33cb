"""Forgetting a user: nowhere in the home, also when killed at any step, and not again by the next ingest."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.forgetting import Forgetting, Removal, Target, erase_from_file, erase_from_log, forget
from mlguide_assets.deploy.log.prediction_log import LogWriter
from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.deploy.registry.reproduction import _refuse_forgotten
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.forgetting.erasing import Erasure
from mlguide_assets.prepare.forgetting.forget_list import Entity, ForgetList, entity_of
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets_tests.deploy.logged import read_day
from mlguide_assets_tests.deploy.online_store.states import state_of_users

PROBLEM = load_problem("planeswalker")
USER = entity_of(PROBLEM, "user")
PLANTED, OTHER = 424242, 4242421
"""The other's id begins with that of the one who is forgotten."""

ERASURE = Erasure(USER, PLANTED)
NOW = datetime(2026, 3, 10, tzinfo=UTC)


def request(*users: int) -> bytes:
    rows = [{"user_id": user, "email_id": 3, "probability": 0.1234567890123, "features": {"age": 44}} for user in users]
    return json.dumps({"request_id": "r", "answered_at": NOW.isoformat(), "rows": rows}, separators=(",", ":")).encode()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home in which the planted user stands wherever one can."""
    place = Home(tmp_path)
    lake = Lake(place.lake(PROBLEM.key))
    both = [PLANTED, OTHER]
    lake.write("user_profiles", pa.table({"id": both, "age": [44, 45]}))
    # An email with the number of the user is somebody else's.
    lake.write("email_content", pa.table({"id": both, "subject": ["a", "b"]}))
    features = {"user_id": both, "delivered_at": pa.array([NOW.replace(tzinfo=None)] * 2), "unsubscribed": [1, 0]}
    first = lake.write("send_features", pa.table(features))
    lake.pin("send_features", first.id, "version-1")
    lake.write("send_features", pa.table({**features, "unsubscribed": [0, 0]}))
    for day in ("2026-03-09", "2026-03-10"):
        lake.write_partition("user_feature_store", day, pa.table({"user_id": both}))
    text = [f"id={PLANTED}; age=44;", f"id={OTHER}; age=45;", f"user_id={PLANTED}; email_id=3;", f"id={PLANTED};"]
    tables = ["user_profiles", "user_profiles", "user_emails", "email_content"]
    lake.write("quarantined_rows", pa.table({"table": tables, "reasons": ["r"] * 4, "row": text}))
    lake.write("contract_results", pa.table({"rule": ["a", "b"], "example": [f"user_id {PLANTED}, email_id 3", None]}))
    lake.write("reasons", pa.table({"reasons": [[f"user_id {PLANTED} is late", "none"]]}))
    bundle = place.bundles(PROBLEM.key) / "1"
    bundle.mkdir(parents=True)
    facts = {"lineage": {"snapshots": {"send_features": first.id}}, "refit_until": "2026-03-11"}
    (bundle / "metadata.json").write_text(json.dumps(facts))
    SqliteStore(place.online_store(PROBLEM.key)).publish(state_of_users(pa.table({"user_id": both})))
    writer = LogWriter(place.served(PROBLEM.key))
    writer.append([request(PLANTED, OTHER), request(OTHER), request(PLANTED)], NOW.replace(tzinfo=None))
    place.alerts(PROBLEM.key).mkdir(parents=True)
    for name, content in {
        "alerts/log.jsonl": f'{{"happened": "for example user_id {PLANTED}", "facts": {{"user_id": {PLANTED}}}}}\n',
        "dagster/daemon.log": f"read user_id={PLANTED}, then user_ids: [{OTHER}, {PLANTED}, 7, {PLANTED}]\n",
        "reports/day.html": f"<td>user_id {PLANTED}</td>",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    with sqlite3.connect(tmp_path / "dagster" / "events.db") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, event TEXT)")
        event = json.dumps({"text": json.dumps({"user_id": PLANTED}), "users": OTHER})
        database.execute("INSERT INTO event_logs (event) VALUES (?)", [event])
    database.close()
    oracle = place.oracle(PROBLEM.key)
    oracle.mkdir(parents=True)
    pq.write_table(pa.table({"user_id": both, "probability": [0.1, 0.2]}), oracle / "oracle.parquet")
    return place


def forgotten(home: Home, *problems: Problem, apart: tuple[str, ...] = ()) -> Forgetting:
    targets = [Target(each, Erasure(entity_of(each, "user"), PLANTED)) for each in problems or (PROBLEM,)]
    return forget(home, targets, lambda _: None, apart=apart)


def removed(home: Home) -> Removal:
    (removal,) = forgotten(home).problems
    return removal


def mentions(root: Path) -> dict[str, list[str]]:
    """Where the planted id stands: file → what says so. Parquet is compressed, so its values are read."""
    found: dict[str, list[str]] = {}
    for path in root.rglob("*"):
        if path.is_dir():
            continue
        if path.suffix == ".parquet":
            rows = [str(value) for row in pq.read_table(path).to_pylist() for value in row.values()]
            said = [value for value in rows if str(PLANTED) in value.replace(str(OTHER), "")]
        else:
            content = path.read_bytes().replace(str(OTHER).encode(), b"")
            as_stored = PLANTED.to_bytes(3, "big")
            said = [path.name] if str(PLANTED).encode() in content or as_stored in content else []
        if said:
            found[str(path.relative_to(root))] = said
    return found


@pytest.mark.ml_test_score("data-5")
def test_nothing_of_the_user_is_left_and_all_of_the_others_is(home: Home) -> None:
    assert len(mentions(home.root)) >= 15
    done = forgotten(home)
    # An email has the same number, and so has the quarantined row of one: neither is of the user.
    left = mentions(home.root)
    assert {Path(name).parts[2] for name in left} == {"email_content", "quarantined_rows"}
    assert left.popitem()[1] in ([str(PLANTED)], [f"id={PLANTED};"])
    lake = Lake(home.lake(PROBLEM.key))
    (removal,) = done.problems
    assert {name: rows for name, rows in removal.tables.items() if rows} == {
        "quarantined_rows": 2, "send_features": 1, "user_feature_store": 2, "user_profiles": 1
    }  # fmt: skip
    assert lake.read_arrow("user_profiles").to_pylist() == [{"id": OTHER, "age": 45}]
    assert [len(lake.read_arrow("send_features", snapshot_id=each.id)) for each in lake.history("send_features")] == [
        1,
        1,
    ]
    current = SqliteStore(home.online_store(PROBLEM.key)).current()
    assert current is not None
    assert list(current.look_up("users", [PLANTED, OTHER])) == [OTHER]
    assert (removal.online_rows, removal.log_lines, done.other_files) == (1, 2, 5)


def test_what_was_json_still_is(home: Home) -> None:
    forgotten(home)
    logged = [[row["user_id"] for row in each["rows"]] for each in read_day(home.served(PROBLEM.key), "2026-03-10")]
    assert logged == [[OTHER], [OTHER], []]
    alert = json.loads((home.root / "alerts" / "log.jsonl").read_text())
    assert alert["facts"] == {"user_id": None}
    database = sqlite3.connect(home.root / "dagster" / "events.db")
    event = json.loads(database.execute("SELECT event FROM event_logs").fetchone()[0])
    database.close()
    assert json.loads(event["text"]) == {"user_id": None}
    assert event["users"] == OTHER


def test_the_notes_of_snapshots_lose_the_user_and_what_declares_stays(home: Home) -> None:
    lake = Lake(home.lake(PROBLEM.key))
    rows = pa.table({"user_id": [OTHER]})
    notes = {"examples": {"unique": {"user_id": PLANTED, "n": 424242, "text": f"user_id {PLANTED}"}}, "share": 0.1}
    written = lake.write_partitions("user_emails", Partitions(rebuilt={"all": rows}, inputs={}, notes=notes))
    declared = f"where: {{user_id: {PLANTED}}}\n"
    files = [home.active_problem, home.problems / "a.yaml", home.registry / "artifacts" / "1" / "problem.yaml"]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(declared)
    forgotten(home)
    example = {"user_id": None, "n": 424242, "text": "user_id null  "}
    assert lake.snapshot("user_emails").notes == {"examples": {"unique": example}, "share": 0.1}
    assert lake.snapshot("user_emails").partitions == written.partitions
    assert [path.read_text() for path in files] == [declared] * 3


def test_models_that_learned_are_listed_and_cannot_be_reproduced(home: Home) -> None:
    snapshot = Lake(home.lake(PROBLEM.key)).pinned("send_features")["version-1"]
    assert removed(home).learned == {"1": snapshot}
    assert removed(home).learned == {"1": snapshot}
    with pytest.raises(InputError, match=rf"forgotten on .* snapshot {snapshot} no longer has all rows"):
        _refuse_forgotten(home, PROBLEM, "1")
    _refuse_forgotten(home, PROBLEM, "2")


def test_a_version_whose_snapshot_is_gone_is_listed_by_its_dates(home: Home) -> None:
    facts = {"lineage": {"snapshots": {"send_features": "000000-gone"}}}
    for version, until in (("2", "2026-03-01"), ("3", "2026-03-12")):
        folder = home.bundles(PROBLEM.key) / version
        folder.mkdir()
        (folder / "metadata.json").write_text(json.dumps({**facts, "refit_until": until}))
    assert set(removed(home).learned) == {"1", "3"}


class KilledError(BaseException):
    """As a kill: nothing that follows is done."""


def test_killed_at_any_step_it_is_completed_by_running_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before each renaming and each removal of a file, which is where files change."""
    steps, kill_at = 0, 0

    def killing(step: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any, **named: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == kill_at:
                raise KilledError
            return step(*arguments, **named)

        return stepping

    with monkeypatch.context() as patched:
        for name in ("replace", "unlink"):
            patched.setattr(Path, name, killing(getattr(Path, name)))
        completed = False
        while not completed:
            # One step further each time, from where the last one was killed.
            steps, kill_at = 0, kill_at + 1
            try:
                completed = forgotten(home) is not None
            except KilledError:
                assert ForgetList.load(home.forgotten(PROBLEM.key)).entry(PLANTED, USER) is None or kill_at > 1
    assert kill_at > 5
    assert {Path(name).parts[2] for name in mentions(home.root)} == {"email_content", "quarantined_rows"}
    entry = ForgetList.load(home.forgotten(PROBLEM.key)).entry(PLANTED, USER)
    assert entry is not None
    assert (entry.complete, set(entry.learned)) == (True, {"1"})


def test_a_server_goes_on_writing_to_the_log_that_was_changed(tmp_path: Path) -> None:
    now = NOW.replace(tzinfo=None)
    writer = LogWriter(tmp_path)
    writer.append([request(PLANTED)], now)
    (path,) = tmp_path.glob("*/*.jsonl")
    with path.open("ab") as torn:
        torn.write(request(PLANTED)[:100])
    assert erase_from_log(tmp_path, ERASURE) == 2
    writer.append([b"", request(OTHER)], now)
    assert str(PLANTED).encode() not in path.read_bytes().replace(str(OTHER).encode(), b"")
    assert [len(each["rows"]) for each in read_day(tmp_path, "2026-03-10")] == [0, 1]


def test_a_user_who_is_not_known_is_put_on_the_list(home: Home) -> None:
    done = forget(home, [Target(PROBLEM, Erasure(USER, 99))], lambda _: None)
    assert not done.found
    listed = home.forgotten(PROBLEM.key)
    assert "99" not in {each.hash for each in ForgetList.load(listed).entries}
    assert ForgetList.load(listed).entry(99, USER) is not None
    assert listed.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("key", ["Müller", 'O"Neil', "b\\c", "50% off", "日本 太郎"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_id_that_json_escapes_goes_from_logs_files_and_databases(key: str, ascii_only: bool, tmp_path: Path) -> None:
    guest = Erasure(Entity("guest", "guest_id", "guests", "guest", {"bookings": "guest"}), key)
    rows = [{"guest_id": key, "features": {"n": 1}}, {"guest_id": f"{key} 2"}]
    line = json.dumps({"rows": rows}, ensure_ascii=ascii_only).encode()
    served = tmp_path / "served" / "2026-03-10"
    served.mkdir(parents=True)
    torn = line[: line.index(b"features")]
    (served / "a.jsonl").write_bytes(line + b"\n" + torn)
    assert erase_from_log(served.parent, guest) == 2
    whole, rest = (served / "a.jsonl").read_bytes().split(b"\n")
    assert json.loads(whole) == {"rows": rows[1:]}
    assert (rest, len(rest)) == (b" " * len(torn), len(torn))
    (tmp_path / "facts.json").write_bytes(line)
    with sqlite3.connect(tmp_path / "events.db") as database:
        database.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, run TEXT, event TEXT)")
        database.execute("INSERT INTO event_logs (run, event) VALUES ('r', ?), ('s', NULL)", [line.decode()])
    database.close()
    assert erase_from_file(tmp_path / "facts.json", guest)
    assert erase_from_file(tmp_path / "events.db", guest)
    left = {"rows": [{"guest_id": None, "features": {"n": 1}}, rows[1]]}
    assert json.loads((tmp_path / "facts.json").read_bytes()) == left
    database = sqlite3.connect(tmp_path / "events.db")
    (run, event), other = database.execute("SELECT run, event FROM event_logs").fetchall()
    database.close()
    assert (run, json.loads(event), other) == ("r", left, ("s", None))


class Homes:
    """Two problems of one home that have the user, and one that has another user of the same number."""

    same, other = (PROBLEM.model_copy(update={"name": name}) for name in ("winback", "forum"))

    def __init__(self, home: Home) -> None:
        self.home = home
        for problem in (self.same, self.other):
            Lake(home.lake(problem.key)).write("user_profiles", pa.table({"id": [PLANTED, OTHER]}))
            SqliteStore(home.online_store(problem.key)).publish(state_of_users(pa.table({"user_id": [PLANTED]})))
            home.alerts(problem.key).mkdir(parents=True)
            (home.alerts(problem.key) / "alerts.jsonl").write_text(f'{{"user_id": {PLANTED}}}\n')

    def listed(self) -> list[bool]:
        """Whether the user is on the lists of those that have it, and each is complete."""
        entries = [ForgetList.load(self.home.forgotten(each.key)).entry(PLANTED, USER) for each in (PROBLEM, self.same)]
        return [entry.complete for entry in entries if entry is not None]

    def kept(self) -> int:
        """Problems whose tables have the user."""
        return sum(
            PLANTED in Lake(self.home.lake(each.key)).read_arrow("user_profiles")["id"].to_pylist()
            for each in (PROBLEM, self.same)
        )


def test_it_leaves_every_problem_that_has_it_and_no_other(home: Home) -> None:
    homes = Homes(home)
    done = forgotten(home, PROBLEM, homes.same, apart=(homes.other.key,))
    assert [(each.problem, each.tables.get("user_profiles"), each.online_rows) for each in done.problems] == [
        (PROBLEM.key, 1, 1),
        (homes.same.key, 1, 1),
    ]
    assert [set(each.learned) for each in done.problems] == [{"1"}, set()]
    assert (homes.listed(), homes.kept()) == ([True, True], 0)
    left = {Path(name).parts[:2] for name in mentions(home.root)} - {("lake", PROBLEM.key)}
    other = homes.other.key
    assert left == {("lake", other), ("alerts", other)}
    current = SqliteStore(home.online_store(other)).current()
    assert current is not None
    assert current.look_up("users", [PLANTED])
    assert not home.forgotten(other).exists()


def test_killed_between_problems_it_is_on_all_lists_and_completed_by_running_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes, killed, forget_in = Homes(home), 0, SqliteStore.forget
    for fails_at in range(1, 5):
        calls = 0

        def failing(store: Any, *arguments: Any, fails_at: int = fails_at) -> int:
            nonlocal calls
            calls += 1
            if calls == fails_at:
                raise KilledError
            return forget_in(store, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(SqliteStore, "forget", failing)
            try:
                done = forgotten(home, PROBLEM, homes.same, apart=(homes.other.key,))
                break
            except KilledError:
                killed += 1
                assert homes.listed() == [False, False]
                assert homes.kept() == 3 - killed
    assert killed == 2
    assert done.resumed
    assert (homes.listed(), homes.kept()) == ([True, True], 0)
    assert set(done.problems[0].learned) == {"1"}
