"""Columns of entities that may have changed since a decision are named, where they are used."""

from typing import Any

from mlguide_assets.define.changing import changing_columns, changing_warnings
from mlguide_assets.define.features import Features
from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets_tests.other_tables import PAYMENTS

ISSUED = {"issued": "time", "kind": "category", "holder": "text"}


def problem_with(cards: dict[str, Any], shops: dict[str, Any], features: dict[str, Any]) -> Problem:
    tables = {
        **PAYMENTS["tables"],
        "cards": {**PAYMENTS["tables"]["cards"], "columns": ISSUED, **cards},
        "shops": shops,
    }
    source = {"kind": "files", "uri": "data"}
    return Problem.model_validate({**PAYMENTS, "tables": tables, "features": features, "source": source})


SHOPS = {"entity": "shop", "key": "shop", "columns": {"branch": "category", "opened": "time"}}
NONE: dict[str, Any] = {"declared": {}}


def test_columns_that_models_use_are_named_and_no_others() -> None:
    assert changing_columns(problem_with({}, SHOPS, NONE)) == {"cards": ["kind"], "shops": ["branch"]}


def test_static_columns_and_those_under_history_never_change() -> None:
    history = {"columns": {**ISSUED, "since": "time", "until": "time"}, "history": {"from": "since", "to": "until"}}
    assert changing_columns(problem_with(history, {**SHOPS, "static": True}, NONE)) == {}
    assert changing_columns(problem_with({"static": ["kind"]}, {**SHOPS, "static": ["branch"]}, NONE)) == {}


def test_an_entity_of_the_past_is_named_where_features_tell_it_apart() -> None:
    households = load_problem("journey_churn")
    assert list(changing_columns(households)) == ["demographics", "products"]
    fewer = households.model_copy(update={"features": Features()})
    assert list(changing_columns(fewer)) == ["demographics"]


def test_a_warning_names_the_columns_and_both_ways_to_mend_it() -> None:
    [warning] = changing_warnings(load_problem("planeswalker"))
    assert warning.startswith("user_profiles: age, words_in_description, purchases may have changed since a decision")
    assert "static" in warning
    assert "history: {from, to}" in warning
