"""What is a feature at all: ids never are, and free text is for no model."""

from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets_tests.other_tables import PAYMENTS, problem_of

CARDS = {"entity": "card", "key": "card", "columns": {"card": "integer", "kind": "category", "note": "text"}}
LISTED = {"amount": "number", "fraud": "flag", "shop": {"kind": "integer", "description": "Where."}, "memo": "text"}


def with_features(**declared: dict[str, Any]) -> Problem:
    tables = {"cards": CARDS, "payments": {**PAYMENTS["tables"]["payments"], "columns": LISTED}}
    return problem_of({**PAYMENTS, "tables": tables, "features": {"declared": declared}}, Path("data"))


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
