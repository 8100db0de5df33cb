"""Outcomes that do not come any more: a label feed that has stopped, by the rows of `landed_days`.

Nothing else would say so: what has no outcome is no row of a training, nor of a measurement. That only fewer come than
before is not looked for. It imports neither Ibis nor DuckDB.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from mlguide_assets.define.problem import Problem
from mlguide_assets.instants import zoned_midnight
from mlguide_assets.observe.alerts.alert import Alert
from mlguide_assets.observe.drift_windows import Landed, decisions_on

OUTCOMES_MISSING = "outcomes-missing"
"""The key of the incident."""

QUIET = timedelta(days=7)
"""So long after the last day with outcomes they are missing, and not only late."""

_EXPECTED = 10
"""Outcomes that would have come by now, at the least: of fewer, none may be chance."""

_FEW = 1 / 20
"""Of the usual share of decisions with an outcome: less of a day is no outcome, but a correction by hand."""


@dataclass(frozen=True)
class MissingOutcomes:
    """Decisions whose time for an outcome is over, none of which has one.

    Attributes:
        last_known: the last day with outcomes.
        since, until: the first and the last day without, of days with decisions.
        usual_share: of decisions of the days before, how many have an outcome.
    """

    last_known: date
    since: date
    until: date
    decisions: int
    usual_share: float

    def said(self, problem: Problem) -> str:
        """As a sentence, with what to look at."""
        many, usual = problem.decision.plural, f"of those before, {self.usual_share:.0%} had one"
        return (
            f"No outcome has come for the {self.decisions:,} {many} of {self.since} to {self.until}, whose time for "
            f"one (label.window) is over; {usual}. Look at what fills the column {problem.label.column} of the source"
        )

    def alert(self, problem: Problem) -> Alert:
        return Alert(
            key=OUTCOMES_MISSING,
            kind="data",
            level="act",
            title=f"Outcomes do not come any more, since {self.since}",
            happened=f"{self.said(problem)}.",
            since=zoned_midnight(self.since),
            severity=f"Performance is not measured after {self.last_known}, and nothing later is learned from.",
            next_step="Correct the source; the next reading takes what it has. 'mlguide status' says what is known.",
            facts={"last_known": self.last_known.isoformat(), "decisions": self.decisions},
        )


def missing_outcomes(landed: Iterable[Landed]) -> MissingOutcomes | None:
    """The decisions that wait for outcomes in vain; None where they come, or never came.

    Only days count of which every decision should have its outcome by now. A feed that is late by less than a week is
    not meant, nor one that gives so few outcomes that none of late may be chance.

    Args:
        landed: rows of `landed_days`; those of an earlier version do not know of outcomes, and are left out.
    """
    due = sorted(_due(landed), key=lambda row: row["day"])
    matured, known = (sum(row[name] for row in due) for name in ("matured", "known"))
    if not known:
        return None
    least = _FEW * known / matured
    last = max((at for at, row in enumerate(due) if row["known"] >= least * row["matured"]), default=len(due) - 1)
    before, after = due[: last + 1], due[last + 1 :]
    if not after or after[-1]["day"] - before[-1]["day"] < QUIET:
        return None
    share = sum(row["known"] for row in before) / sum(row["matured"] for row in before)
    waiting = sum(row["matured"] - row["known"] for row in after)
    if share * waiting < _EXPECTED:
        return None
    return MissingOutcomes(before[-1]["day"], after[0]["day"], after[-1]["day"], waiting, share)


def age_of_performance(day: date | None, landed: Iterable[Landed]) -> str | None:
    """That performance is known up to a day only, where outcomes are due of later ones; None where it is up to date.

    Args:
        day: the last that was measured; None where none was.
    """
    newest = max((row["day"] for row in _due(landed)), default=None)
    if day is None or newest is None or newest - day < QUIET:
        return None
    days = (newest - day).days
    return f"That is {days} days before {newest}, the last day whose outcomes should be known: what came since is not."


def _due(landed: Iterable[Landed]) -> list[Landed]:
    """The days of which every decision should have its outcome by now."""
    return [row for row in landed if decisions_on(row) and row.get("matured") == decisions_on(row)]
