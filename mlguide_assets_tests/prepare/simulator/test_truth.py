from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mlguide_assets.prepare.simulator.calibration import calibrate
from mlguide_assets.prepare.simulator.content import Emails, emails, emails_created_before
from mlguide_assets.prepare.simulator.population import Users, users
from mlguide_assets.prepare.simulator.risk import SHIFTED, USUAL, Effects, observed_logits, send_contexts
from mlguide_assets.prepare.simulator.schedule import Slots, potential_sends
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Integers
from mlguide_assets_tests.prepare.simulator.worlds import LARGE, history, lost


def test_the_oracle_ranks_well() -> None:
    sent = history(LARGE)
    assert 0.78 < roc_auc_score(lost(sent), sent["probability"].to_numpy()) < 0.88


def test_the_oracle_is_calibrated_overall_and_in_every_decile() -> None:
    sent = history(LARGE)
    truth, probability = lost(sent), sent["probability"].to_numpy()
    ranks = np.argsort(np.argsort(probability, kind="stable"), kind="stable")
    parts = [np.full(len(truth), True)] + [ranks * 10 // len(truth) == decile for decile in range(10)]
    for part in parts:
        expected = probability[part].sum()
        spread = np.sqrt((probability[part] * (1 - probability[part])).sum())
        assert abs(truth[part].sum() - expected) < 4 * spread


@pytest.mark.parametrize(
    "world",
    [LARGE, replace(LARGE, base_rate=0.01), replace(LARGE, base_rate=0.03), replace(LARGE, seed=11)],
    ids=["usual", "1 %", "3 %", "another seed"],
)
def test_the_realised_rate_is_the_base_rate(world: World) -> None:
    assert lost(history(world)).mean() == pytest.approx(world.base_rate, rel=0.15)


def test_without_an_unobserved_part_the_risk_follows_from_the_features() -> None:
    world = replace(LARGE, unobserved_sd=0.0)
    who, content, slots, user, email = _first_sends(world)
    context = send_contexts(world, who, slots, content.created[email])
    logit = observed_logits(USUAL, who, user, content, email, context)
    probability = 1 / (1 + np.exp(-logit - calibrate(world).intercept))
    sent = history(world)
    message = sent.filter(sent["user_id"].to_numpy() <= len(who.id))["probability"].to_numpy()
    # Sends after leaving are potential only, so what was delivered is some of it.
    assert len(message) < len(probability)
    assert np.isin(message, probability).all()


@pytest.mark.parametrize("effects", [USUAL, SHIFTED], ids=["usual", "shifted"])
def test_more_emails_never_lower_the_risk(effects: Effects) -> None:
    who, content, slots, user, email = _first_sends(LARGE)
    context = send_contexts(LARGE, who, slots, content.created[email])
    usual = observed_logits(effects, who, user, content, email, context)
    more = replace(context, last_7_days=context.last_7_days + 1, last_30_days=context.last_30_days + 1)
    assert (observed_logits(effects, who, user, content, email, more) > usual).all()
    sooner = replace(context, days_since_last=context.days_since_last / 2)
    assert (observed_logits(effects, who, user, content, email, sooner) >= usual).all()


def test_fatigue_counts_strictly_earlier_sends() -> None:
    who, content, slots, _, email = _first_sends(LARGE)
    context = send_contexts(LARGE, who, slots, content.created[email])
    day = 86_400
    for send in range(0, len(email), 97):
        gap = slots.second[send] - slots.second[slots.user == slots.user[send]]
        earlier = gap[gap > 0]
        assert context.last_7_days[send] == np.count_nonzero(earlier <= 7 * day)
        assert context.last_30_days[send] == np.count_nonzero(earlier <= 30 * day)
        assert context.days_since_last[send] == (earlier.min() / day if len(earlier) else np.inf)


def _first_sends(world: World) -> tuple[Users, Emails, Slots, Integers, Integers]:
    who = users(world, calibrate(world).joins_per_day, np.arange(1, 201))
    content = emails(world, np.arange(1, int(emails_created_before(world.days)) + 1))
    slots = potential_sends(world, who, world.days)
    return who, content, slots, slots.user, slots.email - 1
