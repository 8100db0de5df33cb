"""Section: who is champion, and every decision that led there."""

from collections.abc import Mapping
from typing import Any

from mlguide_assets.deploy.gate.history import ABORTED, CANARY, KEPT, PROMOTED, ROLLED_BACK, WAITING
from mlguide_assets.english import counted
from mlguide_assets.observe.page.markup import Html, folded, items, joined, long_table, paragraph, tag
from mlguide_assets.observe.page.report_data import ReportData
from mlguide_assets.observe.page.wording import State, badge, sentence, when, written

SHOWN = 8
"""Decisions that are shown at once; older ones are folded."""

VERDICTS: Mapping[str, tuple[State, str]] = {
    PROMOTED: ("good", "promoted"),
    ROLLED_BACK: ("careful", "rolled back"),
    WAITING: ("careful", "passed, waits"),
    CANARY: ("careful", "goes live by canary"),
    ABORTED: ("bad", "canary aborted"),
    KEPT: ("none", "champion kept"),
    "refused": ("bad", "refused"),
}


_WATCHED: Mapping[str, State] = {"holds": "good", "worse": "bad"}


def champion_section(report: ReportData) -> Html:
    return joined([_now(report), *_watch(report), *_history(report)])


def since(report: ReportData) -> Mapping[str, Any] | None:
    """The decision that made the champion what it is."""
    made = (row for row in reversed(report.decisions) if row["verdict"] in (PROMOTED, ROLLED_BACK))
    return next((row for row in made if report.champion and row["version"] == report.champion.version), None)


def verdict_badge(verdict: str) -> Html:
    return badge(*VERDICTS.get(verdict, ("none", verdict)))


def no_champion(report: ReportData) -> str:
    """Why there is none, and what to do."""
    if not report.decisions:
        return "No model was put before the gate yet: 'mlguide run' trains one and decides."
    last = report.decisions[-1]
    if last["verdict"] == WAITING:
        return (
            f"There is no champion: version {last['version']} passed the gate and waits for a person: "
            f"'mlguide promote {last['version']} --reason TEXT' makes it champion."
        )
    return (
        f"There is no champion, so nothing is scored: version {last['version']} was {last['verdict']} on "
        f"{written(last['decided_at'])}. Fix what its reasons name, and 'mlguide run' tries again."
    )


def _now(report: ReportData) -> Html:
    champion, made = report.champion, since(report)
    if champion is None:
        return paragraph(no_champion(report), class_="empty")
    by = f", champion since {written(made['decided_at'])} by {made['decided_by']}" if made else ""
    card = [" Its ", tag("a", "model card", href=champion.card), " says for whom it is good."] if champion.card else []
    model = f" ({champion.model})" if champion.model else ""
    return paragraph(
        tag("b", f"Version {champion.version}"), f"{model}, trained {written(champion.trained_at)}{by}.", *card
    )


def _watch(report: ReportData) -> list[Html]:
    """How it does beside the champion before it, if it is held against one."""
    found = report.watch
    if found is None or found["verdict"] == "not_watched":
        return []
    return [paragraph(badge(_WATCHED.get(found["verdict"], "none"), sentence(found["reason"])))]


def _history(report: ReportData) -> list[Html]:
    newest = [_decision(row) for row in reversed(report.decisions)]
    if not newest:
        return []
    header = ("when", "verdict", "version", "champion before", "by", "reasons")
    return [long_table(header, newest, caption="Decisions", shown=SHOWN, noun="decision")]


def _decision(row: Mapping[str, Any]) -> list[Html | str]:
    reasons = row["reasons"] or []
    return [
        when(row["decided_at"]),
        verdict_badge(row["verdict"]),
        row["version"],
        row["champion_before"] or "none",
        row["decided_by"],
        folded(counted(len(reasons), "reason"), items(reasons)) if reasons else "–",
    ]
