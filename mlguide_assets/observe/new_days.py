"""Which days are to be judged: those that landed, or landed again, since. It imports neither Ibis nor DuckDB."""

from datetime import date, timedelta

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.prepare.lake import Lake
from mlguide_assets.settings import Home

LANDED_DAYS = "landed_days"
MOST_DAYS = 14
"""Only the last days are looked at: older ones were, or came before anybody watched."""


def days_to_judge(home: Home, lake: Lake, problem: Problem, *, today: date) -> list[tuple[str, str]]:
    """Complete days, oldest first, and a key for each that changes with its sends and with the champion.

    Args:
        today: a day of the wall's clock is complete once it is over.
    """
    champion = pointed_version(home.bundles(problem.key))
    if champion is None or not lake.exists(LANDED_DAYS):
        return []
    rows = lake.read_arrow(LANDED_DAYS).to_pylist()
    newest = max((row["day"] for row in rows), default=today)
    wanted = [row for row in rows if newest - timedelta(days=MOST_DAYS) < row["day"] < today]
    return [(row["day"].isoformat(), f"{row['day']}-{row['digest']}-{champion}") for row in wanted]
