"""`mlguide forget`: asks first, refuses what it cannot do, and says what was done."""

import json
import os
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets.console.forget_answer import lines, question
from mlguide_assets.console.forget_reach import find_reach
from mlguide_assets.define.loading import current_problem, dump_problem
from mlguide_assets.deploy.forgetting import Forgetting
from mlguide_assets.prepare.forgetting.forget_list import ForgetList, entity_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import DATABASE_VARIABLE, LAKE_VARIABLE, Home
from mlguide_assets_tests.other_tables import ORDERS, PAYERS, PAYMENTS, problem_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path)
    Lake(place.lake(current_problem(place).key)).write("user_profiles", pa.table({"id": [1, 2]}))
    return place


def forget(home: Home, *arguments: str) -> tuple[int, str]:
    # A command leaves in the environment which problem was chosen, as its process would.
    with patch.dict(os.environ):
        done = CliRunner().invoke(app, ["forget", "--home", str(home.root), *arguments])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--user", "7"], "add --yes"),
        (["--user", "7", "--json"], "add --yes"),
        (["--user", "Ann", "--yes"], "a whole number; given: 'Ann'"),
        (["--user", "1_0", "--yes"], "a whole number; given: '1_0'"),
        (["--user", "9223372036854775808", "--yes"], "a whole number; given: '9223372036854775808'"),
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


def test_where_hosts_share_a_home_it_says_what_becomes_of_the_others(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = current_problem(home)
    reach = find_reach(home, problem, "user", "1")
    done = Forgetting((), 0, resumed=False)
    assert "other hosts" not in " ".join(lines(reach, done, home))
    monkeypatch.setenv(LAKE_VARIABLE, "s3://lakes/shared")
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://nobody@127.0.0.1:9/none")
    assert "Servers of other hosts remove it from their own logs within seconds" in " ".join(lines(reach, done, home))


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


@pytest.fixture
def several(tmp_path: Path) -> Home:
    """Payments and their disputes in one folder, a club that calls its members' cards the same, and orders."""
    home, disputes = Home(tmp_path / "home"), {**PAYMENTS, "name": "disputes"}
    problems = [problem_of(values, tmp_path / "bank") for values in (PAYMENTS, disputes)]
    problems += [problem_of({**PAYMENTS, "name": "club"}, tmp_path / "club"), problem_of(ORDERS, tmp_path / "shop")]
    home.problems.mkdir(parents=True)
    for each in problems:
        (home.problems / f"{each.key}.yaml").write_text(dump_problem(each))
        table = "orders" if each.name == "orders" else "cards"
        Lake(home.lake(each.key)).write(table, pa.table({"card": ["c-1", "c-2"]}))
    home.active_problem.write_text(dump_problem(problems[0]))
    return home


def cards_of(home: Home, problem: str) -> list[str]:
    return Lake(home.lake(problem)).read_arrow("cards")["card"].to_pylist()


def test_it_leaves_every_problem_that_reads_it_from_the_same_table(several: Home) -> None:
    code, text = forget(several, "--card", "c-1", "--yes")
    assert code == 0
    assert {name: cards_of(several, name) for name in ("cards", "disputes", "club")} == {
        "cards": ["c-2"],
        "disputes": ["c-2"],
        "club": ["c-1", "c-2"],
    }
    assert sorted(path.name for path in (several.root / "forgotten").iterdir()) == ["cards.json", "disputes.json"]
    said = " ".join(text.split())
    assert "Forgot card c-1" in said
    for name in ("cards", "disputes"):
        assert f"In {name}: 1 row of cards, and of its earlier snapshots" in said
    assert "Untouched: club. It has a card, too, but of other tables" in said
    assert f"'mlguide forget --home {several.root} --problem club --card c-1' removes it there" in said
    assert "Untouched, since it is in none of their tables: orders." in said


def test_an_id_that_is_written_otherwise_is_named_with_the_command_that_removes_it(several: Home) -> None:
    code, text = forget(several, "--card", "C-1", "--yes")
    assert code == 0
    said = " ".join(text.split())
    assert "Nothing is kept of card C-1." in said
    assert "Untouched: card c-1, whose id is written otherwise. If it is the same, " in said
    assert f"'mlguide forget --home {several.root} --problem cards --card c-1' removes it." in said


def test_the_summary_has_every_problem(several: Home) -> None:
    done = CliRunner().invoke(app, ["forget", "--home", str(several.root), "--card", "c-1", "--yes", "--json"])
    gone = json.loads(done.stdout)
    assert [(each["problem"], each["entity"], each["tables"]) for each in gone["problems"]] == [
        ("cards", "card", {"cards": 1}),
        ("disputes", "card", {"cards": 1}),
    ]
    assert gone["namesakes"] == [{"problem": "club", "entity": "card"}]
    assert gone["untouched"] == ["club", "orders"]


def test_the_question_names_the_problems(several: Home, home: Home) -> None:
    reach = find_reach(several, current_problem(several), "card", "c-1")
    assert question(reach, several).startswith(
        f"Remove card c-1 from every table, snapshot, log and store of cards and disputes in {several.root}, perm"
    )
    only = find_reach(home, current_problem(home), "user", "1")
    assert question(only, home).startswith(f"Remove user 1 from every table, snapshot, log and store of {home.root}, ")


def test_where_all_ids_are_numbers_a_text_is_none_of_them(several: Home) -> None:
    Lake(several.lake("disputes")).write("cards", pa.table({"card": [1, 2]}))
    assert find_reach(several, current_problem(several), "card", "c-1").problems == ("cards",)
    targets = find_reach(several, current_problem(several), "card", "1").targets
    assert [each.erasure.key for each in targets] == ["1", 1]


def test_the_id_in_another_role_is_named_with_the_command_that_removes_it_there(tmp_path: Path) -> None:
    home, problem = Home(tmp_path / "home"), problem_of(PAYERS, tmp_path / "bank")
    home.problems.mkdir(parents=True)
    for file in (home.problems / f"{problem.key}.yaml", home.active_problem):
        file.write_text(dump_problem(problem))
    lake = Lake(home.lake(problem.key))
    lake.write("cards", pa.table({"card": [1, 2, 3]}))
    lake.write("payments", pa.table({"from": [1, 2], "to": [2, 3], "shop": [9, 9]}))
    code, text = forget(home, "--card", "1", "--yes")
    assert code == 0
    assert "Untouched: payer 1. All ids of payer are ids of card." in text
    assert f"mlguide forget --home {home.root} --problem cards --payer 1" in text
    code, text = forget(home, "--problem", "cards", "--payer", "1", "--yes")
    assert code == 0, text
    assert lake.read_arrow("payments")["from"].to_pylist() == [2]
