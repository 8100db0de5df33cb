"""Whatever looks ahead is named, and every alarm is silent where nothing leaks."""

from collections.abc import Callable
from datetime import datetime
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
from mlguide_assets.prepare.features.building import features_from
from mlguide_assets.prepare.sources.reading import read_source
from mlguide_assets.train.leakage.look_ahead import ComputeFeatures, future_shift, planted_canary
from mlguide_assets.train.leakage.results import Alarm
from mlguide_assets.train.leakage.single_features import features_too_good
from mlguide_assets.train.leakage.suite import leakage_alarms
from mlguide_assets.train.some_units import History, Tables, drawn_units, history_of
from mlguide_assets_tests.email_case import KEYS, send_features
from mlguide_assets_tests.guide import Guide
from mlguide_assets_tests.samples import sample_tables
from mlguide_assets_tests.train.leakage.cases import FEATURES, SIMULATED, conformed, values
from mlguide_assets_tests.train.sends import PROBLEM, matured, replaced

CHECKS = ["no_id_like_features", "no_feature_too_good", "canary_stays_silent", "future_moves_no_past_row"]


def history(tables: Tables, problem: Problem = PROBLEM, units: int = 50, seed: int = 0) -> History:
    return history_of(tables, problem, drawn_units(tables, problem, units, seed))


def canary(tables: Tables, compute: ComputeFeatures, problem: Problem = PROBLEM) -> Alarm:
    return planted_canary(history(tables, problem), problem, compute=compute)


def shift(tables: Tables, compute: ComputeFeatures, problem: Problem = PROBLEM) -> Alarm:
    return future_shift(history(tables, problem), problem, seed=0, compute=compute)


# Silent where nothing leaks


def test_alarms_are_silent_on_the_sample(accepted: Tables) -> None:
    alarms = leakage_alarms(accepted, send_features(accepted, PROBLEM), PROBLEM)
    assert [(alarm.check, alarm.passed) for alarm in alarms] == [(check, True) for check in CHECKS]
    assert all(alarm.value <= alarm.limit and alarm.message.endswith(".") for alarm in alarms)


def test_alarms_are_silent_on_a_simulated_world(simulated: Tables, simulated_sends: pa.Table) -> None:
    alarms = leakage_alarms(simulated, ibis.memtable(simulated_sends), SIMULATED)
    assert [(alarm.check, alarm.passed) for alarm in alarms] == [(check, True) for check in CHECKS]


def test_alarms_are_silent_on_the_guides_tables(guide_tables: Guide, duck: Any, tmp_path: Any) -> None:
    problem = with_overrides(load_problem("guide"), source=str(guide_tables.folder))
    read = read_source(problem, duck, scratch=tmp_path, oracle=tmp_path / "oracle")
    tables = conformed(**{name: table.to_pyarrow() for name, table in read.items()})
    alarms = leakage_alarms(tables, send_features(tables, problem), problem)
    assert [(alarm.check, alarm.passed) for alarm in alarms] == [(check, True) for check in CHECKS]


# Features that look ahead

Change = Callable[[ibis.Table, Problem], ibis.Table]


def leaky(name: str, change: Change, base: ComputeFeatures = features_from) -> ComputeFeatures:
    """`features_from` with one column taken from a table of the keys and `leak`."""

    def compute(tables: Tables, problem: Problem, *, clock: datetime) -> ibis.Table:
        rows = base(tables, problem, clock=clock)
        sends, content = tables["user_emails"], tables["email_content"].select(content_id="id", theme="theme")
        sends = sends.left_join(content, sends.email_id == content.content_id)
        sends = sends.mutate(lost=(sends.unsubscribed == problem.label.positive).cast("int64"))
        found = change(sends, problem).select(*KEYS, "leak")
        joined = rows.drop(name).left_join(found, list(KEYS))
        return joined.select(*[column for column in rows.columns if column != name], **{name: joined.leak})

    return compute


def over_all_time(key: str, function: Callable[[Any], Any]) -> Change:
    return lambda sends, _: sends.mutate(leak=function(sends).over(ibis.window(group_by=key)))


def label_window_ignored(sends: ibis.Table, _: Problem) -> ibis.Table:
    """The outcomes of all earlier sends to the user, as soon as they were delivered."""
    earlier = ibis.range_window(preceding=(None, 1), group_by="user_id", order_by="at")
    sends = sends.mutate(at=sends.delivered_at.epoch_seconds())
    return sends.mutate(leak=sends.lost.sum().over(earlier).fill_null(0))


def up_to_and_with_this_row(sends: ibis.Table, _: Problem) -> ibis.Table:
    window = ibis.window(group_by="user_id", order_by=["delivered_at", "email_id"], preceding=None, following=0)
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


def test_whatever_looks_ahead_is_named_by_the_canary_and_by_the_shift(accepted: Tables) -> None:
    compute: ComputeFeatures = features_from
    for name, change in LOOKS_AHEAD.items():
        compute = leaky(name, change, compute)
    for alarm in (canary(accepted, compute), shift(accepted, compute)):
        assert not alarm.passed
        assert {name for name, moved in values(alarm).items() if moved} == set(LOOKS_AHEAD)
        assert alarm.details is not None
        assert [alarm.feature, alarm.value] == list(alarm.details.to_pylist()[0].values())
        assert f"{alarm.feature} (and 3 more) moved in {int(alarm.value):,} of" in alarm.message


