"""The command line itself: what it refuses, and the help that it gives."""

import json
import re
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets.define.loading import dump_problem
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import COMMANDS_ON_A_HOME, HOME_VARIABLE, Home
from mlguide_assets_tests.samples import sample_problem, sample_tables, write_sample


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments, env={HOME_VARIABLE: None, "COLUMNS": "200"})
    return done.exit_code, done.output


def test_the_version_is_printed() -> None:
    assert run("--version") == (0, f"mlguide {version('mlguide')}\n")


def commands(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its name, such as ("experiment", "plan")."""
    if hasattr(command, "commands"):
        for own, each in command.commands.items():
            yield from commands(each, (*name, own))
    else:
        yield name, command


def examples(command: Any) -> list[list[str]]:
    """The examples of a command's help, as a shell splits them."""
    paragraphs = (command.help or "").split("\n\n")
    return [shlex.split(each)[2:] for each in paragraphs if each.startswith("Example: mlguide ")]


def test_the_examples_of_the_help_are_command_lines() -> None:
    found = {name: (command, examples(command)) for name, command in commands(get_command(app))}
    for name, (command, lines) in found.items():
        for line in lines:
            assert tuple(line[: len(name)]) == name
            command.make_context(name[-1], line[len(name) :])
    decides = ("run", "check", "promote", "rollback", "reproduce")
    own = [name for name in found if name[0] == "experiment" and name[1] not in ("status", "list")]
    assert not [name for name in (*((each,) for each in decides), *own) if not found[name][1]]


def test_the_examples_that_need_no_home_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tables with the columns that they name."""
    monkeypatch.chdir(tmp_path)
    of_unit = pd.DataFrame({"user": range(2000), "arm": ["A", "B"] * 1000})
    of_unit = of_unit.assign(
        paid=of_unit.user % 7 == 0, complained=of_unit.user % 31 == 0, visits_before=of_unit.user % 5
    )
    of_unit.to_csv("ab.csv", index=False)
    log = pd.DataFrame({"offer": ["x", "y"] * 1000, "paid": of_unit.paid, "p": 0.5})
    log.to_csv("log.csv", index=False)
    found = {name: examples(command) for name, command in commands(get_command(app))}
    for line in (*found["experiment", "analyse"], *found["experiment", "off-policy"]):
        code, said = run(*line)
        assert code == 0, said


@pytest.mark.parametrize("command", [("status",), ("report",), ("export",), ("export", "send_plan", "--out", "p.csv")])
def test_a_home_that_is_not_there_is_a_mistake(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = run(*command, "--home", "typo")
    assert code == 2
    assert said.startswith("mlguide: The home ")
    assert "'mlguide run --home typo'" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "nearest"),
    [
        (("exprot",), "export"),
        (("run", "--problem", "planeswalkr"), "planeswalker"),
        (("run", "--sorce", "x"), "--source"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest_one(command: tuple[str, ...], nearest: str) -> None:
    code, said = run(*command)
    assert code == 2
    assert nearest in said


def test_every_command_and_option_is_explained() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {"run", "promote", "serve", "experiment"} <= commands.keys()
    for name in commands:
        code, said = run(name, "--help")
        assert code == 0
        assert "Usage:" in said


@pytest.mark.parametrize(
    ("asked", "belongs"),
    [
        (("--home", "x", "run"), "mlguide run --home"),
        (("--json", "status"), "mlguide run --json"),
        (("experiment", "--home", "x", "plan", "y"), "mlguide experiment plan --home"),
        (("--hoem", "x", "run"), "No such option"),
    ],
)
def test_an_option_before_its_command_is_told_where_it_belongs(asked: tuple[str, ...], belongs: str) -> None:
    code, said = run(*asked)
    assert code == 2
    assert belongs in said.replace("root", "mlguide")


def test_a_paragraph_of_the_help_is_broken_by_the_terminal_alone() -> None:
    for name, command in _commands(get_command(app)):
        for paragraph in (command.help or "").split("\n\n"):
            assert "\n" not in paragraph, name


def test_the_help_lists_every_command_below_what_it_is_for() -> None:
    _, said = run("--help")
    panels = re.findall(r"╭─ (\w+) ─", said)
    assert panels == ["Options", "Begin", "Look", "Decide", "Operate", "Simulate", "Experiment"]


def test_a_new_home_has_no_problems_to_choose_from() -> None:
    replay = get_command(app).commands["replay"]  # type: ignore[attr-defined]
    assert not any("--problem" in option.opts for option in replay.params)


def _commands(command: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, each in getattr(command, "commands", {}).items():
        yield (*before, name), each
        yield from _commands(each, (*before, name))


JSON_COMMANDS = {
    name: [part for each in command.params if each.required for part in (each.opts[0], "x") if part != each.name]
    for name, command in _commands(get_command(app))
    if any("--json" in each.opts for each in command.params)
}
"""Commands that print JSON, and what they cannot be called without."""
BAD = {("run",): ["--problem", "x"], ("replay",): ["--scenario", "x"], ("forget",): ["--user", "7"]}


@pytest.mark.parametrize("name", JSON_COMMANDS, ids=" ".join)
def test_where_json_is_asked_for_an_error_is_json_too(
    name: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = [*name, *JSON_COMMANDS[name], *BAD.get(name, []), "--json"]
    done = CliRunner().invoke(app, asked, env={HOME_VARIABLE: str(tmp_path / "typo"), "COLUMNS": "200"})
    said = json.loads(done.stdout)
    assert (done.exit_code, done.stderr) == (2, f"mlguide: {said['error']}\n")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("run --sends many", "Invalid value for '--sends': 'many'; write a whole number"),
        ("replay --days 0", "Invalid value for '--days': '0'; write a number that is at least 1"),
        ("experiment value --policy x", "Invalid value for '--policy': 'x' is not one of 'generic', 'champion'"),
        ("serv", "No such command 'serv'"),
        ("experiment analyse", "Missing option '--data'"),
        ("experiment list --hoem x", "No such option: --hoem"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_json_too(asked: str, why: str) -> None:
    done = CliRunner().invoke(app, [*asked.split(), "--json"])
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"].startswith(why)
    assert CliRunner().invoke(app, asked.split()).stdout == ""


def test_commands_that_work_on_a_home_are_those_that_next_steps_name_it_for() -> None:
    def names(command: Any, before: str = "") -> Iterator[str]:
        for name, each in getattr(command, "commands", {}).items():
            yield from names(each, f"{before}{name} ")
            if any("--home" in option.opts and not option.hidden for option in each.params):
                yield f"{before}{name}"

    # Its home is a new one, to be kept.
    assert sorted({*names(get_command(app))} - {"replay"}) == sorted(COMMANDS_ON_A_HOME)


def test_what_a_check_found_is_the_one_json_value_also_where_it_refuses(tmp_path: Path) -> None:
    write_sample(tmp_path / "few", tables=sample_tables(sends=20))
    problem = dump_problem(sample_problem(str(tmp_path / "few")))
    (tmp_path / "few.yaml").write_text(problem)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "few.yaml"), "--json"])
    found = json.loads(done.stdout)
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (2, f"mlguide: {found['refused']}")


def test_what_a_machine_refuses_names_commands_that_find_the_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lake = Lake(home.lake("sample"))
    lake.write("contract_results", pa.table({"rule": ["x"]}))
    (file,) = lake.files("contract_results")
    file.write_bytes(b"garbage" * 100)
    home.active_problem.write_text(dump_problem(sample_problem("nowhere")))
    code, said = run("export", "contract_results", "--out", str(tmp_path / "x.csv"), "--home", str(tmp_path))
    assert (code, f"'mlguide run --home {tmp_path}' computes" in " ".join(said.split())) == (2, True)
