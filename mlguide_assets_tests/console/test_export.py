"""`mlguide export`: which days of which table, and what a CSV file may hold."""

import sys
from datetime import date
from pathlib import Path

import deltalake
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets.console.export import Which, export_table, list_tables, parse_day
from mlguide_assets.console.export_folder import Format
from mlguide_assets.define.loading import load_problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home in which three days were scored, the oldest last."""
    place = Home(tmp_path / "home")
    lake = Lake(place.lake(load_problem("planeswalker").key))
    for day in reversed(DAYS):
        rows = {"user_id": [1, 2], "scoring_date": [date.fromisoformat(day)] * 2}
        lake.write_partition("send_plan", day, pa.table(rows))
    lake.write_partition("user_emails", "2025", pa.table({"user_id": [1]}))
    lake.write_partition("user_emails", "2026-01-01", pa.table({"user_id": [2]}))
    lake.write(
        "email_content", pa.table({"id": [1, 2], "subject": ["=HYPERLINK(1)", "50% off - today"], "=1+1": [1, 2]})
    )
    return place


def exported(home: Home, table: str, which: Which | None = None) -> pd.DataFrame:
    out = home.root.parent / "out.csv"
    export_table(home, table, out, which or Which())
    return pd.read_csv(out)


def test_each_user_is_in_the_plan_once_since_the_newest_day_is_exported(home: Home) -> None:
    plan = exported(home, "send_plan")
    assert plan.user_id.to_list() == [1, 2]
    assert set(plan.scoring_date) == {DAYS[-1]}


@pytest.mark.parametrize("text", ["foo", "", "2026-02-30", "01/31/2026"])
def test_what_is_no_day_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(InputError, match=rf"--day {text}: this is no day; write one as YYYY-MM-DD"):
        parse_day(text)


def test_another_day_or_all_days_are_exported_when_asked_for(home: Home) -> None:
    assert set(exported(home, "send_plan", Which(date(2026, 1, 2))).scoring_date) == {DAYS[1]}
    assert set(exported(home, "send_plan", Which(all_days=True)).scoring_date) == set(DAYS)


def test_days_that_the_data_no_longer_reach_are_exported_when_asked_for_only(home: Home) -> None:
    lake = Lake(home.lake(load_problem("planeswalker").key))
    lake.write("landed_days", pa.table({"day": [date(2026, 1, 1)], "rows": [5]}))
    assert set(exported(home, "send_plan").scoring_date) == {"2026-01-01"}
    assert set(exported(home, "send_plan", Which(day=date(2026, 1, 3))).scoring_date) == {"2026-01-03"}
    lake.write("landed_days", pa.table({"day": [date(2025, 12, 1)], "rows": [5]}))
    with pytest.raises(InputError, match="no longer reach any day of table 'send_plan': its last is 2026-01-03"):
        exported(home, "send_plan")


def test_a_table_of_events_is_exported_whole(home: Home) -> None:
    assert exported(home, "user_emails").user_id.to_list() == [1, 2]


@pytest.mark.parametrize(
    ("table", "which", "message"),
    [
        ("send_plan", Which(date(2020, 1, 1)), "no day 2020-01-01 (it has 3 days, 2026-01-01 to 2026-01-03)"),
        ("send_plan", Which(date(2026, 1, 1), all_days=True), "--day and --all exclude each other"),
        ("email_content", Which(date(2026, 1, 1)), "not kept by day"),
        ("send_plans", Which(), "did you mean 'send_plan'?"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(home: Home, table: str, which: Which, message: str) -> None:
    with pytest.raises(InputError) as refused:
        exported(home, table, which)
    assert message in str(refused.value)


def test_text_that_a_spreadsheet_would_run_is_written_behind_an_apostrophe(home: Home) -> None:
    emails = exported(home, "email_content")
    assert list(emails) == ["id", "subject", "'=1+1"]
    assert emails.subject.to_list() == ["'=HYPERLINK(1)", "50% off - today"]


def test_no_folder_is_made_for_the_file(home: Home, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        export_table(home, "send_plan", tmp_path / "typo" / "plan.csv")
    assert not (tmp_path / "typo").exists()


def test_a_folder_of_parquet_has_the_files_of_the_lake_by_partition(home: Home, tmp_path: Path) -> None:
    out = tmp_path / "emails"
    export_table(home, "user_emails", out, format_="parquet")
    files = Lake(home.lake(load_problem("planeswalker").key)).files("user_emails")
    assert [path.name for path in sorted(out.iterdir())] == ["2025.parquet", "2026-01-01.parquet"]
    assert [path.read_bytes() for path in sorted(out.iterdir())] == [path.read_bytes() for path in files]


def test_a_delta_table_gains_a_version_each_time(home: Home, tmp_path: Path) -> None:
    out = tmp_path / "plan"
    export_table(home, "send_plan", out, Which(all_days=True), "delta")
    export_table(home, "send_plan", out, format_="delta")
    table = deltalake.DeltaTable(out)
    assert table.version() == 1
    assert set(table.to_pandas().scoring_date) == {date(2026, 1, 3)}
    assert len(deltalake.DeltaTable(out, version=0).to_pandas()) == 2 * len(DAYS)


@pytest.mark.parametrize("format_", ["delta", "parquet"])
@pytest.mark.parametrize("name", ["plan.csv", "plan.Parquet"])
def test_no_folder_is_called_like_a_file(home: Home, tmp_path: Path, name: str, format_: Format) -> None:
    with pytest.raises(InputError, match=rf"{name} is the name of a file, and --format {format_} writes a folder"):
        export_table(home, "send_plan", tmp_path / name, format_=format_)
    (tmp_path / name).mkdir()
    export_table(home, "send_plan", tmp_path / name, format_=format_)


@pytest.mark.parametrize("option", ["--out=x.csv", "--day=2026-01-01", "--all", "--format=delta"])
def test_what_is_said_of_a_table_without_naming_one_is_refused(home: Home, option: str) -> None:
    done = CliRunner().invoke(app, ["export", option, "--home", str(home.root)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "name it first" in done.stderr


@pytest.mark.parametrize("format_", ["delta", "parquet"])
def test_a_folder_that_holds_something_else_is_left_alone(home: Home, tmp_path: Path, format_: Format) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="must be a folder that does not exist or holds nothing"):
        export_table(home, "send_plan", tmp_path / "mine", format_=format_)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_what_delta_does_not_have_is_reported(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(home.lake(load_problem("planeswalker").key))
    lake.write("times", pa.table({"at": pa.array([1], pa.time64("us"))}))
    with pytest.raises(InputError, match=r"cannot be written as a Delta table \(.*Time64.*\): .* --format parquet"):
        export_table(home, "times", tmp_path / "times", format_="delta")
    with pytest.raises(InputError, match=r"plan \[2\] cannot be written as a Delta table .*: choose another folder"):
        export_table(home, "send_plan", tmp_path / "plan [2]", format_="delta")
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(InputError, match=r"'uv pip install -c constraints.txt -e \"\.\[delta\]\"'"):
        export_table(home, "send_plan", tmp_path / "plan", format_="delta")


def test_the_tables_are_listed(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    list_tables(home)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["send_plan", "6", "rows", "3", "days"] in lines
    assert ["email_content", "2", "rows"] in lines
