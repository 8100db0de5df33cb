"""Ids that a model in use has learned of keep their type: what was predicted is joined with what comes by them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.other_tables import PAYMENTS, problem_of
from mlguide_assets_tests.prepare.ingesting import keep, lake_over

Spelling = Callable[[int], str]


def whole(number: int) -> str:
    return f"{number}"


def partly_text(number: int) -> str:
    return f"guest-{number}" if number % 3 == 0 else f"{number}"


def ingested(lake: Lake, folder: Path, card: Spelling) -> list[Any]:
    """The ids of cards in the lake, once payments of cards with such ids were ingested."""
    folder.mkdir(exist_ok=True)
    cards = ["card,issued,kind", *(f"{card(each)},2023-01-01,debit" for each in range(30))]
    payments = [f"{each},{card(each)},1,2024-01-02,1.5,false" for each in range(30)]
    (folder / "cards.csv").write_text("\n".join(cards))
    (folder / "payments.csv").write_text("\n".join(["payment,card,shop,paid,amount,fraud", *payments]))
    with ingest(problem_of(PAYMENTS, folder), lake, oracle=folder, report=lambda _: None) as read:
        keep(lake, read)
    return lake.read("payments").to_pyarrow()["card"].to_pylist()


@pytest.fixture
def lake(duck: Any, tmp_path: Path) -> Lake:
    return lake_over(duck, tmp_path / "lake")


def learned(lake: Lake) -> None:
    for table in ("cards", "payments"):
        lake.pin(table, lake.snapshot(table).id, "version-1")


def test_whole_numbers_that_become_texts_are_refused(lake: Lake, tmp_path: Path) -> None:
    first = ingested(lake, tmp_path / "data", whole)
    learned(lake)
    with pytest.raises(InputError, match="card holds ids such as 'guest-0', and the model in production"):
        ingested(lake, tmp_path / "data", partly_text)
    assert lake.read("payments").to_pyarrow()["card"].to_pylist() == first == list(range(30))


def test_texts_that_become_whole_numbers_stay_texts(lake: Lake, tmp_path: Path) -> None:
    assert "guest-0" in ingested(lake, tmp_path / "data", partly_text)
    learned(lake)
    assert sorted(ingested(lake, tmp_path / "data", whole), key=int) == [whole(each) for each in range(30)]


def test_without_a_model_ids_are_what_they_are_now(lake: Lake, tmp_path: Path) -> None:
    assert 0 in ingested(lake, tmp_path / "data", whole)
    assert "guest-0" in ingested(lake, tmp_path / "data", partly_text)
