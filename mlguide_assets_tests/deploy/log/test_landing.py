"""The prediction log lands whole, once, by day, and never loses what had landed."""

import errno
import fcntl
import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlguide_assets.deploy.log.landing import KEPT_DAYS, MET, PREDICTION_LOG, land_log
from mlguide_assets.deploy.log.prediction_log import LogWriter, log_bytes, segments
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.forgetting.forget_list import ForgetList, Forgotten, entity_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.train.sends import PROBLEM

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000)
TODAY = NOON.date()


def request(name: str, pairs: int = 2, at: datetime = NOON) -> bytes:
    """A line as the server writes it."""
    rows = [
        {
            "user_id": user,
            "email_id": 7,
            "instant": "2026-03-01T12:00:00",
            "feature_time": "2026-03-01T00:00:00",
            "probability": 0.25,
            "decision": "withhold",
            "variant": "champion",
            "features": {"age": 30, "country": "KO", "theme": "早い"},
        }
        for user in range(pairs)
    ]
    line: dict[str, Any] = {
        "request_id": name,
        "answered_at": at.isoformat(),
        "endpoint": "predict",
        "model_version": "3",
        "threshold": 0.04,
        "published": "20260301T000000-abc",
        "latency_ms": 1.5,
        "rows": rows,
    }
    return json.dumps(line, ensure_ascii=False).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "served"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def write(folder: Path, *lines: bytes, at: datetime = NOON) -> None:
    writer = LogWriter(folder)
    writer.append(lines, at)
    writer.close()


def landed(lake: Lake) -> list[tuple[str, int]]:
    table = lake.read_arrow(PREDICTION_LOG)
    return list(zip(table["request_id"].to_pylist(), table["user_id"].to_pylist(), strict=True))


def test_every_pair_is_a_row_with_what_was_said_of_it(folder: Path, lake: Lake) -> None:
    write(folder, request("a"), request("b", pairs=1))
    landing = land_log(folder, lake, PROBLEM, today=TODAY)
    assert (landing.days, landing.rows, landing.last_answer) == (("2026-03-01",), 3, NOON)
    row = lake.read_arrow(PREDICTION_LOG).to_pylist()[1]
    assert json.loads(row.pop("features")) == {"age": 30, "country": "KO", "theme": "早い"}
    assert row == {
        "request_id": "a",
        "position": 1,
        "answered_at": NOON,
        "endpoint": "predict",
        "variant": "champion",
        "model_version": "3",
        "user_id": 1,
        "email_id": 7,
        "delivered_at": datetime(2026, 3, 1, 12),
        "feature_time": datetime(2026, 3, 1),
        "published": "20260301T000000-abc",
        "probability": 0.25,
        "threshold": 0.04,
        "decision": "withhold",
        "latency_ms": 1.5,
        "scoring_ms": None,
        **dict.fromkeys(MET),
    }


def test_without_a_log_there_is_an_empty_table(folder: Path, lake: Lake) -> None:
    landing = land_log(folder, lake, PROBLEM, today=TODAY)
    assert (landing.days, landing.rows, landing.last_answer) == ((), 0, None)
    assert landed(lake) == []


def test_landing_again_changes_nothing(folder: Path, lake: Lake) -> None:
    write(folder, request("a"))
    land_log(folder, lake, PROBLEM, today=TODAY)
    before = lake.snapshot(PREDICTION_LOG)
    assert land_log(folder, lake, PROBLEM, today=TODAY).days == ()
    assert lake.snapshot(PREDICTION_LOG) == before


def test_what_comes_later_is_added_and_nothing_twice(folder: Path, lake: Lake) -> None:
    write(folder, request("a"))
    land_log(folder, lake, PROBLEM, today=TODAY)
    write(folder, request("b"))
    assert land_log(folder, lake, PROBLEM, today=TODAY).days == ("2026-03-01",)
    assert sorted(landed(lake)) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


def test_only_days_that_grew_are_written(folder: Path, lake: Lake) -> None:
    write(folder, request("a"))
    write(folder, request("b"), at=NOON - timedelta(days=1))
    land_log(folder, lake, PROBLEM, today=TODAY)
    write(folder, request("c"))
    assert land_log(folder, lake, PROBLEM, today=TODAY).days == ("2026-03-01",)
    assert {name for name, _ in landed(lake)} == {"a", "b", "c"}


def test_a_torn_last_line_was_never_acknowledged_and_is_left_out(folder: Path, lake: Lake) -> None:
    write(folder, request("a"), request("b"))
    (path,) = segments(folder, "2026-03-01")
    path.write_bytes(path.read_bytes()[:-5])
    assert land_log(folder, lake, PROBLEM, today=TODAY).rows == 2
    assert {name for name, _ in landed(lake)} == {"a"}


