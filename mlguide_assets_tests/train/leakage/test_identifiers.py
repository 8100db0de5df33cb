"""An id under any name is found, and a measurement is not."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets_tests.email_case import KEYS
from mlguide_assets_tests.train.leakage.cases import named_share, values
from mlguide_assets_tests.train.sends import replaced

# Features that name their row


def hashed(ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Distinct integers for distinct ids, in no order: an odd factor permutes 64 bits."""
    return (ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).astype(np.int64)


@pytest.mark.ml_test_score("data-4")
def test_user_id_under_an_innocent_name_is_found(sends: pa.Table) -> None:
    alarm = named_share(replaced(sends, "purchases", sends["user_id"].combine_chunks()))
    assert (alarm.passed, alarm.feature, alarm.value) == (False, "purchases", 1.0)
    assert "users" in alarm.message
    assert alarm.details is not None
    assert alarm.details.to_pylist()[0] == {"feature": "purchases", "value": 1.0}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("scale", [1.0, -0.37])
def test_copies_of_a_key_are_found_whatever_their_scale(sends: pa.Table, key: str, scale: float) -> None:
    number = sends[key].cast(pa.int64()).to_numpy().astype(float)
    alarm = named_share(replaced(sends, "tenure_days", scale * number + 5.25))
    assert (alarm.passed, alarm.feature) == (False, "tenure_days")


def test_a_monotone_copy_of_a_key_is_found(sends: pa.Table) -> None:
    assert named_share(replaced(sends, "tenure_days", np.log(sends["user_id"].to_numpy()))).feature == "tenure_days"


@pytest.mark.parametrize("key", ["user_id", "email_id"])
def test_a_category_that_names_users_or_emails_is_found(sends: pa.Table, key: str) -> None:
    texts = [f"{number * 7919 % 1000:x}" for number in sends[key].to_pylist()]
    assert named_share(replaced(sends, "country", texts)).feature == "country"


def test_row_numbers_and_hashes_of_rows_are_found(sends: pa.Table) -> None:
    numbers = np.arange(sends.num_rows)
    assert named_share(replaced(sends, "age", numbers)).feature == "age"
    alarm = named_share(replaced(sends, "age", hashed(numbers)))
    assert alarm.feature == "age"
    assert "sends" in alarm.message
    assert named_share(replaced(sends, "gender", [str(number) for number in hashed(numbers)])).feature == "gender"


def test_hashed_user_ids_are_found(simulated_sends: pa.Table) -> None:
    codes = hashed(simulated_sends["user_id"].to_numpy())
    alarm = named_share(replaced(simulated_sends, "purchases", codes))
    assert (alarm.passed, alarm.feature, alarm.value) == (False, "purchases", 1.0)


def test_an_id_that_is_missing_for_half_of_the_users_is_found(sends: pa.Table) -> None:
    ids = [user if user % 2 else None for user in sends["user_id"].to_pylist()]
    assert named_share(replaced(sends, "purchases", ids)).feature == "purchases"


def test_measurements_may_be_unique(simulated_sends: pa.Table) -> None:
    """Per row, as a tenure is, and per user, as an income is; and whole numbers where users share them."""
    assert len(simulated_sends["tenure_days"].unique()) > 0.99 * simulated_sends.num_rows
    chance = np.random.default_rng(0)
    users = simulated_sends["user_id"].to_numpy()
    incomes, visits = chance.lognormal(10, 1, users.max() + 1), chance.poisson(300, users.max() + 1)
    rows = replaced(simulated_sends, "email_unsubscribe_rate", incomes[users])
    rows = replaced(rows, "purchases", visits[users])
    assert named_share(rows).passed


def test_text_is_not_for_models_and_may_name_the_email(sends: pa.Table) -> None:
    assert "subject" not in values(named_share(sends))


def test_a_tenure_in_the_order_of_the_ids_is_not_an_id(sends: pa.Table) -> None:
    """Users numbered as they joined, and asked for at one instant: the tenure has the order of the ids, and no more."""
    one_instant = sends.take(np.unique(sends["user_id"].to_numpy(), return_index=True)[1])
    one_instant = replaced(one_instant, "delivered_at", [sends["delivered_at"][0].as_py()] * one_instant.num_rows)
    tenure = 1000.5 - 3.1 * one_instant["user_id"].to_numpy()
    assert named_share(replaced(one_instant, "tenure_days", tenure)).passed
