"""Day by day is as from scratch: the same bytes in every table, whatever has happened to the source meanwhile."""

import copy
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.define.contracts import NotAfter, References, Unique
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.clock import data_clock
from mlguide_assets.prepare.computing import DuckDB
from mlguide_assets.prepare.contracts.contract_tables import QUARANTINED
from mlguide_assets.prepare.contracts.validation import accepted_order, results_table, validate
from mlguide_assets.prepare.core import core_by_partition, core_rows, count_core
from mlguide_assets.prepare.features.building import tables_of
from mlguide_assets.prepare.features.incremental import features_by_partition
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.sources.reading import read_source
from mlguide_assets_tests.email_case import counted_values, send_features
from mlguide_assets_tests.prepare.ingesting import keep, lake_over
from mlguide_assets_tests.prepare.shops import CORE, DAY, FEATURES, FIRST, Shop, build, content, shop_problem
from mlguide_assets_tests.processes import PROCESSES, in_two_processes, is_killed
from mlguide_assets_tests.samples import with_themes


def doubled_day(shop: Shop) -> None:
    newest = shop.sends[-1]["delivered_at"].date()
    shop.sends += [dict(row) for row in shop.sends if row["delivered_at"] and row["delivered_at"].date() == newest]


def without_doubles(shop: Shop) -> None:
    shop.sends = list({tuple(row.items()): row for row in shop.sends}.values())


def removed_rows(shop: Shop) -> None:
    del shop.sends[5:8]


def missed(shop: Shop) -> None:
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
    "a lost user": missed,
    "a changed profile": changed_profile,
    "unseen categories": unseen_categories,
    "a category that is known now": known_category,
    "months pass": months,
}


class Followed:
    """A shop, the lake that follows it, and what a new lake would hold.

    `opened` is what a new lake did hold, of the shop as it was.
    """

    def __init__(self, folder: Path, duck: Any, shop: Shop) -> None:
        self.folder, self.duck, self.shop = folder, duck, shop
        self.opened: dict[str, Any] = {}
        self.problem = shop_problem(folder / "shop")
        self.lake = lake_over(duck, folder / "lake")
        self.fresh = 0

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


