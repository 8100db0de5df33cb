"""The tables of the guide that this project starts from, where they are, and a small generated look-alike everywhere.

What is wrong with them is what the look-alike has: the dates of all three tables are random days of five decades, so
half of the deliveries come before their user had joined, and half before their email existed.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest

from mlguide_assets_tests.samples import CATEGORIES, GUIDE_FOLDER, TABLES, THEMES, arrow, write_sample

FIRST, DAYS = datetime(1970, 1, 2), 50 * 365
USERS, SILENT, EMAILS, SENDS = 300, 15, 40, 1500


def look_alike(seed: int = 0) -> Mapping[str, pa.Table]:
    """Three tables as the guide's, a sixth of their size."""
    chance = random.Random(seed)

    def day() -> datetime:
        return FIRST + timedelta(days=chance.randrange(DAYS))

    users = [
        {
            "id": user,
            "date_joined": day(),
            "gender": chance.choice(("male", "female")),
            "age": chance.randrange(18, 60),
            "country": chance.choice(("US", "KO", "JP")),
            "words_in_description": chance.randrange(1, 1000),
            "purchases": chance.randrange(101),
        }
        for user in range(1, USERS + 1)
    ]
    emails = [
        {
            "id": email,
            "subject": f"Subject {email}",
            "theme": chance.choice(THEMES),
            "category": chance.choice(CATEGORIES),
            "number_of_buttons": chance.randrange(11),
            "number_of_sections": chance.randrange(11),
            "number_of_items": chance.randrange(11),
            "created_at": day(),
        }
        for email in range(1, EMAILS + 1)
    ]
    keys = {(chance.randrange(1, USERS + 1 - SILENT), chance.randrange(1, EMAILS + 1), day()) for _ in range(SENDS)}
    sends = [
        {"user_id": user, "email_id": email, "unsubscribed": chance.choice(("yes", "no")), "delivered_at": delivered}
        for user, email, delivered in sorted(keys)
    ]
    rows: dict[str, list[dict[str, Any]]] = {
        "user_profiles": users,
        "email_content": emails,
        "user_emails": sends,
    }
    return {table: arrow(table, rows[table]) for table in TABLES}


@dataclass(frozen=True)
class Guide:
    """Tables in a folder, and what a plain count finds in them."""

    folder: Path
    users: int
    emails: int
    sends: int
    silent: int
    before_joined: int
    before_created: int

    @classmethod
    def counted(cls, folder: Path) -> "Guide":
        users, emails, sends = (
            pyarrow.csv.read_csv(folder / f"{name}.csv").to_pylist()
            for name in ("user_profiles", "email_content", "user_emails")
        )
        joined = {user["id"]: user["date joined"] for user in users}
        created = {email["id"]: email["created at"] for email in emails}
        return cls(
            folder,
            len(users),
            len(emails),
            len(sends),
            len(joined.keys() - {send["user_id"] for send in sends}),
            sum(send["delivered at"] < joined[send["user_id"]] for send in sends),
            sum(send["delivered at"] < created[send["email_id"]] for send in sends),
        )


@pytest.fixture(scope="session", params=["look-alike", "own"])
def guide_tables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Guide:
    """The look-alike; and the guide's own tables, where they are."""
    if request.param == "look-alike":
        return Guide.counted(write_sample(tmp_path_factory.mktemp("guide"), tables=look_alike()))
    if not GUIDE_FOLDER.is_dir():
        pytest.skip(f"the guide's tables are not in {GUIDE_FOLDER}; their look-alike is tested")
    return Guide.counted(GUIDE_FOLDER)
