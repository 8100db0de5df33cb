"""Sends that are added to a history change all that follows from them, and nothing else."""

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.prepare.features.comparing import floats
from mlguide_assets.prepare.simulator.calibration import calibrate
from mlguide_assets.prepare.simulator.content import emails
from mlguide_assets.prepare.simulator.population import users
from mlguide_assets.prepare.simulator.risk import SHIFTED, USUAL, Effects, SendContext, observed_logits
from mlguide_assets.train.behaviour.interventions import EXTRA_EVENTS, feature_called, larger_values, raised
from mlguide_assets.train.some_units import history_of
from mlguide_assets_tests.email_case import LABEL
from mlguide_assets_tests.prepare.simulator.worlds import history
from mlguide_assets_tests.train.behaviour.cases import FATIGUE, FEATURES, PROBLEM, WORLD, intervention, rows, tables


def difference(name: str) -> npt.NDArray[np.float64]:
    done = intervention()
    return np.asarray(done.after[name].to_numpy() - done.before[name].to_numpy(), dtype=np.float64)


def test_everything_that_follows_from_the_extra_sends_changes_with_them() -> None:
    for name in ("emails_last_7_days", "emails_last_30_days", "number_of_emails"):
        assert (difference(name) == EXTRA_EVENTS).all()
    for kind in ("theme", "category"):
        counts = [each.name for each in FEATURES if each.name.startswith(f"number_of_email_{kind}_")]
        assert (np.sum([difference(name) for name in counts], axis=0) == EXTRA_EVENTS).all()
    after, before = (
        np.nan_to_num(table["days_since_last_email"].to_numpy(), nan=np.inf)
        for table in (intervention().after, intervention().before)
    )
    assert (after <= np.minimum(before, 7)).all()
    assert (after < before).any()


def test_nothing_else_changes() -> None:
    done = intervention()
    own = [each.name for each in FEATURES if each.noun == "user" and each.origin == "column"]
    kept = [*own, "email_matured_sends", "email_unsubscribe_rate", "theme", "category", "tenure_days", "email_age_days"]
    kept += ["number_of_unsubscribes"]
    for name in [*kept, "day_of_week", "hour_of_day", "user_id", "email_id", "delivered_at", LABEL]:
        assert done.after[name].combine_chunks().equals(done.before[name].combine_chunks()), name
        assert done.before[name].combine_chunks().equals(done.asked[name].combine_chunks()), name


def test_extra_sends_keep_the_contract() -> None:
    planted = intervention().planted
    assert planted.num_rows == EXTRA_EVENTS * intervention().asked.num_rows
    people, content = (tables()[name].to_pyarrow() for name in ("user_profiles", "email_content"))
    for key, entities, since in (("user_id", people, "date_joined"), ("email_id", content, "created_at")):
        begun = entities[since].take(pc.index_in(planted[key], value_set=entities["id"].combine_chunks()))
        assert pc.all(pc.less_equal(begun, planted["delivered_at"])).as_py()
    assert set(planted[LABEL].to_pylist()) == {PROBLEM.label.negative}
    asked = dict(zip(*(intervention().asked[name].to_pylist() for name in ("user_id", "delivered_at")), strict=True))
    for user, instant in zip(*(planted[name].to_pylist() for name in ("user_id", "delivered_at")), strict=True):
        assert asked[user] - timedelta(days=7) <= instant < asked[user]
    themes = content["theme"].take(pc.index_in(planted["email_id"], value_set=content["id"].combine_chunks()))
    mix = pc.value_counts(themes).to_pylist()
    assert min(each["counts"] for each in mix) > 0.2 * planted.num_rows


def logits(table: pa.Table, effects: Effects) -> npt.NDArray[np.float64]:
    """What the simulator makes of a row of features, without the intercept."""
    user, email = (table[key].to_numpy() for key in ("user_id", "email_id"))
    context = SendContext(
        tenure_days=table["tenure_days"].to_numpy(),
        email_age_days=table["email_age_days"].to_numpy(),
        last_7_days=table["emails_last_7_days"].to_numpy(),
        last_30_days=table["emails_last_30_days"].to_numpy(),
        days_since_last=np.nan_to_num(table["days_since_last_email"].to_numpy(), nan=np.inf),
        weekday=table["day_of_week"].to_numpy(),
    )
    who = users(WORLD, calibrate(WORLD).joins_per_day, np.arange(1, user.max() + 1))
    return observed_logits(effects, who, user - 1, emails(WORLD, np.arange(1, email.max() + 1)), email - 1, context)


def test_features_say_of_a_send_what_the_simulator_drew_it_from() -> None:
    """So its logit of the changed rows is the truth about them."""
    asked = intervention().before
    keys = ["user_id", "delivered_at"]
    drawn = asked.join(history(WORLD).select([*keys, "probability"]), keys, join_type="inner").sort_by("user_id")
    logit = logits(drawn, USUAL) + calibrate(WORLD).intercept
    np.testing.assert_allclose(1 / (1 + np.exp(-logit)), drawn["probability"].to_numpy(), rtol=1e-9)


@pytest.mark.parametrize("effects", [USUAL, SHIFTED], ids=["usual", "after the concept shift"])
def test_extra_sends_never_lower_the_true_risk_of_any_send(effects: Effects) -> None:
    rise = logits(intervention().after, effects) - logits(intervention().before, effects)
    assert rise.min() > 0
    assert rise.mean() > EXTRA_EVENTS * (effects.last_7_days + effects.last_30_days)


def test_a_user_who_just_joined_gets_no_sends_from_before() -> None:
    at = rows()["delivered_at"][5000].as_py()
    people = tables()["user_profiles"].to_pyarrow()
    lone = {**people.slice(0, 1).to_pylist()[0], "id": 10**6, "date_joined": at - timedelta(seconds=1)}
    joined = pa.concat_tables([people, pa.Table.from_pylist([lone], people.schema)])
    units = pc.unique(tables()["user_emails"].to_pyarrow()["user_id"])
    there = {**history_of(tables(), PROBLEM, units), "user_profiles": joined}
    asked = pa.table({"user_id": [10**6], "delivered_at": pa.array([at], pa.timestamp("us"))})
    feature = feature_called(FATIGUE["feature"], PROBLEM)
    change = raised(feature, there, asked, PROBLEM, np.random.default_rng(0))
    assert change.reached.tolist() == [False]
    assert change.history["user_emails"].num_rows == there["user_emails"].num_rows


@pytest.mark.parametrize("column", [[1.0, 2.0, None, 1e300], [1, 2, None, 2**63 - 1]], ids=["fractions", "whole"])
def test_one_value_that_is_far_too_large_leaves_none_smaller_and_none_infinite(column: list[float | None]) -> None:
    step, larger = larger_values(pa.chunked_array([column]), np.array([True, False, True, True]))
    before, after = floats(pa.chunked_array([column])), floats(larger)
    assert 0 < step < np.inf
    assert np.isfinite(after[[0, 1, 3]]).all()
    assert np.isnan(after[2])
    assert after[0] > before[0]
    assert (after[1:2], after[3] >= before[3] * (1 - 1e-9)) == (before[1:2], True)


def test_a_flag_is_larger_where_it_becomes_true() -> None:
    step, values = larger_values(pa.chunked_array([[True, False, None, False]]), np.array([True, True, True, False]))
    assert (step, values.to_pylist()) == (1.0, [True, True, None, False])
