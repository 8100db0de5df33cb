"""Whatever looks ahead is named, and every alarm is silent where nothing leaks."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.values import slug
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.tables import KEYS, send_features
from mlguide_assets.prepare.sources.reading import read_source
from mlguide_assets.train.leakage.look_ahead import ComputeFeatures, future_shift, planted_canary
from mlguide_assets.train.leakage.results import Alarm
from mlguide_assets.train.leakage.single_features import features_too_good
from mlguide_assets.train.leakage.suite import leakage_alarms
from mlguide_assets_tests.guide import Guide
from mlguide_assets_tests.samples import sample_tables
from mlguide_assets_tests.train.leakage.cases import FEATURES, SIMULATED, core_of, values
from mlguide_assets_tests.train.sends import PROBLEM, matured, replaced

CHECKS = ["no_id_like_features", "no_feature_too_good", "canary_stays_silent", "future_moves_no_past_row"]


def canary(core: ibis.Table, compute: ComputeFeatures, problem: Problem = PROBLEM) -> Alarm:
    return planted_canary(core, problem, users=50, seed=0, compute=compute)


def shift(core: ibis.Table, compute: ComputeFeatures, problem: Problem = PROBLEM) -> Alarm:
    return future_shift(core, problem, users=50, seed=0, compute=compute)


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
        name = f"number_of_email_theme_{slug(theme)}"
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
