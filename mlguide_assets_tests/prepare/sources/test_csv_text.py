"""The header of a CSV file, and the mark between its values."""

from pathlib import Path

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.csv_text import Header, header

ROWS = "id;price, EUR;day\nA1;1,50;2024-01-01\nA2;2,50;2024-01-02\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ROWS, Header(["id", "price, EUR", "day"], ";")),
        ("id,size;color;shape\n1,2\n", Header(["id", "size;color;shape"], ",")),
        ('"id","note"\n1,"a;b;c"\n', Header(["id", "note"], ",")),
        ("id\tday\nA1\t2024-01-01\n", Header(["id", "day"], "\t")),
        ("id|day\n", Header(["id", "day"], "|")),
        (",id,day\n0,A1,2024-01-01\n", Header(["column0", "id", "day"], ",")),
        ("id,name\n1,Smith, John\n", Header(["id", "name"], ",")),
        ("name,city\nSmith, John,Rome\n", Header(["name", "city"], ",")),
        ("sep=;\r\nid;price, EUR, net\r\n1;2\r\n", Header(["id", "price, EUR, net"], ";", above=1)),
        ('"sep=^"\nid^day\n', Header(["id", "day"], "^", above=1)),
        ("sep=x,day\n1,2\n", Header(["sep=x", "day"], ",")),
        ("\r\n  \r\nid;day\r\n", Header(["id", "day"], ";", above=2)),
        ("\nsep=^\n\nid^day\n", Header(["id", "day"], "^", above=3)),
    ],
)
def test_values_are_delimited_by_the_mark_that_makes_most_names(text: str, expected: Header, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(text, encoding="utf-8-sig")
    assert header(path, path) == expected


@pytest.mark.parametrize(
    ("above", "names", "line"),
    [
        ("Sales 2024;;\nas of 31.12.2024;;\n;;\n", 1, 4),
        ("Sales 2024\n\n", 1, 3),
        ("sep=;\nSales 2024;;\n", 1, 3),
    ],
)
def test_a_title_above_the_header_is_no_header(above: str, names: int, line: int, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(above + ROWS.replace("id;", "id;who;where;").replace("A1;", "A1;a;b;").replace("A2;", "A2;a;b;"))
    with pytest.raises(InputError, match=rf"names {names} of 5 columns; line {line} looks like the header"):
        header(path, path)


@pytest.mark.parametrize(("text", "start"), [("only one\n1\n2\n", "only one"), ("\n\n", "")])
def test_what_is_no_header_at_all_is_named(text: str, start: str, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"starts with '{start}': its first line must be a header"):
        header(path, path)
