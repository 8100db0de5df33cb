"""The same features written by hand, in SQL for DuckDB and in pandas: what `send_features` is measured against.

Both write every column of `send_features` for the default problem, in the same order, to Parquet. That
they agree is a test of its own (test_rivals.py), so the benchmark compares equal work.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.values import slug
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets_tests.email_case import counted_values

DAY = 86_400_000_000
DAYS = pd.Timedelta(days=1)


def email_count(column: str, value: str) -> str:
    """The name of the feature that counts emails of a theme or category."""
    return f"number_of_email_{column}_{slug(value)}"


def with_sql(core: Path, out: Path, connection: Any, problem: Problem) -> None:
    """One statement, as an engineer who knows DuckDB would write it."""
    window = problem.label.window // pd.Timedelta(microseconds=1)
    counted = ", ".join(
        [
            f"count(*) FILTER (theme = '{theme}') OVER earlier AS {email_count('theme', theme)}"
            for theme in counted_values(problem, "theme")
        ]
        + [
            f"count(*) FILTER (category = '{name}') OVER earlier AS {email_count('category', name)}"
            for name in counted_values(problem, "category")
        ]
    )
    columns = ", ".join(feature.name for feature in features_of(problem))
    connection.raw_sql(f"""
        COPY (
        WITH sends AS (
            SELECT *, epoch_us(delivered_at) AS us, unsubscribed = '{problem.label.positive}' AS lost
            FROM read_parquet('{core}') WHERE delivered_at IS NOT NULL
        ),
        history AS (
            SELECT *, count(*) OVER earlier AS number_of_emails,
                count(*) FILTER (lost) OVER (
                    PARTITION BY user_id ORDER BY us
                    RANGE BETWEEN UNBOUNDED PRECEDING AND {window} PRECEDING) AS number_of_unsubscribes,
                count(*) OVER (PARTITION BY user_id ORDER BY us
                    RANGE BETWEEN {7 * DAY} PRECEDING AND 1 PRECEDING) AS emails_last_7_days,
                count(*) OVER (PARTITION BY user_id ORDER BY us
                    RANGE BETWEEN {30 * DAY} PRECEDING AND 1 PRECEDING) AS emails_last_30_days,
                max(us) OVER earlier AS last_at, {counted}
            FROM sends
            WINDOW earlier AS (PARTITION BY user_id ORDER BY us
                RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ),
        changes AS (
            SELECT email_id, ceil((us + {window}) / {DAY}.0)::BIGINT AS day, 1 AS sent, lost::INT AS lost FROM sends
            UNION ALL
            SELECT DISTINCT email_id, floor(us / {DAY}.0)::BIGINT, 0, 0 FROM sends
        ),
        record AS (
            SELECT email_id, day,
                (sum(sum(sent)) OVER so_far)::BIGINT AS email_matured_sends,
                (sum(sum(lost)) OVER so_far)::DOUBLE AS email_lost
            FROM changes GROUP BY email_id, day
            WINDOW so_far AS (PARTITION BY email_id ORDER BY day)
        ),
        rows AS (
            SELECT h.*, r.email_matured_sends,
                r.email_lost / nullif(r.email_matured_sends, 0) AS email_unsubscribe_rate,
                (us - epoch_us(date_joined)) / {DAY} AS tenure_days,
                (us - epoch_us(created_at)) / {DAY} AS email_age_days,
                (us - last_at) / {DAY} AS days_since_last_email,
                (floor(us / {DAY}.0)::BIGINT + 3) % 7 AS day_of_week,
                floor(us / {DAY // 24}.0)::BIGINT % 24 AS hour_of_day,
                delivered_at + to_microseconds({window}) AS matured_at
            FROM history h LEFT JOIN record r
                ON h.email_id = r.email_id AND floor(h.us / {DAY}.0)::BIGINT = r.day
        )
        SELECT user_id, email_id, delivered_at,
            CASE WHEN matured_at <= (SELECT max(delivered_at) FROM sends) THEN lost::TINYINT END AS unsubscribed,
            matured_at, {columns}
        FROM rows ORDER BY delivered_at, user_id, email_id
        ) TO '{out}' (FORMAT parquet, COMPRESSION zstd)
    """)


def with_pandas(core: Path, out: Path, problem: Problem) -> None:
    """Vectorised pandas, without a loop over rows or users."""
    frame = pd.read_parquet(core)
    frame = frame[frame.delivered_at.notna()].astype({"delivered_at": "datetime64[us]"})
    frame = frame.sort_values(["user_id", "delivered_at", "email_id"], ignore_index=True)
    frame["lost"] = frame.unsubscribed == problem.label.positive
    moment = frame.groupby(["user_id", "delivered_at"], sort=False)

    def earlier(values: pd.Series) -> pd.Series:
        """Sums over strictly earlier rows: up to the row before the first that shares the instant."""
        running = values.groupby(frame.user_id).cumsum() - values
        return running.groupby(moment.ngroup()).transform("first")

    ones = pd.Series(1, index=frame.index)
    frame["number_of_emails"] = earlier(ones)
    for theme in counted_values(problem, "theme"):
        frame[email_count("theme", theme)] = earlier((frame.theme == theme).astype("int64"))
    for category in counted_values(problem, "category"):
        frame[email_count("category", category)] = earlier((frame.category == category).astype("int64"))
    for days in (7, 30):
        before = _up_to(frame, ones, frame.delivered_at - days * DAYS, inclusive=False)
        frame[f"emails_last_{days}_days"] = frame.number_of_emails - before
    matured = frame.delivered_at - problem.label.window
    frame["number_of_unsubscribes"] = _up_to(frame, frame.lost.astype("int64"), matured, inclusive=True)
    previous = moment.delivered_at.first().groupby("user_id").shift()
    frame = frame.join(previous.rename("last"), on=["user_id", "delivered_at"])
    frame = _email_record(frame, problem)
    frame["tenure_days"] = (frame.delivered_at - frame.date_joined) / DAYS
    frame["email_age_days"] = (frame.delivered_at - frame.created_at) / DAYS
    frame["days_since_last_email"] = (frame.delivered_at - frame["last"]) / DAYS
    frame["day_of_week"] = frame.delivered_at.dt.dayofweek.astype("int64")
    frame["hour_of_day"] = frame.delivered_at.dt.hour.astype("int64")
    frame["matured_at"] = frame.delivered_at + problem.label.window
    known = frame.matured_at <= frame.delivered_at.max()
    frame["unsubscribed"] = frame.lost.astype("Int8").where(known)
    columns = [feature.name for feature in features_of(problem)]
    frame = frame.sort_values(["delivered_at", "user_id", "email_id"], ignore_index=True)
    frame[["user_id", "email_id", "delivered_at", "unsubscribed", "matured_at", *columns]].to_parquet(
        out, compression="zstd", index=False
    )


def _up_to(frame: pd.DataFrame, values: pd.Series, instants: pd.Series, *, inclusive: bool) -> pd.Series:
    """Per row, the sum over the user's rows up to an instant."""
    totals = pd.DataFrame({"user_id": frame.user_id, "delivered_at": frame.delivered_at, "total": values})
    totals["total"] = totals.groupby("user_id").total.cumsum()
    totals = totals.sort_values("delivered_at", kind="stable")
    asked = pd.DataFrame({"user_id": frame.user_id, "delivered_at": instants}).sort_values(
        "delivered_at", kind="stable"
    )
    found = pd.merge_asof(asked, totals, on="delivered_at", by="user_id", allow_exact_matches=inclusive)
    return pd.Series(found.total.fillna(0).astype("int64").to_numpy(), index=asked.index).reindex(frame.index)


def _email_record(frame: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    ready = (frame.delivered_at + problem.label.window).dt.ceil("D")
    changes = frame.assign(day=ready, sent=1).groupby(["email_id", "day"])[["sent", "lost"]].sum()
    asked = frame.assign(day=frame.delivered_at.dt.floor("D")).groupby(["email_id", "day"]).size()
    days = changes.index.union(asked.index).sort_values()
    record = changes.reindex(days, fill_value=0).groupby("email_id").cumsum().astype("int64")
    record["email_unsubscribe_rate"] = record.lost / record.sent.where(record.sent > 0)
    record = record.rename(columns={"sent": "email_matured_sends"}).drop(columns="lost")
    keyed = frame.assign(day=frame.delivered_at.dt.floor("D"))
    return keyed.join(record, on=["email_id", "day"]).drop(columns="day")