@pytest.fixture(scope="module")
def opened(duck: Any, tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """A shop after a hundred days, and a lake that has read it; to be copied."""
    followed = Followed(tmp_path_factory.mktemp("opened"), duck, Shop.opened(seed=0, days=100))
    followed.follow()
    followed.opened = content(followed.lake)
    return followed


@pytest.fixture
def followed(opened: Followed, tmp_path: Path) -> Followed:
    for name in ("shop", "lake"):
        shutil.copytree(opened.folder / name, tmp_path / name)
    copied = Followed(tmp_path, opened.duck, copy.deepcopy(opened.shop))
    copied.opened = opened.opened
    return copied


@pytest.mark.slow
def test_every_step_ends_where_a_new_lake_would_begin(followed: Followed) -> None:
    for place, (name, step) in enumerate(STEPS.items()):
        followed.follow(step)
        # What is wrong stays wrong: a partition that is kept is never looked at again. A day alone is looked at below,
        # in "partitions together".
        assert place % 4 or not place or followed.is_as_from_scratch(), name


@pytest.mark.slow
def test_so_do_steps_in_any_order(followed: Followed) -> None:
    chance = random.Random(1)
    names = [chance.choice(list(STEPS)) for _ in range(5)]
    for name in names:
        followed.follow(STEPS[name])
    assert followed.is_as_from_scratch(), names


def test_only_what_changed_is_rebuilt(followed: Followed) -> None:
    shop, everything = followed.shop, set(followed.lake.snapshot(CORE).partitions)
    assert followed.follow() == {"user_emails": 0, CORE: 0, FEATURES: 0}
    shop.day(5)
    rebuilt = followed.follow()
    # The day, who is silent now, and the last days, some of whose labels have matured.
    assert (rebuilt["user_emails"], rebuilt[CORE]) == (1, 2)
    assert 1 <= rebuilt[FEATURES] <= 4
    assert len(everything) > 8
    # A row of the newest day changes no day before; one of the first day all that follow.
    followed.follow(lambda shop: shop.correct(shop.sends[-1]["delivered_at"]))
    shop.sends[0]["unsubscribed"] = "yes" if shop.sends[0]["unsubscribed"] != "yes" else "no"
    rebuilt = followed.follow()
    assert rebuilt["user_emails"] == 1
    assert rebuilt[FEATURES] == len(followed.lake.snapshot(FEATURES).partitions)


def test_a_profile_changes_the_partitions_in_which_its_user_was_sent_something(followed: Followed) -> None:
    user = followed.shop.join(FIRST)
    followed.shop.send(followed.shop.today, user, 1)
    followed.follow()
    followed.shop.users[-1]["purchases"] = 50
    assert followed.follow()["user_emails"] == 1
    assert followed.is_as_from_scratch()
    followed.shop.join()
    assert followed.follow() == {"user_emails": 0, CORE: 1, FEATURES: 0}


def test_another_contract_or_problem_rebuilds_all(followed: Followed) -> None:
    every = len(followed.lake.snapshot(FEATURES).partitions)
    strict = tuple(rule for rule in followed.problem.contracts if rule.table == "user_emails")
    assert len(strict) == len(followed.problem.contracts) - 1
    followed.problem = followed.problem.model_copy(update={"contracts": strict})
    assert followed.follow()["user_emails"] == 0
    followed.problem = followed.problem.model_copy(update={"contracts": strict[:-1]})
    assert followed.follow()["user_emails"] == every
    followed.problem = with_themes(followed.problem, *counted_values(followed.problem, "theme"), "travel")
    assert followed.follow() == {"user_emails": 0, CORE: 0, FEATURES: every}
    assert followed.is_as_from_scratch()


def test_a_rule_that_looks_across_days_is_evaluated_over_all_rows(followed: Followed) -> None:
    once = Unique(rule="unique", table="user_emails", columns=("user_id", "email_id"), action="quarantine")
    followed.problem = followed.problem.model_copy(update={"contracts": (*followed.problem.contracts, once)})
    for name in ("a day", "a late day", "nothing"):
        followed.follow(STEPS[name])
    assert followed.is_as_from_scratch()
    rows = followed.lake.read("user_emails").select("user_id", "email_id").to_pyarrow().to_pylist()
    assert len({tuple(row.values()) for row in rows}) == len(rows) > 5


def test_a_rule_about_a_table_that_is_no_entity_of_the_event_sees_its_rows_change(followed: Followed) -> None:
    known = References(
        rule="references", table="user_emails", column="email_id", target="user_profiles", action="quarantine"
    )
    followed.problem = followed.problem.model_copy(update={"contracts": (*followed.problem.contracts, known)})
    shop = followed.shop
    while len(shop.emails) <= len(shop.users):
        shop.create()
    followed.follow(lambda shop: shop.send(shop.today, 1, len(shop.emails)))
    assert followed.lake.snapshot(QUARANTINED).rows == 1
    followed.follow(lambda shop: shop.join())
    assert followed.lake.snapshot(QUARANTINED).rows == 0
    assert followed.is_as_from_scratch()


def test_doubles_of_a_key_without_a_time_rebuild_the_days_that_have_them(followed: Followed) -> None:
    once = Unique(rule="unique", table="user_emails", columns=("user_id", "email_id"), action="quarantine")
    followed.problem = followed.problem.model_copy(update={"contracts": (*followed.problem.contracts, once)})
    shop = followed.shop
    shop.sends = list({(row["user_id"], row["email_id"]): row for row in shop.sends}.values())
    followed.follow()

    def rebuilt(step: Callable[[Shop], Any]) -> int:
        return followed.follow(step)["user_emails"]

    def a_day(shop: Shop) -> None:
        email = shop.create()
        for user in (1, 2, 3):
            shop.send(shop.today, user, email)
        shop.today += DAY

    def sent_again(shop: Shop) -> None:
        shop.sends.append({**shop.sends[0], "delivered_at": shop.sends[-1]["delivered_at"]})

    assert rebuilt(a_day) == 1
    assert rebuilt(sent_again) == 2
    assert followed.lake.snapshot(QUARANTINED).rows == 1
    # Neither of the two has changed.
    assert rebuilt(a_day) == 1
    # The other one has to be looked at again, too.
    assert rebuilt(lambda shop: shop.sends[0].update(unsubscribed="yes")) == 2
    assert followed.is_as_from_scratch()
    assert rebuilt(lambda shop: shop.sends.pop(-4)) == 2
    assert followed.is_as_from_scratch()
    assert followed.lake.snapshot(QUARANTINED).rows == 0


def test_partitions_together_are_what_is_computed_over_everything(
    followed: Followed, duck: Any, tmp_path: Path
) -> None:
    for name in ("a late day", "a day twice", "a send to nobody", "unseen categories"):
        STEPS[name](followed.shop)
    followed.follow()
    followed.follow(STEPS["a day"])
    lake, problem = followed.lake, followed.problem
    tables = read_source(problem, duck, scratch=tmp_path, oracle=tmp_path)
    whole = validate(tables, problem.schema, problem.rules, DuckDB(duck), scratch=tmp_path, now=datetime(2025, 1, 1))
    orders = {name: accepted_order(problem.schema.tables[name]) for name in whole.accepted}
    accepted = {name: rows.order_by(orders[name]).to_pyarrow() for name, rows in whole.accepted.items()}
    for name, rows in accepted.items():
        assert lake.read(name).to_pyarrow() == rows, name
    assert lake.read_arrow("contract_results") == results_table(whole.results)
    aside = [row for rows in whole.quarantined.values() for row in rows.to_pyarrow().to_pylist()]
    assert Counter(map(str, lake.read(QUARANTINED).to_pyarrow().to_pylist())) == Counter(map(str, aside))
    assert aside
    read = tables_of(lake, problem)
    assert lake.read(CORE).to_pyarrow().to_pylist() == core_rows(read, problem).to_pyarrow().to_pylist()
    counted = count_core(lake, problem)
    assert counted.found == counted.expected == lake.snapshot("user_emails").rows
    features = send_features(read, problem, clock=data_clock(read["user_emails"], "delivered_at")).to_pyarrow()
    assert lake.read(FEATURES).to_pyarrow() == features
    assert features.num_rows > 50


def test_rows_that_are_set_aside_again_are_not_written_again(followed: Followed) -> None:
    """Those of emails without a time too, which are validated whole each time."""

    def written() -> set[str]:
        with ingest(followed.problem, followed.lake, oracle=followed.folder, report=lambda _: None) as read:
            keep(followed.lake, read)
            return {key.partition(".")[0] for key in read.quarantined.rebuilt}

    assert list(followed.lake.snapshot(QUARANTINED).partitions) == ["none"]
    assert written() == set()
    unseen_categories(followed.shop)
    followed.shop.write(followed.folder / "shop")
    # Events of an email that is set aside are set aside with it.
    assert written() == {"email_content", "user_emails"}
    assert written() == set()
    assert followed.lake.snapshot(QUARANTINED).rows > 1


def newest(lake: Lake) -> datetime:
    found: datetime = lake.read("user_emails").delivered_at.max().to_pyarrow().as_py()
    return found


def test_a_send_of_the_future_is_set_aside_until_its_day_has_come(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = FIRST + 130 * DAY
    monkeypatch.setattr("mlguide_assets.prepare.ingest._now", lambda *_: followed.shop.today)
    followed.follow(lambda shop: shop.send(ahead, 1, 1))
    assert newest(followed.lake) < ahead
    assert any("is_not_after_now" in row for row in followed.lake.read_arrow(QUARANTINED)["reasons"].to_pylist())
    assert followed.follow()["user_emails"] == 1, "it is looked at each time"
    assert followed.is_as_from_scratch()
    monkeypatch.undo()
    assert followed.follow()["user_emails"] == 1
    assert newest(followed.lake) == ahead
    assert followed.is_as_from_scratch()


def test_the_day_of_a_send_of_the_future_is_as_from_scratch_once_that_counts(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = followed.shop.today + timedelta(hours=12)
    slack = next(rule.slack for rule in followed.problem.rules if isinstance(rule, NotAfter))
    monkeypatch.setattr("mlguide_assets.prepare.ingest._now", lambda *_: noon - slack)
    followed.follow(lambda shop: [shop.send(noon + timedelta(hours=hours), 1, 1) for hours in (-1, 1)])
    assert newest(followed.lake) < noon
    monkeypatch.undo()
    # Its day, and the one whose labels the later time makes final.
    assert followed.follow() == {"user_emails": 1, CORE: 2, FEATURES: 2}
    assert newest(followed.lake) > noon
    assert followed.is_as_from_scratch()


def test_a_single_send_weeks_ahead_makes_no_label_final(followed: Followed) -> None:

    def final() -> int:
        return int(followed.lake.read(FEATURES).unsubscribed.count().to_pyarrow().as_py())

    before, ahead = final(), followed.shop.today + 20 * DAY
    followed.follow(lambda shop: shop.send(ahead, 1, 1))
    assert (newest(followed.lake), final()) == (ahead, before)
    assert followed.is_as_from_scratch()


def test_a_source_that_cannot_be_read_or_is_blocked_changes_nothing(followed: Followed, tmp_path: Path) -> None:
    before = content(followed.lake)
    followed.shop.day(4)
    followed.shop.write(tmp_path / "shop")
    path = tmp_path / "shop" / "user_emails.parquet"
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[: len(whole) // 2], b""):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"user_emails\.parquet"):
            build(followed.lake, followed.problem)
    path.write_bytes(whole)
    followed.shop.sends.append({**followed.shop.sends[-1], "unsubscribed": "maybe"})
    with pytest.raises(InputError, match="unsubscribed_is_known in 1 of"):
        followed.follow()
    assert content(followed.lake) == before
    del followed.shop.sends[-1]
    followed.follow()
    assert followed.is_as_from_scratch()


def test_a_lake_of_an_earlier_version_is_rebuilt(followed: Followed) -> None:
    lake, every = followed.lake, len(followed.lake.snapshot(FEATURES).partitions)
    for table in ("user_emails", CORE, FEATURES, QUARANTINED):
        lake.write(table, lake.read(table))
    with pytest.raises(InputError, match=r"'user_emails' is not in partitions .* materialise it again"):
        core_by_partition(lake, followed.problem).__enter__()
    # Features follow from the tables as they are, digested or not.
    with features_by_partition(lake, followed.problem) as features:
        assert len(features.rebuilt) == every
    assert followed.follow() == {"user_emails": every, CORE: every + 1, FEATURES: every}
    assert content(lake) == followed.opened


def test_a_file_of_the_lake_that_was_lost_or_cut_short_is_rebuilt(followed: Followed) -> None:
    for table in ("user_emails", CORE, FEATURES):
        lost, cut = followed.lake.files(table)[:2]
        lost.unlink()
        cut.write_bytes(cut.read_bytes()[:-10])
    assert followed.follow() == {"user_emails": 2, CORE: 2, FEATURES: 2}
    assert content(followed.lake) == followed.opened


def build_and_die(folder: Path, after: str) -> None:
    def die(table: str) -> None:
        if table == after:
            os.kill(os.getpid(), signal.SIGKILL)

    build(Lake(folder / "lake"), shop_problem(folder / "shop"), die)


@pytest.mark.slow
def test_a_run_killed_between_any_two_tables_is_made_good_by_the_next(followed: Followed, tmp_path: Path) -> None:
    for table in ("user_profiles", "user_emails", CORE):
        for name in ("a changed profile", "a send to nobody", "a late day"):
            STEPS[name](followed.shop)
        followed.shop.write(tmp_path / "shop")
        process = PROCESSES.Process(target=build_and_die, args=(tmp_path, table))
        process.start()
        assert is_killed(process)
        # Meanwhile somebody may have made one table of what is there.
        with core_by_partition(followed.lake, followed.problem) as core:
            assert isinstance(core, Partitions)
            followed.lake.write_partitions(CORE, core)
        followed.follow()
        assert followed.is_as_from_scratch(), table


def build_once(folder: Path) -> None:
    build(Lake(folder / "lake"), shop_problem(folder / "shop"))


@pytest.mark.slow
def test_two_runs_at_once_end_as_one_would(followed: Followed, tmp_path: Path) -> None:
    STEPS["a late day"](followed.shop)
    followed.shop.write(tmp_path / "shop")
    in_two_processes(build_once, (tmp_path,), (tmp_path,))
    assert followed.is_as_from_scratch()
    assert followed.follow() == {"user_emails": 0, CORE: 0, FEATURES: 0}
