"""Columns of databases as their engine is asked for them. What is read then: `test_databases.py`."""

import ibis

from mlguide_assets.prepare.sources.arrow_types import held


def test_numbers_of_mysql_are_asked_for_as_text_but_for_floating_ones() -> None:
    rows = ibis.table({"bits": "int8", "year": "uint8", "id": "int64", "price": "decimal(20, 2)", "rate": "float64"})
    asked = ibis.to_sql(rows.select(held(rows[name], "mysql").name(name) for name in rows.columns), dialect="mysql")
    for name in ("bits", "year", "id", "price"):
        assert f"CAST(`t0`.`{name}` + 0 AS CHAR) AS `{name}`" in asked
    assert "  `t0`.`rate`\n" in asked
