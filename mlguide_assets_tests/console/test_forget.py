"""`mlguide forget`: asks first, refuses what it cannot do, and says what was done."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets.define.loading import current_problem
from mlguide_assets.prepare.forgetting import ForgetList, entity_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path)
    Lake(place.lake(current_problem(place).key)).write("user_profiles", pa.table({"id": [1, 2]}))
    return place


def forget(home: Home, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["forget", "--home", str(home.root), *arguments])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--user", "7"], "add --yes"),
        (["--user", "7", "--json"], "add --yes"),
        (["--user", "Ann", "--yes"], "a whole number; given: 'Ann'"),
        (["--user", "1_0", "--yes"], "a whole number; given: '1_0'"),
        (["--user", "", "--yes"], "--user is the id of one user; given: ''"),
        (["--user=", "--yes"], "given: ''"),
        (["--user", " ", "--yes"], "given: ' '"),
        (["--card", "7", "--yes"], "has no 'card' (it has user, email)"),
        (["--yes"], "--user ID, --email ID"),
        (["--user", "7", "8", "--yes"], "one id"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(home: Home, arguments: list[str], said: str) -> None:
    code, text = forget(home, *arguments)
    assert code == 2
    assert said in text
    assert not home.forgotten(current_problem(home).key).exists()


def test_a_home_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert forget(Home(tmp_path / "nowhere"), "--user", "7", "--yes")[0] == 2


def test_the_summary_is_json_and_the_user_is_on_the_list(home: Home) -> None:
    done = CliRunner().invoke(app, ["forget", "--home", str(home.root), "--user", "7", "--yes", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["found"] is False
    assert (
        ForgetList.load(home.forgotten(current_problem(home).key)).entry(7, entity_of(current_problem(home), "user"))
        is not None
    )
    code, text = forget(home, "--user", "7", "--yes")
    assert code == 0
    assert "Nothing is kept of user 7" in text


def test_what_there_is_one_of_is_said_in_the_singular(home: Home) -> None:
    (home.root / "a.log").write_text("read user_id 1\n")
    served = home.served(current_problem(home).key) / "2026-01-01"
    served.mkdir(parents=True)
    (served / "a.jsonl").write_text('{"rows": [{"user_id": 1}]}\n')
    (served / "landed.json").write_text('{"a.jsonl": 27}')
    said = [line.strip() for line in forget(home, "--user", "1", "--yes")[1].splitlines()]
    assert said[-5:-1] == [
        "1 row of user_profiles, and of its earlier snapshots",
        "0 rows of the online store",
        "1 request in the servers' own files, landed or not",
        "1 other file: logs, reports, histories",
    ]
