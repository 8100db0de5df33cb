"""Tables that come with an installed package."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.sources import PackageSource
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.sources.packaged import folder_of
from mlguide_assets.prepare.sources.reading import read_source
from mlguide_assets_tests.other_tables import ORDERS, problem_of, write_orders

HOUSEHOLDS = load_problem("journey_churn")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageSource:
    """A package that cannot be imported, with orders among its data."""
    write_orders(tmp_path / "shop_data" / "tables")
    (tmp_path / "shop_data" / "__init__.py").write_text("raise ImportError('its libraries are not installed')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return PackageSource(package="shop-data", folder="tables")


def test_its_tables_are_read_without_importing_it(shop: PackageSource, duck: Any, tmp_path: Path) -> None:
    problem = problem_of(ORDERS, tmp_path).model_copy(update={"source": shop})
    messages: list[str] = []
    tables = read_source(problem, duck, scratch=tmp_path, oracle=tmp_path, report=messages.append)
    assert messages == ["reading from the package shop-data"]
    assert tables["orders"].count().execute() > 0


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(InputError, match=r"package not-there, which is not installed: 'uv pip install not-there'"):
        folder_of(PackageSource(package="not-there"))


def test_a_folder_that_the_package_does_not_have_is_named(shop: PackageSource) -> None:
    with pytest.raises(InputError, match="shop-data has no folder 'data'"):
        folder_of(shop.model_copy(update={"folder": "data"}))


@pytest.mark.parametrize("name", HOUSEHOLDS.tables)
def test_the_shipped_problem_names_columns_that_its_package_has(name: str) -> None:
    assert isinstance(HOUSEHOLDS.source, PackageSource)
    columns = pq.read_schema(folder_of(HOUSEHOLDS.source) / f"{name}.parquet").names
    assert set(HOUSEHOLDS.tables[name].columns) <= set(columns)
