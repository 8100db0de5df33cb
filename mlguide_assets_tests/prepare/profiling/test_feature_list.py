"""Automatic features as `mlguide check` lists them."""

from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.console.check import check
from mlguide_assets.define.features import Declaration
from mlguide_assets.define.loading import load_problem, parse_problem
from mlguide_assets.prepare.features.building import declaration_as_yaml, declared_features
from mlguide_assets.prepare.profiling.feature_list import MOST_LINES, ListedFeature, in_lines, number_of_features
from mlguide_assets_tests.prepare.profiling.drafts import CUSTOMERS, write_tables
from mlguide_assets_tests.prepare.profiling.test_checking import FILE, LOANS, checked

AUTOMATIC = FILE.replace("columns: {defaulted: flag}", "columns: {defaulted: flag, amount: number}").replace(
    "declared:", "automatic: {windows: [30d, all], max: 30}, declared:"
)


def listed(name: str, **declared: Any) -> ListedFeature:
    return ListedFeature(name, declaration_as_yaml(Declaration(**declared)), "")


def test_check_finds_the_features_that_a_first_run_would_decide(duck: Any, tmp_path: Path) -> None:
    found = checked(AUTOMATIC, duck, tmp_path).automatic
    problem = parse_problem(AUTOMATIC.encode(), tmp_path / "loans.yaml")
    tables = {name: duck.read_parquet(str(tmp_path / f"scratch/{name}.marked.parquet")) for name in problem.tables}
    rows = duck.read_parquet(str(tmp_path / "scratch/decisions.parquet"))
    decided = declared_features(tables, rows, problem).to_pylist()
    assert [each.name for each in found] == [row["feature"] for row in decided if row["automatic"]]
    assert 5 < number_of_features(found) <= 30
    means = {each.name: each.description for each in found}
    assert means["customer_loan_amount_mean_all"] == "Mean amount of earlier loans of the customer."


def test_features_that_differ_in_their_window_share_a_line() -> None:
    features = [
        listed("card_payment_count_1d", count="payment", by="customer", within="1d"),
        listed("card_payment_count_30d", count="payment", by="customer", within="30d"),
        listed("hour", calendar="hour"),
        listed("s_*_1d", share="payment", by="customer", split="TX_AMOUNT", values=("1", "2"), within="1d"),
    ]
    assert in_lines(features, load_problem("fraud")) == [
        "card_payment_count_{1d, 30d}: Number of earlier payments of the customer.",
        "hour: Hour of the day, UTC.",
        "s_*_1d: Share of earlier payments of the customer with TX_AMOUNT = one of 1, 2 each, among all of them.",
    ]


def test_a_screen_shows_so_many_lines_and_says_where_the_others_are() -> None:
    many = [
        listed(f"n_{place}", count="payment", by="customer", where={"TX_AMOUNT": {"at_least": place}})
        for place in range(MOST_LINES + 5)
    ]
    lines = in_lines(many, load_problem("fraud"))
    assert len(lines) == MOST_LINES
    assert lines[-1] == "and 6 more features: --json lists all"


def test_the_command_lists_them_with_their_meaning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tables(tmp_path / "bank", customers=CUSTOMERS, loans=LOANS)
    (tmp_path / "loans.yaml").write_text(AUTOMATIC)
    check(str(tmp_path / "loans.yaml"), None, as_json=False)
    shown = capsys.readouterr().out
    assert "customer_loan_amount_mean_{30d, all}: Mean amount of earlier loans of the customer." in shown
    assert "automatic (at most 30)" in shown
