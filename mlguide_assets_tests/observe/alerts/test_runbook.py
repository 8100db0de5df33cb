"""What alerts cost, in which order they stand, and that each of them says what to do."""

import ast
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.main import get_command

import mlguide_assets
from mlguide_assets.cli import app
from mlguide_assets.define.training import Costs
from mlguide_assets.observe.alerts import alert as alerts
from mlguide_assets.observe.alerts.alert import ROLLBACK, Alert, Kind
from mlguide_assets.observe.alerts.cost_effect import last_window, ranked, window_cost
from mlguide_assets.observe.alerts.incidents import Incident
from mlguide_assets.observe.alerts.runbook import BY_KEY, BY_KIND, runbook_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.incidents import incidents
from mlguide_assets.settings import Home
from mlguide_assets.train.evaluation.decisions import decision_metrics
from mlguide_assets_tests.samples import sample_problem

NOW = datetime(2026, 3, 10, tzinfo=UTC)
ALERT = Alert("drift-sends", "drift", "act", "Drift", "It drifted.", NOW, "Badly.", "Look.")


def incident(key: str, cost: float | None, level: str = "act", hours: int = 0) -> Incident:
    alert = replace(ALERT, key=key, cost_effect=cost, level=level)
    return Incident(key, alert, NOW + timedelta(hours=hours), NOW)


def test_the_largest_effect_on_cost_comes_first_and_the_unknown_last() -> None:
    found = ranked(
        [
            incident("unknown-warning", None, "warn"),
            incident("unknown-new", None, hours=2),
            incident("unknown-old", None, hours=1),
            incident("small", 0.5),
            incident("cheaper", -7.0),
            incident("large", 3.0, "warn"),
        ]
    )
    assert [each.key for each in found] == [
        "cheaper",
        "large",
        "small",
        "unknown-old",
        "unknown-new",
        "unknown-warning",
    ]


def test_every_alert_has_a_runbook_whose_command_exists() -> None:
    root = get_command(app).commands  # type: ignore[attr-defined]
    for kind in get_args(Kind):
        assert runbook_of("any-key", kind) == BY_KIND[kind]
    for runbook in (*BY_KEY.values(), *BY_KIND.values()):
        name, *words = runbook.command.split()
        assert name == "mlguide"
        commands = root
        for word in words:
            assert word in commands, runbook.command
            commands = getattr(commands[word], "commands", {})
        assert runbook.meaning
        assert runbook.action
    assert runbook_of(ROLLBACK, "performance") != BY_KIND["performance"]


def written_alerts() -> Iterator[tuple[str, str, str]]:
    """Key, kind and words of the next step of every alert in the code; a key that is computed is empty."""
    for path in Path(mlguide_assets.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Alert":
                given = {each.arg: each.value for each in node.keywords}
                if not {"key", "kind", "next_step"} <= given.keys():
                    continue
                words = [each.value for each in ast.walk(given["next_step"]) if isinstance(each, ast.Constant)]
                key = getattr(alerts, getattr(given["key"], "id", ""), "")
                yield key, ast.literal_eval(given["kind"]), " ".join(map(str, words))


def phrases(text: str, words: int = 4) -> set[str]:
    said = text.lower().replace(":", "").replace(".", "").replace(",", "").replace(";", "").split()
    return {" ".join(said[at : at + words]) for at in range(len(said) - words + 1)}


def test_no_alert_says_what_to_do_twice() -> None:
    """The action of the runbook and the next step of the alert are read as one line."""
    found = list(written_alerts())
    assert BY_KEY.keys() <= {key for key, _, _ in found}
    for key, kind, next_step in found:
        assert not phrases(runbook_of(key, kind).action) & phrases(next_step), key or kind


def test_what_has_a_runbook_of_its_own_is_an_incident_that_can_open(tmp_path: Path) -> None:
    found = incidents(Home(tmp_path), Lake(tmp_path), sample_problem("anywhere"), today=NOW.date())
    assert BY_KEY.keys() <= found.keys()


def test_a_cost_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        replace(ALERT, cost_effect=math.nan)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 1.1])
def test_the_cost_of_a_window_follows_from_its_metrics(threshold: float) -> None:
    """Also where every row is withheld, or none."""
    random = np.random.default_rng(0)
    chances = random.random(2000)
    labels = random.random(2000) < chances
    found = decision_metrics(labels, chances, np.arange(2000), threshold=threshold, missed=9, false_alarm=1, repeats=50)
    metrics = {name: found[name].value for name in ("recall", "precision", "withheld_share")}
    cost = window_cost({**metrics, "base_rate": labels.mean()}, Costs(missed=9, false_alarm=1))
    assert cost == pytest.approx(found["cost_per_1000"].value)


def test_the_newest_window_counts() -> None:
    rows = [
        {"day": day, "metric": metric, "realised": day + 0.5, "estimated": 0.0}
        for day in (1, 3, 2)
        for metric in ("recall", "precision")
    ]
    assert last_window(rows, "realised") == {"recall": 3.5, "precision": 3.5}
    assert last_window([], "realised") is None
