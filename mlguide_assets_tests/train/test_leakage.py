"""Every alarm fires on the leak that it is for and names the feature, and stays silent where nothing leaks."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import roc_auc_score

from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.tables import TABLES
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.core import join_core_users
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.tables import KEYS, send_features
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.prepare.sources.conforming import conform
from mlguide_assets.prepare.sources.reading import read_source
from mlguide_assets.train.leakage import (
    MAX_NAMED_SHARE,
    Alarm,
    ComputeFeatures,
    features_too_good,
    future_shift,
    id_like_features,
    leakage_alarms,
    planted_canary,
)
from mlguide_assets_tests.guide import Guide
from mlguide_assets_tests.prepare.simulator.worlds import content, history, profiles
from mlguide_assets_tests.samples import sample_tables
from mlguide_assets_tests.train.sends import PROBLEM, matured, replaced

CHECKS = ["no_id_like_features", "no_feature_too_good", "canary_stays_silent", "future_moves_no_past_row"]
FEATURES = features_of(PROBLEM)
SIMULATED = load_problem("planeswalker")


def core_of(user_profiles: pa.Table, user_emails: pa.Table, email_content: pa.Table) -> ibis.Table:
    tables = {"user_profiles": user_profiles, "user_emails": user_emails, "email_content": email_content}
    conformed = {
        name: conform(ibis.memtable(tables[name]), name, PROBLEM.tables[name], place=name).select(*TABLES[name].columns)
        for name in TABLES
    }
    core = join_core_users(conformed["user_profiles"], conformed["user_emails"], conformed["email_content"])
    return ibis.memtable(core.to_pyarrow())


@pytest.fixture(scope="module")
def core() -> ibis.Table:
    return core_of(**sample_tables(sends=3000))


@pytest.fixture(scope="module")
def simulated() -> ibis.Table:
    world = World(sends=20_000)
    return core_of(profiles(world), history(world), content(world))


@pytest.fixture(scope="module")
def simulated_sends(simulated: ibis.Table) -> pa.Table:
    return send_features(simulated, SIMULATED).to_pyarrow()


def named_share(rows: pa.Table) -> Alarm:
    return id_like_features(rows, FEATURES, limit=MAX_NAMED_SHARE)


def too_good(rows: pa.Table, limit: float = 0.85) -> Alarm:
    return features_too_good(matured(rows), FEATURES, PROBLEM.label.column, limit=limit)


def canary(core: ibis.Table, compute: ComputeFeatures, problem: Problem = PROBLEM) -> Alarm:
    return planted_canary(core, problem, users=50, seed=0, compute=compute)


def shift(core: ibis.Table, compute: ComputeFeatures, problem: Problem = PROBLEM) -> Alarm:
    return future_shift(core, problem, users=50, seed=0, compute=compute)


def values(alarm: Alarm) -> dict[str, float]:
    assert alarm.details is not None
    return dict(zip(*alarm.details.to_pydict().values(), strict=True))


# Silent where nothing leaks


def test_alarms_are_silent_on_the_sample(core: ibis.Table) -> None:
    alarms = leakage_alarms(core, send_features(core, PROBLEM), PROBLEM)
    assert [(alarm.check, alarm.passed) for alarm in alarms] == [(check, True) for check in CHECKS]
    assert all(alarm.value <= alarm.limit and alarm.message.endswith(".") for alarm in alarms)


def test_alarms_are_silent_on_a_simulated_world(simulated: ibis.Table, simulated_sends: pa.Table) -> None:
    alarms = leakage_alarms(simulated, ibis.memtable(simulated_sends), SIMULATED)
    assert [(alarm.check, alarm.passed) for alarm in alarms] == [(check, True) for check in CHECKS]


def test_alarms_are_silent_on_the_guides_tables(guide_tables: Guide, duck: Any, tmp_path: Any) -> None:
    problem = with_overrides(load_problem("guide"), source=str(guide_tables.folder))
    tables = read_source(problem, duck, scratch=tmp_path, oracle=tmp_path / "oracle")
    core = core_of(**{name: table.to_pyarrow() for name, table in tables.items()})
    alarms = leakage_alarms(core, send_features(core, problem), problem)
    assert [(alarm.check, alarm.passed) for alarm in alarms] == [(check, True) for check in CHECKS]


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
        assert "cannot be judged" in alarm.message


# Features that look ahead

Change = Callable[[ibis.Table, Problem], ibis.Table]


def leaky(name: str, change: Change, base: ComputeFeatures = send_features) -> ComputeFeatures:
    """`send_features` with one column taken from a table of the keys and `leak`."""

    def compute(core: ibis.Table, problem: Problem) -> ibis.Table:
        rows = base(core, problem)
        sends = core.filter(core.delivered_at.notnull())
        sends = sends.mutate(lost=(sends.unsubscribed == problem.label.positive).cast("int64"))
        found = change(sends, problem).select(*KEYS, "leak")
        joined = rows.drop(name).left_join(found, list(KEYS))
        return joined.select(*[column for column in rows.columns if column != name], **{name: joined.leak})

    return compute


def over_all_time(key: str, function: Callable[[Any], Any]) -> Change:
    return lambda sends, _: sends.mutate(leak=function(sends).over(ibis.window(group_by=key)))


def label_window_ignored(sends: ibis.Table, problem: Problem) -> ibis.Table:
    at_once = problem.label.model_copy(update={"window": timedelta(microseconds=1)})
    predict = problem.predict.model_copy(update={"label": at_once})
    rows = send_features(sends, problem.model_copy(update={"predict": predict}))
    return rows.mutate(leak=rows.number_of_unsubscribes)


def up_to_and_with_this_row(sends: ibis.Table, _: Problem) -> ibis.Table:
    window = ibis.window(group_by="user_id", order_by="delivered_at", preceding=None, following=0)
    return sends.mutate(leak=sends.lost.sum().over(window))


def next_seven_days(sends: ibis.Table, _: Problem) -> ibis.Table:
    day = 86_400
    sends = sends.mutate(at=sends.delivered_at.epoch_seconds())
    window = ibis.range_window(preceding=0, following=7 * day, group_by="user_id", order_by="at")
    return sends.mutate(leak=sends.count().over(window))


def days_until_next(sends: ibis.Table, _: Problem) -> ibis.Table:
    window = ibis.window(group_by="user_id", order_by="delivered_at")
    gap = sends.delivered_at.lead().over(window).delta(sends.delivered_at, unit="second")
    return sends.mutate(leak=gap / 86_400)


TOTAL_OF_UNSUBSCRIBES = leaky("number_of_unsubscribes", over_all_time("user_id", lambda sends: sends.lost.sum()))
"""The guide's own leak: all of the user's unsubscribes, the row's outcome and the future among them."""

