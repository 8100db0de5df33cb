"""The features of `journey_churn` as a data scientist would write them in SQL: what automatic features are held to."""

from typing import Any

import pyarrow as pa

DAYS = (7, 14, 30, 60, 90, 180, 365)
_SUMS = ("baskets", "items", "sales", "retail_disc", "coupon_disc")


def features_by_hand(connection: Any, rows: pa.Table) -> pa.Table:
    """Decision rows with features; cut-offs are midnights, so that days are exact.

    Args:
        connection: DuckDB with `typed_transactions`, `typed_products`, `typed_demographics` and
            `typed_coupon_redemptions`.
        rows: household_id and as_of, and any other columns.
    """
    connection.register("asked", rows)
    return connection.execute(_SQL).to_arrow_table()


def _windows() -> str:
    columns = []
    for days in DAYS:
        recent = f"FILTER (WHERE d.day >= a.as_of - INTERVAL {days} DAY)"
        columns += [f"sum(d.{name}) {recent} AS {name}_{days}" for name in _SUMS]
        columns.append(f"count(d.day) {recent} AS days_{days}")
    return ",\n".join(columns)


_SQL = f"""
WITH daily AS (
  SELECT t.household_id, date_trunc('day', transaction_timestamp) AS day, count(DISTINCT basket_id) AS baskets,
    sum(quantity) AS items, sum(sales_value) AS sales, sum(retail_disc) AS retail_disc,
    sum(coupon_disc) AS coupon_disc, count(DISTINCT store_id) AS stores, count(DISTINCT department) AS departments
  FROM typed_transactions t LEFT JOIN typed_products p USING (product_id) GROUP BY ALL
), gaps AS (
  SELECT *, date_diff('day', lag(day) OVER (PARTITION BY household_id ORDER BY day), day) AS gap FROM daily
), past AS (
  SELECT a.household_id, a.as_of, {_windows()},
    date_diff('day', max(d.day), a.as_of) AS recency, date_diff('day', min(d.day), a.as_of) AS since_first,
    avg(d.gap) AS mean_gap, stddev_pop(d.gap) AS spread_of_gaps, max(d.gap) AS longest_gap,
    max_by(d.gap, d.day) AS last_gap, max_by(d.sales, d.day) AS last_sales, max_by(d.items, d.day) AS last_items,
    avg(d.stores) AS stores, avg(d.departments) AS departments,
    max_by(d.departments, d.day) AS last_departments
  FROM asked a JOIN gaps d ON d.household_id = a.household_id AND d.day < a.as_of
  GROUP BY a.household_id, a.as_of
), redeemed AS (
  SELECT a.household_id, a.as_of, count(*) AS redemptions
  FROM asked a JOIN typed_coupon_redemptions r ON r.household_id = a.household_id AND r.redemption_date < a.as_of
  GROUP BY ALL
)
SELECT a.*, past.* EXCLUDE (household_id, as_of), recency / nullif(mean_gap, 0) AS recency_in_gaps,
  (recency - mean_gap) / nullif(spread_of_gaps, 0) AS recency_in_spreads,
  baskets_30 / nullif(baskets_90, 0) AS trend, baskets_7 / nullif(baskets_30, 0) AS short_trend,
  coalesce(redemptions, 0) AS redemptions, h.age, h.income, h.household_size, h.kids_count
FROM asked a LEFT JOIN past USING (household_id, as_of) LEFT JOIN redeemed USING (household_id, as_of)
LEFT JOIN typed_demographics h USING (household_id)
ORDER BY a.as_of, a.household_id
"""
