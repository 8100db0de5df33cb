"""What could be predicted of tables of many shapes, and what is said where nothing can."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlguide_assets.errors import InputError
from mlguide_assets_tests.prepare.profiling.drafts import (
    CUSTOMERS,
    DAYS,
    ORDERS,
    checked_draft,
    draft_text,
    drafted,
    write_tables,
)


@pytest.mark.parametrize(
    ("other", "outcome"),
    [
        ("fragile", "damaged"),
        ("gift", "no_show"),
        ("heavy", "insured"),
        ("male", "event"),
        ("previous_default", "relapse"),
        ("defaulted", "y"),
    ],
)
def test_what_happened_to_a_thing_is_predicted_before_what_it_is(
    other: str, outcome: str, duck: Any, tmp_path: Path
) -> None:
    sends = f"SELECT i AS send_id, i % 3 = 0 AS {other}, i % 4 = 0 AS {outcome}, {DAYS} AS sent_at FROM range(600) t(i)"
    file = drafted(write_tables(tmp_path / "mail", sends=sends), duck, tmp_path)
    assert file["predict"]["label"]["column"] == outcome


def test_an_event_that_is_an_outcome_is_predicted_of_who_is_active(duck: Any, tmp_path: Path) -> None:
    cancellations = f"SELECT i AS customer_id, {DAYS} AS cancelled_on FROM range(30) t(i)"
    source = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=ORDERS, cancellations=cancellations)
    text = draft_text(source, duck, tmp_path)
    predict = drafted(source, duck, tmp_path)["predict"]
    assert predict["each"] == "customer"
    assert predict["where"] == {"count": "order", "within": "90d", "at_least": 1}
    assert predict["label"] == {"count": "cancellation", "within": "30d", "at_least": 1}
    assert "statement: Which customer will have at least one cancellation within 30d?" in text
    found = checked_draft(text, duck, tmp_path, automatic=False).decisions
    assert found is not None
    assert found.positives > 0


@pytest.mark.parametrize("of", [", i % 40 AS customer_id", ""])
def test_an_outcome_without_a_time_has_that_of_what_it_is_the_outcome_of(of: str, duck: Any, tmp_path: Path) -> None:
    source = write_tables(
        tmp_path / "bank",
        applications=f"SELECT i AS application_id{of}, {DAYS} AS applied_at, i * 7 % 90 AS amount, "
        f"{DAYS} + INTERVAL 9 DAY AS closed_at, ['open', 'paid', 'lost'][1 + i % 3] AS status FROM range(400) t(i)",
        outcomes="SELECT i AS application_id, i % 5 = 0 AS defaulted FROM range(400) t(i)",
    )
    text = draft_text(source, duck, tmp_path)
    file = drafted(source, duck, tmp_path)
    noun = "application_header" if of else "application"
    assert file["tables"]["outcomes"]["at"] == f"{noun}.applied_at"
    assert file["tables"]["outcomes"]["of"] == {noun: "application_id"}
    columns = file["tables"][f"{noun}s" if not of else "applications_header"]["columns"]
    assert columns["amount"] == "number"
    assert ("status" in columns, "closed_at" in columns) == (False, not of)
    assert file["predict"] == {
        "each": "outcome", "label": {"column": "defaulted", "positive": "true", "negative": "false", "window": "7d"}
    }  # fmt: skip
    found = checked_draft(text, duck, tmp_path, automatic=False).decisions
    assert found is not None
    assert found.rows == 400


def test_what_is_said_once_of_a_person_was_not_known_before_all_that_the_person_did(duck: Any, tmp_path: Path) -> None:
    """It would be a feature of every payment: who has left, before anybody left."""
    source = write_tables(
        tmp_path / "club",
        members_v3="SELECT 'm' || i AS msno, DATE '2023-01-01' + i::INT AS registered_on FROM range(40) t(i)",
        payments=f"SELECT 'm' || i % 40 AS msno, {DAYS} AS paid_on, i % 9 = 0 AS is_cancel FROM range(600) t(i)",
        train="SELECT 'm' || i AS msno, i % 5 = 0 AS is_churn FROM range(40) t(i)",
    )
    text = draft_text(source, duck, tmp_path)
    tables = yaml.safe_load(text)["tables"]
    assert tables.keys() == {"members_v3", "payments"}
    assert tables["payments"]["of"] == {"member": "msno"}
    assert "# msno: msno" not in text
    assert "not used: train (no column says when its rows happened" in text


def test_columns_that_are_renamed_or_have_a_format_may_be_known_too(duck: Any, tmp_path: Path) -> None:
    query = (
        f"SELECT i AS order_id, i % 30 AS customer_id, {DAYS} AS ordered_at, i % 7 = 0 AS returned, i % 9 AS size, "
        f"'x' || i % 4 AS \"Shop Name\", replace(format('{{:.2f}}', i * 1.1), '.', ',') AS amount FROM range(900) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "shop", "csv", orders=query), duck, tmp_path)
    assert "# known: [size, shop_name, amount]" in text


def test_what_is_chosen_and_what_is_known_are_offered_as_one_or_the_other(duck: Any, tmp_path: Path) -> None:
    offers = "SELECT i AS offer_id, i * 0.01 AS discount, TIMESTAMP '2023-06-01' AS launched FROM range(12) t(i)"
    contacts = (
        f"SELECT i AS contact_id, i % 40 AS customer_id, i % 12 AS offer_id, {DAYS} AS contacted_at, "
        f"i % 2 = 0 AS by_phone, i % 7 = 0 AS cancelled FROM range(900) t(i)"
    )
    folder = write_tables(tmp_path / "shop", customers=CUSTOMERS, offers=offers, contacts=contacts)
    lines = [line.strip() for line in draft_text(folder, duck, tmp_path).splitlines()]
    (choose,), (known,) = ([line for line in lines if line.startswith(f"# {key}: ")] for key in ("choose", "known"))
    assert "then without known" in choose
    assert "if nothing is chosen" in known


def test_events_of_one_day_have_a_window_that_ends_within_it(duck: Any, tmp_path: Path) -> None:
    orders = (
        "SELECT i AS order_id, i % 30 AS customer_id, i % 7 = 0 AS returned, "
        "TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE AS ordered_at FROM range(900) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "shop", orders=orders), duck, tmp_path)
    found = checked_draft(text, duck, tmp_path, automatic=False).decisions
    assert found is not None
    assert found.waiting == 60


def test_a_number_that_is_zero_without_the_outcome_is_left_out(duck: Any, tmp_path: Path) -> None:
    trips = (
        f"SELECT i AS trip_id, i % 40 AS customer_id, {DAYS} AS started_at, i * 0.37 AS fare, i % 3 = 0 AS converted, "
        "(i % 3 = 0)::INT * i * 0.11 AS tip FROM range(1, 900) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "cab", customers=CUSTOMERS, trips=trips), duck, tmp_path)
    assert "tip (? it says what converted says)" in text
    assert "fare: number" in text


def test_a_column_that_says_what_the_label_says_is_left_out(duck: Any, tmp_path: Path) -> None:
    loans = (
        f"SELECT i AS loan_id, i % 40 AS customer_id, {DAYS} AS granted_at, i % 13 AS amount, "
        f"CASE WHEN i % 6 = 0 THEN 'yes' ELSE 'no' END AS defaulted, (i % 6 = 0)::INT * (1 + i % 3) AS months_late "
        f"FROM range(600) t(i)"
    )
    source = write_tables(tmp_path / "bank", loans=loans)
    file = drafted(source, duck, tmp_path)
    assert file["predict"]["label"]["column"] == "defaulted"
    assert file["tables"]["loans"]["columns"] == {"amount": "number", "defaulted": "flag"}
    assert "months_late (? it says what defaulted says)" in draft_text(source, duck, tmp_path)


def test_a_label_that_is_empty_at_the_end_shows_how_long_it_takes(duck: Any, tmp_path: Path) -> None:
    sends = (
        "SELECT i AS send_id, i % 40 AS user_id, TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS sent_at, "
        "CASE WHEN i < 2000 - 9 * 24 THEN i % 11 = 0 END AS clicked FROM range(2000) t(i)"
    )
    file = drafted(write_tables(tmp_path / "mail", sends=sends), duck, tmp_path)
    assert file["predict"]["label"]["window"] == "9d"


@pytest.mark.parametrize(
    ("values", "doubt"),
    [
        ("'open', 'shut'", "? open rather than shut, as it is rarer; after so long"),
        ("'cancelled', 'kept'", "? after so long an"),
        ("'kept', 'cancelled'", "? kept rather than cancelled, as it is rarer; after so long"),
        ("'no', 'yes'", "? after so long"),
    ],
)
def test_that_the_rarer_value_is_the_outcome_is_a_guess(values: str, doubt: str, duck: Any, tmp_path: Path) -> None:
    bookings = (
        f"SELECT i AS booking_id, i % 40 AS user_id, {DAYS} AS booked_at, [{values}][1 + (i % 5 > 0)::INT] AS outcome "
        f"FROM range(600) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "hotel", bookings=bookings), duck, tmp_path)
    assert f"# {doubt}" in text


@pytest.mark.parametrize(
    ("others", "window"),
    [
        (f"{DAYS} + INTERVAL (1 + i % 12) DAY AS closed_at", "12d"),
        (f"{DAYS} + INTERVAL (i % 10) HOUR AS result_at, {DAYS} + INTERVAL 40 DAY AS due_date", "9h"),
        (f"CASE WHEN i % 7 = 0 THEN {DAYS} + INTERVAL (i % 5) DAY END AS return_date, {DAYS} AS shipped_at", "4d"),
        (f"{DAYS} + INTERVAL (if(i = 7, 60, 3)) DAY AS closed_at", "3d"),
        (f"{DAYS} + INTERVAL 200 DAY AS closed_at", "75d"),
        (f"{DAYS} - INTERVAL 3 DAY AS ordered_on, {DAYS} + INTERVAL 3 DAY AS updated_at", "7d"),
    ],
)
def test_another_time_shows_how_long_an_outcome_takes(others: str, window: str, duck: Any, tmp_path: Path) -> None:
    rentals = f"SELECT i AS rental_id, i % 40 AS user_id, {DAYS} AS rented_at, i % 7 = 0 AS returned, {others}"
    file = drafted(write_tables(tmp_path / "cars", rentals=f"{rentals} FROM range(900) t(i)"), duck, tmp_path)
    assert file["tables"]["rentals"]["at"] == "rented_at"
    assert file["predict"]["label"]["window"] == window


@pytest.mark.parametrize(("name", "window"), [("returned_30d", "30d"), ("returned_within_2_days", "12d")])
def test_an_outcome_is_not_final_before_its_name_says(name: str, window: str, duck: Any, tmp_path: Path) -> None:
    rentals = f"SELECT i AS rental_id, i % 40 AS user_id, {DAYS} AS rented_at, i % 7 = 0 AS {name}, "
    rentals += f"{DAYS} + INTERVAL (1 + i % 12) DAY AS closed_at FROM range(900) t(i)"
    file = drafted(write_tables(tmp_path / "cars", rentals=rentals), duck, tmp_path)
    assert file["predict"]["label"]["window"] == window


@pytest.mark.parametrize(
    ("number", "positive"),
    [
        ("delay_minutes", {"at_least": 45.0}),
        ("rating", {"at_most": 5.0}),
        ("grade", {"at_most": 5.0}),
        ("weight", None),
    ],
)
def test_a_number_is_an_outcome_beyond_a_limit_if_it_is_called_so(
    number: str, positive: object, duck: Any, tmp_path: Path
) -> None:
    trips = (
        f"SELECT i AS trip_id, i % 40 AS driver_id, {DAYS} AS left_at, i % 101 / 2.0 AS {number} FROM range(606) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "trips", trips=trips), duck, tmp_path)
    offered = [line for line in text.splitlines() if "positive" in line]
    assert len(offered) == (positive is not None)
    if positive is not None:
        assert yaml.safe_load(offered[0].lstrip("# "))["predict"]["label"]["positive"] == positive
        assert (
            f"{number} is at {'least 45' if number == 'delay_minutes' else 'most 5'} in 66 of 606 rows (11 %)" in text
        )


def test_a_number_is_predicted_where_nothing_else_can_be_and_what_gives_it_away_is_left_out(
    duck: Any, tmp_path: Path
) -> None:
    """Nobody's future: each id comes once."""
    claims = (
        "SELECT 'c' || i AS claim_id, TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE AS at, i % 101 AS loss, "
        "i % 101 // 90 * (1 + i % 2) AS size, i % 7 AS branch FROM range(606) t(i)"
    )
    file = drafted(write_tables(tmp_path / "claims", claims=claims), duck, tmp_path)
    assert file["predict"]["label"] == {"column": "loss", "positive": {"at_least": 90.0}, "window": "1h"}
    assert file["tables"]["claims"]["columns"] == {"loss": "number", "branch": "number"}


