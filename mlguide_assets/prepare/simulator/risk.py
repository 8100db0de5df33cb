"""How likely a send is to make its user unsubscribe: one logit, all of it in this file.

The intercept, which sets the level, comes from `calibration`.
"""

from dataclasses import dataclass, replace

import numpy as np

from mlguide_assets.prepare.simulator.content import CATEGORIES, THEMES, Emails
from mlguide_assets.prepare.simulator.population import Users
from mlguide_assets.prepare.simulator.randomness import entity_normal
from mlguide_assets.prepare.simulator.schedule import DAY, Slots, weekday
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Floats, Integers


@dataclass(frozen=True)
class Effects:
    """Everything in logit units. Positive means more likely to unsubscribe.

    Few and strong rather than many and faint, so that a good model can come close to the truth on a year of
    sends.
    """

    # What a user brings.
    age: float = -0.30  # per 15 years
    purchases: float = -0.75  # per e-fold of 1 + purchases
    words: float = -0.10  # per e-fold of 1 + words
    country: tuple[float, ...] = (0.0, 0.15, -0.15)  # US, KO, JP
    # What an email brings.
    category: tuple[float, ...] = (0.0, 0.70, -1.00)  # newsletter, promotional, transactional
    button: float = 0.10
    section: float = 0.03
    item: float = 0.01
    stale: float = 0.30  # over the 90 days an email is in use
    # Tastes: what the two bring together. Columns are the themes shopping, food, lifestyle.
    country_theme: tuple[tuple[float, ...], ...] = ((-1.3, 0.0, 0.0), (0.0, -1.3, 0.0), (0.0, 0.0, -1.3))
    gender_theme: tuple[tuple[float, ...], ...] = ((0.8, 0.0, 0.0), (0.0, 0.0, 0.8))  # male, female
    age_category: tuple[float, ...] = (0.0, 0.4, 0.0)  # per 15 years
    # What the context brings.
    new_user: float = 1.70  # on the first day, fading by e-fold every `new_user_days`
    new_user_days: float = 50.0
    last_7_days: float = 0.42  # per earlier email
    last_30_days: float = 0.03  # per earlier email
    just_emailed: float = 0.30  # fading by e-fold every `just_emailed_days`
    just_emailed_days: float = 1.5
    weekend: float = 0.15


USUAL = Effects()


def _after_concept_shift(usual: Effects) -> Effects:
    """Taste for shopping turns round, and people mind frequent emails less."""

    def turned(tastes: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        return tuple((-shopping, *rest) for shopping, *rest in tastes)

    return replace(
        usual,
        country_theme=turned(usual.country_theme),
        gender_theme=turned(usual.gender_theme),
        last_7_days=usual.last_7_days / 2,
        last_30_days=usual.last_30_days / 2,
    )


SHIFTED = _after_concept_shift(USUAL)


@dataclass(frozen=True)
class SendContext:
    """What a send meets, arrays of shape (n,). The counts are of strictly earlier sends to that user."""

    tenure_days: Floats  # since the start of the join date
    email_age_days: Floats  # since the start of the creation date
    last_7_days: Integers
    last_30_days: Integers
    days_since_last: Floats  # infinite for a first send
    weekday: Integers


def send_contexts(world: World, who: Users, slots: Slots, created: Integers) -> SendContext:
    """The context of each potential send; `created` is the creation day of its email."""
    # One rising number per send in which two users are further apart than any window reaches.
    gap = (int(slots.day.max(initial=0)) + 60) * DAY
    clock = slots.user * gap + slots.second
    place = np.arange(len(clock))
    since_last = np.full(len(clock), np.inf)
    same_user = slots.user[1:] == slots.user[:-1]
    since_last[1:][same_user] = np.diff(slots.second)[same_user] / DAY
    return SendContext(
        tenure_days=slots.second / DAY - who.joined[slots.user],
        email_age_days=slots.second / DAY - created,
        last_7_days=place - np.searchsorted(clock, clock - 7 * DAY),
        last_30_days=place - np.searchsorted(clock, clock - 30 * DAY),
        days_since_last=since_last,
        weekday=weekday(world, slots.day),
    )


def logits(world: World, who: Users, content: Emails, slots: Slots) -> Floats:
    """The logit of each potential send, without the intercept. `content` holds the emails 1 to n in order."""
    email = slots.email - 1
    context = send_contexts(world, who, slots, content.created[email])
    return logits_at(world, who, slots.user, content, email, slots.day, context)


def logits_at(
    world: World, who: Users, user: Integers, content: Emails, email: Integers, day: Integers, context: SendContext
) -> Floats:
    """The logit of sends in given contexts, without the intercept. Shape (n,).

    `user` and `email` say, per send, which entry of `who` and `content` it joins; `day` counts from the world's start.
    """
    result = observed_logits(USUAL, who, user, content, email, context)
    if world.concept_shift is not None:
        later = observed_logits(SHIFTED, who, user, content, email, context)
        result = np.where(day >= world.day(world.concept_shift), later, result)
    if world.unobserved_sd > 0:
        result += _unobserved(world, who)[user, content.theme[email]]
    return result


def observed_logits(
    effects: Effects,
    who: Users,
    user: Integers,
    content: Emails,
    email: Integers,
    context: SendContext,
) -> Floats:
    """The part of the logit that follows from what can be observed, without the intercept. Shape (n,).

    `user` and `email` say, per send, which entry of `who` and `content` it joins.
    """
    tastes = _tastes(effects, who).reshape(len(who.id), len(THEMES) * len(CATEGORIES))
    kind = content.theme * len(CATEGORIES) + content.category
    result: Floats = tastes[user, kind[email]] + _email_part(effects, content)[email]
    result += effects.stale / 90 * context.email_age_days
    result += effects.new_user * np.exp(context.tenure_days / -effects.new_user_days)
    result += effects.last_7_days * context.last_7_days + effects.last_30_days * context.last_30_days
    result += effects.just_emailed * np.exp(context.days_since_last / -effects.just_emailed_days)
    result += effects.weekend * (context.weekday >= 5)
    return result


def _tastes(effects: Effects, who: Users) -> Floats:
    """What a user brings, alone and with each kind of email. Shape (n, themes, categories)."""
    fifteen_years = (who.age - 45) / 15
    alone = effects.age * fifteen_years
    alone += effects.purchases * (np.log1p(who.purchases) - 2)
    alone += effects.words * (np.log1p(who.words) - 4)
    alone += np.asarray(effects.country)[who.country]
    theme = np.asarray(effects.country_theme)[who.country] + np.asarray(effects.gender_theme)[who.gender]
    category = fifteen_years[:, None] * np.asarray(effects.age_category)
    tastes: Floats = alone[:, None, None] + theme[:, :, None] + category[:, None, :]
    return tastes


def _email_part(effects: Effects, content: Emails) -> Floats:
    result: Floats = np.asarray(effects.category)[content.category]
    result = result + effects.button * (content.buttons - 5) + effects.section * (content.sections - 4)
    return result + effects.item * (content.items - 8)


def _unobserved(world: World, who: Users) -> Floats:
    """What no feature can see: half of its variance follows the user, half the user and theme.

    Shape (n, themes).
    """
    spread = world.unobserved_sd / np.sqrt(2)
    alone = entity_normal(world.seed, "unobserved", who.id)
    themes = [entity_normal(world.seed, f"unobserved/{theme}", who.id) for theme in THEMES]
    unobserved: Floats = spread * (alone[:, None] + np.stack(themes, axis=1))
    return unobserved
