"""What a decision is called, and which columns it has, for each shape of problem."""

from pathlib import Path

import pytest

from mlguide_assets.english import agreeing, counted, with_article
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets_tests.other_tables import ORDERS, PAYMENTS, problem_of
from mlguide_assets_tests.samples import PROBLEM, sample_problem


@pytest.mark.parametrize("order", [("user", "email"), ("email", "user")])
def test_who_a_choice_is_made_for_comes_before_what_is_chosen(order: tuple[str, str]) -> None:
    of = {noun: PROBLEM["tables"]["user_emails"]["of"][noun] for noun in order}
    decision = sample_problem("nowhere", tables={"user_emails": {"of": of}}).decision
    assert decision.keys == ("user_id", "email_id", "delivered_at")
    assert decision.order == ("delivered_at", "user_id", "email_id")
    assert (decision.unit, decision.plural) == ("user", "sends")


def test_a_key_of_its_own_is_one_more_column(tmp_path: Path) -> None:
    decision = problem_of(PAYMENTS, tmp_path).decision
    assert decision.keys == ("card_id", "shop_id", "paid", "payment")
    assert (decision.noun, decision.unit_id) == ("payment", "card_id")


def test_an_entity_is_decided_about_at_cut_offs(tmp_path: Path) -> None:
    decision = problem_of(ORDERS, tmp_path).decision
    assert decision.keys == ("customer_id", "as_of")
    assert (decision.plural, decision.in_words) == ("decisions", "a customer at a cut-off")


def test_names_and_sentences_have_the_plural_that_english_has(tmp_path: Path) -> None:
    of = {"policy": "policy"}
    deliveries = {"event": "delivery", "at": "ordered", "of": of, "columns": {}}
    problem = problem_of(
        {
            **ORDERS,
            "tables": {"deliveries": deliveries},
            "predict": {
                "each": "policy",
                "every": "7d",
                "label": {"count": "delivery", "within": "14d", "at_most": 0},
            },
            "features": {"declared": {"deliveries": {"count": "delivery", "by": "policy"}}},
        },
        tmp_path,
    )
    assert problem.core_table == "core_policies"
    (feature,) = features_of(problem)
    assert feature.description == "Number of earlier deliveries of the policy."


@pytest.mark.parametrize(
    ("noun", "one"),
    [("send", "a send"), ("offer", "an offer"), ("Offer", "an Offer"), ("unit", "a unit"), ("umbrella", "an umbrella"),
     ("hour", "an hour"), ("house", "a house"), ("email", "an email"), ("European", "a European")],
)  # fmt: skip
def test_a_noun_has_the_article_that_its_sound_asks_for(noun: str, one: str) -> None:
    assert with_article(noun) == one


def test_one_is_not_many() -> None:
    said = [f"{counted(number, 'row')} {agreeing(number, 'was')} set aside" for number in (0, 1, 2, 1234)]
    assert said == [
        "0 rows were set aside",
        "1 row was set aside",
        "2 rows were set aside",
        "1,234 rows were set aside",
    ]
    assert (counted(1.0, "day"), counted(0.5, "day")) == ("1 day", "0.5 days")