def write_nothing(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("Nothing.")


def write_only_bad(folder: Path) -> None:
    folder.mkdir()
    for name in ("a", "b", "c", "d"):
        (folder / f"{name}.csv").write_text("x,y\n")
    (folder / "e.csv").write_text("x\n1\n")


def write_no_times(folder: Path) -> None:
    write_tables(folder, things="SELECT i AS id, i % 5 AS size FROM range(50) t(i)")


def write_no_outcome(folder: Path) -> None:
    at = "TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE"
    write_tables(folder, visits=f"SELECT i AS id, i % 5 AS user_id, {at} AS at FROM range(50) t(i)")


def write_one_outcome(folder: Path) -> None:
    write_tables(
        folder, orders=f"SELECT i AS id, 's' || i % 30 AS shop, {DAYS} AS at, 'no' AS late FROM range(200) t(i)"
    )


def write_a_snapshot(folder: Path) -> None:
    customers = "SELECT i AS customer_id, DATE '2024-06-30' AS as_of_date, i % 4 = 0 AS churned FROM range(200) t(i)"
    write_tables(folder, customers=customers)


def write_a_short_time(folder: Path) -> None:
    at = "TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR"
    write_tables(folder, orders=f"SELECT i AS id, i % 30 AS user_id, {at} AS at, i = 7 AS late FROM range(200) t(i)")


def write_the_future(folder: Path) -> None:
    write_tables(folder, visits=f"SELECT i % 5 AS user_id, {DAYS.replace('2024', '2324')} AS at FROM range(50) t(i)")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_nothing, r"has no CSV or Parquet files.* \(it has notes.txt\)"),
        (write_only_bad, "No table of the source can be used: a, b, c, d: it has no rows; e: .*"),
        (
            write_no_times,
            "No table of the source can be read as events.*: add such a table, or to one of these what it lacks",
        ),
        (
            write_no_outcome,
            r"predicted from these tables \(visits: no column has 2 to 12 values, and it goes on for 0 days",
        ),
        (
            write_one_outcome,
            r"\(orders: late has no value but 'no', and no table lists the shop ids\): add rows with both",
        ),
        (write_a_short_time, r"\(orders: late is 'true' in 1 of 200 rows, and it goes on for 8 days, not for 14\)"),
        (write_a_snapshot, r"\(customers: all its rows are of 2024-06-30, and a model is tested on later ones"),
        (write_the_future, "no column has 2 to 12 values, and all its times lie in the future"),
    ],
)
def test_a_source_without_anything_to_learn_is_refused(write: Any, said: str, duck: Any, tmp_path: Path) -> None:
    write(tmp_path / "source")
    with pytest.raises(InputError, match=said):
        drafted(tmp_path / "source", duck, tmp_path)


