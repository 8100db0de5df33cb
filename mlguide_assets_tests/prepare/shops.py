"""A shop whose three tables change from day to day, and the lakes that follow it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.contracts.contract_tables import QUARANTINED
from mlguide_assets.prepare.contracts.refusals import refuse_blocked
from mlguide_assets.prepare.core import core_by_partition
from mlguide_assets.prepare.features.incremental import features_by_partition
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.prepare.ingesting import keep
from mlguide_assets_tests.samples import CATEGORIES, TABLES, THEMES, arrow, sample_problem

DAY = timedelta(days=1)
FIRST = datetime(2023, 12, 1)
CORE, FEATURES = "core_users", "send_features"
BUILT = ("user_profiles", "email_content", "user_emails", CORE, FEATURES, QUARANTINED, "contract_results")
Rows = list[dict[str, Any]]
UNLIKE_NOTHING = (
    "emails_last_30_days", "number_of_email_category_*", "email_matured_sends", "email_age_days", "day_of_week",
)  # fmt: skip
"""Features that another one is computed like. Partitions know nothing of any one feature, and each costs its time."""


def shop_problem(folder: Path) -> Problem:
    """Whatever breaks a rule is set aside, so that every fault can pass; labels are final after two days."""
    sends = {"table": "user_emails", "action": "quarantine"}
    label = {"positive": "yes", "negative": "no", "window": "2d"}
    rules: list[dict[str, Any]] = [
        {**sends, "rule": "set_aside", "max_share": 1, "action": "block"},
        {"table": "email_content", "rule": "one_of", "column": "category", "values": list(CATEGORIES),
         "action": "quarantine"},
        {**sends, "rule": "references", "column": "user_id", "target": "user_profiles"},
        {**sends, "rule": "references", "column": "email_id", "target": "email_content"},
        {**sends, "rule": "unique", "columns": ["user_id", "email_id", "delivered_at"]},
        {**sends, "rule": "present", "column": "delivered_at"},
        {**sends, "rule": "present", "column": "unsubscribed", "action": "warn"},
        {**sends, "rule": "not_before", "column": "delivered_at", "key": "user_id", "target": "user_profiles",
         "target_column": "date_joined", "action": "warn"},
    ]  # fmt: skip
    problem = sample_problem(folder, label=label, contracts=rules)
    declared = {name: each for name, each in problem.features.declared.items() if name not in UNLIKE_NOTHING}
    return problem.model_copy(update={"features": problem.features.model_copy(update={"declared": declared})})


@dataclass
class Shop:
    """Three tables as lists of rows, and the day up to which they go."""

    chance: random.Random
    users: Rows = field(default_factory=list)
    emails: Rows = field(default_factory=list)
    sends: Rows = field(default_factory=list)
    today: datetime = FIRST

    @classmethod
    def opened(cls, seed: int, days: int) -> "Shop":
        shop = cls(random.Random(seed))
        for _ in range(8):
            shop.join(FIRST - 9 * DAY)
        for _ in range(4):
            shop.create(FIRST - 9 * DAY)
        for _ in range(days):
            shop.day()
        return shop

    def join(self, when: datetime | None = None) -> int:
        identity = len(self.users) + 1
        self.users.append(
            {
                "id": identity,
                "date_joined": when or self.today,
                "gender": self.chance.choice(("male", "female")),
                "age": self.chance.randrange(18, 60),
                "country": "KO",
                "words_in_description": self.chance.randrange(90),
                "purchases": self.chance.randrange(9),
            }
        )
        return identity

    def create(self, when: datetime | None = None, category: str | None = None) -> int:
        identity = len(self.emails) + 1
        self.emails.append(
            {
                "id": identity,
                "subject": f"Subject {identity}",
                "theme": THEMES[identity % 3],
                "category": category or CATEGORIES[identity // 2 % 3],
                "number_of_buttons": identity,
                "number_of_sections": 0,
                "number_of_items": 1,
                "created_at": when or self.today,
            }
        )
        return identity

    def send(self, when: datetime, user: int, email: int, label: str | None = "no") -> None:
        row = {"user_id": user, "email_id": email, "unsubscribed": label, "delivered_at": when}
        if not any(all(row[name] == other[name] for name in row if name != "unsubscribed") for other in self.sends):
            self.sends.append(row)

    def day(self, sends: int | None = None, when: datetime | None = None, email: int | None = None) -> None:
        """A day passes, or one that lies back comes late; on one of three days nothing is sent."""
        at = when or self.today
        for _ in range(self.chance.choice((0, 4, 4)) if sends is None else sends):
            instant = at + timedelta(hours=12 * self.chance.randrange(2), microseconds=self.chance.randrange(2))
            user, chosen = self.chance.choice(self.users)["id"], email or self.chance.choice(self.emails)["id"]
            self.send(instant, user, chosen, self.chance.choice(("no", "no", "yes", None)))
        self.today += DAY if when is None else timedelta(0)

    def correct(self, since: datetime) -> None:
        """Labels since then become known."""
        for row in self.sends:
            if row["delivered_at"] >= since:
                row["unsubscribed"] = "yes"

    def write(self, folder: Path) -> None:
        """As a source, in no order that could be relied on."""
        folder.mkdir(parents=True, exist_ok=True)
        tables: dict[str, Rows] = {
            "user_profiles": self.users, "email_content": self.emails, "user_emails": self.sends,
        }  # fmt: skip
        for name in TABLES:
            rows = self.chance.sample(tables[name], len(tables[name]))
            pq.write_table(arrow(name, rows), folder / f"{name}.parquet")


def build(lake: Lake, problem: Problem, between: Callable[[str], None] = lambda _: None) -> dict[str, int]:
    """Bring a lake up to the source, as the assets do; how many partitions of each table were rebuilt.

    Args:
        between: called after each table that was written.
    """
    with ingest(problem, lake, oracle=lake.root, report=lambda _: None) as read:
        refuse_blocked(read.results, problem.rules, read.place)
        keep(lake, read, between)
        rebuilt = {"user_emails": len(read.tables["user_emails"].rebuilt)}  # type: ignore[union-attr]
    with core_by_partition(lake, problem) as core:
        assert isinstance(core, Partitions)
        lake.write_partitions(CORE, core)
    between(CORE)
    with features_by_partition(lake, problem) as features:
        lake.write_partitions(FEATURES, features)
    return rebuilt | {CORE: len(core.rebuilt), FEATURES: len(features.rebuilt)}


def content(lake: Lake) -> dict[str, str]:
    """What is in the tables, by hash."""
    return {name: lake.snapshot(name).content_hash for name in BUILT}
