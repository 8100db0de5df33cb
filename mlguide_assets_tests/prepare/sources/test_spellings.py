"""Spellings: what a value may look like, whatever kind of source it comes from, and what is not guessed."""

import math
from datetime import timedelta
from decimal import Decimal
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlguide_assets.define.prediction import ColumnLabel, Limit
from mlguide_assets.define.schema import EntityTable
from mlguide_assets.define.values import canonical_text
from mlguide_assets.prepare.contracts.unreadable_values import (
    cause_of_fraction,
    cause_of_number,
    cause_of_time,
    cause_of_value,
)
from mlguide_assets.prepare.features.events import is_one_of
from mlguide_assets.prepare.sources.casting import cast_to_schema
from mlguide_assets.prepare.sources.spellings import (
    are_whole_numbers,
    read_decimal_comma,
    read_fractions,
    read_labels,
    read_numbers,
    read_outcomes,
    read_texts,
    without_null_words,
)
from mlguide_assets_tests.samples import sample_problem

LARGEST = 2**63 - 1


def read(reader: Any, values: pa.Array, duck: Any) -> list[Any]:
    """Values as a reader gives them, in their order."""
    table = ibis.memtable(pa.table({"place": range(len(values)), "given": values}))
    found = duck.to_pyarrow(
        table.select("place", read=reader(without_null_words(table.given, in_text=reader is not read_numbers)))
    )
    return found.sort_by("place")["read"].to_pylist()


NUMBERS: dict[str, int | None] = {
    "7": 7, " 7 ": 7, "\t7": 7, "+7": 7, "-7": -7, "007": 7, "7.": 7, "7.0": 7, "7.00": 7, "0.000": 0,
    "12345.000": 12345, "7,0": 7, "7,00": 7, "12345,000": 12345, "7,": None,
    str(LARGEST): LARGEST, str(-LARGEST - 1): -LARGEST - 1, str(LARGEST + 1): None, "9" * 30: None,
    "1.000": None, "1,000": None, "1,5": None, "1.5": None, "1e3": None, "0x10": None, "1 000": None, "x": None,
    "inf": None, "NULL": None, r"\N": None, "nan": None, "": None, "true": None, "٣": None,
}  # fmt: skip


def test_whole_numbers_are_read_from_text_and_nothing_is_guessed(duck: Any) -> None:
    assert dict(zip(NUMBERS, read(read_numbers, pa.array(NUMBERS), duck), strict=True)) == NUMBERS


COMMAS: dict[str, float | None] = {
    "12,5": 12.5, "-1.234,56": -1234.56, "1 234,5": 1234.5, "1\u202f234\u00a0567,5": 1234567.5, "1'234,5": 1234.5,
    "7": 7, "1.234": 1234, "007,5": 7.5, "1.23": None, "1,234.5": None, "1,2,3": None, "12,": None, ",5": None,
    "x": None, "NULL": None, "1e3": None, "": None,
}  # fmt: skip


def test_numbers_with_a_decimal_comma_are_read_where_the_file_says_so(duck: Any) -> None:
    assert dict(zip(COMMAS, read(read_decimal_comma, pa.array(COMMAS), duck), strict=True)) == COMMAS
    assert read(read_decimal_comma, pa.array([1.5, 2.0]), duck) == [1.5, 2.0]


TYPED = {
    "float64": (pa.array([7.0, -0.0, 7.5, math.nan, math.inf, -math.inf, 1e300, 2.0**53, 2.0**53 + 2]),
                [7, 0, None, None, None, None, None, 2**53, None]),
    "float32": (pa.array([7.0, 2.0**24, 2.0**24 + 2], pa.float32()), [7, 2**24, None]),
    "decimal": (pa.array([Decimal("7.00"), Decimal("7.50")], pa.decimal128(9, 2)), [7, None]),
    "large decimal": (pa.array([Decimal(LARGEST), Decimal(LARGEST + 1)], pa.decimal128(38, 0)), [LARGEST, None]),
    "uint64": (pa.array([7, 2**64 - 1], pa.uint64()), [7, None]),
    "bool": (pa.array([True, False]), [None, None]),
}  # fmt: skip


@pytest.mark.parametrize("kind", TYPED)
def test_whole_numbers_are_read_from_other_types_as_from_text(kind: str, duck: Any) -> None:
    given, wanted = TYPED[kind]
    assert read(read_numbers, given, duck) == wanted