def test_the_advice_about_an_id_that_does_not_say_whose_it_is_works_when_it_is_followed(
    duck: Any, tmp_path: Path
) -> None:
    gifts = f"SELECT i * 11 % 40 AS id, i AS gift_no, {DAYS} AS given_at FROM range(600) t(i)"
    said = (
        "gifts: no column has 2 to 12 values, and id does not say whose ids it holds: rename it, such as to customer_id"
    )
    with pytest.raises(InputError, match=said):
        drafted(write_tables(tmp_path / "before", gifts=gifts), duck, tmp_path)
    file = drafted(write_tables(tmp_path / "after", gifts=gifts.replace("AS id", "AS customer_id")), duck, tmp_path)
    assert file["predict"]["each"] == "customer"


@pytest.mark.parametrize("index", ["", "Unnamed: 0", "column0", "rownames"])
def test_an_index_without_a_name_is_nobody(index: str, duck: Any, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    days = [f"{number},2024-{1 + number % 12:02}-{1 + number % 28:02},{number % 5}" for number in range(300)]
    (tmp_path / "source" / "games.csv").write_text("\n".join([f"{index},played_at,goals", *days]))
    said = r"games: no column has 2 to 12 values, and no column holds ids that come again\)"
    with pytest.raises(InputError, match=said):
        drafted(tmp_path / "source", duck, tmp_path)


def test_a_file_that_is_not_read_is_named_where_nothing_can_be_predicted(duck: Any, tmp_path: Path) -> None:
    gifts = f"SELECT i * 11 % 40 AS id, i AS gift_no, {DAYS} AS given_at FROM range(600) t(i)"
    source = write_tables(tmp_path / "charity", gifts=gifts)
    (source / "donors.csv").write_text("id\n1\n2\n")
    with pytest.raises(InputError, match=r"donors: .* must be a header of two column names or more"):
        drafted(source, duck, tmp_path)


def test_files_of_other_formats_are_named_with_what_to_do(duck: Any, tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=ORDERS)
    (folder / "orders 2023.xlsx").write_bytes(b"PK")
    (folder / "README.md").write_text("What this is.")
    text = draft_text(folder, duck, tmp_path)
    assert "# not used: orders 2023.xlsx (it is a spreadsheet: save each sheet of it as CSV in UTF-8)" in text
    assert "README" not in text


@pytest.mark.parametrize(("id", "also"), [("id", ", and no other table refers to it"), ("customer_id", "")])
def test_of_a_table_without_times_it_is_said_that_it_has_none(id: str, also: str, duck: Any, tmp_path: Path) -> None:
    loans = f"SELECT i AS loan, i % {1 if id == 'id' else 30} AS {id}, i % 5 AS size FROM range(60) t(i)"
    with pytest.raises(InputError, match=rf"\(loans: no column says when its rows happened{also}\)"):
        drafted(write_tables(tmp_path / "bank", loans=loans), duck, tmp_path)


@pytest.mark.parametrize(("after", "ended"), [("", True), (" OR i % 5 = 3", False)])
def test_an_outcome_after_which_nothing_follows_ends_the_unit(
    after: str, ended: bool, duck: Any, tmp_path: Path
) -> None:
    # Every second customer has the outcome at one offer; what follows it is left out, or is there of some.
    last = "3 + i % 100 % 8"
    offers = (
        f"SELECT i % 100 AS customer_id, i // 100 % 4 AS coupon_id, i % 2 = 0 AND i // 100 = {last} AS unsubscribed, "
        "TIMESTAMP '2024-01-01' + INTERVAL (i // 100 * 20) DAY AS offered_at FROM range(1200) t(i) "
        f"WHERE i % 2 = 1 OR i // 100 <= {last}{after}"
    )
    customers = "SELECT i AS customer_id, 'c' || i % 5 AS segment FROM range(100) t(i)"
    text = draft_text(write_tables(tmp_path / "shop", customers=customers, offers=offers), duck, tmp_path)
    label = yaml.safe_load(text)["predict"]["label"]
    assert label["column"] == "unsubscribed"
    assert label.get("ends_unit", False) == ended
    assert ("ends_unit, since 0 of the 50 customers with that outcome have an offer after it" in text) == ended


STATUS = "['delivered', 'delivered', 'delivered', 'canceled', 'shipped', 'delivered', 'lost'][1 + i % 7] AS status"


@pytest.mark.parametrize(("name", "offered"), [("reward", False), ("refunded", True)])
def test_what_is_not_read_is_not_offered_as_an_outcome(name: str, offered: bool, duck: Any, tmp_path: Path) -> None:
    """A column that is nearly always empty is not read, unless it is called as outcomes are."""
    seldom = f"CASE WHEN i % 40 = 0 THEN ['no', 'yes'][1 + i // 40 % 2] END AS {name}"
    orders = f"SELECT i AS order_id, i * 11 % 40 AS customer_id, {DAYS} AS ordered_at, {seldom} FROM range(3200) t(i)"
    text = draft_text(write_tables(tmp_path / "shop", customers=CUSTOMERS, orders=orders), duck, tmp_path)
    assert (f"column: {name}" in text) == offered
    assert (f"# not read: {name} (empty in 98 % of the rows)" in text) != offered
    assert checked_draft(text, duck, tmp_path, automatic=False)


def test_one_of_several_values_can_be_the_outcome(duck: Any, tmp_path: Path) -> None:
    orders = ORDERS.replace("AS amount", f"AS amount, {STATUS}")
    text = draft_text(write_tables(tmp_path / "shop", orders=orders, customers=CUSTOMERS), duck, tmp_path)
    assert "# or, since status is 'canceled' in 86 of 600 rows (14 %):" in text
    line = next(line for line in text.splitlines() if "column: status" in line)
    text = text[: text.index("predict:\n")] + line.removeprefix("# ") + text[text.index("\n\nfeatures:") :]
    assert yaml.safe_load(text)["predict"]["label"]["negative"] == ["delivered", "shipped", "lost"]
    found = checked_draft(text, duck, tmp_path, automatic=False).decisions
    assert found is not None
    assert found.positives > 0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("CASE WHEN d > 250 THEN 'current' WHEN i % 7 = 0 THEN 'written off' ELSE 'paid' END", "written off"),
        ("d > 200", None),
        ("CASE WHEN i % 5 = 0 THEN 'lost' ELSE 'won' END", "lost"),
    ],
)
def test_what_only_the_newest_rows_have_is_no_outcome(
    status: str, outcome: str | None, duck: Any, tmp_path: Path
) -> None:
    """A model is tested on the newest rows: the check of the draft would refuse what it predicts."""
    days = "SELECT i, i * 37 % 300 AS d FROM range(600) t(i)"
    loans = f"SELECT i AS loan_id, i * 11 % 40 AS customer_id, {DAYS} AS issued_at, {status} AS status FROM ({days})"
    text = draft_text(write_tables(tmp_path / "bank", customers=CUSTOMERS, loans=loans), duck, tmp_path)
    offered = re.findall(r"label: \{column: status, positive: '?([\w ]+)", text)
    assert offered == ([outcome] if outcome else [])
    assert checked_draft(text, duck, tmp_path, automatic=False).refused is None


