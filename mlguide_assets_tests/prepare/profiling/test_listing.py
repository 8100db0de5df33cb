"""Which tables a folder holds, and what a problem file calls them."""

from pathlib import Path

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.profiling.listing import list_tables
from mlguide_assets.prepare.sources.finding import find_table


def test_a_file_beside_one_that_is_called_alike_is_named_so_that_it_is_found(tmp_path: Path) -> None:
    source = tmp_path / "shop"
    source.mkdir()
    for name in ("ORDERS.csv", "orders.csv"):
        (source / name).write_text("order_id,amount\n1,2\n")
    listing = list_tables(str(source), connect(), tmp_path, lambda _: None)
    assert [(each.name, each.from_) for each in listing.tables] == [("ORDERS", "ORDERS.csv")]
    assert find_table(source, listing.tables[0].from_).path == source / "ORDERS.csv"
    assert listing.unread == {"orders.csv": "ORDERS.csv has the same name, and is read"}


def test_of_a_folder_and_a_file_the_one_is_advised_that_can_be_named(tmp_path: Path) -> None:
    parts = tmp_path / "orders"
    parts.mkdir()
    for path in (parts / "part.csv", tmp_path / "orders.csv"):
        path.write_text("order_id,amount\n1,2\n")
    with pytest.raises(InputError, match=r"has orders and orders.csv, .* as in 'from: orders\.csv'"):
        find_table(tmp_path, "orders")
    assert find_table(tmp_path, "orders.csv").path == tmp_path / "orders.csv"