def test_what_says_that_there_is_no_text_is_none(duck: Any) -> None:
    words = ["", "  ", "NULL", "null", r"\N", "NaN", "nan", "<NA>", "None", "N/A", "NA", "KO", " KO", "nullify"]
    found = read(read_texts, pa.array(words), duck)
    assert found == [None] * 10 + ["NA", "KO", "KO", "nullify"]


def test_memory_for_many_columns_grows_as_their_number_does(duck: Any) -> None:
    duck.raw_sql("SET memory_limit = '300MB'")
    columns = ", ".join(f"IF(i = 0, 'NULL', ' {at} ') AS column_{at}" for at in range(300))
    duck.raw_sql(f"CREATE TABLE wide AS SELECT {columns} FROM range(2) t(i)")
    rows = duck.table("wide")
    cleaned = rows.select(**{name: without_null_words(rows[name], in_text=True) for name in rows.columns})
    found = duck.create_table("cleaned", cleaned, temp=True).to_pyarrow()
    assert set(found["column_299"].to_pylist()) == {None, "299"}


def test_a_number_is_the_same_text_whatever_its_type(duck: Any) -> None:
    for values in (
        pa.array([1, None]),
        pa.array([1.0, math.nan]),
        pa.array([Decimal("1.00"), None]),
        pa.array(["1", ""]),
    ):
        assert read(read_texts, values, duck) == ["1", None]
    assert read(read_texts, pa.array([1.5]), duck) == ["1.5"]


WRITTEN = ("True", "FALSE", "true", "tRUE", "7.0", "-3.00", "007.0", "1.0.0", ".0", "1.50", "VIP 2.0", "٣.0", "7.0\n")


@given(st.text("07-. \tTrueFALS\u00a0\u200b\ufeff\u3000", min_size=1) | st.sampled_from(WRITTEN))
def test_a_text_of_a_source_is_spelled_as_that_of_a_problem_file_or_a_request(duck: Any, text: str) -> None:
    assert read(read_texts, pa.array([text]), duck) == [canonical_text(text) or None]


@pytest.mark.parametrize("space", ["\u00a0", "\u200b", "\ufeff", "\u3000", " \u2009\t"])
def test_what_nobody_sees_around_a_text_is_no_part_of_it(duck: Any, space: str) -> None:
    assert read(read_texts, pa.array([f"DE{space}", f"{space}new{space}york", f"N/A{space}"]), duck) == [
        "DE",
        f"new{space}york",
        None,
    ]
    assert read(read_numbers, pa.array([f"7{space}"]), duck) == [7]


def test_a_value_is_the_same_category_in_every_format(duck: Any) -> None:
    for as_csv, as_parquet in (
        (["7.0", "12.0", ""], pa.array([7.0, 12.0, None])),
        (["7.00", "-8.00"], pa.array([Decimal("7.00"), Decimal("-8.00")])),
        (["True", "FALSE", "true"], pa.array([True, False, True])),
    ):
        assert read(read_texts, pa.array(as_csv), duck) == read(read_texts, as_parquet, duck)


def test_ids_that_are_texts_keep_their_spelling_and_are_compared_in_any() -> None:
    """1 and 1.0 may be two sections; and what is forgotten is known by a hash of its spelling."""
    users = sample_problem("nowhere").tables["user_profiles"]
    given = {"id": ["A", "1", "1.0"], "gender": ["True", "7.0", "male"]}
    given |= {name: ["1", "2", "3"] for name in users.columns if name not in given}
    raw = ibis.memtable(pa.table(given | {"date_joined": ["2024-01-05"] * 3}))
    rows = cast_to_schema(raw, "user_profiles", users, place="users", text_ids=frozenset({"id"}))
    asked = rows.select("id", "gender", is_one=is_one_of(rows["id"], "id", ("1",))).to_pyarrow().to_pydict()
    assert asked == {"id": ["A", "1", "1.0"], "gender": ["true", "7", "male"], "is_one": [False, True, True]}


def label(positive: str | list[str], negative: str | list[str]) -> ColumnLabel:
    given = {"column": "lost", "positive": positive, "negative": negative, "window": timedelta(days=7)}
    return ColumnLabel.model_validate(given)


