"""Where the home is, and how commands name it."""

import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.settings import CHOSEN_VARIABLE, HOME_VARIABLE, LONGEST_HOME, OPTION_VARIABLE, Home


def test_commands_name_a_home_that_is_not_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    text = "'mlguide run' trains, mlguide export send_plan --out plan.csv exports. Install mlguide on it."
    elsewhere = Home.locate(Path("my home"))
    assert elsewhere.commands(text) == (
        "'mlguide run --home 'my home'' trains, mlguide export --home 'my home' send_plan --out plan.csv exports. "
        "Install mlguide on it."
    )
    assert elsewhere.commands(elsewhere.commands(text)) == elsewhere.commands(text)
    for default in (Home.locate(), Home.locate(Path(".mlguide"))):
        assert default.commands(text) == text
    monkeypatch.setenv(HOME_VARIABLE, "my home")
    assert Home.locate(Path("my home")).commands(text) == text


def test_commands_name_a_home_that_the_command_made_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a command sets for itself and its processes is not set in the shell in which the next one is typed."""
    monkeypatch.chdir(tmp_path)
    for variable in (HOME_VARIABLE, OPTION_VARIABLE):
        monkeypatch.setenv(variable, "")
    Home.locate(Path("my home")).make_default()
    for again in (Home.locate(Path("my home")), Home.locate()):
        assert again.root == tmp_path / "my home"
        assert again.commands("mlguide run") == "mlguide run --home 'my home'"
    # Another one by the shell, or by a person.
    assert Home.locate(Path("other")).commands("mlguide run") == "mlguide run --home other"
    monkeypatch.setenv(HOME_VARIABLE, "other")
    assert Home.locate().commands("mlguide run") == "mlguide run"
    Home.locate().make_default()
    assert Home.locate(Path("other")).commands("mlguide run") == "mlguide run"


def test_commands_name_the_problem_that_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOSEN_VARIABLE, "telecom")
    text = "'mlguide export plan', then 'mlguide run --problem other', and 'mlguide init'"
    shown = "'mlguide export --home h --problem telecom plan', then 'mlguide run --home h --problem other', and"
    assert Home(Path("h"), "--home h").commands(text) == f"{shown} 'mlguide init'"


def test_a_home_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    home = Home(tmp_path / "typo")
    with pytest.raises(InputError, match="does not exist"):
        home.require_used()
    assert not home.root.exists()
    home.root.mkdir()
    with pytest.raises(InputError, match="no run in it"):
        home.require_used()
    home.dagster.mkdir()
    home.require_used()


def test_a_home_whose_databases_could_not_be_opened_is_refused_and_not_made(tmp_path: Path) -> None:
    folder = tmp_path / ("y" * 200)
    home = Home(folder / ("x" * (LONGEST_HOME - len(str(folder)) - 1)))
    home.ensure_writable()
    # The longest name of a database below it.
    with closing(sqlite3.connect(home.root / ("d" * 60))) as database:
        database.execute("CREATE TABLE t (x)")
    longer = Home(Path(f"{home.root}x"))
    with pytest.raises(InputError, match="has 441 bytes, and SQLite opens no database below one of more than 440"):
        longer.ensure_writable()
    assert not longer.root.exists()


def test_of_a_home_on_a_full_disk_nothing_is_left(tmp_path: Path) -> None:
    home, limits = Home(tmp_path / "home"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be written .*free space"):
            home.ensure_writable()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [*home.root.iterdir()] == []
