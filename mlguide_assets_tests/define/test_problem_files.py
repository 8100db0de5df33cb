"""Reading problem files that are right, writing them, and replacing what they say by flags."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.definitions.utils import is_valid_owner

from mlguide_assets.define.loading import (
    PROBLEM_VARIABLE,
    current_problem,
    dump_problem,
    load_problem,
    parse_problem,
    shipped_problems,
    with_overrides,
)
from mlguide_assets.define.prediction import ColumnLabel
from mlguide_assets.define.schema import EventTable
from mlguide_assets.define.sources import DatabaseSource, FilesSource, Live, SimulatorSource
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home
from mlguide_assets_tests.define.mistakes import SOURCE, VALID, complaint, one_sentence
from mlguide_assets_tests.samples import PROBLEM, sample_problem


def test_an_unknown_problem_names_the_shipped_ones() -> None:
    with pytest.raises(InputError, match=r"'shoop'.*neither a file.*\(fraud, guide, journey_churn, planeswalker\)"):
        load_problem("shoop")


@pytest.mark.parametrize("name", shipped_problems())
def test_a_shipped_problem_is_served_by_the_clock_of_its_data(name: str) -> None:
    assert load_problem(name).clock == "data", "no table goes on by itself: by the wall's clock the API refuses all"


@pytest.mark.parametrize("name", shipped_problems())
def test_a_shipped_problem_is_valid_and_has_its_own_name(name: str) -> None:
    assert load_problem(name).name == name


@pytest.mark.parametrize("name", shipped_problems())
def test_a_dumped_problem_loads_to_an_equal_one(name: str) -> None:
    problem = load_problem(name)
    assert parse_problem(dump_problem(problem).encode(), Path("dumped.yaml")) == problem


@pytest.mark.parametrize("cron", ["* * * * *", "*/5 0-6 1,15 * 1-5", "0 3 * * 0", "59 23 31 12 7", "0-30/10 */2 * * *"])
def test_schedules_may_be_any_cron(cron: str) -> None:
    assert sample_problem("data", retraining={"daily": f" {cron} "}).retraining.daily == cron


@pytest.mark.parametrize(
    "wrong", ["", "0 3 * *", "0 3 * * * *", "60 0 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 8", "5/2 * * * *",
              "*/0 * * * *", "9-5 * * * *", "@daily", "a b c d e", "-1 * * * *"]
)  # fmt: skip
def test_what_is_no_cron_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match="write five fields"):
        sample_problem("data", retraining={"daily": wrong})


ALIASES = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
MERGED = "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12))
GROWING = {
    "aliases": f"a0: &a0 [x]\n{ALIASES}",
    "merged": f"a0: &a0 {{k: x}}\n{MERGED}",
    "of itself": "name: &a [*a]",
    "deep": f"name: {'[' * 20_000}{']' * 20_000}",
}


@pytest.mark.parametrize("growing", GROWING)
def test_a_file_that_grows_while_it_is_read_is_refused_at_once(growing: str) -> None:
    with pytest.raises(InputError, match=r"x\.yaml: this is nested too deeply, or its aliases stand for more"):
        parse_problem(GROWING[growing].encode(), Path("x.yaml"))


OWNERS = (
    "team:data",
    "team:mail.er-2",
    "a@b.de",
    "a.b+c@d-e.example",
    "a@localhost",
    "a b@c.de",
    "<i>@b.de",
    "a@b.museums1",
)


@pytest.mark.parametrize("owner", OWNERS)
def test_an_owner_is_one_that_dagster_takes(owner: str) -> None:
    """Or the definitions of the assets do not load."""
    if is_valid_owner(owner):
        assert load_problem_with_owner(owner) == owner
    else:
        with pytest.raises(InputError, match=r"owner: .*write team:NAME, or an email address"):
            load_problem_with_owner(owner)


def load_problem_with_owner(owner: str) -> str:
    return parse_problem(yaml.safe_dump({**yaml.safe_load(VALID), "owner": owner}).encode(), Path("x.yaml")).owner


@pytest.mark.parametrize("window", ["7d", "36h", "90m", "2w", "90s"])
def test_a_window_survives_dumping(window: str) -> None:
    problem = sample_problem("data", label={"positive": "1", "negative": "off", "window": window})
    assert parse_problem(dump_problem(problem).encode(), Path("dumped.yaml")).label == problem.label


def test_outcomes_of_several_values_survive_dumping() -> None:
    problem = sample_problem("data", label={"positive": "yes", "negative": ["no", "partly"], "window": "7d"})
    again = parse_problem(dump_problem(problem).encode(), Path("dumped.yaml"))
    assert again == problem
    assert isinstance(again.label, ColumnLabel)
    assert (again.label.negative, again.label.negatives) == ("no", ("no", "partly"))


def test_a_date_of_the_simulator_survives_dumping() -> None:
    shifted = {"kind": "simulator", "covariate_shift": "2024-03-01"}
    problem = parse_problem(yaml.safe_dump({**PROBLEM, "source": shifted}).encode(), Path("shop.yaml"))
    assert parse_problem(dump_problem(problem).encode(), Path("dumped.yaml")) == problem


def test_a_live_world_survives_dumping_and_resizing() -> None:
    live = {"kind": "simulator", "live": {"start": "2024-03-01", "day_every": "10s", "end": "2025-06-01"}}
    problem = parse_problem(yaml.safe_dump({**PROBLEM, "source": live}).encode(), Path("shop.yaml"))
    assert parse_problem(dump_problem(problem).encode(), Path("dumped.yaml")) == problem
    sized = with_overrides(problem, sends=1000).source
    assert isinstance(sized, SimulatorSource)
    assert sized.live == Live(start=date(2024, 3, 1), day_every=timedelta(seconds=10), end=date(2025, 6, 1))


def test_no_day_passes_by_itself_unless_a_file_says_so() -> None:
    assert SimulatorSource().live is None
    shipped = load_problem("planeswalker")
    assert isinstance(shipped.source, SimulatorSource)
    assert shipped.source.live is not None
    history_ends = shipped.history_start + timedelta(days=shipped.source.days)
    assert shipped.source.live.start == history_ends, "the first reading shows the whole history"


def test_a_relative_folder_is_relative_to_the_problem_file(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(VALID)
    assert load_problem(str(tmp_path / "shop.yaml")).source == FilesSource(uri=str(tmp_path / "data"))


RELATIVE = {
    "duckdb://shop.duckdb": "duckdb://{}/shop.duckdb",
    "duckdb://down/../shop.duckdb?threads=1": "duckdb://{}/shop.duckdb?threads=1",
    "sqlite://down/shop #1?.db": "sqlite://{}/down/shop #1?.db",
    "sqlite:///data/shop.db": "sqlite:///data/shop.db",
    "duckdb://${SHOP}/shop.duckdb": "duckdb://${SHOP}/shop.duckdb",
    "postgresql://host/db": "postgresql://host/db",
    "${SHOP}": "${SHOP}",
}
"""The address of a database → the same from any working directory, where {} is the folder that it is relative to."""


@pytest.mark.parametrize("uri", RELATIVE)
def test_a_database_in_a_file_is_relative_to_the_problem_file(uri: str, tmp_path: Path) -> None:
    text = yaml.safe_dump({**yaml.safe_load(VALID), "source": {"kind": "database", "uri": uri}})
    problem = parse_problem(text.encode(), tmp_path / "shop.yaml")
    assert problem.source == DatabaseSource(uri=RELATIVE[uri].replace("{}", str(tmp_path)))
    assert parse_problem(dump_problem(problem).encode(), tmp_path / "home" / "problem.yaml") == problem


def test_a_rule_of_the_file_replaces_the_one_that_holds_everywhere() -> None:
    rule = {"table": "user_emails", "rule": "unique", "columns": ["user_id", "email_id", "delivered_at"]}
    before = sample_problem("data").rules
    after = sample_problem("data", contracts=[{**rule, "action": "warn"}]).rules
    assert [rule.name for rule in after] == [rule.name for rule in before]
    changed = {(old.name, new.action) for old, new in zip(before, after, strict=True) if old != new}
    assert changed == {("user_emails.user_id_email_id_delivered_at_is_unique", "warn")}


SOURCES: dict[str, Any] = {
    "https://host/files": FilesSource(uri="https://host/files"),
    "postgresql://u@host/db": DatabaseSource(uri="postgresql://u@host/db"),
    "duckdb:///data/shop.duckdb": DatabaseSource(uri="duckdb:///data/shop.duckdb"),
    "/data/shop": FilesSource(uri="/data/shop"),
}


@pytest.mark.parametrize("given", SOURCES)
def test_a_source_given_by_flag_replaces_the_files(given: str) -> None:
    problem = with_overrides(load_problem("planeswalker"), source=given)
    assert problem.source == SOURCES[given]
    assert problem.rules == load_problem("planeswalker").rules


def test_a_folder_given_by_flag_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert with_overrides(load_problem("guide"), source="data").source == FilesSource(uri=str(tmp_path / "data"))
    given = with_overrides(load_problem("guide"), source="sqlite://shop.db").source
    assert given == DatabaseSource(uri=f"sqlite://{tmp_path / 'shop.db'}")


def test_a_number_of_sends_sizes_the_simulator_only() -> None:
    shipped = load_problem("planeswalker")
    sized = with_overrides(shipped, sends=1000)
    assert sized.source == shipped.source.model_copy(update={"sends": 1000})


WRONG_FLAGS: dict[str, tuple[str, dict[str, Any], str]] = {
    "both": ("planeswalker", {"source": "x", "sends": 1000}, "--source and --sends exclude each other"),
    "sends of files": (
        "guide",
        {"sends": 1000},
        "--sends sizes the simulator, but guide reads from https://raw",
    ),
    "too few": ("planeswalker", {"sends": 5}, "--sends 5: input should be greater than or equal to 100"),
    "too many": (
        "planeswalker",
        {"sends": 10**9},
        "--sends 1000000000: input should be less than or equal to 100000000",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_FLAGS)
def test_wrong_flags_are_named(wrong: str) -> None:
    name, flags, told = WRONG_FLAGS[wrong]
    with pytest.raises(InputError) as caught:
        with_overrides(load_problem(name), **flags)
    assert told in one_sentence(caught.value)


def test_a_password_is_not_shown_where_flags_are_wrong() -> None:
    with pytest.raises(InputError) as caught:
        with_overrides(sample_problem("postgresql://user:secret@host/db"), sends=1000)
    assert "secret" not in one_sentence(caught.value)


@pytest.mark.parametrize("mistake", ["kind: databse", "kind: database\n  nam: x", "kind: files\n  sends: 3"])
def test_a_password_is_not_shown_where_the_file_is_wrong(mistake: str) -> None:
    content = VALID.replace(SOURCE, f"{mistake}\n  uri: postgresql://user:secret@host/db")
    assert "secret" not in complaint(content)


def test_the_problem_of_a_process_is_the_given_one_then_the_homes_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PROBLEM_VARIABLE, raising=False)
    home = Home(tmp_path)
    assert current_problem(home).name == "planeswalker"
    home.active_problem.write_text(VALID)
    assert current_problem(home).name == "shop"
    monkeypatch.setenv(PROBLEM_VARIABLE, re.sub("name: shop", "name: other", VALID))
    assert current_problem(home).name == "other"


def test_where_the_file_of_a_homes_problem_is_lost_the_home_knows_it_from_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that took the default for it would say that nothing was run."""
    monkeypatch.delenv(PROBLEM_VARIABLE, raising=False)
    home = Home(tmp_path)
    home.problems.mkdir()
    (home.problems / "shop.yaml").write_text(VALID)
    assert current_problem(home).name == "shop"
    home.active_problem.write_text("name: [")
    with pytest.raises(InputError, match=r"not YAML.* Or let 'mlguide run --problem shop' write it again"):
        current_problem(home)
    home.active_problem.unlink()
    (home.problems / "other.yaml").write_text(re.sub("name: shop", "name: other", VALID))
    with pytest.raises(InputError, match=r"problem\.yaml.* is gone: let 'mlguide run --problem other' or 'mlguide run"):
        current_problem(home)