def test_what_a_test_found_comes_before_how_it_was_made(duck: Any, tmp_path: Path) -> None:
    found = "['negative', 'negative', 'positive', 'negative', 'invalid'][1 + i % 5] AS result, i % 2 = 0 AS drive_thru"
    tests = f"SELECT i AS test_no, i % 700 AS subject_id, {DAYS} AS tested_on, {found} FROM range(900) t(i)"
    label = drafted(write_tables(tmp_path / "lab", tests=tests), duck, tmp_path)["predict"]["label"]
    assert (label["column"], label["positive"], label["negative"]) == ("result", "positive", ["negative", "invalid"])


def test_a_column_that_is_not_called_as_outcomes_are_comes_last(duck: Any, tmp_path: Path) -> None:
    """Better a draft to correct than none: nobody comes again, and no column has two values."""
    pizzas = f"SELECT i AS pizza_id, {DAYS} AS ordered_at, ['S', 'M', 'M', 'L'][1 + i % 4] AS size FROM range(600) t(i)"
    source = write_tables(tmp_path / "pizzeria", pizzas=pizzas)
    label = drafted(source, duck, tmp_path)["predict"]["label"]
    assert label == {"column": "size", "positive": "L", "negative": ["M", "S"], "window": "7d"}
    damaged = write_tables(tmp_path / "other", pizzas=pizzas.replace("AS size", "AS size, i % 9 = 0 AS damaged"))
    text = draft_text(damaged, duck, tmp_path)
    assert yaml.safe_load(text)["predict"]["label"]["column"] == "damaged"
    assert "column: size" not in text


