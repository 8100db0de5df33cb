"""Tables of many shapes, and what a drafted problem file says of them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlguide_assets.define.features import Features
from mlguide_assets.define.loading import parse_problem
from mlguide_assets.define.schema import Schema
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets_tests.prepare.profiling.drafts import (
    CUSTOMERS,
    DAYS,
    ORDERS,
    checked_draft,
    draft_text,
    drafted,
    write_tables,
)


def test_the_date_of_creation_is_when_a_thing_began(duck: Any, tmp_path: Path) -> None:
    customers = CUSTOMERS.replace("created_at", '"CreationDate"')
    source = write_tables(tmp_path / "forum", customers=customers, orders=ORDERS)
    assert drafted(source, duck, tmp_path)["tables"]["customers"]["known_from"] == "CreationDate"


def test_entities_events_keys_and_references(duck: Any, tmp_path: Path) -> None:
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=ORDERS)
    file = drafted(source, duck, tmp_path)
    customers, orders = file["tables"]["customers"], file["tables"]["orders"]
    assert (customers["entity"], customers["key"], customers["known_from"]) == ("customer", "customer_id", "created_at")
    assert (orders["event"], orders["at"], orders["of"]) == ("order", "ordered_at", {"customer": "customer_id"})
    assert orders["key"] == ["order_id"]
    assert orders["columns"] == {"amount": "number"}
    assert file["predict"]["each"] == "customer"
    assert file["predict"]["label"]["count"] == "order"
    assert Schema.model_validate({"tables": file["tables"]}).entities == ("customer",)
    assert Features.model_validate(file["features"]).automatic


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        ("SELECT * FROM orders", "its rows are those of orders"),
        ("SELECT * FROM orders WHERE ordered_at > TIMESTAMP '2024-06-01'", "all its rows are rows of orders"),
        ("SELECT order_id, customer_id, ordered_at FROM orders", "its rows are those of orders"),
        ("SELECT order_id + 600 AS order_id, * EXCLUDE order_id FROM orders", ""),
        ("SELECT DISTINCT customer_id, amount::INT AS whole FROM orders", ""),
        ("SELECT DISTINCT customer_id, customer_id % 7 AS shop FROM orders", ""),
    ],
)
def test_rows_that_another_table_has_too_are_used_once(again: str, reason: str, duck: Any, tmp_path: Path) -> None:
    orders = ORDERS.replace(" AS amount", " AS amount, i * 11 % 40 % 7 AS shop")
    v_orders = f"WITH orders AS ({orders}) {again}"
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=orders, v_orders=v_orders)
    text = draft_text(source, duck, tmp_path)
    assert re.findall(r"# not used: v_orders \((.*rows.* of orders)\)", text) == [reason] * bool(reason)


@pytest.mark.parametrize(
    ("name", "called"),
    [("2019-Oct", "table_2019_oct"), ("batch_predictions", "source_batch_predictions"), ("core_x", "source_core_x")],
)
def test_a_table_is_called_as_an_asset_may_be_and_as_none_is(name: str, called: str, duck: Any, tmp_path: Path) -> None:
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, **{name: ORDERS})
    text = draft_text(source, duck, tmp_path)
    assert yaml.safe_load(text)["tables"][called]["from"] == name
    assert checked_draft(text, duck, tmp_path).decisions is not None


def test_of_columns_that_the_file_would_call_the_same_one_is_read(duck: Any, tmp_path: Path) -> None:
    also = '7 * i % 90 AS "Net (€)", i % 90 AS "Net ($)", i % 80 AS "Tax ", i % 70 AS tax'
    orders = ORDERS.replace("SELECT", f"SELECT {also},")
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=orders)
    columns = drafted(source, duck, tmp_path)["tables"]["orders"]["columns"]
    assert columns == {"amount": "number", "tax": "number", "net": {"kind": "number", "name": "Net (€)"}}
    assert "Net ($) (its name here would be that of Net (€): rename one of them)" in draft_text(source, duck, tmp_path)


def test_a_column_that_a_part_lacks_is_not_read_and_the_part_is_named(duck: Any, tmp_path: Path) -> None:
    rows = f"SELECT i, i % 50 AS customer_id, {DAYS} AS at, i % 9 = 0 AS late FROM range(300) t(i)"
    parts = {"a": f"SELECT *, i % 7 AS amount FROM ({rows})", "b": f"SELECT * REPLACE (i + 300 AS i) FROM ({rows})"}
    shop = write_tables(tmp_path / "shop")
    write_tables(shop / "orders", **parts)
    text = draft_text(shop, duck, tmp_path)
    assert "# not read: amount (orders/b.parquet has no such column)" in text


def test_columns_may_be_called_as_parameters_of_what_reads_them(duck: Any, tmp_path: Path) -> None:
    numbers = "i % 2 AS self, i % 3 AS metrics, i % 4 AS exprs"
    people = f"SELECT i AS customer_id, {numbers}, 'r' || i % 5 AS rowid FROM range(40) t(i)"
    orders = ORDERS.replace("AS amount", "AS amount, i % 3 AS self, i % 4 AS by, i % 5 AS having, i % 6 AS kwargs")
    text = draft_text(write_tables(tmp_path / "shop", customers=people, orders=orders), duck, tmp_path)
    tables = yaml.safe_load(text)["tables"]
    assert {"self", "metrics", "exprs", "rowid"} <= {*tables["customers"]["columns"]}
    assert {"self", "by", "having", "kwargs"} <= {*tables["orders"]["columns"]}
    assert checked_draft(text, duck, tmp_path).decisions


def test_a_key_is_completed_by_the_column_that_distinguishes_rows_wherever_it_stands(duck: Any, tmp_path: Path) -> None:
    others = ", ".join(f"i // 80 % {7 + place} AS weight_{place}" for place in range(9))
    legs = (
        f"SELECT i % 40 AS driver_id, TIMESTAMP '2024-01-01' + INTERVAL (i // 80) DAY AS left_at, {others}, "
        "i // 40 AS number, i % 4 = 0 AS late FROM range(600) t(i)"
    )
    tables = drafted(write_tables(tmp_path / "trips", legs=legs), duck, tmp_path)["tables"]
    assert tables["legs"]["key"] == ["driver_id", "left_at", "number"]


def test_what_only_completes_a_key_is_a_column_to_learn_from(duck: Any, tmp_path: Path) -> None:
    clicks = (
        "SELECT i // 12 % 40 AS visitor_id, TIMESTAMP '2024-01-01' + INTERVAL (i // 12) HOUR AS at, "
        "['home', 'cart', 'help'][1 + i % 3] AS page, i % 4 AS depth, i % 7 = 0 AS bounced FROM range(2400) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "site", clicks=clicks), duck, tmp_path)
    table = yaml.safe_load(text)["tables"]["clicks"]
    assert table["key"] == ["visitor_id", "at", "depth", "page"]
    assert (table["columns"]["page"], table["columns"]["depth"]) == ("category", "number")
    assert "# known: [page, depth]" in text
    assert checked_draft(text.replace("# known:", "known:"), duck, tmp_path).decisions


def test_rows_that_no_column_distinguishes_or_that_lack_an_id_do_not_block(duck: Any, tmp_path: Path) -> None:
    """A row of what is predicted needs a name to be scored by."""
    sold = "if(i % 99 = 7, NULL, i % 30) AS customer_id, TIMESTAMP '2024-01-01' + INTERVAL (i * 5) HOUR AS sold_at"
    sales = f"SELECT {sold}, i % 2 AS size, i % 7 = 0 AS late FROM range(1200) t(i)"
    twice = f"{sales} UNION ALL SELECT * FROM ({sales}) WHERE sold_at < '2024-01-03'"
    text = draft_text(write_tables(tmp_path / "shop", sales=twice), duck, tmp_path)
    assert "# ? 10 of 1,210 rows repeat another one, and are set aside" in text
    assert "{table: sales, rule: present, column: customer_id, action: quarantine}" in text
    check = checked_draft(text, duck, tmp_path)
    assert (check.blocked, check.refused) == ((), None)
    # Fourteen lack an id, one of them the double of another.
    assert check.tables["sales"] == (1210, 1210 - 14 - 9)


def test_each_guess_has_its_evidence(duck: Any, tmp_path: Path) -> None:
    text = draft_text(write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=ORDERS), duck, tmp_path)
    assert "unique in 40 rows" in text
    assert "all 40 values are in customers.customer_id" in text
    assert "all 600 events are not before it" in text


def test_ids_without_a_table_are_entities_and_a_basket_is_none(duck: Any, tmp_path: Path) -> None:
    payments = (
        "SELECT i AS TRANSACTION_ID, i % 30 AS CUSTOMER_ID, i * 3 % 17 AS TERMINAL_ID, i // 2 AS BASKET_ID, "
        "TIMESTAMP '2024-01-01' + INTERVAL (i // 2) HOUR AS TX_DATETIME, i % 7 * 1.5 AS TX_AMOUNT, "
        "(i % 9 = 0)::TINYINT AS TX_FRAUD FROM range(900) t(i)"
    )
    file = drafted(write_tables(tmp_path / "fraud", transactions=payments), duck, tmp_path)
    assert file["tables"]["transactions"]["of"] == {"customer": "CUSTOMER_ID", "terminal": "TERMINAL_ID"}
    label = file["predict"]["label"]
    assert (label["column"], label["positive"], label["negative"]) == ("TX_FRAUD", "1", "0")


def test_a_few_values_that_are_called_keys_are_a_category(duck: Any, tmp_path: Path) -> None:
    keyed = ORDERS.replace("i % 90 + 0.5 AS amount", "['new', 'old', 'lost'][i % 3 + 1] AS key, i % 4 AS code_id")
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=keyed)
    orders = drafted(source, duck, tmp_path)["tables"]["orders"]
    assert orders["of"] == {"customer": "customer_id", "code": "code_id"}
    assert orders["columns"] == {"key": "category"}


def test_words_that_all_tables_begin_with_name_nothing_and_an_event_has_kinds(duck: Any, tmp_path: Path) -> None:
    """As in the tables of machines that break down, which Microsoft published."""
    machines = "SELECT i + 100 AS machineID, 'model' || i % 4 AS model FROM range(40) t(i)"
    errors = (
        f"SELECT {DAYS} AS datetime, i * 11 % 40 + 100 AS machineID, 'error' || i % 5 AS errorID FROM range(600) t(i)"
    )
    failures = f"SELECT {DAYS} AS datetime, i * 7 % 40 + 100 AS machineID, i % 9 = 0 AS lost FROM range(500) t(i)"
    source = write_tables(tmp_path / "pdm", PdM_machines=machines, PdM_errors=errors, PdM_failures=failures)
    text = draft_text(source, duck, tmp_path)
    tables = yaml.safe_load(text)["tables"]
    assert [(tables[name].get("event"), tables[name]["of"]) for name in ("PdM_errors", "PdM_failures")] == [
        ("error", {"machine": "machineID"}),
        ("failure", {"machine": "machineID"}),
    ]
    assert tables["PdM_errors"]["columns"] == {"errorID": "category"}
    assert "# the first failure; the last is of 2024-10-2" in text


@pytest.mark.parametrize(
    ("vendors", "rows", "entities"),
    [(2, 2_000, {"zone"}), (2, 1_000, {"zone", "vendor"}), (12, 15_000, {"zone", "vendor"})],
)
def test_a_few_ids_of_thousands_of_rows_each_are_kinds_beside_ids_of_more(
    vendors: int, rows: int, entities: set[str], duck: Any, tmp_path: Path
) -> None:
    """Two vendors of all trips say what kind a trip is. Twelve may each have a past, as may two of a few hundred."""
    ids = f"i * 7 % 90 AS zoneID, i % {vendors} AS vendorID"
    trips = f"SELECT {DAYS} AS at, {ids}, i % 9 = 0 AS lost FROM range({rows}) t(i)"
    source = write_tables(tmp_path / "trips", trips=trips)
    table = drafted(source, duck, tmp_path)["tables"]["trips"]
    assert table["of"].keys() == entities
    assert table["columns"].get("vendorID") == (None if "vendor" in entities else "category")


def test_few_ids_are_what_events_are_about_where_there_are_no_others(duck: Any, tmp_path: Path) -> None:
    trips = f"SELECT {DAYS} AS at, i % 2 AS vendorID, i % 9 = 0 AS lost FROM range(6000) t(i)"
    table = drafted(write_tables(tmp_path / "trips", trips=trips), duck, tmp_path)["tables"]["trips"]
    assert table["of"] == {"vendor": "vendorID"}


def test_an_event_without_a_time_takes_that_of_its_parent(duck: Any, tmp_path: Path) -> None:
    source = write_tables(
        tmp_path / "racing",
        "csv",
        drivers="SELECT i AS driverId, 'n' || i % 3 AS nationality FROM range(20) t(i)",
        races="SELECT i AS raceId, DATE '2020-01-01' + (i * 14)::INT AS date, i % 9 AS circuitId FROM range(50) t(i)",
        results="SELECT i AS resultId, i // 20 AS raceId, i % 20 AS driverId, 1 + i * 7 % 4 AS statusId "
        "FROM range(1000) t(i)",
        status="SELECT i AS statusId, 'status ' || i AS status FROM range(1, 5) t(i)",
    )
    text = draft_text(source, duck, tmp_path)
    file = drafted(source, duck, tmp_path)
    assert file["tables"]["results"]["at"] == "race.date"
    assert file["tables"]["results"]["of"] == {"race": "raceId", "driver": "driverId"}
    assert file["tables"]["results"]["columns"] == {"statusId": "category"}
    assert "status" not in file["tables"]
    assert "where: {statusId: {not: '1'}}" in text


@pytest.mark.parametrize(
    "tables", [{}, {"winners": "SELECT i + 300 AS winner_id, 'c' || i % 5 AS city FROM range(60) t(i)"}]
)
def test_what_few_rows_name_is_no_entity_and_rows_without_a_person_are_set_aside(
    tables: dict[str, str], duck: Any, tmp_path: Path
) -> None:
    """A rule of the contract would block what the draft had chosen itself."""
    auctions = f"SELECT i AS auction_id, if(i % 4 = 0, NULL, i * 11 % 40 + 100) AS seller_id, {DAYS} AS opened_at, "
    auctions += "if(i % 2 = 0, NULL, i * 7 % 60 + 300) AS winner_id, i % 9 = 0 AS returned FROM range(600) t(i)"
    text = draft_text(write_tables(tmp_path / "house", **tables, auctions=auctions), duck, tmp_path)
    file = yaml.safe_load(text)
    assert file["tables"]["auctions"]["of"] == {"seller": "seller_id"}
    assert "# not read: winner_id (an id, empty in 50 % of the rows)" in text
    assert file["contracts"] == [{"table": "auctions", "rule": "set_aside", "max_share": 0.4, "action": "block"}]
    found = checked_draft(text, duck, tmp_path)
    assert (found.blocked, found.decisions.rows if found.decisions else 0) == ((), 450)


def test_what_is_so_now_was_not_so_at_each_decision(duck: Any, tmp_path: Path) -> None:
    """Whoever left in the end has the status of it from the first day on."""
    users = "SELECT i AS customer_id, 'c' || i % 5 AS segment, if(i % 3 = 0, 'left', 'active') AS status, "
    users += "i % 7 AS total_orders, i % 9 AS n_returns, i % 11 + 0.5 AS tenure, i % 5 * 9 AS Reputation, "
    users += "DATE '2024-05-01' + i::INT AS left_on FROM range(40) t(i)"
    text = draft_text(write_tables(tmp_path / "shop", customers=users, orders=ORDERS), duck, tmp_path)
    assert yaml.safe_load(text)["tables"]["customers"]["columns"] == {"segment": "category", "left_on": "time"}
    assert text.count("(? as it is now, not as it was: give its history)") == 5


def test_a_deadline_is_not_when_it_happened_where_its_parent_says_so(duck: Any, tmp_path: Path) -> None:
    items = (
        f"SELECT i % 600 AS order_id, i // 600 AS line, {DAYS} + INTERVAL 6 DAY AS ship_limit_date FROM range(900) t(i)"
    )
    orders = f"{ORDERS.replace(' FROM', ', i % 9 = 0 AS returned FROM')}"
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=orders, order_items=items)
    text = draft_text(source, duck, tmp_path)
    tables = yaml.safe_load(text)["tables"]
    assert tables["order_items"]["at"] == "order_header.ordered_at"
    assert tables["order_items"]["columns"]["ship_limit_date"] == "time"
    assert "# ? ship_limit_date was foreseen: that of its order_header" in text


@pytest.mark.parametrize(("parent", "part"), [("player", "i // 40 AS stint"), ("contract", "2000 + i // 40 AS yearID")])
def test_what_happened_again_and_again_did_not_happen_when_its_parent_began(
    parent: str, part: str, duck: Any, tmp_path: Path
) -> None:
    source = write_tables(
        tmp_path / "baseball",
        **{f"{parent}s": f"SELECT i AS {parent}_id, DATE '1990-01-01' + i::INT AS debut FROM range(40) t(i)"},
        seasons=f"SELECT i % 40 AS {parent}_id, {part}, i % 90 AS hits, i % 3 = 0 AS won FROM range(600) t(i)",
    )
    with pytest.raises(InputError, match=r"seasons: (no column says when its rows happened|yearID is no day)"):
        drafted(source, duck, tmp_path)


def test_orders_that_have_items_are_events_and_lend_their_time(duck: Any, tmp_path: Path) -> None:
    items = "SELECT i // 2 AS order_id, i % 8 AS product_id, i % 5 AS quantity FROM range(1200) t(i)"
    products = "SELECT i AS product_id, 'b' || i % 2 AS brand FROM range(8) t(i)"
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=ORDERS, order_items=items, products=products)
    tables = drafted(source, duck, tmp_path)["tables"]
    assert tables["orders"]["event"] == "order"
    assert tables["orders_header"] == {
        "from": "orders", "entity": "order_header", "key": "order_id", "known_from": "ordered_at"
    }  # fmt: skip
    assert tables["order_items"]["at"] == "order_header.ordered_at"
    assert tables["order_items"]["of"] == {"order_header": "order_id", "product": "product_id"}
    Schema.model_validate({"tables": tables})


def test_what_one_of_two_tables_of_a_file_reads_is_not_left_out(duck: Any, tmp_path: Path) -> None:
    items = "SELECT i // 2 AS order_id, i % 8 AS product_id, i % 5 AS quantity FROM range(1200) t(i)"
    orders = ORDERS.replace(" FROM", ", 'x' AS constant, i % 7 = 0 AS late FROM")
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=orders, order_items=items)
    remarks = checked_draft(draft_text(source, duck, tmp_path), duck, tmp_path).remarks
    assert [remark for remark in remarks if "orders" in remark] == ["orders: constant"]


@pytest.mark.parametrize("value", ['{"a": 1}', "{1,b}", "[1, 2]"])
def test_json_and_lists_are_not_read(value: str, duck: Any, tmp_path: Path) -> None:
    more = ORDERS.replace("i % 90 + 0.5 AS amount", f"replace('{value}', '1', (i % 3)::VARCHAR) AS more")
    text = draft_text(write_tables(tmp_path / "shop", "csv", customers=CUSTOMERS, orders=more), duck, tmp_path)
    assert "more (JSON or lists, which are not read)" in text


@pytest.mark.parametrize(
    ("count", "name", "format"),
    [
        ("epoch(day)::BIGINT", "visited_at", "epoch_s"),
        ("epoch_ms(day)", "visited_at", "epoch_ms"),
        ("epoch_us(day)", "visited_at", "epoch_us"),
        ("epoch_ns(day)", "visited_at", "epoch_ns"),
        ("day - DATE '1899-12-30'", "visit_date", "excel"),
        ("day - DATE '1899-12-30' + i % 24 / 24", "visit_date", "excel"),
    ],
)
def test_numbers_that_count_from_a_day_are_times(count: str, name: str, format: str, duck: Any, tmp_path: Path) -> None:
    days = "SELECT i, DATE '2024-01-01' + (i * 37 % 300)::INT AS day FROM range(400) t(i)"
    visits = f"SELECT i % 25 AS patient_id, i AS visit_id, {count} AS {name}, 45000 + i % 99 AS price FROM ({days})"
    ending = "csv" if format == "excel" else "parquet"
    tables = drafted(write_tables(tmp_path / "clinic", ending, visits=visits), duck, tmp_path)["tables"]
    assert tables["visits"]["at"] == name
    assert tables["visits"]["columns"] == {"price": "number", name: {"kind": "time", "format": format}}


def test_seconds_since_1970_may_be_of_the_last_century(duck: Any, tmp_path: Path) -> None:
    count = "789652009 + i * 1717171"
    ratings = f"SELECT i % 25 AS user_id, i AS rating_id, {count} AS timestamp FROM range(400) t(i)"
    tables = drafted(write_tables(tmp_path / "films", "csv", ratings=ratings), duck, tmp_path)["tables"]
    assert tables["ratings"]["columns"]["timestamp"] == {"kind": "time", "format": "epoch_s"}


def test_numbers_of_the_rows_are_not_read(duck: Any, tmp_path: Path) -> None:
    number = "SELECT 6823 + i AS place, 'a-' || i AS stop_id"
    stops = f"{number}, {DAYS} AS at, i % 9 = 0 AS cited FROM range(400) t(i)"
    text = draft_text(write_tables(tmp_path / "police", "csv", stops=stops), duck, tmp_path)
    assert "# not read: place (a number of its own in every row)" in text
    assert "known" not in text


def test_what_names_each_thing_is_not_read(duck: Any, tmp_path: Path) -> None:
    """The leakage alarm would stop the run, minutes later."""
    sellers = (
        "SELECT i AS customer_id, lpad((i * 37)::VARCHAR, 5, '0') AS zip, lpad((i % 9)::VARCHAR, 3, '0') AS region "
    )
    source = write_tables(tmp_path / "shop", "csv", customers=f"{sellers} FROM range(40) t(i)", orders=ORDERS)
    text = draft_text(source, duck, tmp_path)
    assert "# not read: zip (a value of its own in nearly every row)" in text
    assert yaml.safe_load(text)["tables"]["customers"]["columns"] == {"region": "category"}


def test_a_category_whose_values_come_again_may_be_an_entity(duck: Any, tmp_path: Path) -> None:
    """As drafted, it is one feature; taken as an entity, its past becomes features, and it is none itself."""
    stops = f"SELECT i AS stop_id, {DAYS} AS at, 'n' || i % 40 AS area, i % 9 = 0 AS cited FROM range(400) t(i)"
    text = draft_text(write_tables(tmp_path / "police", stops=stops), duck, tmp_path)
    offered = "      # area: area"
    assert offered in text
    taken = text.replace(offered, "      area: area")
    assert parse_problem(taken.encode(), tmp_path / "a.yaml").decision.nouns == ("stop", "area")
    both = taken.replace("  # known: [area]", "  known: [area]")
    with pytest.raises(InputError, match="'area' is the id of an area, which a model would learn by heart: its past"):
        parse_problem(both.encode(), tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("pattern", "days", "format", "is_doubtful"),
    [
        ("%d.%m.%Y", 300, "%d.%m.%Y", False),
        ("%m/%d/%Y", 300, "%m/%d/%Y", False),
        ("%d/%m/%Y", 1, "%d/%m/%Y", True),
        ("%Y%m%d", 300, "%Y%m%d", False),
    ],
)
def test_dates_in_other_formats(
    pattern: str, days: int, format: str, is_doubtful: bool, duck: Any, tmp_path: Path
) -> None:
    # With days = 1, every date is the n-th of the n-th month: 05/05/2024.
    day = "DATE '2024-01-01' + (i * 37 % 300)::INT" if days > 1 else "make_date(2024, 1 + i % 12, 1 + i % 12)"
    visits = f"SELECT i % 25 AS patient_id, i AS visit_id, strftime({day}, '{pattern}') AS visited FROM range(400) t(i)"
    source = write_tables(tmp_path / "clinic", "csv", visits=visits)
    assert drafted(source, duck, tmp_path)["tables"]["visits"]["columns"]["visited"]["format"] == format
    assert ("reads either way" in draft_text(source, duck, tmp_path)) == is_doubtful


@pytest.mark.parametrize("number", ["{}::BIGINT", "{}::DOUBLE", "{}::DOUBLE::VARCHAR"])
@pytest.mark.parametrize(
    ("counted", "format"),
    [("strftime(DATE '2024-01-01' + i::INT % 300, '%Y%m%d')", "%Y%m%d"), ("1704450600 + 36000 * i", "epoch_s")],
)
def test_days_and_counts_from_1970_are_times_whatever_type_they_have(
    number: str, counted: str, format: str, duck: Any, tmp_path: Path
) -> None:
    """pandas keeps whole numbers with gaps as fractions."""
    at = number.format(f"({counted})")
    visits = f"SELECT i % 25 AS patient_id, i AS visit_id, {at} AS visit_time, i AS _value FROM range(400) t(i)"
    columns = drafted(write_tables(tmp_path / "clinic", visits=visits), duck, tmp_path)["tables"]["visits"]["columns"]
    assert columns["visit_time"]["format"] == format
    assert "_value" not in columns


def test_a_time_at_which_rows_were_written_is_known_at_unless_some_are_earlier(duck: Any, tmp_path: Path) -> None:
    claims = (
        f"SELECT i AS claim_no, i % 40 AS policy_no, {DAYS} AS filed_at, i % 7 = 0 AS rejected, "
        f"{DAYS} + INTERVAL (i * 7 % 60 + 1) HOUR AS loaded_at FROM range(600) t(i)"
    )
    earlier = claims.replace("(i * 7 % 60 + 1)", "(i * 7 % 60 - 1)")
    text = draft_text(write_tables(tmp_path / "late", claims=claims), duck, tmp_path)
    assert "known_at: loaded_at             # never before filed_at; at most 2.5 days later" in text
    assert "known_at" not in draft_text(write_tables(tmp_path / "early", claims=earlier), duck, tmp_path)


def test_times_may_have_fractions_of_a_second(duck: Any, tmp_path: Path) -> None:
    later = "ordered_at + INTERVAL (i % 9 * 1250) MILLISECOND"
    times = f"{later} AS paid_at, ordered_at + INTERVAL 90250 MILLISECOND AS loaded_at"
    orders = f"SELECT *, {times}, i % 7 = 0 AS late FROM ({ORDERS.replace('SELECT', 'SELECT i,')})"
    text = draft_text(write_tables(tmp_path / "shop", orders=orders), duck, tmp_path)
    assert "known_at: loaded_at             # never before ordered_at; at most 0.0 hours later" in text
    assert "paid_at is at most 1 hour later" in text


def test_one_table_of_things_is_one_of_events(duck: Any, tmp_path: Path) -> None:
    members = (
        f"SELECT 'M-' || 10000 + i AS member, {DAYS} AS joined, i % 4 AS plan_level, i % 5 = 0 AS churned "
        f"FROM range(500) t(i)"
    )
    file = drafted(write_tables(tmp_path / "club", members=members), duck, tmp_path)
    assert file["tables"]["members"]["of"] == {"member": "member"}
    assert file["predict"]["label"]["column"] == "churned"
    Schema.model_validate({"tables": file["tables"]})


def test_names_of_any_kind_are_kept(duck: Any, tmp_path: Path) -> None:
    query = (
        f'SELECT i AS "Bestell Nr", i % 30 AS "Kunden-ID", {DAYS} AS "bestellt am", i % 9 AS "Größe: x", '
        f'i % 7 = 0 AS "returned?" FROM range(500) t(i)'
    )
    table = drafted(write_tables(tmp_path / "laden", "csv", Bestellungen=query), duck, tmp_path)["tables"][
        "Bestellungen"
    ]
    assert table["of"] == {"kunden": "kunden_id"}
    assert table["columns"]["kunden_id"] == {"kind": "id", "name": "Kunden-ID"}
    assert table["columns"]["größe_x"] == {"kind": "number", "name": "Größe: x"}
    assert table["at"] == "bestellt_am"


def test_numbers_with_a_decimal_comma_are_drafted_as_such_unless_they_can_be_thousands(
    duck: Any, tmp_path: Path
) -> None:
    query = (
        f"SELECT i AS bestellung, i % 30 AS kunde, {DAYS} AS bestellt_am, i % 7 = 0 AS storniert, "
        f"replace(format('{{:.2f}}', i * 1.1), '.', ',') AS betrag, format('1,{{:03d}}', 100 + i % 500) AS punkte "
        f"FROM range(900) t(i)"
    )
    source = write_tables(tmp_path / "laden", "csv", bestellungen=query)
    text = draft_text(source, duck, tmp_path)
    columns = yaml.safe_load(text)["tables"]["bestellungen"]["columns"]
    assert columns["betrag"] == {"kind": "number", "format": "decimal_comma"}
    assert "punkte" not in columns
    assert "may be a fraction or thousands: format: decimal_comma?" in text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("format('${:,.2f}', i * 11.5)", "is more than digits and a point: write the number alone"),
        ("format('{:,.2f}', i * 11.5)", "is more than digits and a point: write the number alone"),
        ("format('{:.1f}%', i / 7)", "is more than digits and a point: write the number alone"),
        ("format('{}-{:02d}', 2020 + i % 5, 1 + i % 12)", "is no day"),
        ("format('2024-W{:02d}', 1 + i % 52)", "is no day"),
        ("CASE WHEN i % 9 = 0 THEN 'x' END", "no value but 'x'"),
        ("CASE WHEN i % 9 = 0 THEN '?' ELSE (i % 300 / 7)::VARCHAR END", "numbers, and '?': leave that empty"),
    ],
)
def test_values_that_are_not_read_are_named_with_the_reason(value: str, said: str, duck: Any, tmp_path: Path) -> None:
    orders = ORDERS.replace("i % 90 + 0.5 AS amount", f"{value} AS odd")
    text = draft_text(write_tables(tmp_path / "shop", "csv", customers=CUSTOMERS, orders=orders), duck, tmp_path)
    assert re.search(rf"# not read: odd \(.*{re.escape(said)}", text)
    assert "odd:" not in text


def test_what_cannot_be_read_does_not_keep_the_rest_from_being_read(duck: Any, tmp_path: Path) -> None:
    source = write_tables(tmp_path / "shop", "csv", customers=CUSTOMERS, orders=ORDERS)
    (source / "empty.csv").write_text("")
    (source / "one_column.csv").write_text("a\n1\n")
    (source / "no_rows.csv").write_text("a,b\n")
    (source / "orders.parquet").write_text("a second one")
    (source / "broken.parquet").write_text("no parquet")
    (source / "notes.txt").write_text("hello")
    text = draft_text(source, duck, tmp_path)
    for name in ("empty", "one_column", "no_rows", "broken", "orders.parquet"):
        assert f"# not used: {name} (" in text
    assert "count: order," in text


@pytest.mark.parametrize(("days_ago", "clock"), [(1, None), (400, "data")])
def test_of_data_that_have_ended_now_is_their_end(days_ago: int, clock: str | None, duck: Any, tmp_path: Path) -> None:
    newest = f"now()::TIMESTAMP - INTERVAL {days_ago} DAY"
    orders = (
        f"SELECT i AS order_id, i % 40 AS customer_id, {newest} - INTERVAL (i % 300) DAY AS ordered_at, "
        f"(i * 7 % 5 = 0)::INT AS returned FROM range(600) t(i)"
    )
    said = drafted(write_tables(tmp_path / "in", customers=CUSTOMERS, orders=orders), duck, tmp_path)
    assert said.get("serving", {}).get("clock") == clock


def test_a_few_orders_that_lie_years_apart_are_no_history(duck: Any, tmp_path: Path) -> None:
    dense = ORDERS.replace("% 300", "% 30")
    apart = f"SELECT * REPLACE (IF(order_id < 2, '2002-12-31'::TIMESTAMP, ordered_at) AS ordered_at) FROM ({dense})"
    said = drafted(write_tables(tmp_path / "in", customers=CUSTOMERS, orders=apart), duck, tmp_path)
    assert f"{said['history_start']}" == "2024-01-01"
    assert said["features"]["automatic"]["windows"][0] == "1d"


def test_a_column_that_may_be_known_has_a_name_that_is_free(duck: Any, tmp_path: Path) -> None:
    scored = f"SELECT *, order_id % 7 / 7 AS probability, (order_id % 5 = 0)::INT AS late FROM ({ORDERS})"
    folder = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=scored)
    text = draft_text(folder, duck, tmp_path)
    (known,) = [line for line in text.splitlines() if line.startswith("  # known: [")]
    assert "order_probability: {kind: number, name: probability}" in text
    uncommented = text.replace(known, known.replace("# ", "", 1).partition("  # ?")[0])
    assert "order_probability" in parse_problem(uncommented.encode(), tmp_path / "a.yaml").predict.known


def test_the_values_of_hundreds_of_columns_are_not_counted_at_once(tmp_path: Path) -> None:
    """Each count of different values takes memory of its own."""
    sensors = ", ".join(f"i * {place + 3} % 1009 AS sensor_{place}" for place in range(200))
    readings = f"SELECT i % 40 AS machine_id, {DAYS} AS at, i % 9 = 0 AS failed, {sensors} FROM range(3000) t(i)"
    source = write_tables(tmp_path / "plant", readings=readings)
    # Not that of other tests, which are to have their memory.
    small = connect(tmp_path / "spilled")
    small.raw_sql("SET memory_limit = '350MB'")
    columns = drafted(source, small, tmp_path)["tables"]["readings"]["columns"]
    small.disconnect()
    assert [columns[f"sensor_{place}"] for place in (0, 199)] == ["number", "number"]
