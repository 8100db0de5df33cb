"""Which columns hold the ids of another table, in a drafted problem file, and which rows are the history of an id."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from mlguide_assets.prepare.profiling.columns import TableProfile, file_name, profile_table
from mlguide_assets.prepare.profiling.listing import ListedTable
from mlguide_assets.prepare.profiling.nouns import noun_of_id
from mlguide_assets.prepare.profiling.references import Reference, spelled_otherwise
from mlguide_assets.prepare.profiling.roles import Source
from mlguide_assets_tests.prepare.profiling.drafts import (
    CUSTOMERS,
    DAYS,
    ORDERS,
    checked_draft,
    draft_text,
    drafted,
    write_tables,
)


def test_values_that_are_not_in_the_other_table_are_counted(duck: Any, tmp_path: Path) -> None:
    some = CUSTOMERS.replace("range(40)", "range(10)")
    text = draft_text(write_tables(tmp_path / "shop", customers=some, orders=ORDERS), duck, tmp_path)
    assert "10 of 40 values are in customers.customer_id" in text


def test_a_column_refers_to_what_it_is_called_like_whatever_the_key_is_called(duck: Any, tmp_path: Path) -> None:
    source = write_tables(
        tmp_path / "plant",
        "csv",
        machines="SELECT format('M-{:04d}', i) AS machine_no, i % 3 AS size FROM range(40) t(i)",
        halls="SELECT format('{:03d}', i) AS hall_code, ['a', 'a', 'b'][i + 1] AS town FROM range(3) t(i)",
        readings=f"SELECT format('M-{{:04d}}', i % 40) AS machine, format('{{:03d}}', i % 3) AS hall_code, "
        f"{DAYS} AS ts, i % 90 AS heat FROM range(600) t(i)",
    )
    tables = drafted(source, duck, tmp_path)["tables"]
    assert {name: tables[name]["entity"] for name in ("machines", "halls")} == {"machines": "machine", "halls": "hall"}
    assert tables["readings"]["of"] == {"machine": "machine", "hall": "hall_code"}


@pytest.mark.parametrize("key", ["serial", "vin", "IMEI"])
def test_an_id_that_does_not_say_whose_it_is_refers_to_the_table_whose_key_is_called_so(
    key: str, duck: Any, tmp_path: Path
) -> None:
    source = write_tables(
        tmp_path / "plant",
        machines=f"SELECT 'm' || i % 3 AS model, i + 100001 AS {key} FROM range(40) t(i)",
        failures=f"SELECT i % 38 + 100001 AS {key}, {DAYS} AS failed_at, 'p' || i % 3 AS part FROM range(300) t(i)",
        readings=f"SELECT i % 40 + 100001 AS {key}, {DAYS} AS measured_at, i % 90 AS heat FROM range(900) t(i)",
    )
    tables = drafted(source, duck, tmp_path)["tables"]
    assert (tables["machines"]["entity"], tables["machines"]["key"]) == ("machine", file_name(key))
    assert tables["readings"]["of"] == tables["failures"]["of"] == {"machine": file_name(key)}


def test_ids_are_compared_as_they_will_be_read(duck: Any, tmp_path: Path) -> None:
    # pandas writes whole numbers with a fraction where one of them is missing.
    written = "CASE WHEN i % 40 > 0 THEN i * 11 % 40 || '.0' END AS customer_id"
    orders = ORDERS.replace("i * 11 % 40 AS customer_id", f"{written}, i % 5 = 0 AS late")
    text = draft_text(write_tables(tmp_path / "shop", "csv", customers=CUSTOMERS, orders=orders), duck, tmp_path)
    assert "customer: customer_id         # all 39 values are in customers.customer_id" in text
    assert "known_from: created_at          # all 585 events are not before it" in text


@pytest.mark.parametrize(("listed", "refers"), [(40, True), (10, False)])
def test_a_table_with_half_of_the_ids_of_a_column_of_its_keys_name_lists_them(
    listed: int, refers: bool, duck: Any, tmp_path: Path
) -> None:
    fleet = f"SELECT 'N' || (1000 + i) AS tailnum, 'm' || i % 5 AS maker FROM range({listed}) t(i)"
    tails = f"'N' || (1000 + i % 60) AS tailnum, {DAYS} AS left_at"
    legs = f"SELECT i AS leg_id, {tails}, i % 4 = 0 AS late FROM range(600) t(i)"
    text = draft_text(write_tables(tmp_path / "air", fleet=fleet, legs=legs), duck, tmp_path)
    assert ("fleet" in yaml.safe_load(text)["tables"]) == refers
    assert ("of 60 ids in legs.tailnum it has 10: which of them have a row may be known" in text) != refers


def test_a_plain_id_refers_to_no_table_whose_key_is_called_so(duck: Any, tmp_path: Path) -> None:
    visits = f"SELECT i % 30 AS id, i % 40 AS customer_id, {DAYS} AS visited_at FROM range(600) t(i)"
    customers = CUSTOMERS.replace("customer_id", "id")
    tables = drafted(write_tables(tmp_path / "shop", customers=customers, visits=visits), duck, tmp_path)["tables"]
    assert tables["visits"]["of"].get("customer") == "customer_id"


@pytest.mark.parametrize(
    ("tables", "refers"), [({"donors": 40}, True), ({"donors": 400}, False), ({"donors": 40, "places": 40}, False)]
)
def test_a_plain_id_that_repeats_all_ids_of_one_table_and_no_other_refers_to_it(
    tables: dict[str, int], refers: bool, duck: Any, tmp_path: Path
) -> None:
    listed = {name: f"SELECT i AS id, 'c' || i % 3 AS {name}_land FROM range({n}) t(i)" for name, n in tables.items()}
    gifts = f"SELECT i * 11 % 40 AS id, i AS gift_no, {DAYS} AS given_at, i % 9 = 0 AS late FROM range(600) t(i)"
    text = draft_text(write_tables(tmp_path / "charity", gifts=gifts, **listed), duck, tmp_path)
    assert (yaml.safe_load(text)["tables"]["gifts"]["of"] == {"donor": "id"}) == refers
    assert ("# ? all 40 values are in donors.id, though no name says so" in text) == refers


@pytest.mark.parametrize(
    ("table", "column", "other"),
    [
        ("用户", "用户编号", "商品编号"),
        ("クライアント", "クライアントID", "商品ID"),
        ("клиенты", "код_клиента", "код_товара"),
        ("고객", "고객번호", "상품번호"),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_ids_may_be_named_in_other_scripts(
    table: str, column: str, other: str, listed: bool, duck: Any, tmp_path: Path
) -> None:
    users = f"SELECT i + 100 AS {column}, {DAYS} - INTERVAL 1 YEAR AS begin, i % 3 AS age FROM range(40) t(i)"
    goods = f"SELECT i + 100 AS {other}, i % 9 * 0.5 AS price FROM range(40) t(i)"
    ids = f"i * 11 % 40 + 100 AS {column}, i * 7 % 40 + 100 AS {other}"
    orders = f"SELECT i AS n, {ids}, {DAYS} AS at, i % 9 = 0 AS late FROM range(600) t(i)"
    tables = {"orders": orders, **({table: users, "goods": goods} if listed else {})}
    of = drafted(write_tables(tmp_path / "shop", **tables), duck, tmp_path)["tables"]["orders"]["of"]
    assert sorted(of.values()) == sorted([column, other])
    assert of[noun_of_id(column)] == column


def test_long_names_in_other_scripts_that_begin_alike_are_not_one(duck: Any, tmp_path: Path) -> None:
    users = "SELECT i + 100 AS クライアントID, i % 3 AS age, i % 7 AS size FROM range(40) t(i)"
    ids = "i * 11 % 40 + 100 AS クライアントID, i * 7 % 60 + 100 AS クライアント会社ID"
    orders = f"SELECT i AS n, {ids}, {DAYS} AS at, i % 9 = 0 AS late FROM range(600) t(i)"
    text = draft_text(write_tables(tmp_path / "shop", クライアント=users, orders=orders), duck, tmp_path)
    assert "クライアント会社ID  # 60 ids, which no table is known to explain" in text


def test_a_code_that_reads_as_a_category_is_declared_once(duck: Any, tmp_path: Path) -> None:
    offers = "SELECT 'o' || i AS offer_code, i * 0.01 AS discount FROM range(12) t(i)"
    orders = ORDERS.replace("SELECT i AS order_id", "SELECT i AS order_id, 'o' || i % 12 AS offer_code")
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, offers=offers, orders=orders)
    text = draft_text(source, duck, tmp_path)
    assert text.count("      offer_code: category") == 1
    assert "12 ids; offers says what each means" in text


def test_a_table_with_some_of_the_ids_is_not_the_table_of_their_entity(duck: Any, tmp_path: Path) -> None:
    closed = f"SELECT i AS customer_id, {DAYS} AS closed_on FROM range(30) t(i)"
    tables = drafted(write_tables(tmp_path / "shop", closures=closed, orders=ORDERS), duck, tmp_path)["tables"]
    assert tables["closures"]["event"] == "closure"
    assert tables["orders"]["of"] == tables["closures"]["of"] == {"customer": "customer_id"}


def test_rows_that_follow_each_other_are_a_history(duck: Any, tmp_path: Path) -> None:
    plans = (
        "SELECT i // 3 AS customer_id, 'plan ' || i % 4 AS plan, DATE '2023-01-01' + (i % 3 * 100)::INT AS valid_from, "
        "CASE WHEN i % 3 < 2 THEN DATE '2023-01-01' + ((i % 3 + 1) * 100)::INT END AS valid_to FROM range(120) t(i)"
    )
    tables = drafted(write_tables(tmp_path / "shop", customer_plans=plans, orders=ORDERS), duck, tmp_path)["tables"]
    assert tables["customer_plans"]["entity"] == "customer"
    assert tables["customer_plans"]["key"] == "customer_id"
    assert tables["customer_plans"]["history"] == {"from": "valid_from", "to": "valid_to"}
    assert "static" not in tables["customer_plans"]


def test_spans_to_which_nothing_refers_are_events(duck: Any, tmp_path: Path) -> None:
    from_date = "DATE '2023-01-01' + (i % 3 * 100 + i // 9)::INT"
    spans = (
        f"SELECT i // 3 AS patient_id, i % 2 AS treated, i % 7 = 0 AS event, {from_date} AS from_date, "
        f"{from_date} + 100 AS to_date FROM range(900) t(i)"
    )
    file = drafted(write_tables(tmp_path / "clinic", spans=spans), duck, tmp_path)
    assert (file["tables"]["spans"]["at"], file["tables"]["spans"]["of"]) == ("from_date", {"patient": "patient_id"})
    assert file["predict"]["label"]["column"] == "event"


def test_rows_that_end_the_day_before_the_next_are_a_history_with_a_gap(duck: Any, tmp_path: Path) -> None:
    plans = (
        "SELECT i // 3 AS customer_id, 'plan ' || i % 4 AS plan, DATE '2023-01-01' + (i % 3 * 100)::INT AS start_date, "
        "DATE '2023-01-01' + ((i % 3 + 1) * 100 - 1)::INT AS end_date FROM range(120) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "shop", customer_plans=plans, orders=ORDERS), duck, tmp_path)
    assert yaml.safe_load(text)["tables"]["customer_plans"]["history"] == {"from": "start_date", "to": "end_date"}
    assert "? 80 of 80 end the day before the next begins" in text


@pytest.mark.parametrize(("overlapping", "is_history"), [(1, True), (20, False)])
def test_a_few_rows_that_overlap_are_mistakes_of_a_history(
    overlapping: int, is_history: bool, duck: Any, tmp_path: Path
) -> None:
    plans = (
        "SELECT i // 3 AS customer_id, 'plan ' || i % 4 AS plan, DATE '2023-01-01' + (i % 3 * 100)::INT AS valid_from, "
        f"DATE '2023-01-01' + ((i % 3 + 1) * 100 + (i % 3 = 0 AND i < {3 * overlapping})::INT)::INT AS valid_to "
        f"FROM range(120) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "shop", customer_plans=plans, orders=ORDERS), duck, tmp_path)
    assert ("history:" in text) == is_history
    assert ("# ? 1 of 120 rows overlaps the next of its customer_id; 79 of 80" in text) == is_history


@pytest.mark.parametrize(("id", "is_history"), [("subscriber", True), ("contract", True), ("zone", False)])
def test_a_history_is_found_by_its_rows_whatever_its_id_is_called(
    id: str, is_history: bool, duck: Any, tmp_path: Path
) -> None:
    # Rows of one zone overlap.
    plans = (
        f"SELECT i // {3 if is_history else 4} AS {id}, 'plan ' || i % 4 AS plan, "
        f"DATE '2023-01-01' + (i % 3 * 100)::INT AS valid_from, "
        f"DATE '2023-01-01' + ((i % 3 + 1) * 100)::INT AS valid_to FROM range(120) t(i)"
    )
    calls = f"SELECT i * 7 % 30 AS {id}, i % 25 AS user_id, {DAYS} AS called_at FROM range(600) t(i)"
    tables = drafted(write_tables(tmp_path / "telecom", plan_history=plans, calls=calls), duck, tmp_path)["tables"]
    assert ("history" in tables.get("plan_history", {})) == is_history
    assert tables["calls"]["of"] == ({id: id} if is_history else {}) | {"user": "user_id"}


def test_long_ids_are_found_whatever_the_column_is_called(duck: Any, tmp_path: Path) -> None:
    people = "SELECT md5('p' || i)::UUID AS uuid, 'x' || i % 3 AS team FROM range(50) t(i)"
    visits = f"SELECT md5('p' || i * 3 % 50)::UUID AS who, {DAYS} AS happened FROM range(500) t(i)"
    tables = drafted(write_tables(tmp_path / "site", people=people, visits=visits), duck, tmp_path)["tables"]
    assert tables["people"] == {"entity": "person", "key": "uuid", "columns": {"team": "category"}}
    assert tables["visits"]["of"] == {"person": "who"}


def test_tables_of_one_name_in_two_schemas_have_two_names_and_refer_to_their_own(duck: Any, tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "shops.duckdb") as database:
        for schema in ("berlin", "ulm"):
            database.execute(f"CREATE SCHEMA {schema}")
            database.execute(f"CREATE TABLE {schema}.customers AS SELECT *, '{schema}' AS town FROM ({CUSTOMERS})")
            database.execute(f"CREATE TABLE {schema}.orders AS SELECT *, '{schema}' AS town FROM ({ORDERS})")
    tables = drafted(f"duckdb://{tmp_path / 'shops.duckdb'}", duck, tmp_path)["tables"]
    assert set(tables) == {"customers", "ulm_customers", "orders", "ulm_orders"}
    assert (tables["ulm_customers"]["from"], tables["ulm_customers"]["entity"]) == ("ulm.customers", "ulm_customer")
    assert tables["orders"]["of"] == {"customer": "customer_id"}
    assert tables["ulm_orders"]["of"] == {"ulm_customer": "customer_id"}


def test_a_look_up_table_of_a_few_ids_is_not_the_unit(duck: Any, tmp_path: Path) -> None:
    currencies = "SELECT 'c' || i AS currency_code, i AS digits, 'x' || i // 2 AS zone FROM range(3) t(i)"
    orders = (
        f"SELECT i AS order_id, i * 11 % 40 AS payer_id, 'c' || i % 3 AS currency_code, {DAYS} AS ordered_at "
        f"FROM range(600) t(i)"
    )
    tables = drafted(write_tables(tmp_path / "shop", currencies=currencies, orders=orders), duck, tmp_path)["tables"]
    assert list(tables["orders"]["of"].items()) == [("payer", "payer_id"), ("currency", "currency_code")]


@pytest.mark.parametrize(
    ("accounts", "receivers", "refers"), [(40, 40, True), (40, 7, False), (400, 40, False), (30, 40, False)]
)
def test_two_columns_with_all_ids_of_a_table_refer_to_it_whatever_they_are_called(
    accounts: int, receivers: int, refers: bool, duck: Any, tmp_path: Path
) -> None:
    opened = (
        f"SELECT i AS account_id, 'b' || i % 3 AS branch, TIMESTAMP '2023-01-01' AS opened FROM range({accounts}) t(i)"
    )
    transfers = (
        f"SELECT i AS transfer_id, i * 11 % 40 AS sender_id, i * 7 % {receivers} AS receiver_id, {DAYS} AS booked_at, "
        f"(i % 9 = 0)::INT AS fraud FROM range(600) t(i)"
    )
    folder = write_tables(tmp_path / "bank", accounts=opened, transfers=transfers)
    text = draft_text(folder, duck, tmp_path)
    of = yaml.safe_load(text)["tables"]["transfers"]["of"]
    own = {"account": "sender_id", "receiver": "receiver_id"} if refers else {"sender": "sender_id"}
    assert of.items() >= own.items()
    assert ("# ? all 40 values are in accounts.account_id, though no name says so" in text) == refers


def test_two_references_to_one_entity_have_two_nouns(duck: Any, tmp_path: Path) -> None:
    teams = "SELECT i AS team_id, 't' || i % 3 AS league FROM range(12) t(i)"
    games = (
        f"SELECT i AS game_id, i % 12 AS home_team_id, (i + 5) % 12 AS away_team_id, {DAYS} AS played_at "
        f"FROM range(300) t(i)"
    )
    tables = drafted(write_tables(tmp_path / "games", teams=teams, games=games), duck, tmp_path)["tables"]
    assert tables["games"]["of"] == {"team": "home_team_id", "away_team": "away_team_id"}
    assert tables["teams_away_team"].items() >= {"from": "teams", "entity": "away_team", "key": "team_id"}.items()


@pytest.mark.parametrize(
    ("key", "column", "evidence"),
    [
        ("customerNumber", "cust_no", "? all 40 values are in customers.customerNumber, for which cust may be short"),
        ("customer_id", "CustomerNr", "all 40 values are in customers.customer_id"),
        ("id", "cst_num", "? all 40 values are in customers.id, for which cst may be short"),
        ("id", "cart_no", ""),
        ("id", "cust", ""),
    ],
)
def test_a_number_of_a_short_name_refers_to_what_it_may_be_short_for(
    key: str, column: str, evidence: str, duck: Any, tmp_path: Path
) -> None:
    customers = CUSTOMERS.replace("AS customer_id", f"AS {key}")
    orders = ORDERS.replace("AS customer_id", f"AS {column}, i % 7 = 0 AS returned")
    source = write_tables(tmp_path / "shop", customers=customers, orders=orders)
    text = draft_text(source, duck, tmp_path)
    of = yaml.safe_load(text)["tables"]["orders"]["of"]
    assert (of == {"customer": column}) == bool(evidence)
    assert evidence in text


@pytest.mark.parametrize("column", ["customer_id", "cust_no"])
def test_orders_with_lines_are_events_of_a_person_whatever_its_id_is_called(
    column: str, duck: Any, tmp_path: Path
) -> None:
    orders = ORDERS.replace("AS customer_id", f"AS {column}, i % 7 = 0 AS returned")
    lines = "SELECT i // 2 AS order_id, i % 2 AS line_no, i % 5 AS quantity FROM range(1200) t(i)"
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=orders, order_lines=lines)
    tables = drafted(source, duck, tmp_path)["tables"]
    assert tables["orders"]["event"] == "order"
    assert tables["order_lines"]["at"] == "order_header.ordered_at"


def test_numbers_are_ids_where_they_are_of_a_thing(duck: Any, tmp_path: Path) -> None:
    orders = ORDERS.replace("AS customer_id", "AS Kundennr, i % 35 AS house_no")
    of = drafted(write_tables(tmp_path / "shop", orders=orders), duck, tmp_path)["tables"]["orders"]["of"]
    assert of == {"kunden": "Kundennr"}


def test_ids_in_a_table_of_entities_are_no_parts_of_an_event(duck: Any, tmp_path: Path) -> None:
    customers = CUSTOMERS.replace("AS segment", "AS segment, i // 2 AS household_no")
    text = draft_text(write_tables(tmp_path / "shop", customers=customers, orders=ORDERS), duck, tmp_path)
    assert "# not read: household_no (an id)" in text


def test_ids_that_a_table_writes_as_fractions_with_a_comma_are_those_of_the_other(duck: Any, tmp_path: Path) -> None:
    """pandas holds ids with an empty one among them as fractions, and writes them with the comma of the file."""
    customers = "SELECT 12300 + i AS \"Customer ID\", 's' || i % 3 AS segment FROM range(40) t(i)"
    orders = (
        f"SELECT i AS order_id, (12300 + i % 40) || ',0' AS \"Customer ID\", {DAYS} AS ordered_at, "
        "i % 90 || ',5' AS price FROM range(600) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "shop", "csv", customers=customers, orders=orders), duck, tmp_path)
    assert yaml.safe_load(text)["tables"]["orders"]["of"] == {"customer": "customer_id"}
    assert "all 40 values are in customers.Customer ID" in text
    assert checked_draft(text, duck, tmp_path).refused is None


def test_two_columns_that_hold_names_of_teams_refer_to_the_teams(duck: Any, tmp_path: Path) -> None:
    teams = "SELECT 'FC ' || i AS Team, 'c' || i % 3 AS City FROM range(24) t(i)"
    matches = (
        f"SELECT {DAYS} AS Date, 'FC ' || i % 24 AS HomeTeam, 'FC ' || (i * 7 + 3) % 24 AS AwayTeam, i % 11 AS HS, "
        "['H', 'H', 'D', 'A'][1 + i % 4] AS result FROM range(900) t(i)"
    )
    tables = drafted(write_tables(tmp_path / "league", teams=teams, matches=matches), duck, tmp_path)["tables"]
    assert tables["matches"]["of"] == {"team": "HomeTeam", "away_team": "AwayTeam"}
    assert tables["teams_away_team"]["entity"] == "away_team"


def test_a_number_that_is_called_as_a_thing_may_count_it(duck: Any, tmp_path: Path) -> None:
    items = "SELECT 1 + i AS item, 'c' || i % 3 AS kind FROM range(30) t(i)"
    orders = ORDERS.replace("SELECT", "SELECT 1 + i % 9 AS total_item, ")
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, items=items, orders=orders)
    assert drafted(source, duck, tmp_path)["tables"]["orders"]["of"] == {"customer": "customer_id"}


def test_stays_that_are_numbered_by_patient_are_events_of_patients(duck: Any, tmp_path: Path) -> None:
    """Diagnoses refer to the stays, which are no things for that."""
    patients = "SELECT '900-' || i AS patient_nbr, i % 2 AS sex FROM range(60) t(i)"
    stays = (
        f"SELECT 5000 + i AS encounter_id, '900-' || i % 60 AS patient_nbr, {DAYS} AS admitted_at, "
        "['NO', 'NO', '<30', '>30', '>30'][1 + i * 7 % 5] AS readmitted, "
        "CASE WHEN i * 7 % 5 >= 2 THEN 1 + i % 29 END AS days_until, i % 9 AS medications FROM range(900) t(i)"
    )
    diagnoses = (
        f"SELECT 5000 + i % 900 AS encounter_id, {DAYS} AS coded_at, 'V' || i % 40 AS icd9 FROM range(1500) t(i)"
    )
    text = draft_text(
        write_tables(tmp_path / "clinic", patients=patients, stays=stays, diagnoses=diagnoses), duck, tmp_path
    )
    file = yaml.safe_load(text)
    assert file["tables"]["stays"]["of"] == {"patient": "patient_nbr"}
    label = file["predict"]["label"]
    assert (label["column"], set(label["positive"]), label["negative"]) == ("readmitted", {"<30", ">30"}, "NO")
    assert file["statement"] == f"Which stay will have readmitted = {' or '.join(label['positive'])}?"
    assert "days_until (? it says what readmitted says)" in text
    assert "medications: number" in text
    assert checked_draft(text, duck, tmp_path).refused is None


@pytest.mark.parametrize(
    ("ids", "key", "found"),
    [("lpad(i::VARCHAR, 5, '0')", "i", 30), ("'K-' || i", "'k' || i", 30), ("(1000 + i)::VARCHAR", "i", None)],
)
def test_ids_that_another_table_writes_otherwise_are_found_there(
    ids: str, key: str, found: int | None, duck: Any
) -> None:
    profiles = {
        "orders": _profiled("orders", f"SELECT {ids} AS customer_id FROM range(30) t(i), range(3)", duck),
        "customers": _profiled("customers", f"SELECT {key} AS customer_id FROM range(40) t(i)", duck),
    }
    other = spelled_otherwise(profiles, duck, "orders", "customer_id")
    assert (other and (other.target, other.key, other.found)) == (found and ("customers", "customer_id", found))


@pytest.mark.parametrize(("table", "role"), [("customers", "entity"), ("statuses", "code")])
def test_people_with_their_addresses_have_a_past_and_are_no_codes(table: str, role: str, duck: Any) -> None:
    key = f"{table}_id"
    profiles = {
        table: _profiled(table, f"SELECT i AS {key}, concat('of ', i) AS email FROM range(40) t(i)", duck),
        "orders": _profiled("orders", f"SELECT i AS order_id, i % 40 AS {key}, {DAYS} AS at FROM range(90) t(i)", duck),
    }
    assert Source(profiles, duck, {}, [Reference("orders", key, table, key, 40, 40)]).roles[table] == role


def _profiled(name: str, query: str, duck: Any) -> TableProfile:
    duck.raw_sql(f"CREATE OR REPLACE TEMP TABLE spelled_{name} AS {query}")
    rows = duck.table(f"spelled_{name}")
    count = int(rows.count().execute())
    return profile_table(ListedTable(name, count, rows.get_name(), False, dict(rows.schema().items())), duck)
