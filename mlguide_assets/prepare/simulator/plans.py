"""Which email a user is sent on a day, where somebody other than the company chooses: the simulator's policy.

The world offers slots: on which days a user is due for an email, and at what second. They are the same whatever is
chosen. A plan fills the slots of its day and its users with an email, or withholds them. A row for a user without a
slot on that day changes nothing, and slots without a row keep the company's own draw.

What follows from a choice follows by itself. The risk is that of the email which was sent, after the emails which
were sent before. The random numbers belong to (user, day), not to the choice, so two plans for one world differ only
by what they choose (common random numbers). Nothing here scores users or knows a model.

    plans = NO_PLANS.with_day(date(2026, 1, 1), user_ids, email_ids)    # WITHHOLD sends nothing
    generate.sends(world, date(2026, 1, 1), date(2026, 1, 2), as_of, plans=plans)
    truth.opportunities(world, date(2026, 1, 2), plans)
    truth.true_probabilities(world, date(2026, 1, 2), user_ids, email_ids, plans)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.prepare.simulator.content import emails_created_before
from mlguide_assets.prepare.simulator.population import Users
from mlguide_assets.prepare.simulator.schedule import Slots
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Integers

WITHHOLD = -1
"""In place of an email: the slot passes, and nothing is sent."""


@dataclass(frozen=True, eq=False)
class DayPlan:
    """The rows of one day, arrays of shape (n,): users in rising order, and for each an email id or WITHHOLD."""

    user_ids: Integers
    email_ids: Integers

    @classmethod
    def of(cls, day: date, user_ids: npt.NDArray[Any], email_ids: npt.NDArray[Any]) -> "DayPlan":
        """The plan with these rows, which may come in any order; `day` is named in errors.

        Raises ValueError when the arrays differ in length, or a user has two rows.
        """
        if user_ids.shape != email_ids.shape or user_ids.ndim != 1:
            shapes = f"{user_ids.shape} and {email_ids.shape}"
            raise ValueError(f"the plan of {day} has users and emails of shapes {shapes}; expected one email per user")
        order = np.argsort(user_ids, kind="stable")
        users = user_ids[order].astype(np.int64)
        twice = users[1:][np.diff(users) == 0]
        if len(twice):
            raise ValueError(f"the plan of {day} has two rows for user {twice[0]}; expected one")
        return cls(users, email_ids[order].astype(np.int64))


@dataclass(frozen=True, eq=False)
class Plans:
    """Plans by day. A value: adding a day makes another one, which shares the rows of the others."""

    days: Mapping[date, DayPlan] = field(default_factory=dict)

    def with_day(self, day: date, user_ids: npt.NDArray[Any], email_ids: npt.NDArray[Any]) -> "Plans":
        """These plans and one more day, in place of an earlier plan for that day; see `DayPlan.of`.

        >>> NO_PLANS.with_day(date(2026, 1, 1), np.array([9, 4]), np.array([150, WITHHOLD])).days[date(2026, 1, 1)]
        DayPlan(user_ids=array([4, 9]), email_ids=array([ -1, 150]))
        """
        return Plans({**self.days, day: DayPlan.of(day, user_ids, email_ids)})

    def before(self, day: date) -> "Plans":
        """Only the plans of earlier days."""
        return Plans({each: plan for each, plan in self.days.items() if each < day})

    def applied(self, world: World, who: Users, slots: Slots) -> Slots:
        """The slots as these plans fill them; those that they withhold are left out.

        Raises ValueError when a plan names an email that does not exist on its day.
        """
        if not self.days:
            return slots
        email, first = slots.email.copy(), world.day(min(self.days))
        later = np.flatnonzero(slots.day >= first)
        by_day = later[np.argsort(slots.day[later], kind="stable")]
        days, starts = np.unique(slots.day[by_day], return_index=True)
        for day, places in zip(days.tolist(), np.split(by_day, starts[1:]), strict=False):
            when = world.start + timedelta(days=day)
            if (plan := self.days.get(when)) is not None:
                email[places] = _chosen(plan, who.id[slots.user[places]], email[places])
                _refuse_unknown(when, email[places], int(emails_created_before(day)))
        sent = email != WITHHOLD
        return Slots(user=slots.user[sent], day=slots.day[sent], second=slots.second[sent], email=email[sent])


NO_PLANS = Plans()
"""The company draws every email."""


def _chosen(plan: DayPlan, user_ids: Integers, drawn: Integers) -> Integers:
    """What the plan has for each user, else what the company has drawn."""
    if not len(plan.user_ids):
        return drawn
    place = np.minimum(np.searchsorted(plan.user_ids, user_ids), len(plan.user_ids) - 1)
    return np.where(plan.user_ids[place] == user_ids, plan.email_ids[place], drawn)


def _refuse_unknown(day: date, emails: Integers, existing: int) -> None:
    unknown = emails[(emails != WITHHOLD) & ((emails < 1) | (emails > existing))]
    if len(unknown):
        raise ValueError(f"the plan of {day} sends email {unknown[0]}; expected one that exists: 1 to {existing}")