def test_the_guides_leak_is_named_by_three_alarms() -> None:
    """Where users have few sends, a total with the own outcome nearly is the outcome."""
    sample = sample_tables(sends=3000)
    users, emails = sample["user_profiles"], sample["user_emails"]
    copies = [replaced(users, "id", pc.add(users["id"], 60 * copy).combine_chunks()) for copy in range(25)]
    receivers = emails["user_id"].to_numpy() + 60 * (np.arange(emails.num_rows) % 25)
    tables = conformed(pa.concat_tables(copies), replaced(emails, "user_id", receivers), sample["email_content"])
    rows = TOTAL_OF_UNSUBSCRIBES(tables, PROBLEM, clock=datetime(2024, 6, 1))
    alarms = leakage_alarms(tables, rows, PROBLEM, compute=TOTAL_OF_UNSUBSCRIBES)
    assert [alarm.passed for alarm in alarms] == [True, False, False, False]
    assert {alarm.feature for alarm in alarms[1:]} == {"number_of_unsubscribes"}
    assert features_too_good(
        matured(send_features(tables, PROBLEM).to_pyarrow()), FEATURES, PROBLEM.label.column, limit=0.85
    ).passed


@pytest.mark.parametrize("change", [label_window_ignored, up_to_and_with_this_row])
def test_outcomes_seen_before_they_mature_are_named_by_the_shift(accepted: Tables, change: Change) -> None:
    """The canary does not show it: it is in no past."""
    compute = leaky("number_of_unsubscribes", change)
    alarm = shift(accepted, compute)
    assert (alarm.passed, alarm.feature) == (False, "number_of_unsubscribes")
    assert canary(accepted, compute).passed


def test_sends_of_the_same_instant_seen_are_named_by_the_shift() -> None:
    """All sends of a day at once: half of those at the instant itself are dropped."""
    sample = sample_tables(sends=3000)
    emails = sample["user_emails"]
    days = pc.floor_temporal(emails["delivered_at"], 10, "day").combine_chunks()
    by_key = replaced(emails, "delivered_at", days).group_by(list(KEYS)).aggregate([("unsubscribed", "min")])
    tables = conformed(sample["user_profiles"], by_key.rename_columns([*KEYS, "unsubscribed"]), sample["email_content"])
    window = ibis.range_window(preceding=(None, 0), group_by="user_id", order_by="at")
    inclusive = leaky(
        "number_of_emails",
        lambda sends, _: sends.mutate(at=sends.delivered_at.epoch_seconds()).mutate(
            leak=lambda t: t.count().over(window)
        ),
    )
    assert shift(tables, inclusive).feature == "number_of_emails"
    assert shift(tables, features_from).passed


def test_themes_counted_over_all_time_see_the_canary_itself(accepted: Tables) -> None:
    def compute(tables: Tables, problem: Problem, *, clock: datetime) -> ibis.Table:
        theme = problem.features.declared["number_of_email_theme_*"].values[-1]
        name = f"number_of_email_theme_{slug(theme)}"
        counted = over_all_time("user_id", lambda sends: (sends.theme == theme).sum())
        return leaky(name, counted)(tables, problem, clock=clock)

    alarm = canary(accepted, compute)
    assert (alarm.passed, alarm.feature) == (False, "number_of_email_theme_leakage_canary")


def test_a_record_that_other_users_sends_add_to_later_is_no_leak(accepted: Tables) -> None:
    """Sums over all earlier sends of the company: what is planted or changed is later."""
    company = ibis.range_window(preceding=(None, 1), order_by="at")
    compute = leaky(
        "email_matured_sends",
        lambda sends, _: sends.mutate(at=sends.delivered_at.epoch_seconds()).mutate(
            leak=lambda t: t.count().over(company) * 0.1
        ),
    )
    assert canary(accepted, compute).passed
    assert shift(accepted, compute).passed


def test_samples_are_seeded_and_may_be_larger_than_the_users(accepted: Tables) -> None:
    once, again, other, larger = (
        future_shift(history(accepted, PROBLEM, units, seed), PROBLEM, seed=seed, compute=TOTAL_OF_UNSUBSCRIBES)
        for units, seed in ((10, 0), (10, 0), (10, 1), (10_000, 0))
    )
    assert once == again
    assert once != other
    assert larger.value > 3 * once.value


def test_no_sends_one_send_and_one_user_raise_no_alarm(accepted: Tables) -> None:
    sends = accepted["user_emails"].to_pyarrow()
    for few in (sends.slice(0, 0), sends.slice(0, 1), sends.filter(pc.equal(sends["user_id"], 7))):
        some = {**accepted, "user_emails": ibis.memtable(few)}
        assert canary(some, features_from).passed
        assert shift(some, features_from).passed


def test_a_function_that_loses_rows_is_refused(accepted: Tables) -> None:
    def compute(tables: Tables, problem: Problem, *, clock: datetime) -> ibis.Table:
        rows = features_from(tables, problem, clock=clock)
        return rows.filter(rows.theme != "food")

    with pytest.raises(InputError, match="one row per send"):
        shift(accepted, compute)
