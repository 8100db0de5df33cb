"""Day by day is as from scratch: the same bytes in every table, whatever has happened to the source meanwhile."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.prepare.lake import Lake
from mlguide_assets_tests.prepare.ingesting import lake_over
from mlguide_assets_tests.prepare.shops import DAY, Shop, build, content, shop_problem


def doubled_day(shop: Shop) -> None:
    newest = shop.sends[-1]["delivered_at"].date()
    shop.sends += [dict(row) for row in shop.sends if row["delivered_at"] and row["delivered_at"].date() == newest]


def without_doubles(shop: Shop) -> None:
    shop.sends = list({tuple(row.items()): row for row in shop.sends}.values())


def removed_rows(shop: Shop) -> None:
    del shop.sends[5:8]


def lost_user(shop: Shop) -> None:
    del shop.users[2]


def changed_profile(shop: Shop) -> None:
    shop.users[3] = {**shop.users[3], "purchases": 99}


def unseen_categories(shop: Shop) -> None:
    shop.day(4, email=shop.create(category="banner"))


def known_category(shop: Shop) -> None:
    shop.emails[-1] = {**shop.emails[-1], "category": "newsletter"}


def user_that_comes_later(shop: Shop) -> None:
    shop.send(shop.today - DAY, len(shop.users) + 1, 1, "yes")
    shop.day(3)


def months(shop: Shop) -> None:
    for _ in range(40):
        shop.day()
    shop.day(3)


STEPS: dict[str, Callable[[Shop], Any]] = {
    "a day": lambda shop: shop.day(4),
    "corrected labels and a day": lambda shop: (shop.correct(shop.today - 2 * DAY), shop.day(3)),
    "a day without data": lambda shop: shop.day(0),
    "nothing": lambda shop: None,
    "a late day": lambda shop: shop.day(4, when=shop.today - 20 * DAY),
    "a day twice": doubled_day,
    "no doubles": without_doubles,
    "removed rows": removed_rows,
    "a send without a time": lambda shop: shop.sends.append({**shop.sends[0], "delivered_at": None}),
    "a new email": lambda shop: (shop.create(), shop.day(3)),
    "a send to nobody": user_that_comes_later,
    "the user arrives": lambda shop: shop.join(shop.today - 5 * DAY),
    "a lost user": lost_user,
    "a changed profile": changed_profile,
    "unseen categories": unseen_categories,
    "a category that is known now": known_category,
    "months pass": months,
}


class Followed:
    """A shop, the lake that follows it, and what a new lake would hold."""

    def __init__(self, folder: Path, duck: Any, seed: int = 0, days: int = 60) -> None:
        self.folder, self.duck = folder, duck
        self.shop = Shop.opened(seed, days)
        self.problem = shop_problem(folder / "shop")
        self.lake = lake_over(duck, folder / "lake")
        self.fresh = 0
        self.follow()

    def follow(self, step: Callable[[Shop], Any] = lambda _: None) -> dict[str, int]:
        step(self.shop)
        self.shop.write(self.folder / "shop")
        return build(self.lake, self.problem)

    def from_scratch(self) -> Lake:
        self.fresh += 1
        lake = lake_over(self.duck, self.folder / f"fresh {self.fresh}")
        build(lake, self.problem)
        return lake

    def is_as_from_scratch(self) -> bool:
        return content(self.lake) == content(self.from_scratch())


def test_every_step_ends_where_a_new_lake_would_begin(duck: Any, tmp_path: Path) -> None:
    followed = Followed(tmp_path, duck)
    for name, step in STEPS.items():
        followed.follow(step)
        assert followed.is_as_from_scratch(), name


@pytest.mark.parametrize("seed", [1, 2])
def test_so_do_steps_in_any_order(duck: Any, tmp_path: Path, seed: int) -> None:
    followed, chance = Followed(tmp_path, duck, seed), random.Random(seed)
    names = [chance.choice(list(STEPS)) for _ in range(8)]
    for name in names:
        followed.follow(STEPS[name])
    assert followed.is_as_from_scratch(), names
