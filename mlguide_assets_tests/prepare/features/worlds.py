"""Tiny worlds for the properties of features: three users, four emails, and sends that hypothesis draws.

The queries are compiled once and asked again over other sends: Ibis takes longer to compile one than DuckDB
takes to answer it a hundred times.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import ibis
from hypothesis import strategies as st

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.features.building import features_from
from mlguide_assets.prepare.features.state import entity_state, features_of_choices
from mlguide_assets_tests.samples import CATEGORIES, THEMES, arrow, sample_problem

Row = dict[str, Any]

# The sends lie on both sides of 1970, where clocks that count from there change their sign.
START = datetime(1969, 12, 10)
ASKED = datetime(1970, 1, 14, 6)
"""The instant at which pairs are asked for; sends come before, at and after it."""

USERS = [
    {
        "id": user,
        "date_joined": START + timedelta(days=10 * user, hours=user),
        "gender": "female",
        "age": 20 + user,
        "country": "KO",
        "words_in_description": user,
        "purchases": None,
    }
    for user in (1, 2, 3)
]
EMAILS = [
    {
        "id": email,
        "subject": f"Subject {email}",
        "theme": THEMES[email % 2],
        "category": CATEGORIES[email % 3],
        "number_of_buttons": email,
        "number_of_sections": 0,
        "number_of_items": 1,
        # The last one does not exist yet when pairs are asked for.
        "created_at": START + timedelta(days=11 * (email - 1), seconds=email) if email < 4 else ASKED + timedelta(1),
    }
    for email in (1, 2, 3, 4)
]


EARLY_SENDS_STAY = [
    {
        **{"table": "user_emails", "rule": "not_before", "column": "delivered_at", "action": "warn"},
        **{"key": key, "target": target, "target_column": since},
    }
    for key, target, since in (("user_id", "user_profiles", "date_joined"), ("email_id", "email_content", "created_at"))
]
"""Here anything is sent at any time: whoever only warns of it is told of users and emails all the same."""


@dataclass(frozen=True, order=True)
class Send:
    at: datetime
    user: int
    email: int
    lost: bool | None = field(default=False, compare=False)
    """None: not known yet."""

    def flipped(self) -> "Send":
        return replace(self, lost=not self.lost)


# Half days, so that ties and distances of exactly a window are common, and now and then next to them.
INSTANTS = st.builds(
    lambda half_days, microseconds: START + timedelta(hours=6 + 12 * half_days, microseconds=microseconds),
    st.integers(0, 100),
    st.sampled_from([0, 0, 0, -1, 1]),
) | st.just(ASKED)
LOST = st.sampled_from([True, False, None])
SENDS = st.lists(
    st.builds(Send, INSTANTS, st.integers(1, 3), st.integers(1, 4), LOST), min_size=1, max_size=30, unique=True
)


class World:
    """One DuckDB in which the features of any list of sends can be asked for."""

    def __init__(self, window: str) -> None:
        duck = connect()
        # Handing thirty rows to a second thread takes longer than all the rest.
        duck.raw_sql("SET threads = 1")
        self.problem: Problem = sample_problem(
            "data", label={"positive": "yes", "negative": "no", "window": window}, contracts=EARLY_SENDS_STAY
        )
        self._database = duck.con
        self._register([Send(START, 1, 1)])
        self._database.register("users", arrow("user_profiles", USERS))
        self._database.register("emails", arrow("email_content", EMAILS))
        users, emails = duck.table("users"), duck.table("emails")
        tables = {"user_profiles": users, "email_content": emails, "user_emails": duck.table("sends")}
        # By the newest delivery, whatever the days before it have: most of these worlds are a few sends.
        newest = tables["user_emails"].delivered_at.max().as_scalar()
        self._features = ibis.to_sql(features_from(tables, self.problem, clock=newest), dialect="duckdb")
        states = (entity_state(tables, self.problem, noun, ASKED) for noun in ("user", "email"))
        pairs = features_of_choices(*states, self.problem)
        self._pairs = ibis.to_sql(pairs, dialect="duckdb")

    def features(self, sends: list[Send]) -> list[Row]:
        """The rows of send_features."""
        return self._ask(self._features, sends)

    def pairs(self, sends: list[Send]) -> dict[tuple[int, int], Row]:
        """Features of every user with every email, by their ids."""
        return {(row["user_id"], row["email_id"]): row for row in self._ask(self._pairs, sends)}

    def _ask(self, query: str, sends: list[Send]) -> list[Row]:
        self._register(sends)
        rows: list[Row] = self._database.execute(query).to_arrow_table().to_pylist()
        return rows

    def _register(self, sends: list[Send]) -> None:
        rows = [
            {
                "user_id": send.user,
                "email_id": send.email,
                "unsubscribed": {True: "yes", False: "no", None: None}[send.lost],
                "delivered_at": send.at,
            }
            for send in sends
        ]
        self._database.register("sends", arrow("user_emails", rows))