def test_any_number_is_offered_where_nothing_else_can_be_predicted(duck: Any, tmp_path: Path) -> None:
    matches = (
        "SELECT 'team ' || i % 30 AS HomeTeam, 'team ' || (i * 7 + 3) % 30 AS AwayTeam, 1990 + i // 60 AS Year, "
        "i * 13 % 11 AS HomeGoals, TIMESTAMP '1990-01-01' + INTERVAL (i * 6) DAY AS date FROM range(900) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "league", matches=matches), duck, tmp_path)
    file = yaml.safe_load(text)
    assert file["tables"]["matches"]["of"] == {"home_team": "HomeTeam", "away_team": "AwayTeam"}
    assert file["predict"]["label"]["column"] == "HomeGoals"
    assert file["predict"]["label"]["positive"] == {"at_least": 9.0}
    assert "? the limit from which on it costs you" in text
    assert checked_draft(text, duck, tmp_path, automatic=False).decisions


def test_of_a_handful_of_active_customers_the_events_are_predicted_instead(duck: Any, tmp_path: Path) -> None:
    visits = (
        f"SELECT i AS visit_id, i * 11 % 12 AS customer_id, {DAYS} AS at, 1 + i % 9 / 2 AS rating FROM range(900) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "bar", visits=visits), duck, tmp_path)
    assert yaml.safe_load(text)["predict"]["each"] == "visit"
    assert "statement: Which visit will have rating at most 1?" in text


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("1990 + i % 9 AS year, 1 + i % 12 AS month, 1 + i % 28 AS day", "year, month and day say together when"),
        ("2024 AS year, 1 + i % 12 AS month, 1 + i % 28 AS day", "year, month and day say together when"),
        ("1990 + i % 9 AS season_year", "season_year is no day: write the one by which a row is known"),
        ("i % 300 AS days", "days counts from a day that it does not say"),
        ("i % 3 AS size", "no column says when its rows happened"),
        ("i % 9 AS YearsAtCompany, i % 7 AS months_since_last, i % 6 AS TrainingTimesLastYear", "no column says when"),
        ("1940 + i % 60 AS birth_year", "no column says when its rows happened"),
        ("68 + i % 20 AS year", "year is no day"),
        ("['Jan-2018', 'Feb-2018', 'Mar-2018'][1 + i % 3] AS issue_month", "issue_month is no day"),
        ("['Jan-2018', 'Feb-2018', 'Mar-2018'][1 + i % 3] AS issue_d", "issue_d is no day"),
        ("202400 + 1 + i % 12 AS period", "period is no day"),
    ],
)
def test_where_no_column_is_a_time_it_is_said_what_would_be_one(
    columns: str, said: str, duck: Any, tmp_path: Path
) -> None:
    games = f"SELECT i AS game_id, i * 11 % 40 AS player_id, {columns} FROM range(600) t(i)"
    with pytest.raises(InputError, match=rf"\(games: {said}"):
        drafted(write_tables(tmp_path / "source", games=games), duck, tmp_path)


