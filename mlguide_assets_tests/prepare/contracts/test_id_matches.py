"""Ids that the tables of a problem write otherwise: at an ingest, as a run does it, before anything is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets_tests.other_tables import PAYMENTS, problem_of
from mlguide_assets_tests.prepare.ingesting import lake_over

VISITS: dict[str, Any] = {"event": "visit", "at": "seen", "of": {"card": "card", "shop": "shop"}}
PROBLEM = {**PAYMENTS, "tables": {**PAYMENTS["tables"], "visits": VISITS}}
NUMBERS = range(30)

Spelling = Callable[[int], str]


def plain(number: int) -> str:
    return f"{number}"


def uuid(number: int) -> str:
    return f"f81d4fae-7dec-11d0-a765-00a0c91e6b{number:02}"


def said_of(duck: Any, folder: Path, card: Spelling, shop: Spelling, visitor: Spelling, visited: Spelling) -> list[str]:
    """What an ingest reports where cards and payments have some ids, and visits others."""
    folder.mkdir()
    rows = {
        "cards": ["card,issued,kind", *(f"{card(each)},2023-01-01,debit" for each in NUMBERS)],
        "payments": ["payment,card,shop,paid,amount,fraud"]
        + [f"{each},{card(each)},{shop(each)},2024-01-02,1.5,false" for each in NUMBERS],
        "visits": ["card,shop,seen", *(f"{visitor(each)},{visited(each)},2024-01-02" for each in NUMBERS)],
    }
    for name, lines in rows.items():
        (folder / f"{name}.csv").write_text("\n".join(lines))
    said: list[str] = []
    lake = lake_over(duck, folder.with_name("lake"))
    with ingest(problem_of(PROBLEM, folder), lake, oracle=folder / "oracle", report=said.append):
        return said[1:]


@pytest.mark.parametrize(
    ("card", "shop", "visitor", "visited", "sentence"),
    [
        (plain, "S-{}".format, plain, "s-{}".format, "visits.shop and payments.shop write the ids of shop differently"),
        (plain, "{:03}".format, plain, plain, "visits.shop and payments.shop write the ids of shop differently"),
        (
            plain,
            "Caf\u00e9 {}".format,
            plain,
            "Cafe\u0301 {}".format,
            "visits.shop and payments.shop write the ids of shop",
        ),
        (uuid, plain, lambda each: f"{{{uuid(each).upper()}}}", plain, "visits.card and cards.card write the ids of"),
        (plain, plain, "9{:03}".format, plain, "tables.visits.of: none of the 30 values of 'card' is the id of a card"),
    ],
)
def test_a_column_that_has_no_id_of_its_entity_is_refused(
    card: Spelling, shop: Spelling, visitor: Spelling, visited: Spelling, sentence: str, duck: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        said_of(duck, tmp_path / "data", card, shop, visitor, visited)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("shop", "visited", "sentence"),
    [
        (plain, "1{:02}".format, "visits.shop: none of 30 ids of a shop is in payments.shop"),
        (
            "S{}".format,
            lambda each: f"{'S' if each % 2 else 's'}{each}",
            "visits.shop: 15 of 30 ids of a shop are in payments.shop in another spelling alone, such as 's0' for 'S0'",
        ),
        (
            "{:03}".format,
            lambda each: plain(each) if each % 2 else f"{each:03}",
            "visits.shop: 15 of 30 ids of a shop are in payments.shop in another spelling alone, such as '1' for '001'",
        ),
        (
            lambda each: f"{'S' if each % 2 else 's'}{each // 2}",
            lambda each: f"{'S' if each % 2 else 's'}{each // 2}",
            "30 of 30 ids of shop differ from others in case alone",
        ),
        (
            lambda each: f"Caf\u00e9 {each}",
            lambda each: f"Cafe\u0301 {each}" if each % 2 else f"Caf\u00e9 {each}",
            "visits.shop: 15 of 30 ids of a shop are in payments.shop in another spelling alone",
        ),
        (plain, plain, None),
        (plain, lambda each: plain(each % 3), None),
    ],
)
def test_ids_of_an_entity_without_a_table_that_hardly_meet_are_reported(
    shop: Spelling, visited: Spelling, sentence: str | None, duck: Any, tmp_path: Path
) -> None:
    said = said_of(duck, tmp_path / "data", plain, shop, plain, visited)
    assert [each[: len(sentence or "")] for each in said] == ([sentence] if sentence else [])
