"""A path is a path: what folders are called changes neither what is read nor where it is written."""

import re
from pathlib import Path
from typing import Any

import ibis
import pytest
import sqlalchemy

import mlguide_assets
from mlguide_assets.prepare.duckdb.connection import FILE, quoted, read_csv, read_parquet, read_parquet_below
from mlguide_assets.prepare.files import plain_path
from mlguide_assets_tests.prepare.ingesting import lake_over
from mlguide_assets_tests.prepare.shops import Shop, build, content, shop_problem

FOLDERS = {
    "country=DE": "country=FR",
    "data [1]": "data 1",
    "[!a]": "b",
    "st*r": "star",
    "q?x": "qax",
    "it's": "its",
    "100% #1 {a,b}": "1",
}
"""Folders, and others that a pattern of the same text would match or that would add other columns."""


@pytest.mark.parametrize("name", FOLDERS)
def test_the_file_that_is_given_is_read_with_its_own_columns(duck: Any, tmp_path: Path, name: str) -> None:
    for folder, value in ((tmp_path / name, "mine"), (tmp_path / FOLDERS[name], "another's")):
        folder.mkdir()
        (folder / "x.csv").write_text(f"country\n{value}\n")
        duck.raw_sql(f"COPY (SELECT {quoted(value)} AS country) TO {quoted(folder / 'x.parquet')} (FORMAT parquet)")
    mine = tmp_path / name / "x.parquet"
    assert read_parquet(duck, mine).to_pyarrow().to_pylist() == [{"country": "mine"}]
    assert read_csv(duck, mine.with_suffix(".csv"), {"country": "VARCHAR"}).to_pyarrow().to_pylist() == [
        {"country": "mine"}
    ]
    assert read_parquet_below(duck, mine.parent, "*.parquet").to_pyarrow().to_pylist() == [
        {"country": "mine", FILE: str(mine)}
    ]


@pytest.mark.parametrize("name", [*FOLDERS, 'it\'s "mine"', "a\\b", "a\u00a0b", "a\tb", "$HOME ~"])
def test_a_table_is_written_where_it_is_said(duck: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    for pass_ in range(2):
        duck.to_parquet(ibis.memtable({"x": [pass_]}), str(tmp_path / name / "x.parquet"), compression="zstd")
        assert read_parquet_below(duck, tmp_path / name, "*.parquet").to_pyarrow()["x"].to_pylist() == [pass_]
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.parquet")] == [Path(name) / "x.parquet"]


def test_tables_are_the_same_whatever_the_folders_of_lake_and_source_are_called(duck: Any, tmp_path: Path) -> None:
    found = []
    for place in (
        tmp_path / "plain",
        tmp_path / "partition=2024-01" / "[wip] user_id=7 * ? # 5%20",
        tmp_path / 'it\'s "mine" a\\b',
    ):
        shop = Shop.opened(seed=0, days=4)
        shop.write(place / "shop")
        lake = lake_over(duck, place / "home")
        build(lake, shop_problem(place / "shop"))
        found.append(content(lake))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_database_is_made_in_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with sqlalchemy.create_engine(f"sqlite:///{plain_path(tmp_path / name)}/x.db").connect() as database:
        database.exec_driver_sql("CREATE TABLE t (x)")
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.db")] == [Path(name) / "x.db"]


def test_nothing_but_the_engine_names_files_to_duckdb() -> None:
    root = Path(mlguide_assets.__file__).parent
    naming = re.compile(r"\.read_(parquet|csv)\(")
    files = [path for path in root.rglob("*.py") if naming.search(path.read_text(encoding="utf-8"))]
    assert files == [root / "prepare" / "duckdb" / "connection.py"]


def test_a_query_that_takes_long_draws_no_progress_bar_on_standard_output(duck: Any) -> None:
    assert duck.con.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (False,)
