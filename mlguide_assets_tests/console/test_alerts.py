"""`mlguide alerts`: what is open, in order, with what to do; and who is on it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets.define.loading import current_problem
from mlguide_assets.observe.alerts.alert import Alert
from mlguide_assets.observe.alerts.alerting import book_of
from mlguide_assets.settings import Home

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DRIFT = Alert("drift-sends", "drift", "act", "Drift", "[/b]country: PSI 0.3", NOW, "Two days.", "Look.", {}, 4.25)
FAILURE = Alert("failure-job", "failure", "act", "A run failed", "No space.", NOW, "Old data.", "Run it again.")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path)
    place.lake("any").root.mkdir(parents=True)
    book = book_of(place, current_problem(place))
    for alert in (FAILURE, DRIFT, replace(DRIFT, key="drift-traffic", cost_effect=-9.0)):
        book.raise_alert(alert, now=NOW, webhook=None)
    return place


def alerts(home: Home, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["alerts", "--home", str(home.root), *arguments])
    return done.exit_code, done.output


def test_they_are_ranked_by_cost_and_say_what_to_do(home: Home) -> None:
    code, text = alerts(home)
    assert code == 0
    places = [text.index(name) for name in ("1. drift-traffic", "2. drift-sends", "3. failure-job")]
    assert places == sorted(places)
    assert "+4.2 per 1,000 decisions" in text
    assert "[/b]country: PSI 0.3" in text
    assert text.count("   means ") == text.count("   do ") == text.count("   command ") == 3


def test_an_acknowledged_alert_says_who_is_on_it(home: Home) -> None:
    code, text = alerts(home, "--acknowledge", "drift-sends", "--json")
    assert code == 0
    by = {each["id"]: each["acknowledged_by"] for each in json.loads(text)}
    assert by["drift-sends"].startswith("person:")
    assert by["failure-job"] is None
    assert [each["cost_effect_per_1000"] for each in json.loads(text)] == [-9.0, 4.25, None]


def test_an_unknown_id_is_refused_with_those_that_are_open(home: Home) -> None:
    code, text = alerts(home, "--acknowledge", "drift")
    assert code == 2
    assert "open are drift-sends, drift-traffic, failure-job" in text


def test_a_home_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert alerts(Home(tmp_path / "nowhere"))[0] == 2