YES_NO = label("yes", "no")
LABELS: dict[str, tuple[ColumnLabel, pa.Array, list[str | None]]] = {
    "texts": (YES_NO, pa.array(["yes", " no", "YES", "N", "maybe", "", "NULL"]),
              ["yes", "no", "yes", "no", "maybe", None, None]),
    "flags": (YES_NO, pa.array([True, False, None]), ["yes", "no", None]),
    "flags in a CSV": (YES_NO, pa.array(["True", "FALSE", "t", "0", "1.0", "0.0"]),
                       ["yes", "no", "yes", "no", "yes", "no"]),
    "numbers": (YES_NO, pa.array([1, 0, 2]), ["yes", "no", "2"]),
    "numbers of pandas": (YES_NO, pa.array([1.0, 0.0, math.nan]), ["yes", "no", None]),
    "a flag turned round": (label("no", "yes"), pa.array([True, False]), ["yes", "no"]),
    "numbers asked for": (label("1", "0"), pa.array([True, False]), ["1", "0"]),
    "words": (label("Lost", "kept"), pa.array(["lost", "KEPT", "true"]),
              ["Lost", "kept", "true"]),
    "several words of one outcome": (label("yes", ["no", "Partly"]), pa.array(["Y", "0", "Partly", "partly", "lost"]),
                                     ["yes", "no", "no", "no", "lost"]),
    "flags of which one means the other": (label(["yes", "0"], ["no", "1"]), pa.array(["0", "1", "true", "off"]),
                                           ["yes", "no", "yes", "no"]),
    "words that differ in case": (label("A", "a"), pa.array(["A", "a"]), ["A", "a"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", LABELS)
def test_a_label_is_read_in_any_spelling_that_means_the_same(kind: str, duck: Any) -> None:
    label, given, wanted = LABELS[kind]
    assert read(lambda column: read_labels(column, label), given, duck) == wanted


@pytest.mark.parametrize(
    ("limit", "outcomes"),
    [
        (Limit(at_least=15), ["less than 15", "at least 15", "at least 15", "less than 15"]),
        (Limit(at_most=1.5), ["at most 1.5", "more than 1.5", "more than 1.5", "at most 1.5"]),
    ],
)
def test_a_limit_says_which_numbers_are_which_outcome(limit: Limit, outcomes: list[str], duck: Any) -> None:
    def outcome(column: ibis.Column) -> ibis.Column:
        return read_outcomes(column, read_fractions(column), limit)

    texts = pa.array(["1.5", "15", "1e3", "-3", "NULL", "late", "inf"])
    assert read(outcome, texts, duck) == [*outcomes, None, "late", "inf"]
    assert read(outcome, pa.array([1.5, 15, 1000, -3, None, math.nan]), duck) == [*outcomes, None, None]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1.000", "can be 1000 or a number with a fraction"),
        ("1,000", "can be 1000"),
        ("1 000 000", "can be 1000000"),
        ("1,5", "has a fraction"),
        ("73,0", "has a decimal comma; write 73, or state {kind: number, format: decimal_comma}"),
        ("1.5", "has a fraction"),
        ("1.4e+18", "loses digits"),
        ("9" * 30, "too large"),
        ("1400000000000000000.0", "lost digits"),
        ("inf", "is infinite; leave it empty"),
        ("true", "write 1 and 0"),
        ("unknown", "leave it empty where it is missing"),
    ],
)
def test_what_is_no_number_is_explained_by_what_it_looks_like(text: str, words: str) -> None:
    message = cause_of_number("age", text, is_id=False)
    assert words in message
    assert repr(text) in message


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "1,000": "can be 1000 or 1.000; write 1000 without a comma if it is the first, and state format: decimal_comma",
        "-12,345": "can be -12345 or -12.345",
        "1,234,567": "has commas between thousands; write it without, as in 1234567",
        "1,234.56": "has commas between thousands; write it without, as in 1234.56",
        "1,5": "has a comma for its decimal point; state format: decimal_comma",
        "0,123": "has a comma for its decimal point",
        "1 234,5": "has a comma for its decimal point",
        "1.234,567": "has a comma for its decimal point",
        "50%": "is more than one; write the number alone",
        "€ 5": "write the number alone",
        "5 kg": "write the number alone",
        "(5)": "is how accounts write a negative one; write -5",
        "1 000": "has marks between thousands; write it without, as in 1000",
        "-inf": "is infinite; leave it empty",
        "true": "is a flag; write 1 and 0",
        "unknown": "is none; leave it empty where it is not known",
        "#DIV/0!": "is none; leave it empty where it is not known",
        "?": "is none; leave it empty where it is not known",
        "1.234.567": "has points between thousands; state format: decimal_comma",
        "1,23,456": "has commas between digits; write it without, as in 123456",
        "\u22125": "is written with other signs than 0 to 9 and -; write -5",
        "\uff15": "is written with other signs than 0 to 9 and -; write 5",
        "5-": "has its minus behind; write -5",
        "-$5": "is none; leave it empty",
        "1e400": "is too large",
    }.items(),
)
def test_what_is_no_fraction_is_explained_by_what_it_looks_like(text: str, words: str) -> None:
    message = cause_of_fraction("price", text)
    assert words in message
    assert repr(text) in message


