"""A file that a command is given by its path: read whole, and refused in one sentence."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.sources.data_file import read_columns, refuse_null_words

TABLE = pa.table({"arm": ["a", "b", None], "amount": ["1", "2.5", None]})


@pytest.fixture(scope="module")
def connection() -> Any:
    return connect()


def as_csv(folder: Path, text: str) -> Path:
    (folder / "data.csv").write_text(text)
    return folder / "data.csv"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


AMOUNT = [("--action", "arm"), ("--reward", "amount")]


def test_csv_and_parquet_give_the_same_table(tmp_path: Path, scratch: Path, connection: Any) -> None:
    pq.write_table(TABLE, tmp_path / "data.parquet")
    text = as_csv(tmp_path, "other,arm,amount\n,a,1\n,b,2.5\n,,\n")
    for path in (text, tmp_path / "data.parquet"):
        rows = read_columns(path, AMOUNT, connection, scratch)
        assert rows.to_pyarrow().to_pylist() == TABLE.to_pylist()


def test_text_becomes_numbers_and_words_for_no_value_null(tmp_path: Path, scratch: Path, connection: Any) -> None:
    path = as_csv(tmp_path, "arm,amount\na,1\nb,2.5\nc,Yes\n,\nd,NA\ne, -3e2 \nf,nan\n")
    rows = read_columns(path, AMOUNT, connection, scratch, numbers=["--reward"])
    assert rows.amount.to_pyarrow().to_pylist() == [1.0, 2.5, 1.0, None, None, -300.0, None]


def test_numbers_and_flags_of_parquet_are_read_as_numbers(tmp_path: Path, scratch: Path, connection: Any) -> None:
    pq.write_table(pa.table({"a": [True, None], "b": [float("nan"), 0.5], "c": [3, None]}), tmp_path / "data.parquet")
    named = [("--metric", name) for name in "abc"]
    rows = read_columns(tmp_path / "data.parquet", named, connection, scratch, numbers=["--metric"])
    assert rows.to_pyarrow().to_pylist() == [{"a": 1.0, "b": None, "c": 3.0}, {"a": None, "b": 0.5, "c": None}]


@pytest.mark.parametrize("word", ["much", "inf", "1_000"])
def test_what_is_no_number_is_named(word: str, tmp_path: Path, scratch: Path, connection: Any) -> None:
    path = as_csv(tmp_path, f"arm,amount\na,1\nb,{word}\n")
    with pytest.raises(InputError, match=f"^--reward amount: .* holds '{word}' there, which is not a number"):
        read_columns(path, AMOUNT, connection, scratch, numbers=["--reward"])


def test_numbers_with_a_decimal_comma_are_read_where_it_is_said(tmp_path: Path, scratch: Path, connection: Any) -> None:
    path = as_csv(tmp_path, "arm;amount\na;0,5\nb;1.234,25 \nc;7\nd;1.234\ne;true\nf;NA\n")
    rows = read_columns(path, AMOUNT, connection, scratch, numbers=["--reward"], decimal_comma=True)
    assert rows.amount.to_pyarrow().to_pylist() == [0.5, 1234.25, 7.0, 1234.0, 1.0, None]


@pytest.mark.parametrize(
    ("number", "said_so", "hint"),
    [
        ("0,50", False, "which is not a number; give --decimal-comma if a comma is before the fraction."),
        ("0.50", True, "which is not a number with a decimal comma, as in 1.234,56."),
        ("much", False, "which is not a number."),
    ],
)
def test_a_comma_in_a_number_is_never_guessed(
    number: str, said_so: bool, hint: str, tmp_path: Path, scratch: Path, connection: Any
) -> None:
    path = as_csv(tmp_path, f"arm;amount\na;1\nb;{number}\n")
    with pytest.raises(InputError, match=f"holds '{number}' there, {hint}$"):
        read_columns(path, AMOUNT, connection, scratch, numbers=["--reward"], decimal_comma=said_so)


def test_words_that_are_read_as_no_value_are_named(tmp_path: Path, scratch: Path, connection: Any) -> None:
    path = as_csv(tmp_path, "arm,amount\nNone,1\nnone,2\n,3\nNone,4\n")
    rows = read_columns(path, AMOUNT, connection, scratch, numbers=["--reward"])
    with pytest.raises(InputError, match=r"^--action arm: 2 rows of .* have 'None' there, which is read as no value"):
        refuse_null_words(rows, path, AMOUNT[:1])
    refuse_null_words(rows.filter(rows.arm != "None"), path, AMOUNT)


def test_a_line_that_is_no_row_is_named(tmp_path: Path, scratch: Path, connection: Any) -> None:
    path = as_csv(tmp_path, "arm,amount\na,1\nb,2,3\n")
    with pytest.raises(
        InputError, match=r"data\.csv cannot be read as CSV: line 3 has 3 values, where its header has 2"
    ):
        read_columns(path, AMOUNT[:1], connection, scratch)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("amuont", "did you mean 'amount'?"),
        ("AMOUNT", "did you mean 'amount'?"),
        ("zzz", "it has 'arm', 'amount'."),
    ],
    ids=["near", "other case", "far"],
)
def test_an_unknown_column_is_answered_with_those_there_are(
    name: str, hint: str, tmp_path: Path, scratch: Path, connection: Any
) -> None:
    path = as_csv(tmp_path, "arm,amount\na,1\n")
    with pytest.raises(InputError) as error:
        read_columns(path, [("--action", "arm"), ("--reward", name)], connection, scratch)
    assert str(error.value) == f"--reward {name}: {path} has no column {name!r}; {hint}"


def test_an_address_is_no_file_and_its_password_is_not_shown(scratch: Path, connection: Any) -> None:
    with pytest.raises(InputError) as error:
        read_columns(Path("postgresql://u:secret@host/db"), AMOUNT, connection, scratch)
    assert str(error.value).startswith("postgresql://u:***@host/db is an address, and --data takes a file")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.csv", None, "does not exist: check --data"),
        ("data.xlsx", "PK", "not a CSV or Parquet file"),
        ("data.csv", "", "is empty"),
        ("data.parquet", "arm", "cannot be read as parquet"),
    ],
)
def test_what_cannot_be_read_is_refused(
    name: str, content: str | None, said: str, tmp_path: Path, scratch: Path, connection: Any
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_columns(path, AMOUNT, connection, scratch)