DAMAGE = {
    "zeros": b"\x00" * 20,
    "a list": b"[]",
    "no end": b'{"request_id": "x"',
    "not UTF-8": b"\xff\xfe",
    "no rows": b'{"request_id": "x"}',
    "rows that are none": request("x").replace(b'"rows": [', b'"rows": [5, '),
    "a text for a number": request("x").replace(b'"latency_ms": 1.5', b'"latency_ms": "slow"'),
    "a number too large": request("x").replace(b'"user_id": 0', b'"user_id": 99999999999999999999'),
    "a time that is none": request("x").replace(b'"instant": "2026', b'"instant": "a day of 2026'),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_line_is_set_aside_and_all_others_land(folder: Path, lake: Lake, damage: bytes) -> None:
    write(folder, request("a"))
    path = segments(folder, "2026-03-01")[0]
    path.write_bytes(path.read_bytes() + damage + b"\n" + request("b") + b"\n")
    for _ in range(2):
        landing = land_log(folder, lake, PROBLEM, today=TODAY)
        assert {name for name, _ in landed(lake)} == {"a", "b"}
        (aside,) = landing.damaged
        kept = aside.read_bytes()
        assert kept == damage + b"\n" or json.loads(kept) == json.loads(damage)
    # The server's file goes; what was set aside stays.
    land_log(folder, lake, PROBLEM, today=TODAY + timedelta(days=KEPT_DAYS + 1))
    assert (path.exists(), aside.exists()) == (False, True)


def test_what_had_landed_outlives_damage_to_its_file(folder: Path, lake: Lake) -> None:
    write(folder, request("a"), request("b"))
    land_log(folder, lake, PROBLEM, today=TODAY)
    (path,) = segments(folder, "2026-03-01")
    path.write_bytes(b"\x00" * 10 + path.read_bytes()[10:] + request("c") + b"\n")
    land_log(folder, lake, PROBLEM, today=TODAY)
    assert sorted(landed(lake)) == [(name, user) for name in "abc" for user in range(2)]


def test_a_clock_that_is_ahead_removes_no_file_that_a_server_writes(folder: Path, lake: Lake) -> None:
    server = LogWriter(folder)
    for name, ahead in (("a", 9), ("b", 0), ("c", 400)):
        server.append([request(name)], NOON)
        land_log(folder, lake, PROBLEM, today=TODAY + timedelta(days=ahead))
    server.close()
    land_log(folder, lake, PROBLEM, today=TODAY + timedelta(days=9))
    assert {name for name, _ in landed(lake)} == {"a", "b", "c"}
    assert not segments(folder, "2026-03-01")


def test_a_machine_that_starts_again_and_again_at_one_wrong_date_adds_up(folder: Path, lake: Lake) -> None:
    for name in "abc":
        write(folder, request(name))
        land_log(folder, lake, PROBLEM, today=TODAY + timedelta(days=900))
        assert not segments(folder, "2026-03-01")
    assert sorted(landed(lake)) == [(name, user) for name in "abc" for user in range(2)]


def test_a_log_that_grows_too_large_loses_what_has_landed_before_its_time(folder: Path, lake: Lake) -> None:
    """The oldest files first, until half of the room is free; never one that a server holds."""
    server = LogWriter(folder)
    server.append([request("held")], NOON - timedelta(days=3))
    for name, days in (("a", 2), ("b", 1), ("c", 0)):
        write(folder, request(name), at=NOON - timedelta(days=days))
    size = log_bytes(folder) / 4
    land_log(folder, lake, PROBLEM, today=TODAY, most_bytes=2 * 2.5 * size)
    assert [len(segments(folder, f"2026-02-{day}")) for day in (26, 27, 28)] == [1, 0, 0]
    assert len(segments(folder, "2026-03-01")) == 1
    server.close()
    assert {name for name, _ in landed(lake)} == {"held", "a", "b", "c"}


def test_a_file_system_without_locks_is_one_sentence(folder: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuses)
    write(folder, request("a"))
    with pytest.raises(InputError, match="No locks available"):
        land_log(folder, lake, PROBLEM, today=TODAY)


def test_a_clock_that_goes_back_is_harmless(folder: Path, lake: Lake) -> None:
    server = LogWriter(folder)
    for name, days in (("a", 0), ("b", 1), ("c", -1), ("d", 0)):
        server.append([request(name)], NOON + timedelta(days=days))
    server.close()
    land_log(folder, lake, PROBLEM, today=TODAY)
    assert {name for name, _ in landed(lake)} == {"a", "b", "c", "d"}


def test_champion_and_challenger_of_a_request_are_two_lines(folder: Path, lake: Lake) -> None:
    """The file of one is gone when that of the other lands."""
    old = TODAY + timedelta(days=KEPT_DAYS + 1)
    for version in (b"3", b"4"):
        write(folder, request("a").replace(b'"model_version": "3"', b'"model_version": "%b"' % version))
        land_log(folder, lake, PROBLEM, today=old)
    assert lake.read_arrow(PREDICTION_LOG)["model_version"].to_pylist() == ["3", "3", "4", "4"]


@pytest.mark.parametrize("is_landed", [False, True])
def test_a_line_that_two_files_have_lands_once(folder: Path, lake: Lake, is_landed: bool) -> None:
    """A host that was cloned while it served goes on with a copy of what it had written; one may have lost a row."""
    write(folder, request("a"), request("b"))
    if is_landed:
        land_log(folder, lake, PROBLEM, today=TODAY)
    erased = json.loads(request("a"))
    erased["rows"] = erased["rows"][1:]
    write(folder, json.dumps(erased).encode(), request("c"))
    land_log(folder, lake, PROBLEM, today=TODAY)
    assert sorted(each for each in landed(lake) if each != ("a", 0)) == [
        ("a", 1), ("b", 0), ("b", 1), ("c", 0), ("c", 1)
    ]  # fmt: skip


def test_old_files_go_once_they_have_landed_and_their_rows_stay(folder: Path, lake: Lake) -> None:
    old = NOON - timedelta(days=KEPT_DAYS + 1)
    write(folder, request("old"), at=old)
    write(folder, request("new"))
    land_log(folder, lake, PROBLEM, today=TODAY)
    assert not (folder / old.date().isoformat()).exists()
    assert segments(folder, "2026-03-01")
    for _ in range(2):
        land_log(folder, lake, PROBLEM, today=TODAY + timedelta(days=1))
        assert {name for name, _ in landed(lake)} == {"old", "new"}


def test_a_kill_while_old_files_go_loses_nothing(folder: Path, lake: Lake) -> None:
    """Half of the day's files are gone: the other half must not land in place of the whole."""
    old = NOON - timedelta(days=KEPT_DAYS + 1)
    for name in ("one", "two"):
        write(folder, request(name), at=old)
    land_log(folder, lake, PROBLEM, today=old.date())
    (folder / old.date().isoformat() / "landed.json").unlink()
    segments(folder, old.date().isoformat())[0].unlink()
    land_log(folder, lake, PROBLEM, today=TODAY)
    assert {name for name, _ in landed(lake)} == {"one", "two"}


def test_a_kill_between_landing_and_its_mark_lands_the_day_again(folder: Path, lake: Lake) -> None:
    write(folder, request("a"))
    land_log(folder, lake, PROBLEM, today=TODAY)
    (folder / "2026-03-01" / "landed.json").write_text("{half")
    assert land_log(folder, lake, PROBLEM, today=TODAY).rows == 2


def test_many_rows_land_in_pieces(folder: Path, lake: Lake) -> None:
    write(folder, *(request(f"{number}", pairs=70) for number in range(700)))
    assert land_log(folder, lake, PROBLEM, today=date(2026, 3, 1)).rows == 49_000


def test_the_arm_that_a_user_met_lands_also_on_a_day_that_an_earlier_version_landed(folder: Path, lake: Lake) -> None:
    write(folder, request("a"))
    land_log(folder, lake, PROBLEM, today=TODAY)
    day = TODAY.isoformat()
    older = lake.read_arrow(PREDICTION_LOG, [day]).drop_columns(list(MET))
    lake.write_partition(PREDICTION_LOG, day, older)
    line = json.loads(request("b", pairs=1))
    line["rows"][0] |= {"experiment": "fewer_losses", "experiment_version": 2, "arm": "personal"}
    write(folder, json.dumps(line).encode())
    land_log(folder, lake, PROBLEM, today=TODAY)
    rows = lake.read_arrow(PREDICTION_LOG, [day]).to_pylist()
    assert {(row["request_id"], row["experiment"], row["experiment_version"], row["arm"]) for row in rows} == {
        ("a", None, None, None),
        ("b", "fewer_losses", 2, "personal"),
    }


def test_what_landed_before_ids_were_known_to_be_texts_is_read_with_what_comes_after(folder: Path, lake: Lake) -> None:
    write(folder, request("1"))
    land_log(folder, lake, PROBLEM, today=TODAY)
    ids = {"user_id": ["u-1"], "email_id": [7]}
    lake.write(PROBLEM.features_table, pa.table(ids))
    line = request("2", 1).replace(b'"user_id": 0', b'"user_id": "u-1"')
    write(folder, line, at=NOON + timedelta(days=1))
    land_log(folder, lake, PROBLEM, today=TODAY)
    assert landed(lake) == [("1", "0"), ("1", "1"), ("2", "u-1")]


def test_the_log_lands_before_a_run_computes_damaged_features_again(folder: Path, lake: Lake) -> None:
    write(folder, request("1"))
    for day in ("2026-02-01", "2026-02-02"):
        lake.write_partition(PROBLEM.features_table, day, pa.table({"user_id": [1], "email_id": [7]}))
    oldest = lake.files(PROBLEM.features_table)[0]
    oldest.write_bytes(oldest.read_bytes()[:-8] + bytes(8))
    land_log(folder, lake, PROBLEM, today=TODAY)
    assert landed(lake) == [("1", 0), ("1", 1)]


def test_rows_of_who_was_forgotten_do_not_land(folder: Path, lake: Lake, tmp_path: Path) -> None:
    user = entity_of(PROBLEM, "user")
    known = ForgetList.load(tmp_path / "forgotten.json")
    known = known.with_entry(Forgotten(known.hash_of(1, user), NOON.isoformat()))
    write(folder, request("a", pairs=3))
    land_log(folder, lake, PROBLEM, today=TODAY, forgotten=known)
    assert landed(lake) == [("a", 0), ("a", 2)]