def test_a_value_of_an_event_may_be_predicted_of_who_is_active(duck: Any, tmp_path: Path) -> None:
    """Whether a patient will have heart failure, and not only whether a diagnosis will be one."""
    kinds = "['flu', 'flu', 'asthma', 'flu', 'heart failure', 'asthma', 'flu'][1 + i % 7] AS finding"
    diagnoses = f"SELECT i AS diagnosis_id, i * 11 % 200 AS patient_id, {DAYS} AS at, {kinds} FROM range(900) t(i)"
    labs = f"SELECT i AS lab_id, i * 7 % 200 AS patient_id, {DAYS} AS at, i % 90 AS value FROM range(2000) t(i)"
    source = write_tables(tmp_path / "clinic", diagnoses=diagnoses, labs=labs)
    text = draft_text(source, duck, tmp_path)
    offered = [line for line in text.splitlines() if line.startswith("# predict: {each: patient,")]
    assert any(
        "label: {count: diagnosis, within: 30d, at_least: 1, where: {finding: heart failure}}" in line
        for line in offered
    )
    line = next(line for line in offered if "heart failure" in line)
    first, last = text.index("predict:\n"), text.index("\n\nfeatures:")
    found = checked_draft(
        text[:first] + line.removeprefix("# ") + text[last:], duck, tmp_path, automatic=False
    ).decisions
    assert found is not None
    assert 0 < found.positives < found.known


