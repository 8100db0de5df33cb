"""A sound model passes every behaviour test, and each unsound one is found out by the test that is for it."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.train.behaviour.invariance import ids_do_not_matter, row_order_does_not_matter
from mlguide_assets.train.behaviour.plain_cases import plain_cases_are_right
from mlguide_assets.train.behaviour.results import Behaviour, behaviour_table
from mlguide_assets.train.behaviour.suite import behaviour_tests
from mlguide_assets.train.models.calibration import Calibration
from mlguide_assets.train.models.encoding import Encoding, Matrix
from mlguide_assets.train.models.models import Boosted, refit_xgboost
from mlguide_assets.train.some_units import history_of
from mlguide_assets_tests.email_case import KEYS, LABEL, send_features
from mlguide_assets_tests.samples import sample_problem
from mlguide_assets_tests.train.behaviour.cases import (
    FATIGUE,
    FEATURES,
    PROBLEM,
    directions,
    failures,
    fitted,
    plain_results,
    results,
    rows,
    tables,
)
from mlguide_assets_tests.train.sends import replaced

PLAIN = [
    "scores_are_probabilities",
    "scores_vary",
    "mean_score_is_near_the_base_rate",
    "positives_score_higher",
    "missing_values_are_survived",
    "emails_are_told_apart",
]
INVARIANT = ["ids_do_not_matter", "row_order_does_not_matter"]
DIRECTED = ["emails_last_7_days_never_lowers_the_mean_risk", "emails_last_7_days_never_lowers_many_risks"]
NAMES = [*PLAIN, *INVARIANT, *DIRECTED]


@pytest.fixture(scope="module")
def sound() -> Boosted:
    return fitted()


@pytest.fixture(scope="module")
def found(sound: Boosted) -> dict[str, Behaviour]:
    """What the tests find in a sound model."""
    return results(sound)


def test_a_sound_model_passes_every_test(found: dict[str, Behaviour]) -> None:
    assert list(found) == NAMES
    assert [behaviour.name for behaviour in found.values() if not behaviour.passed] == []
    assert all(behaviour.rows > 100 and behaviour.example is None for behaviour in found.values())


def test_the_same_seed_finds_the_same(sound: Boosted, found: dict[str, Behaviour]) -> None:
    assert results(sound) == found


def test_another_seed_looks_at_other_rows(sound: Boosted, found: dict[str, Behaviour]) -> None:
    other = results(sound, seed=1)
    assert failures(other) == set()
    assert other["positives_score_higher"].value != found["positives_score_higher"].value


@pytest.mark.parametrize("key", ["user_id", "email_id"])
def test_a_model_that_reads_ids_is_found_out(key: str) -> None:
    some = history_of(tables(), PROBLEM, pa.array(range(1, 301)))
    model, random = fitted(key), np.random.default_rng(0)
    found = ids_do_not_matter(model, some, PROBLEM, random, clock=datetime(2026, 1, 1))
    assert not found.passed
    assert found.value > 0.9
    assert key in found.message
    assert found.example is not None
    assert found.example["before"] != found.example["after"]
    sends = some["user_emails"]
    known = pc.equal(sends["user_id"], found.example["user_id"])
    assert found.example["email_id"] in sends.filter(known)["email_id"].to_pylist()


class CentredOnItsBatch(Encoding):
    """A scaler refitted at prediction time."""

    def matrix(self, rows: pa.Table) -> Matrix:
        usual = super().matrix(rows)
        number = np.array([feature.categories is None for feature in self.features])
        usual[:, number] -= np.nanmedian(usual[:, number], axis=0)
        return usual


@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_a_model_that_looks_at_the_rows_beside_is_found_out(sound: Boosted) -> None:
    model = replace(sound, encoding=CentredOnItsBatch(sound.encoding.features))
    found = row_order_does_not_matter(model, rows().slice(5000, 500), KEYS, np.random.default_rng(0))
    assert not found.passed
    assert found.example is not None


def test_a_model_that_believes_emails_calm_people_is_found_out() -> None:
    chance = np.random.default_rng(0).random(rows().num_rows)
    recent = rows()["emails_last_7_days"].to_numpy()
    calmed = replaced(rows(), LABEL, (chance < 0.1 * np.exp(-0.8 * recent)).astype(np.int8))
    found = directions(fitted(known=calmed))
    mean, many = (found[name] for name in DIRECTED)
    assert not mean.passed
    assert mean.value > 0.3
    assert not many.passed
    assert many.value > 0.5
    assert many.example is not None
    assert many.example["after"] < 0.8 * many.example["before"]


def test_the_opposite_direction_is_refused(sound: Boosted) -> None:
    opposite = sample_problem("nowhere", behaviour={"directions": [{**FATIGUE, "effect": "never_raises"}]})
    assert failures(directions(sound, opposite)) == {
        "emails_last_7_days_never_raises_the_mean_risk",
        "emails_last_7_days_never_raises_many_risks",
    }


def test_without_declared_directions_none_is_tested(sound: Boosted) -> None:
    assert directions(sound, sample_problem("nowhere")) == {}


def test_a_model_of_the_opposite_outcome_is_found_out() -> None:
    turned = replaced(rows(), LABEL, 1 - rows()[LABEL].to_numpy())
    assert {"positives_score_higher", "mean_score_is_near_the_base_rate"} <= failures(
        plain_results(fitted(known=turned))
    )


def test_an_outcome_that_nearly_all_have_is_told_from_the_other_by_odds() -> None:
    """Scores near one are never many times each other, so their ratio would refuse each such model."""
    turned = replaced(rows(), LABEL, 1 - rows()[LABEL].to_numpy())
    problem = sample_problem("nowhere")
    found = plain_cases_are_right(
        fitted(known=turned), turned, turned.slice(0, 2000), problem, np.random.default_rng(0)
    )
    passed = {each.name: each.passed for each in found}
    assert passed["positives_score_higher"]
    assert passed["emails_are_told_apart"]


def test_a_reversed_ranking_at_the_right_level_is_found_out(sound: Boosted) -> None:
    """Outcomes given to the rows that a sound model thinks the safest."""
    order = np.argsort(sound.predict(sound.encoding.matrix(rows())))
    reversed_labels = np.zeros(len(order), dtype=np.int8)
    reversed_labels[order[:: len(order) // 5000][: int(rows()[LABEL].to_numpy().sum())]] = 1
    model = fitted(known=replaced(rows(), LABEL, reversed_labels))
    assert failures(plain_results(model)) == {"positives_score_higher"}
    assert failures(directions(model)) == {*DIRECTED}


def test_a_constant_model_is_found_out() -> None:
    encoding = Encoding.fit(rows(), FEATURES)
    shuffled = np.random.default_rng(0).permutation(rows()[LABEL].to_numpy())[:300]
    constant = refit_xgboost(encoding.matrix(rows().slice(0, 300)), shuffled, encoding, rounds=5, seed=0)
    assert len(np.unique(constant.predict(encoding.matrix(rows())))) == 1
    assert {"positives_score_higher", "scores_vary", "emails_are_told_apart"} <= failures(plain_results(constant))


class LogOfCounts(Encoding):
    """Takes the logarithm of what is often zero."""

    def matrix(self, rows: pa.Table) -> Matrix:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(super().matrix(rows))


class NothingKnown(Encoding):
    """Loses every value on the way."""

    def matrix(self, rows: pa.Table) -> Matrix:
        return np.full_like(super().matrix(rows), np.nan)


def test_an_encoding_that_the_model_cannot_take_fails_and_does_not_raise(sound: Boosted) -> None:
    found = results(replace(sound, encoding=LogOfCounts(sound.encoding.features)))
    assert [name for name in NAMES if found[name].passed] == []
    assert found["scores_are_probabilities"].value == 1
    json.dumps([behaviour.to_json() for behaviour in found.values()], allow_nan=False)


def test_an_encoding_that_loses_every_value_is_found_out(sound: Boosted) -> None:
    found = failures(plain_results(replace(sound, encoding=NothingKnown(sound.encoding.features))))
    assert {"positives_score_higher", "scores_vary", "emails_are_told_apart"} <= found


@pytest.mark.ml_test_score("monitor-5")
def test_scores_that_are_no_probabilities_are_found_out(sound: Boosted) -> None:
    import xgboost as xgb

    encoding = sound.encoding
    types: dict[str, Any] = {"feature_names": encoding.names, "feature_types": encoding.xgboost_types}
    data = xgb.DMatrix(encoding.matrix(rows()), rows()[LABEL].to_numpy(), enable_categorical=True, **types)
    line = xgb.train({"objective": "reg:squarederror"}, data, 30)
    assert (line.predict(data) < 0).any()
    assert "scores_are_probabilities" in failures(plain_results(replace(sound, booster=line)))


def test_a_model_that_only_knows_the_user_cannot_choose_an_email() -> None:
    of_user = {feature.name for feature in FEATURES if feature.noun == "user"}
    assert failures(plain_results(fitted(only=lambda name: name in of_user))) == {"emails_are_told_apart"}


@pytest.mark.parametrize("intercept", [-1.5, 1.5])
def test_a_model_at_another_level_than_the_outcomes_is_found_out(sound: Boosted, intercept: float) -> None:
    model = replace(sound, calibration=Calibration(1.0, intercept))
    assert failures(plain_results(model)) == {"mean_score_is_near_the_base_rate"}


def test_a_model_for_which_the_unknown_is_the_worst_is_found_out() -> None:
    """It learned from a table in which whoever left had their categories wiped."""
    lost = pc.equal(rows()[LABEL], 1)
    wiped = rows()
    for name in ("gender", "country", "theme", "category"):
        wiped = replaced(wiped, name, pc.if_else(lost, None, rows()[name]).combine_chunks())
    found = plain_results(fitted(known=wiped))["missing_values_are_survived"]
    assert not found.passed
    assert found.example is not None
    assert found.example["after"] > 10 * found.example["before"]


def test_a_profile_column_with_gaps_is_one_that_may_be_missing(sound: Boosted) -> None:
    gaps = np.random.default_rng(0).random(rows().num_rows) < 0.2
    known = replaced(rows(), "age", pc.if_else(pa.array(gaps), None, rows()["age"]).combine_chunks())
    message = plain_results(sound, known)["missing_values_are_survived"].message
    assert "without age" in message
    assert "without" not in plain_results(sound)["missing_values_are_survived"].message


# Odd inputs.


@pytest.mark.parametrize("outcome", [0, 1])
def test_one_outcome_is_refused_in_words(sound: Boosted, outcome: int) -> None:
    with pytest.raises(InputError, match="both outcomes"):
        results(sound, known=rows().filter(pc.equal(rows()[LABEL], outcome)))


def test_no_rows_are_refused_in_words(sound: Boosted) -> None:
    with pytest.raises(InputError, match="both outcomes"):
        results(sound, known=rows().slice(0, 0))


def test_rows_of_other_tables_are_refused(sound: Boosted) -> None:
    sends = tables()["user_emails"]
    others = {**tables(), "user_emails": sends.filter(sends.user_id > 500)}
    with pytest.raises(ValueError, match="user_emails cover"):
        behaviour_tests(sound, others, rows(), PROBLEM, seed=0)


def test_one_user_or_one_email_gets_an_answer(sound: Boosted) -> None:
    user = pc.equal(rows()["user_id"], pc.mode(rows()["user_id"])[0]["mode"])
    of_one = rows().filter(user)
    labels = np.zeros(of_one.num_rows, dtype=np.int8)
    labels[0] = 1
    assert set(results(sound, known=replaced(of_one, LABEL, labels))) == set(NAMES)
    one_email = replaced(of_one, "email_id", np.ones(of_one.num_rows, dtype=np.int64))
    found = plain_results(sound, replaced(one_email, LABEL, labels))
    assert not found["emails_are_told_apart"].passed


def test_where_nobody_can_get_more_emails_nothing_is_judged(sound: Boosted) -> None:
    """Everything was sent in one instant."""
    sends = tables()["user_emails"].to_pyarrow()
    once = sends.filter(pc.equal(sends["email_id"], sends["email_id"][0]))
    once = once.take(np.unique(once["user_id"].to_numpy(), return_index=True)[1])
    once = replaced(once, "delivered_at", pa.repeat(once["delivered_at"][0], once.num_rows))
    at_once = {**tables(), "user_emails": ibis.memtable(once)}
    features = send_features(at_once, PROBLEM).to_pyarrow()
    features = replaced(features, LABEL, np.arange(once.num_rows) % 7 == 0)
    found = {each.name: each for each in behaviour_tests(sound, at_once, features, PROBLEM, seed=0)}
    for name in DIRECTED:
        assert found[name].passed
        assert found[name].rows == 0
        assert "nothing is tested" in found[name].message


def test_profiles_without_any_value_get_an_answer() -> None:
    known = rows()
    for name in (each.name for each in FEATURES if each.noun == "user" and each.origin == "column"):
        known = replaced(known, name, [None] * known.num_rows)
    assert not {"scores_vary", "missing_values_are_survived"} & failures(plain_results(fitted(known=known), known))


def test_the_table_has_a_row_per_test_whatever_they_found(sound: Boosted, found: dict[str, Behaviour]) -> None:
    every = (*found.values(), *plain_results(replace(sound, encoding=LogOfCounts(sound.encoding.features))).values())
    table = behaviour_table(every)
    assert table["name"].to_pylist() == [*NAMES, *PLAIN]
    examples = [value and json.loads(value) for value in table["example"].to_pylist()]
    assert examples == [behaviour.example for behaviour in every]
    assert behaviour_table(every[:1]).schema == table.schema == behaviour_table(()).schema
