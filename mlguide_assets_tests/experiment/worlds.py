"""A lake with units, actions and a plan of a day, small enough to count by hand."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from mlguide_assets.define.loading import dump_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHAMPION, Role, pointer_path
from mlguide_assets.experiment.ledger import start
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import PROBLEM, parse, text
from mlguide_assets_tests.samples import arrow

DAY = date(2024, 3, 1)
START = datetime(2024, 3, 1)
UNITS = 1600


def started(lake: Lake, problem: Problem = PROBLEM, *, day: date = DAY, planned: int = 1000, **changes: str) -> Started:
    which = parse(text(**changes), problem)
    return start(lake, which, text(**changes), first_day=day, planned_units=planned, who="person:me")


def at_look(begun: Started, number: int) -> datetime:
    return datetime.combine(begun.look_days()[number - 1], datetime.min.time())


def plan(
    arms: dict[int, str | None],
    day: date = DAY,
    version: str = "7",
    *,
    of_arms: Mapping[str, str] = MappingProxyType({}),
    late: bool = False,
) -> pa.Table:
    """The columns of a day's send plan that exposures are read from; units without an arm are in no experiment.

    Args:
        of_arms: by arm, another model version than `version`.
        late: whether it was made when its day was over.
    """
    made = timedelta(days=1, hours=8) if late else timedelta(hours=-2)
    rows = [
        {
            "scoring_date": day,
            "user_id": unit,
            "experiment": arm and "fewer_losses",
            "arm": arm,
            "model_version": of_arms.get(arm or "", version),
            "planned_at": datetime.combine(day, datetime.min.time()) + made,
        }
        for unit, arm in arms.items()
    ]
    schema = pa.schema(
        [
            ("scoring_date", pa.date32()),
            ("user_id", pa.int64()),
            ("experiment", pa.string()),
            ("arm", pa.string()),
            ("model_version", pa.string()),
            ("planned_at", pa.timestamp("us")),
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def sends(*rows: tuple[int, float, bool]) -> pa.Table:
    """Actions: unit, days after the start, and whether the outcome was positive."""
    return arrow(
        "user_emails",
        [
            {
                "user_id": unit,
                "email_id": 1,
                "unsubscribed": PROBLEM.label.positive if positive else PROBLEM.label.negative,
                "delivered_at": START + timedelta(days=days),
            }
            for unit, days, positive in rows
        ],
    )


def profiles(count: int, **columns: list[Any]) -> pa.Table:
    rows = [
        {
            "id": unit,
            "date_joined": START - timedelta(days=400),
            "gender": "male",
            "age": 30,
            "country": ("US", "JP")[unit // 2 % 2],
            "words_in_description": 1,
            "purchases": 1,
            **{name: values[unit - 1] for name, values in columns.items()},
        }
        for unit in range(1, count + 1)
    ]
    return arrow("user_profiles", rows)


def home_with_champion(root: Path) -> Home:
    """A home of units with some weeks of history, a champion, and a day that was planned."""
    home = Home(root)
    lake = Lake(home.lake(PROBLEM.key))
    lake.write("user_profiles", profiles(UNITS, age=[17, *[30] * (UNITS - 1)]))
    lake.write("user_emails", history())
    lake.write_partition(SEND_PLAN, (DAY - timedelta(days=1)).isoformat(), plan({}))
    point(home, CHAMPION, "7")
    home.active_problem.write_text(dump_problem(PROBLEM))
    return home


def point(home: Home, role: Role, version: str) -> None:
    """Let a pointer name a version that has no bundle."""
    pointer = pointer_path(home.bundles(PROBLEM.key), role)
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.write_text(json.dumps({"version": version, "manifest": "0" * 64}))


def history(*rows: tuple[int, float, bool]) -> pa.Table:
    """Every unit met an action every tenth day, and one in 20 was lost by a late one."""
    earlier = [(unit, -10 * tenth - 1, False) for unit in range(1, UNITS + 1) for tenth in range(4)]
    lost = [(unit, -15.0, True) for unit in range(3, UNITS + 1, 20)]
    return sends(*earlier, *lost, *rows)
