"""What a home says happened since the last look: decisions, trainings, alerts and broken rules, as events of a day.

Everything is read from what the system itself keeps, so that an event of a replay is one that a person would find.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.gate.history import (
    ABORTED,
    CANARY,
    GATE,
    KEPT,
    PROMOTED,
    ROLLED_BACK,
    WAITING,
    deciding_reason,
    decisions,
)
from mlguide_assets.english import counted
from mlguide_assets.experiment.tables import RESULTS
from mlguide_assets.observe.alerts.alert import ROLLBACK
from mlguide_assets.observe.alerts.alerting import book_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.replay.events import Event, Kind
from mlguide_assets.retrain.replay.scenario import Scenario
from mlguide_assets.retrain.ticks import EVIDENCE_TRIGGERS, RUN, ticks_of
from mlguide_assets.settings import Home

_DECIDED = {
    PROMOTED: "version {version} is promoted",
    ROLLED_BACK: "rolled back to version {version}",
    WAITING: "version {version} waits for approval",
    CANARY: "version {version} goes live by canary",
    ABORTED: "the canary of version {version} is aborted",
    KEPT: "version {version} does not become champion",
}


@dataclass
class Observer:
    """Looks at one home, day after day.

    Attributes:
        champions: the version in production at the end of each day that was looked at.
        trained_on: the day on which each version was decided on for the first time.
    """

    home: Home
    lake: Lake
    problem: Problem
    champions: dict[int, str | None] = field(default_factory=dict)
    trained_on: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _open: frozenset[str] = frozenset()
    _broken: frozenset[str] = frozenset()

    def look(self, day: int) -> list[Event]:
        """The events since the last look, which happened on this day."""
        self.champions[day] = pointed_version(self.home.bundles(self.problem.key))
        return [
            *self._rules(day),
            *self._alerts(day),
            *self._trainings(day),
            *self._decisions(day),
            *self._results(day),
        ]

    def harmful(self, scenario: Scenario) -> list[str]:
        """Versions that learned from labels that mean nothing, the oldest first."""
        return [version for version, day in self.trained_on.items() if day in scenario.harmful_days]

    def _new(self, what: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of an append-only record that were not there before."""
        seen = self._seen.get(what, 0)
        self._seen[what] = len(rows)
        return rows[seen:]

    def _rules(self, day: int) -> Iterator[Event]:
        rows = self.lake.read_arrow("contract_results").to_pylist()
        broken = {row["rule"]: row for row in rows if row["violations"] and row["action"] != "block"}
        for rule in sorted(broken.keys() - self._broken):
            count = f"{broken[rule]['violations']:,} of {counted(broken[rule]['rows'], 'row')}"
            yield Event(day, "noticed", "data", f"{rule} is broken ({count})", alarm=True)
        self._broken = frozenset(broken)

    def _alerts(self, day: int) -> Iterator[Event]:
        open_now = {each.key: each for each in book_of(self.home, self.problem).incidents()}
        for key in sorted(open_now.keys() - self._open):
            alert = open_now[key].alert
            # A rollback is reported with its decision.
            if alert.key != ROLLBACK:
                kind: Kind = "drift" if alert.kind == "drift" else "performance"
                yield Event(day, "noticed", kind, f"alert: {alert.title}", alarm=True)
        for key in sorted(self._open - open_now.keys() - {ROLLBACK}):
            yield Event(day, "noticed", "performance", f"resolved: {key}")
        self._open = frozenset(open_now)

    def _trainings(self, day: int) -> Iterator[Event]:
        for tick in self._new(
            "ticks", [each for each in ticks_of(self.home, self.problem).ticks() if each["decision"] == RUN]
        ):
            alarm = tick["trigger"] in EVIDENCE_TRIGGERS
            yield Event(day, "action", "training", f"training ({tick['trigger']}): {tick['reason']}", alarm=alarm)

    def _decisions(self, day: int) -> Iterator[Event]:
        for row in self._new("decisions", decisions(self.lake)):
            version, rolled_back = row["version"], row["verdict"] == ROLLED_BACK
            self.trained_on.setdefault(version, day)
            text = _DECIDED.get(row["verdict"], "version {version} is refused").format(version=version)
            by = "" if row["decided_by"] == GATE else f", by {row['decided_by'].partition(':')[0]}"
            kind: Kind = "rollback" if rolled_back else "decision"
            yield Event(day, "action", kind, f"{text}{by}: {deciding_reason(row)}", alarm=rolled_back)

    def _results(self, day: int) -> Iterator[Event]:
        if not self.lake.exists(RESULTS):
            return
        for row in self._new(RESULTS, self.lake.read_arrow(RESULTS).to_pylist()):
            if row["is_final"]:
                yield Event(day, "action", "experiment", f"{row['experiment']}: {row['verdict']}: {row['reason']}")
