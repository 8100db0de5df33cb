"""A simulated company whose sends were chosen by a plan that knew the true risks, and the truth of all other sends.

The choosing plan knows what no feature tells: the taste of each user for each theme (`unobserved_sd`). So the sends
of a kind that it chose are not those that it might have chosen, and only its random share shows the difference.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.policies import Exploration, Policies
from mlguide_assets.deploy.plan.choices import Choosing, plan_choices
from mlguide_assets.prepare.simulator.content import CATEGORIES, THEMES, Emails, emails
from mlguide_assets.prepare.simulator.outcomes import probabilities
from mlguide_assets.prepare.simulator.population import COUNTRIES, GENDERS, Users, users
from mlguide_assets.prepare.simulator.risk import logits
from mlguide_assets.prepare.simulator.schedule import DAY, Slots
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Floats, Integers

EMAILS = 12
SENT = 60
"""The day of the sends, from the world's start."""

LEVEL = -3.0
"""Intercept of the risk: about one send in six, drawn at random, loses its user."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """Sends of a plan with their outcomes, and other users who were each sent one email at random, with their risks."""

    sends: pa.Table
    labels: npt.NDArray[np.int8]
    plan: pa.Table
    uniform: pa.Table
    truth: Floats


def chosen_sends(seed: int, *, share: float, count: int) -> Chosen:
    """Let a plan choose one of the emails for each of `count` users, all of them known by their true risks."""
    world = World(seed=seed, sends=1000, unobserved_sd=2.0)
    who = users(world, 1000.0, np.arange(1, 2 * count + 1))
    content = emails(world, np.arange(1, EMAILS + 1))
    risks = np.stack([_risks(world, who, content, email) for email in range(1, EMAILS + 1)], axis=1)
    plan = _plan(world.start, who.id[:count], risks[:count], share)
    random = np.random.default_rng(seed)
    sent, drawn = plan["email_id"].to_numpy(), random.integers(1, EMAILS + 1, count)
    first, others = np.arange(count), np.arange(count, 2 * count)
    return Chosen(
        sends=_rows(world, who, content, first, sent),
        labels=(random.random(count) < risks[first, sent - 1]).astype(np.int8),
        plan=plan,
        uniform=_rows(world, who, content, others, drawn),
        truth=risks[others, drawn - 1],
    )


def _risks(world: World, who: Users, content: Emails, email: int) -> Floats:
    """The true risk of sending an email to each user as their first."""
    count = len(who.id)
    day, second = np.full(count, SENT), np.full(count, SENT * DAY + DAY // 2)
    return probabilities(
        logits(world, who, content, Slots(np.arange(count), day, second, np.full(count, email))), LEVEL
    )


def _plan(start: date, ids: Integers, risks: Floats, share: float) -> pa.Table:
    predictions = pa.table(
        {
            "user_id": np.repeat(ids, EMAILS),
            "email_id": np.tile(np.arange(1, EMAILS + 1), len(ids)),
            "probability": risks.ravel(),
            "decision": ["send"] * risks.size,
            "model_version": ["1"] * risks.size,
        }
    )
    day = start + timedelta(days=SENT)
    before = datetime.combine(day, datetime.min.time())
    settings = Choosing(load_problem("planeswalker").decision, Exploration(share=share), Policies(champion=1.0))
    return plan_choices(ibis.memtable(predictions), settings, day=day, planned_at=before, run_id="run").read_all()


def _rows(world: World, who: Users, content: Emails, user: Integers, email: Integers) -> pa.Table:
    """What a model may see of sends at noon: a user, an email, no history, and nothing of the users' tastes."""
    noon = np.datetime64(datetime.combine(world.start, datetime.min.time()) + timedelta(days=SENT, hours=12), "us")
    place = email - 1
    return pa.table(
        {
            "user_id": who.id[user],
            "email_id": email,
            "delivered_at": np.full(len(user), noon),
            "age": who.age[user],
            "gender": np.array(GENDERS)[who.gender[user]],
            "country": np.array(COUNTRIES)[who.country[user]],
            "words_in_description": who.words[user],
            "purchases": who.purchases[user],
            "theme": np.array(THEMES)[content.theme[place]],
            "category": np.array(CATEGORIES)[content.category[place]],
            "number_of_buttons": content.buttons[place],
            "number_of_sections": content.sections[place],
            "number_of_items": content.items[place],
        }
    )