@pytest.mark.parametrize(
    ("columns", "best"),
    [
        ("i % 10 > 0 AS is_auto_renew, i % 17 = 0 AS is_cancel", "is_cancel"),
        ("i % 5 = 0 AS reopened, i % 3 AS priority", "reopened"),
    ],
)
def test_what_somebody_set_up_is_less_like_an_outcome_than_what_became_of_it(
    columns: str, best: str, duck: Any, tmp_path: Path
) -> None:
    rows = f"SELECT i AS ticket_no, i % 40 AS customer_id, {DAYS} AS created, {columns} FROM range(900) t(i)"
    label = drafted(write_tables(tmp_path / "desk", customers=CUSTOMERS, tickets=rows), duck, tmp_path)["predict"][
        "label"
    ]
    assert label["column"] == best


def test_which_failure_it_was_comes_after_whether_there_will_be_one(duck: Any, tmp_path: Path) -> None:
    machines = "SELECT i AS machineID, i % 9 AS age FROM range(60) t(i)"
    readings = f"SELECT i % 60 AS machineID, {DAYS} AS read_at, i % 97 AS volt FROM range(3000) t(i)"
    failures = (
        f"SELECT i * 7 % 60 AS machineID, {DAYS} AS failed_at, 'comp' || (1 + i % 2) AS failure FROM range(200) t(i)"
    )
    source = write_tables(tmp_path / "pdm", machines=machines, readings=readings, failures=failures)
    predict = drafted(source, duck, tmp_path)["predict"]
    assert (predict["each"], predict["label"]["count"], predict["label"]["at_least"]) == ("machine", "failure", 1)