def test_a_zone_is_spelled_as_the_list_of_zones_does() -> None:
    def read(zone: str) -> str:
        return EventTable.model_validate(
            {
                "event": "visit",
                "at": "at",
                "of": {"user": "user"},
                "columns": {"user": "id", "at": "time"},
                "timezone": zone,
            }
        ).timezone

    assert [read(zone) for zone in ("Europe/Berlin", "europe/berlin", "utc")] == [
        "Europe/Berlin",
        "Europe/Berlin",
        "UTC",
    ]
    for of_a_machine in ("localtime", "posixrules", "right/Europe/Berlin"):
        with pytest.raises(ValueError, match="IANA list"):
            read(of_a_machine)


def test_a_column_is_mapped_by_its_name_or_with_its_format() -> None:
    columns = {"user_id": "id", "delivered_at": {"name": "sent", "format": "%d/%m/%Y"}}
    problem = sample_problem("shop", tables={"user_emails": {"columns": columns}})
    found = problem.tables["user_emails"].columns
    assert {name: column.name for name, column in found.items() if column.name} == {
        "user_id": "id",
        "delivered_at": "sent",
    }
    assert found["delivered_at"].format == "%d/%m/%Y"
    assert parse_problem(dump_problem(problem).encode(), Path("again.yaml")) == problem


def test_a_table_in_another_script_is_refused_with_the_lines_to_write() -> None:
    text = VALID.replace("user_profiles", "Aufträge")
    with pytest.raises(InputError, match=r"letters from a to z.*; call it Auftrage and add from: Aufträge"):
        parse_problem(text.encode(), Path("shop.yaml"))
