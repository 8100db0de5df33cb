"""A feature that is the outcome is found, and chance raises no alarm."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import roc_auc_score

from mlguide_assets_tests.train.leakage.cases import named_share, too_good, values
from mlguide_assets_tests.train.sends import matured, replaced

# Features that know the outcome


def noisy_outcome(sends: pa.Table, share: float) -> np.ndarray[Any, Any]:
    """The outcome of most rows, the opposite of the others."""
    outcome = matured(sends)["unsubscribed"].to_numpy().astype(np.int64)
    return np.asarray(np.where(np.random.default_rng(1).random(len(outcome)) < share, outcome, 1 - outcome))


def test_a_number_or_category_that_is_the_outcome_is_found(sends: pa.Table) -> None:
    leak = noisy_outcome(sends, 0.95)
    for name, column in (("age", leak), ("age", -leak), ("country", leak.astype(str))):
        alarm = too_good(replaced(matured(sends), name, column))
        assert (alarm.passed, alarm.feature) == (False, name)
        assert name in alarm.message
        assert alarm.value == pytest.approx(0.95, abs=0.02)
    assert too_good(replaced(matured(sends), "age", leak), limit=0.99).passed


@pytest.mark.parametrize(
    ("name", "asked"),
    [("age", "look whether it contains the outcome"), ("number_of_emails", "look whether its events were written")],
)
def test_the_advice_is_of_what_the_feature_is_made_of(sends: pa.Table, name: str, asked: str) -> None:
    alarm = too_good(replaced(matured(sends), name, noisy_outcome(sends, 0.95)))
    assert asked in alarm.message
    limit = float(alarm.message.partition("max_feature_auc: ")[2][:4])
    assert 0 < limit - alarm.value <= 0.0101, "the limit to write is just above what it has"


@pytest.mark.parametrize("name", ["age", "country"])
@pytest.mark.parametrize("missing", [0, 1])
def test_a_value_that_is_only_there_for_one_outcome_is_found(sends: pa.Table, name: str, missing: int) -> None:
    known = matured(sends)
    outcome = known["unsubscribed"].to_numpy()
    alarm = too_good(
        replaced(known, name, pc.if_else(pa.array(outcome == missing), None, known[name]).combine_chunks())
    )
    assert (alarm.passed, alarm.feature) == (False, name)
    assert alarm.value == pytest.approx(1)


def test_high_cardinality_cannot_cheat(sends: pa.Table) -> None:
    """A category with a value per row fits every outcome by heart, and knows none."""
    unique = [str(number) for number in range(matured(sends).num_rows)]
    assert values(too_good(replaced(matured(sends), "country", unique)))["country"] == pytest.approx(0.5, abs=0.02)


def test_ties_and_missing_values_rank_as_in_scikit_learn(sends: pa.Table) -> None:
    known = matured(sends)
    outcome = known["unsubscribed"].to_numpy()
    found = values(too_good(known))
    for name in ("age", "number_of_emails", "tenure_days"):
        auc = roc_auc_score(outcome, known[name].to_numpy())
        assert found[name] == pytest.approx(max(auc, 1 - auc), abs=1e-12)
    # Missing where they lose users, and the others rising or falling with the risk: each end is the better one once.
    chance = np.random.default_rng(0)
    for direction in (1, -1):
        numbers = direction * (outcome + chance.normal(size=len(outcome)))
        numbers[(outcome == 1) & (chance.random(len(outcome)) < 0.5)] = np.nan
        both = [roc_auc_score(outcome, np.where(np.isnan(numbers), extreme, numbers)) for extreme in (-9, 9)]
        expected = max(*both, *(1 - auc for auc in both))
        assert expected > 0.8
        rows = replaced(known, "tenure_days", pa.array(numbers, mask=np.isnan(numbers)))
        assert values(too_good(rows))["tenure_days"] == pytest.approx(expected, abs=1e-12)


def test_columns_without_information_are_at_one_half(sends: pa.Table) -> None:
    rows = replaced(matured(sends), "age", [None] * matured(sends).num_rows)
    rows = replaced(replaced(rows, "purchases", [3] * rows.num_rows), "gender", [None] * rows.num_rows)
    rows = replaced(rows, "tenure_days", [np.inf] * rows.num_rows)
    found = values(too_good(rows))
    assert found["age"] == found["purchases"] == found["gender"] == found["tenure_days"] == 0.5
    assert named_share(rows).passed


def test_few_outcomes_do_not_raise_the_alarm_by_chance(sends: pa.Table) -> None:
    """Of 31 features one always ranks three positives well; the limit is raised, and says so."""
    known = matured(sends)
    outcome = np.zeros(known.num_rows, dtype=np.int8)
    fired = 0
    for seed in range(20):
        few = outcome.copy()
        few[np.random.default_rng(seed).choice(len(few), 3, replace=False)] = 1
        alarm = too_good(replaced(known, "unsubscribed", few))
        fired += alarm.value > 0.85
        assert alarm.passed
        assert alarm.limit > 0.85
    assert fired


def test_one_outcome_cannot_be_judged(sends: pa.Table) -> None:
    for rows in (replaced(sends, "unsubscribed", [0] * sends.num_rows), sends.slice(0, 0)):
        alarm = too_good(rows)
        assert (alarm.passed, alarm.feature, alarm.details) == (True, None, None)
        assert "cannot be tested" in alarm.message
