"""From the command line: tables that are nobody's emails, from the first run to a card that is forgotten."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.csv
import pytest
import yaml

from mlguide_assets.settings import Home
from mlguide_assets_tests import commands
from mlguide_assets_tests.commands import Done
from mlguide_assets_tests.defs.described import described
from mlguide_assets_tests.other_tables import PAYMENTS, write_payments

pytestmark = pytest.mark.slow


def mlguide(home: Path, *arguments: str) -> Done:
    return commands.mlguide(*arguments, "--home", str(home), cwd=home.parent)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home that worked on payments of cards, and what its first run said as JSON."""
    folder = tmp_path_factory.mktemp("any tables")
    write_payments(folder / "data")
    file = folder / "cards.yaml"
    file.write_text(yaml.safe_dump({**PAYMENTS, "source": {"kind": "files", "uri": "data"}}, sort_keys=False))
    done = mlguide(folder / "home", "run", "--problem", str(file), "--json")
    assert done.code == 0, done.err
    return folder / "home", json.loads(done.out)


def test_the_gate_answers_about_payments(ran: tuple[Path, dict[str, Any]]) -> None:
    _, status = ran
    assert status["problem"] == "cards"
    assert status["last_decision"]["verdict"] == "promoted"
    assert status["champion"]["version"] == "1"
    assert status["tables"]["payment_features"]["rows"] == 3000
    assert status["tables"]["feature_declarations"]["rows"] == 5


def test_every_table_says_what_its_columns_mean(ran: tuple[Path, dict[str, Any]]) -> None:
    found, meanings = described(Home(ran[0]))
    assert found == meanings


def test_the_report_speaks_of_payments(ran: tuple[Path, dict[str, Any]]) -> None:
    home, _ = ran
    said = mlguide(home, "status").out
    assert "3,000 rows of payments" in said
    assert "on the latest payments, unseen in training" in said
    assert "send" not in said.partition("Results")[0]


def test_the_day_that_was_scored_has_a_plan_that_is_exported(ran: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    home, status = ran
    scored = status["scored"]
    assert (scored["of"], scored["has"], scored["table"]) == ("payments", "a plan", "payment_plan")
    out = tmp_path / "plan.csv"
    done = mlguide(home, "export", "payment_plan", "--out", str(out))
    assert done.code == 0, done.err
    plan = pyarrow.csv.read_csv(out).sort_by("rank")
    assert plan.num_rows == scored["payments"] > 0
    risks = plan["probability"].to_pylist()
    assert risks == sorted(risks, reverse=True)
    assert set(plan["decision"].to_pylist()) <= {"act", "leave"}
    assert plan["card_id"][0].as_py().startswith("c-")


def test_the_page_speaks_of_payments(ran: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    home, _ = ran
    out = tmp_path / "report.html"
    done = mlguide(home, "report", "--out", str(out))
    assert done.code == 0, done.err
    page = out.read_text(encoding="utf-8")
    assert "all payments" in page
    assert not re.findall(
        r"\b(?:sends?|users?|emails?)\b", re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    )


@pytest.mark.parametrize("command", ["start personalised", "status"])
def test_without_a_choice_there_are_no_experiments(command: str, ran: tuple[Path, dict[str, Any]]) -> None:
    home, _ = ran
    done = mlguide(home, "experiment", *command.split())
    assert done.code == 2
    assert "nothing is chosen for a payment" in done.err.replace("\n", " ")


def test_its_version_is_reproduced(ran: tuple[Path, dict[str, Any]]) -> None:
    home, _ = ran
    again = mlguide(home, "reproduce", "1")
    assert again.code == 0, again.out + again.err


def test_a_card_is_forgotten_by_its_noun(ran: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The last test of this file: the home lacks the card from then on."""
    home, _ = ran
    refused = mlguide(home, "forget", "--user", "c-001", "--yes")
    assert refused.code == 2
    assert "has no 'user' (it has card, shop)" in refused.err.replace("\n", " ")
    done = mlguide(home, "forget", "--card", "c-001", "--yes", "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    (gone,) = summary["problems"]
    assert (gone["entity"], summary["found"], gone["learned"].keys()) == ("card", True, {"1"})
    assert {"cards", "payments", "core_cards", "payment_features", "card_feature_store"} <= gone["tables"].keys()
    assert gone["online_rows"] == 1
    kept = {path.name for path in (home / "lake").rglob("*.parquet") if b"c-001" in path.read_bytes()}
    assert not kept
    out = tmp_path / "payments.csv"
    assert mlguide(home, "export", "payments", "--out", str(out)).code == 0
    assert "c-001" not in pyarrow.csv.read_csv(out)["card"].to_pylist()
