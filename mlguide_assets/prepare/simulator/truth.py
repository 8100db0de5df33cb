"""What the simulator knows of choices that were not made: a yardstick for policies, never an input of a model.

`opportunities` says which users a day's policy decides about, `true_probabilities` what each choice for them would
risk. With both, the best choice of every day is known, and so is the regret of any other. The long-run effect of a
policy also works through who leaves and how often the others are mailed: simulate the days under it
(`generate.sends(world, …, plans=plans)`) and under its rival, and compare who unsubscribed.

Both functions look at the history that the plans of the days *before* made; a plan of the day itself does not matter.
"""

from dataclasses import fields
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.prepare.simulator.calibration import calibrate
from mlguide_assets.prepare.simulator.content import emails, emails_created_before
from mlguide_assets.prepare.simulator.generate import sends
from mlguide_assets.prepare.simulator.outcomes import probabilities
from mlguide_assets.prepare.simulator.plans import NO_PLANS, Plans
from mlguide_assets.prepare.simulator.population import Users, users, users_joined_before
from mlguide_assets.prepare.simulator.risk import SendContext, logits_at, send_contexts
from mlguide_assets.prepare.simulator.schedule import Slots, potential_sends, second_of_day
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Floats, Integers


def opportunities(world: World, day: date, plans: Plans = NO_PLANS) -> Integers:
    """The users who are due for an email on a day and have not left by then: their ids, in rising order."""
    made = sends(world, day, day + timedelta(days=1), plans=plans.before(day))
    return np.concatenate([np.empty(0, np.int64), *(block["user_id"].to_numpy() for block in made)])


def true_probabilities(
    world: World,
    day: date,
    user_ids: npt.NDArray[Any],
    email_ids: npt.NDArray[Any],
    plans: Plans = NO_PLANS,
) -> Floats:
    """P(the user unsubscribes for it) of each pair, were it the user's send of that day. Shape (n,).

    Of a pair that is sent, it equals the send's `probability`. Users need not be due on the day.

    Args:
        user_ids: of n pairs; users who joined before the day.
        email_ids: of the same pairs; emails created before the day.

    Raises ValueError when a pair names another user or email.
    """
    ids, user = np.unique(user_ids, return_inverse=True)
    calibration, today = calibrate(world), world.day(day)
    who = users(world, calibration.joins_per_day, ids.astype(np.int64))
    content = emails(world, np.arange(1, int(emails_created_before(today)) + 1))
    _refuse_unknown("user", day, user_ids, users_joined_before(calibration.joins_per_day, today))
    _refuse_unknown("email", day, email_ids, len(content.id))
    email = email_ids.astype(np.int64) - 1
    alone = _contexts_of_day(world, who, today, plans)
    context = SendContext(**{each.name: getattr(alone, each.name)[user] for each in fields(SendContext)})
    context.email_age_days[:] -= content.created[email]
    days = np.full(len(user), today)
    return probabilities(logits_at(world, who, user, content, email, days, context), calibration.intercept)


def _contexts_of_day(world: World, who: Users, day: int, plans: Plans) -> SendContext:
    """What a send on that day would meet, per user; the email's age is that of one created at the world's start."""
    everyone = np.arange(len(who.id))
    days = np.full(len(everyone), day)
    earlier = plans.applied(world, who, potential_sends(world, who, day))
    last = Slots(everyone, days, second_of_day(world, who, everyone, days), np.ones(len(everyone), np.int64))
    joined = {
        each.name: np.concatenate([getattr(earlier, each.name), getattr(last, each.name)]) for each in fields(Slots)
    }
    order = np.lexsort((joined["second"], joined["user"]))
    slots = Slots(**{name: column[order] for name, column in joined.items()})
    context = send_contexts(world, who, slots, np.zeros(len(order), np.int64))
    newest = np.searchsorted(slots.user, everyone, side="right") - 1
    return SendContext(**{each.name: getattr(context, each.name)[newest] for each in fields(SendContext)})


def _refuse_unknown(what: str, day: date, ids: npt.NDArray[Any], existing: int) -> None:
    unknown = ids[(ids < 1) | (ids > existing)]
    if len(unknown):
        raise ValueError(f"{what} {unknown[0]} did not exist before {day}; expected an id from 1 to {existing}")
