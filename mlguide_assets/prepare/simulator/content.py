"""What can be sent: the emails and, for each day, the pool that a send is drawn from."""

from dataclasses import dataclass

import numpy as np

from mlguide_assets.prepare.simulator.randomness import stratified_uniform
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Floats, Integers

THEMES = ("shopping", "food", "lifestyle")
CATEGORIES = ("newsletter", "promotional", "transactional")
POOL_DAYS = 90

# One new email every 14 / 5 days, that is 2.5 a week; whole numbers keep the two directions exact.
_DAYS_PER_EMAIL = (14, 5)
_CATEGORY_SHARES = (0.42, 0.38, 0.20)
_CATEGORY_SHARES_SHIFTED = (0.25, 0.58, 0.17)
# Neighbouring emails share out each attribute evenly, so that the pool's mix does not wander by chance.
_BLOCK = 12

_OPENINGS = (
    "A closer look at", "Back again:", "Before the weekend:", "Five minutes with", "For slow mornings:",
    "From our desk:", "Fresh this week:", "Hand-picked", "How we choose", "In good company:",
    "Just arrived:", "Last call for", "Made for you:", "New ideas for", "Our favourite",
    "Quietly brilliant", "Small guide to", "The return of", "Worth a try:", "Your guide to",
)  # fmt: skip
_TOPICS = {
    "shopping": (
        "winter coats", "canvas bags", "desk lamps", "running shoes", "linen shirts", "travel cases",
        "wool socks", "kitchen knives", "garden tools", "picture frames", "rain jackets", "alarm clocks",
        "leather belts",
    ),
    "food": (
        "noodle soups", "sourdough bread", "autumn stews", "rice bowls", "berry tarts", "green salads",
        "mountain cheese", "street tacos", "spiced teas", "garden tomatoes", "roast pumpkin", "plum jam",
        "bean chilli",
    ),
    "lifestyle": (
        "evening walks", "better sleep", "tidy rooms", "balcony plants", "weekend trips", "morning stretches",
        "long reads", "board games", "house guests", "city cycling", "quiet hobbies", "cold swims",
        "family photos",
    ),
}  # fmt: skip
_ENDINGS = (
    "for beginners", "in three steps", "on a budget", "that last", "to share", "without fuss",
    "for every season", "worth keeping", "for rainy days", "by our readers", "at home",
)  # fmt: skip


@dataclass(frozen=True)
class Emails:
    """Arrays of shape (n,), one entry per email. `created` counts days from the world's start."""

    id: Integers
    created: Integers
    theme: Integers  # index into THEMES
    category: Integers  # index into CATEGORIES
    buttons: Integers
    sections: Integers
    items: Integers


def created_on(ids: Integers) -> Integers:
    """The day each email was created, counted from the world's start: the stock reaches POOL_DAYS back."""
    days, emails_ = _DAYS_PER_EMAIL
    return (ids - 1) * days // emails_ - POOL_DAYS


def emails_created_before(day: Integers | int) -> Integers:
    """How many emails were created before `day`: their ids are 1 to this number."""
    days, emails_ = _DAYS_PER_EMAIL
    return np.maximum(-(-(np.asarray(day, dtype=np.int64) + POOL_DAYS) * emails_ // days), 0)


def pool(day: Integers) -> tuple[Integers, Integers]:
    """First id and size of the pool of each day: the emails created in the POOL_DAYS days before it.

    The ids of a pool have no gaps, and a send is drawn from them evenly: its propensity is 1 / size.
    """
    older = emails_created_before(day - POOL_DAYS)
    return older + 1, emails_created_before(day) - older


def emails(world: World, ids: Integers) -> Emails:
    """The emails with these ids."""
    created = created_on(ids)
    shifted = np.zeros(len(ids), dtype=bool)
    if world.covariate_shift is not None:
        shifted = created >= world.day(world.covariate_shift)

    def share(stream: str) -> Floats:
        return stratified_uniform(world.seed, stream, ids, _BLOCK)

    usual = _pick(_CATEGORY_SHARES, share("category"))
    later = _pick(_CATEGORY_SHARES_SHIFTED, share("category"))
    return Emails(
        id=ids,
        created=created,
        theme=np.floor(share("theme") * len(THEMES)).astype(np.int64),
        category=np.where(shifted, later, usual),
        buttons=(1 + np.floor(share("buttons") * 9) + 2 * shifted).astype(np.int64),
        sections=(1 + np.floor(share("sections") * 7)).astype(np.int64),
        items=(np.floor(share("items") * 16) + 3 * shifted).astype(np.int64),
    )


def subjects(emails_: Emails) -> list[str]:
    """One readable subject per email, each different from all others."""
    return [_subject(int(i), THEMES[theme]) for i, theme in zip(emails_.id, emails_.theme, strict=True)]


def _subject(email_id: int, theme: str) -> str:
    topics = _TOPICS[theme]
    combinations = len(_OPENINGS) * len(topics) * len(_ENDINGS)
    edition, place = divmod(email_id - 1, combinations)
    # 1009 shares no factor with the number of combinations, so each is met once before any comes again.
    rest, opening = divmod(place * 1009 % combinations, len(_OPENINGS))
    ending, topic = divmod(rest, len(topics))
    text = f"{_OPENINGS[opening]} {topics[topic]} {_ENDINGS[ending]}"
    return text if edition == 0 else f"{text}, part {edition + 1}"


def _pick(shares: tuple[float, ...], uniform: Floats) -> Integers:
    return np.searchsorted(np.cumsum(shares)[:-1], uniform, side="right")
