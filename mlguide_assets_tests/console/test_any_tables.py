"""From the command line: tables that are nobody's emails are checked, run to the gate's answer, and run again."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlguide_assets_tests.other_tables import PAYMENTS, write_payments

pytestmark = pytest.mark.slow


def mlguide(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "mlguide"), *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home that worked on payments of cards, and what its first run said as JSON."""
    folder = tmp_path_factory.mktemp("any tables")
    write_payments(folder / "data")
    file = folder / "cards.yaml"
    file.write_text(yaml.safe_dump({**PAYMENTS, "source": {"kind": "files", "uri": "data"}}, sort_keys=False))
    done = mlguide(folder / "home", "run", "--problem", str(file), "--json")
    assert done.returncode == 0, done.stderr
    return folder / "home", json.loads(done.stdout)


def test_the_gate_answers_about_payments(ran: tuple[Path, dict[str, Any]]) -> None:
    _, status = ran
    assert status["problem"] == "cards"
    assert status["last_decision"]["verdict"] == "promoted"
    assert status["champion"]["version"] == "1"
    assert status["tables"]["payment_features"]["rows"] == 3000
    assert status["tables"]["feature_declarations"]["rows"] == 5


def test_the_report_speaks_of_payments(ran: tuple[Path, dict[str, Any]]) -> None:
    home, _ = ran
    said = mlguide(home, "status").stdout
    assert "3,000 rows of payments" in said
    assert "on the latest payments, unseen in training" in said
    assert "send" not in said.partition("Results")[0]


@pytest.mark.parametrize("command", ["report", "serve", "forget --user 1 --yes", "experiment start personalised"])
def test_what_knows_emails_alone_says_so(command: str, ran: tuple[Path, dict[str, Any]]) -> None:
    home, _ = ran
    done = mlguide(home, *command.split())
    assert done.returncode == 2
    assert "has other tables" in done.stderr.replace("\n", " ")


def test_its_version_is_reproduced(ran: tuple[Path, dict[str, Any]]) -> None:
    home, _ = ran
    again = mlguide(home, "reproduce", "1")
    assert again.returncode == 0, again.stdout + again.stderr
