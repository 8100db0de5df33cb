from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.prepare.simulator.calibration import calibrate
from mlguide_assets.prepare.simulator.content import Emails, emails, emails_created_before
from mlguide_assets.prepare.simulator.generate import email_content, user_profiles
from mlguide_assets.prepare.simulator.population import Users, users
from mlguide_assets.prepare.simulator.risk import logits
from mlguide_assets.prepare.simulator.schedule import DAY, Slots, potential_sends
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets_tests.prepare.simulator.worlds import LARGE, SHIFT, before, history, per_send

COVARIATE = replace(LARGE, covariate_shift=SHIFT)
CONCEPT = replace(LARGE, concept_shift=SHIFT)


@pytest.mark.parametrize("world", [COVARIATE, CONCEPT], ids=["covariate", "concept"])
def test_until_the_shift_everything_is_as_without_it(world: World) -> None:
    assert (
        before(history(world), SHIFT)
        .drop("unsubscribed_at")
        .equals(before(history(LARGE), SHIFT).drop("unsubscribed_at"))
    )
    assert before(history(world), SHIFT).equals(before(history(LARGE), SHIFT))
    assert user_profiles(world, SHIFT).equals(user_profiles(LARGE, SHIFT))
    assert email_content(world, SHIFT).equals(email_content(LARGE, SHIFT))


def test_covariate_shift_moves_who_is_mailed_what_and_how_often() -> None:
    usual, shifted = _after(LARGE), _after(COVARIATE)
    assert shifted["sends"] > 1.05 * usual["sends"]
    assert shifted["age"] < usual["age"] - 1.5
    assert shifted["japan"] > usual["japan"] + 0.03
    assert shifted["promotional"] > usual["promotional"] + 0.1


def test_covariate_shift_leaves_the_risk_of_given_features_alone() -> None:
    assert calibrate(COVARIATE) == calibrate(LARGE)
    who, content, slots = _potential(COVARIATE)
    assert np.array_equal(logits(COVARIATE, who, content, slots), logits(LARGE, who, content, slots))


def test_concept_shift_moves_the_risk_of_given_features_from_its_date_on() -> None:
    assert calibrate(CONCEPT) == calibrate(LARGE)
    who, content, slots = _potential(LARGE)
    change = logits(CONCEPT, who, content, slots) - logits(LARGE, who, content, slots)
    later = slots.second >= LARGE.day(SHIFT) * DAY
    assert (change[~later] == 0).all()
    assert np.abs(change[later]).mean() > 0.3
    shopping = content.theme[slots.email - 1] == 0
    american = who.country[slots.user] == 0
    assert change[later & shopping & american].mean() > 0.5


def test_concept_shift_leaves_people_content_and_schedule_alone() -> None:
    assert user_profiles(CONCEPT).equals(user_profiles(LARGE))
    assert email_content(CONCEPT).equals(email_content(LARGE))
    _, _, shifted = _potential(CONCEPT)
    _, _, usual = _potential(LARGE)
    assert np.array_equal(shifted.second, usual.second)
    assert np.array_equal(shifted.email, usual.email)


def _potential(world: World) -> tuple[Users, Emails, Slots]:
    who = users(world, calibrate(world).joins_per_day, np.arange(1, 4001))
    content = emails(world, np.arange(1, int(emails_created_before(world.days)) + 1))
    return who, content, potential_sends(world, who, world.days)


def _after(world: World) -> dict[str, float]:
    sent = history(world)
    sent = sent.filter(pa.array(sent["delivered_at"].to_numpy() >= np.datetime64(SHIFT, "us")))
    people, content = user_profiles(world), email_content(world)
    return {
        "sends": sent.num_rows,
        "age": float(per_send(people, sent, "user_id", "age").mean()),
        "japan": float((per_send(people, sent, "user_id", "country") == "JP").mean()),
        "promotional": float((per_send(content, sent, "email_id", "category") == "promotional").mean()),
    }
