"""Rules of columns in any script are checks of Dagster, each with a name of its own."""

from collections.abc import Iterator

import dagster as dg

from mlguide_assets.define.contracts import Filled
from mlguide_assets.defs.check_names import check_names


def test_columns_in_any_script_have_checks_of_their_own() -> None:
    rules = [Filled(rule="filled", table="shops", column=name, action="warn") for name in ("größe", "grosse", "цена")]
    names = check_names(rules)
    assert names["shops.größe_is_not_empty"] == "grosse_is_not_empty"
    assert names["shops.grosse_is_not_empty"] == "grosse_is_not_empty_2"

    @dg.multi_asset(
        outs={"shops": dg.AssetOut()}, check_specs=[dg.AssetCheckSpec(name, asset="shops") for name in names.values()]
    )
    def shops() -> Iterator[dg.Output[None]]:
        yield dg.Output(None)

    assert {key.name for key in shops.check_keys} == set(names.values())


def test_names_that_dagster_takes_stay_as_they_are() -> None:
    rule = Filled(rule="filled", table="shops", column="a__B", action="warn")
    assert list(check_names([rule]).values()) == ["a__B_is_not_empty"]
