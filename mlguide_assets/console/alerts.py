"""`mlguide alerts`: what is open, the costliest first, with what to do; and acknowledging it."""

from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from mlguide_assets.console.terminal import PlainConsole, print_json, screen
from mlguide_assets.define.loading import current_problem
from mlguide_assets.deploy.gate.override import person
from mlguide_assets.observe.alerts.alerting import book_of
from mlguide_assets.observe.alerts.cost_effect import ranked
from mlguide_assets.observe.alerts.incidents import Incident
from mlguide_assets.observe.alerts.runbook import runbook_of
from mlguide_assets.settings import Home


def show_alerts(home: Home, acknowledge: str | None, as_json: bool) -> None:
    """Print the open alerts of the home's problem, after acknowledging one of them.

    Raises:
        InputError: there is no such home, or no alert of that id is open.
    """
    home.require_used()
    book = book_of(home, current_problem(home))
    if acknowledge is not None:
        book.acknowledge(acknowledge, person(), datetime.now(UTC))
    found = [_row(incident, rank) for rank, incident in enumerate(ranked(book.incidents()), start=1)]
    if as_json:
        print_json(found)
    else:
        _print(found, home, screen)


def _row(incident: Incident, rank: int) -> dict[str, Any]:
    alert, runbook = incident.alert, runbook_of(incident.key, incident.alert.kind)
    return {
        "id": incident.key,
        "rank": rank,
        "kind": alert.kind,
        "level": alert.level,
        "title": alert.title,
        "happened": alert.happened,
        "severity": alert.severity,
        "since": alert.since.isoformat(timespec="seconds"),
        "opened_at": incident.opened_at.isoformat(timespec="seconds"),
        "acknowledged_by": incident.acknowledged_by,
        "cost_effect_per_1000": alert.cost_effect,
        "next_step": alert.next_step,
        "delivery_problem": incident.delivery_problem,
        "runbook": dict(runbook.__dict__),
    }


def _print(alerts: list[dict[str, Any]], home: Home, console: PlainConsole) -> None:
    if not alerts:
        console.print("No alert is open.")
        return
    for alert in alerts:
        cost = alert["cost_effect_per_1000"]
        by = alert["acknowledged_by"]
        runbook = alert["runbook"]
        lines = {
            "happened": f"{alert['happened']} {alert['severity']}",
            "cost": "not known" if cost is None else f"{cost:+.1f} per 1,000 decisions",
            "since": f"{_minute(alert['since'])}{f', acknowledged by {by}' if by else ''}",
            "means": runbook["meaning"],
            "do": f"{runbook['action']} {alert['next_step']}",
            "command": runbook["command"],
            **({"webhook": alert["delivery_problem"]} if alert["delivery_problem"] else {}),
        }
        console.print(
            Text.assemble(f"{alert['rank']}. ", (alert["id"], "bold"), f"  [{alert['level']}] {alert['title']}")
        )
        for name, text in lines.items():
            console.print(home.commands(f"   {name:<9} {text}"))
    unseen = next((alert["id"] for alert in alerts if not alert["acknowledged_by"]), None)
    if unseen:
        console.print(
            home.commands(f"'mlguide alerts --acknowledge {unseen}' stops its reminders until it is resolved.")
        )


def _minute(instant: str) -> str:
    return f"{instant[:16].replace('T', ' ')} UTC"