@pytest.mark.parametrize("text", ["u-17", "0f8fad5b-d9cb-469f-a165-70867728950e", "true"])
def test_a_text_among_ids_that_are_numbers_is_a_mistake(text: str) -> None:
    message = cause_of_number("id", text, is_id=True)
    assert f"and {text!r} is text; write the ids in one form in the source" in message


@pytest.mark.parametrize(
    ("ids", "whole"),
    [
        (["1", "2", None], True),
        (["1.0", "2.0"], True),
        (["u-17", "u-18"], False),
        (["007", "008"], False),
        (["0f8fad5b-d9cb-469f-a165-70867728950e"], False),
        ([str(number) for number in range(99)] + ["x"], True),
        ([None], True),
    ],
)
def test_ids_are_whole_numbers_or_texts_as_most_of_them_are(ids: list[str | None], whole: bool) -> None:
    assert are_whole_numbers(ibis.memtable(pa.table({"id": pa.array(ids, pa.string())})).id) is whole


def test_ids_of_other_types_are_known_by_these() -> None:
    assert are_whole_numbers(ibis.memtable(pa.table({"id": pa.array([1, 2])})).id)
    assert are_whole_numbers(ibis.memtable(pa.table({"id": pa.array([1.0, None])})).id)
    assert not are_whole_numbers(ibis.memtable(pa.table({"id": pa.array([1.5])})).id)


def test_hashes_without_a_sign_are_texts_as_they_are_from_csv(duck: Any) -> None:
    hashes = [2**64 - 1 - place for place in range(9)] + [7]
    for ids in (pa.array(hashes, pa.uint64()), pa.array(list(map(str, hashes)))):
        assert not are_whole_numbers(ibis.memtable(pa.table({"id": ids})).id)
        assert read(read_texts, ids, duck) == list(map(str, hashes))
    assert are_whole_numbers(ibis.memtable(pa.table({"id": pa.array([1, 2], pa.uint64())})).id)


@pytest.mark.parametrize(
    ("text", "like", "format"),
    [
        ("1705312800", "seconds since 1970", "epoch_s"),
        ("1705312800000", "milliseconds since 1970", "epoch_ms"),
        ("45322.5", "a day as spreadsheets count them", "excel"),
        ("20240131", "a day", "'%Y%m%d'"),
        ("20240131.0", "a day", "'%Y%m%d'"),
    ],
)
def test_a_number_for_a_time_is_explained_by_what_it_counts(text: str, like: str, format: str) -> None:
    assert f"looks like {like}; state format: {format}" in cause_of_time("delivered_at", text)


@pytest.mark.parametrize(
    ("column", "unreadable", "words"),
    [
        ({"kind": "time", "format": "%d/%m/%Y"}, "2024-01-31", "in its format '%d/%m/%Y', and '2024-01-31' is none; "),
        ({"kind": "time", "format": "epoch_s"}, "2024-01-31", "a number, as its format epoch_s says"),
        ({"kind": "time", "format": "epoch_s"}, "1705312800000", "state format: epoch_ms"),
        ({"kind": "number", "format": "decimal_comma"}, "1.5", "has a point there; write 1,5"),
    ],
)
def test_what_is_not_in_the_stated_format_is_explained_by_it(column: Any, unreadable: str, words: str) -> None:
    """What reads without a format is refused where one is stated: it is no advice then."""
    table = EntityTable.model_validate({"entity": "thing", "key": "id", "columns": {"v": column}})
    assert words in cause_of_value(table, f"v={unreadable}")