def test_what_a_calendar_says_is_no_outcome(duck: Any, tmp_path: Path) -> None:
    hours = (
        "SELECT TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS hour, i // 24 % 7 < 5 AS workingday, i // 24 % 9 = 0 AS "
        "promotion, i // 24 % 7 AS day_of_7, i % 24 AS hr, i * 13 % 211 AS rented, i % 5 = 0 AS rain, i AS reading_id "
        "FROM range(7200) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "bikes", hours=hours), duck, tmp_path)
    assert "workingday: flag" in text
    labels = set(re.findall(r"label: \{column: (\w+)", text))
    assert labels & {"rain", "rented"}
    assert not labels & {"workingday", "promotion", "day_of_7", "hr"}


def test_counts_of_what_others_do_with_an_event_later_are_not_read(duck: Any, tmp_path: Path) -> None:
    """A table has them of today: those of earlier questions would say what became of them after the decision."""
    questions = (
        f"SELECT i AS Id, i % 40 AS customer_id, {DAYS} AS CreationDate, i * 7 % 300 AS ViewCount, i % 13 AS Score, "
        "i % 5 AS likes, i % 91 AS BodyLength, i % 3 = 0 AS accepted FROM range(900) t(i)"
    )
    text = draft_text(write_tables(tmp_path / "forum", customers=CUSTOMERS, questions=questions), duck, tmp_path)
    assert set(yaml.safe_load(text)["tables"]["questions"]["columns"]) == {"BodyLength", "accepted"}
    left_out = re.findall(r"(\w+) \(\? counts on after the question", text)
    assert left_out == ["ViewCount", "Score", "likes"]