LOOKS_AHEAD: dict[str, Change] = {
    "email_unsubscribe_rate": over_all_time("email_id", lambda sends: sends.lost.mean()),
    "emails_last_7_days": next_seven_days,
    "days_since_last_email": days_until_next,
    "country": over_all_time("user_id", lambda sends: ibis.ifelse(sends.lost.sum() > 3, "left", ibis.null("string"))),
}


def test_whatever_looks_ahead_is_named_by_the_canary_and_by_the_shift(core: ibis.Table) -> None:
    compute: ComputeFeatures = send_features
    for name, change in LOOKS_AHEAD.items():
        compute = leaky(name, change, compute)
    for alarm in (canary(core, compute), shift(core, compute)):
        assert not alarm.passed
        assert {name for name, moved in values(alarm).items() if moved} == set(LOOKS_AHEAD)
        assert alarm.details is not None
        assert [alarm.feature, alarm.value] == list(alarm.details.to_pylist()[0].values())
        assert f"{alarm.feature} (and 3 more) moved in {int(alarm.value):,} of" in alarm.message


def test_the_guides_leak_is_named_by_three_alarms() -> None:
    """Where users have few sends, a total with the own outcome nearly is the outcome."""
    tables = sample_tables(sends=3000)
    users, emails = tables["user_profiles"], tables["user_emails"]
    copies = [replaced(users, "id", pc.add(users["id"], 60 * copy).combine_chunks()) for copy in range(25)]
    receivers = emails["user_id"].to_numpy() + 60 * (np.arange(emails.num_rows) % 25)
    core = core_of(pa.concat_tables(copies), replaced(emails, "user_id", receivers), tables["email_content"])
    alarms = leakage_alarms(core, TOTAL_OF_UNSUBSCRIBES(core, PROBLEM), PROBLEM, compute=TOTAL_OF_UNSUBSCRIBES)
    assert [alarm.passed for alarm in alarms] == [True, False, False, False]
    assert {alarm.feature for alarm in alarms[1:]} == {"number_of_unsubscribes"}
    assert features_too_good(
        matured(send_features(core, PROBLEM).to_pyarrow()), FEATURES, PROBLEM.label.column, limit=0.85
    ).passed


