"""The model card: what data say in it is text, in the Markdown and on the page."""

from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.card.inputs import CardInputs
from mlguide_assets.deploy.card.rendering import card_html, card_markdown
from mlguide_assets_tests.other_tables import ORDERS, problem_of
from mlguide_assets_tests.samples import sample_problem

HARM = "![x](http://127.0.0.1:9/x.png) <script>alert(1)</script> | # **b** [x](y)"
FACTS: dict[str, Any] = {
    **dict.fromkeys(("train_first", "train_last", "test_first", "test_last"), "2025-01-01"),
    **dict.fromkeys(("train_rows", "test_rows", "refit_rows", "rounds"), 1000),
    **dict.fromkeys(("train_positives", "test_positives"), 10),
    "training_window": HARM,
    "calibration_slope": 1,
    "calibration_intercept": 0,
    "lineage": {"code_version": HARM, "data_hash": "0a", "snapshots": {"user_emails": HARM}},
}


def estimated(**row: Any) -> dict[str, Any]:
    return {"value": 0.5, "low": 0.4, "high": 0.6, "rows": 100, "positives": 10, "supported": False, **row}


@pytest.fixture(scope="module")
def problem() -> Problem:
    return sample_problem("nowhere", statement=HARM, hypothesis=HARM)


def card_of(facts: dict[str, Any], problem: Problem) -> str:
    metrics = ("roc_auc", "pr_auc", "log_loss", "brier", "withheld_share", "cost_per_1000")
    decision = {"verdict": "promoted", "decided_at": "2025-01-01", "decided_by": HARM, "reasons": [HARM]}
    inputs = CardInputs(
        version="1",
        trained_at="2025-01-01",
        facts=facts,
        decisions=[{**decision, "criteria": "[]"}],
        evaluation=[estimated(model=name, metric=each) for name in ("xgboost", HARM) for each in metrics],
        slices=[estimated(column="country", slice=HARM, metric="roc_auc")],
        groups=[],
        behaviours=[{"passed": False, "name": "ids_do_not_matter", "message": HARM}],
        contracts=[{"rule": HARM, "violations": 1, "rows": 10, "action": "warn"}],
        explanation=[{"rank": 1, "feature": HARM, "share": 0.5}],
        plots={},
    )
    return card_markdown(inputs, problem)


@pytest.fixture(scope="module")
def text(problem: Problem) -> str:
    return card_of(FACTS, problem)


def test_what_is_promised_of_training_again_is_said_with_where_it_learned(text: str, problem: Problem) -> None:
    assert "It learned on one machine: the same bytes are promised." in text
    learned = {"trainer": "spark", "learned_where": "on Spark, in 8 tasks", "rows_in_memory": 1_000_000}
    facts = {**FACTS, **learned, "rows_learned_by_xgboost": 9_000_000}
    card = card_of(facts, problem)
    assert "every figure on this card is of the sample. XGBoost learned from all 9,000,000 sends on Spark" in card
    assert "XGBoost learned on Spark, in 8 tasks: an interval is promised." in card
    assert "the same bytes are promised" in card_of({**facts, "model": "linear_svm"}, problem)


def test_figures_are_named_in_the_words_of_the_problem(problem: Problem, tmp_path: Path) -> None:
    sends, orders = card_of(FACTS, problem), card_of(FACTS, problem_of(ORDERS, tmp_path))
    assert "| share withheld | 0.5000" in sends
    assert "| cost per 1,000 sends | 0.5000" in sends
    assert "Costs are in the unit of `costs`" in sends
    assert "| share acted on | 0.5000" in orders
    assert "withheld" not in orders


def test_a_phone_shows_each_cell_with_its_heading(text: str) -> None:
    assert '<td data-label="rank">1</td>' in card_html("| name | rank |\n|---|---|\n| a | 1 |", {}, "Card")
    assert "<td>" not in card_html(text, {}, "Card")


def test_the_outcome_is_named(text: str, tmp_path: Path) -> None:
    assert "It answers with the probability that unsubscribed is “yes” within 7 days." in text
    hour = sample_problem("nowhere", label={"positive": "yes", "negative": "no", "window": "1h"})
    short = card_of(FACTS, hour)
    assert "unsubscribed is “yes” within 1 hour." in short
    assert "An outcome is final 1 hour after the send" in short
    orders = card_of(FACTS, problem_of(ORDERS, tmp_path))
    assert "It answers with the probability of no order in the 14 days after." in orders


def test_no_value_is_markup_in_the_markdown(text: str) -> None:
    """A viewer would load the picture, and tell its server who reads the card."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    found = {child.type for token in tokens for child in token.children or ()} | {token.type for token in tokens}
    assert not found & {"image", "link_open", "html_inline", "html_block"}
    assert text.count("\\<script\\>") >= 8


def test_no_value_is_markup_on_the_page(text: str) -> None:
    page = card_html(text, {}, HARM)
    assert "<script" not in page
    assert "<img" not in page
    assert page.index("Content-Security-Policy") < page.index("<title>")


def test_pictures_are_inside_the_page() -> None:
    page = card_html("![A curve](roc_curve.png)", {"roc_curve": b"PNG"}, "card")
    assert 'src="data:image/png;base64,UE5H"' in page
