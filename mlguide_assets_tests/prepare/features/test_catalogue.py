"""What is a feature at all: ids never are, and free text is for no model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets_tests.other_tables import PAYMENTS, problem_of

CARDS = {"entity": "card", "key": "card", "columns": {"card": "integer", "kind": "category", "note": "text"}}
LISTED = {"amount": "number", "fraud": "flag", "shop": {"kind": "integer", "description": "Where."}, "memo": "text"}


def with_features(contracts: Sequence[dict[str, Any]] = (), **declared: dict[str, Any]) -> Problem:
    tables = {"cards": CARDS, "payments": {**PAYMENTS["tables"]["payments"], "columns": LISTED}}
    more = {"tables": tables, "features": {"declared": declared}, "contracts": list(contracts)}
    return problem_of({**PAYMENTS, **more}, Path("data"))


def test_ids_of_entities_are_no_features_though_listed_as_numbers_and_texts_are_for_no_model() -> None:
    features = features_of(with_features(memo_before={"last": "payment.memo", "by": "card"}))
    for_models = {feature.name: feature.for_models for feature in features}
    assert for_models == {"kind": True, "note": False, "amount": True, "memo_before": False}


@pytest.mark.parametrize("declared", [{"last": "payment.shop"}, {"mean": "payment.shop"}, {"max": "payment.shop"}])
def test_no_feature_is_made_of_ids(declared: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'shop' is"):
        features_of(with_features(x={**declared, "by": "card"}))


def test_ids_may_be_counted() -> None:
    features = features_of(with_features(shops={"distinct": "payment.shop", "by": "card"}))
    assert ("shops", "number") in [(feature.name, feature.kind) for feature in features]


def test_a_split_has_its_own_values_or_those_of_the_contract() -> None:
    split = {"count": "payment", "by": "card", "split": "card.kind"}
    with pytest.raises(InputError, match=r"the values of card.kind are not known; write values: .*table: cards"):
        features_of(with_features(**{"of_*": split}))
    own = features_of(with_features(**{"of_*": {**split, "values": ["c"]}}))
    rule = {"table": "cards", "rule": "one_of", "column": "kind", "values": ["a", "b"], "action": "warn"}
    of_contract = features_of(with_features([rule], **{"of_*": split}))
    assert [[each.name for each in found if each.split] for found in (own, of_contract)] == [["of_c"], ["of_a", "of_b"]]