@pytest.mark.parametrize("change", [label_window_ignored, up_to_and_with_this_row])
def test_outcomes_seen_before_they_mature_are_named_by_the_shift(core: ibis.Table, change: Change) -> None:
    """The canary cannot tell: it is in nobody's past."""
    compute = leaky("number_of_unsubscribes", change)
    alarm = shift(core, compute)
    assert (alarm.passed, alarm.feature) == (False, "number_of_unsubscribes")
    assert canary(core, compute).passed


def test_sends_of_the_same_instant_seen_are_named_by_the_shift() -> None:
    """All sends of a day at once: half of those at the instant itself are dropped."""
    tables = sample_tables(sends=3000)
    emails = tables["user_emails"]
    days = pc.floor_temporal(emails["delivered_at"], 10, "day").combine_chunks()
    by_key = replaced(emails, "delivered_at", days).group_by(list(KEYS)).aggregate([("unsubscribed", "min")])
    core = core_of(tables["user_profiles"], by_key.rename_columns([*KEYS, "unsubscribed"]), tables["email_content"])
    window = ibis.range_window(preceding=(None, 0), group_by="user_id", order_by="at")
    inclusive = leaky(
        "number_of_emails",
        lambda sends, _: sends.mutate(at=sends.delivered_at.epoch_seconds()).mutate(
            leak=lambda t: t.count().over(window)
        ),
    )
    assert shift(core, inclusive).feature == "number_of_emails"
    assert shift(core, send_features).passed


def test_themes_counted_over_all_time_see_the_canary_itself(core: ibis.Table) -> None:
    def compute(core: ibis.Table, problem: Problem) -> ibis.Table:
        theme = problem.themes[-1]
        name = next(f.name for f in features_of(problem) if f.description == f"Earlier {theme} emails to the user.")
        return leaky(name, over_all_time("user_id", lambda sends: (sends.theme == theme).sum()))(core, problem)

    alarm = canary(core, compute)
    assert (alarm.passed, alarm.feature) == (False, "number_of_email_theme_leakage_canary")


def test_a_record_that_other_users_sends_add_to_later_is_no_leak(core: ibis.Table) -> None:
    """Sums over all earlier sends of the company: what is planted or changed is later."""
    company = ibis.range_window(preceding=(None, 1), order_by="at")
    compute = leaky(
        "email_matured_sends",
        lambda sends, _: sends.mutate(at=sends.delivered_at.epoch_seconds()).mutate(
            leak=lambda t: t.count().over(company) * 0.1
        ),
    )
    assert canary(core, compute).passed
    assert shift(core, compute).passed


def test_samples_are_seeded_and_may_be_larger_than_the_users(core: ibis.Table) -> None:
    once, again, other, larger = (
        future_shift(core, PROBLEM, users=users, seed=seed, compute=TOTAL_OF_UNSUBSCRIBES)
        for users, seed in ((10, 0), (10, 0), (10, 1), (10_000, 0))
    )
    assert once == again
    assert once != other
    assert larger.value > 3 * once.value


def test_no_sends_one_send_and_one_user_raise_no_alarm(core: ibis.Table) -> None:
    rows = core.to_pyarrow()
    silent = rows.filter(pc.is_null(rows["delivered_at"]))
    for few in (rows.slice(0, 0), silent, rows.slice(0, 1), rows.filter(pc.equal(rows["user_id"], 7))):
        for alarm in (planted_canary, future_shift):
            assert alarm(ibis.memtable(few), PROBLEM, users=10, seed=0).passed


def test_a_function_that_loses_rows_is_refused(core: ibis.Table) -> None:
    def compute(core: ibis.Table, problem: Problem) -> ibis.Table:
        rows = send_features(core, problem)
        return rows.filter(rows.theme != "food")

    with pytest.raises(InputError, match="one row per send"):
        shift(core, compute)
