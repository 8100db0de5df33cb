"""Which parts of a query are computed once, before Spark copies them to every place that reads them."""

import pytest
import sqlglot
import sqlglot.expressions as sge

from mlguide_assets.prepare.spark import shared_parts
from mlguide_assets.prepare.spark.shared_parts import computed_once

DOUBLED = """
WITH a AS (SELECT x FROM source), b AS (SELECT * FROM a UNION ALL SELECT * FROM a AS other),
c AS (SELECT * FROM b UNION ALL SELECT * FROM b AS other), d AS (SELECT x + 1 AS x FROM c)
SELECT * FROM d UNION ALL SELECT * FROM d
"""


def cut(limit: int, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """What is left of `DOUBLED`, and the queries whose rows are kept."""
    monkeypatch.setattr(shared_parts, "MOST_COPIED", limit)
    made: list[str] = []

    def keep(query: sge.Query) -> str:
        made.append(query.sql(dialect="spark"))
        return f"kept_{len(made)}"

    query = sqlglot.parse_one(DOUBLED, dialect="spark")
    assert isinstance(query, sge.Query)
    return computed_once(query, keep).sql(dialect="spark"), made


def test_a_query_whose_copies_are_small_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    left, made = cut(10_000, monkeypatch)
    assert made == []
    assert left == sqlglot.parse_one(DOUBLED, dialect="spark").sql(dialect="spark")


def test_parts_of_which_copies_grow_are_kept_and_those_after_them_read_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read twice by what is read twice grows most."""
    left, made = cut(50, monkeypatch)
    assert made == [
        "WITH a AS (SELECT x FROM source), b AS (SELECT * FROM a UNION ALL SELECT * FROM a AS other), "
        "c AS (SELECT * FROM b UNION ALL SELECT * FROM b AS other) SELECT x + 1 AS x FROM c"
    ]
    assert left == "SELECT * FROM `kept_1` UNION ALL SELECT * FROM `kept_1`"


def test_where_nothing_may_be_copied_all_that_is_read_twice_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    left, made = cut(0, monkeypatch)
    assert made == [
        "SELECT x FROM source",
        "SELECT * FROM `kept_1` UNION ALL SELECT * FROM `kept_1` AS other",
        "WITH c AS (SELECT * FROM `kept_2` UNION ALL SELECT * FROM `kept_2` AS other) SELECT x + 1 AS x FROM c",
    ]
    assert left == "SELECT * FROM `kept_3` UNION ALL SELECT * FROM `kept_3`"
