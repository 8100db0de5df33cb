"""Outcomes that do not come any more: a label feed that has stopped, by the rows of `landed_days`.

Nothing else would say so: what has no outcome is no row of a training, nor of a measurement. That only fewer come than
before is not looked for. It imports neither Ibis nor DuckDB.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from mlguide_assets.define.problem import Problem
from mlguide_assets.instants import zoned_midnight
from mlguide_assets.observe.alerts.alert import OUTCOMES_MISSING, Alert
from mlguide_assets.observe.drift.windows import Landed, decisions_on

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
        plural: what the decisions are called; column: that of their outcome in the source.
    """

    last_known: date
    since: date
    until: date
    decisions: int
    usual_share: float
    plural: str
    column: str

    @property
    def sentence(self) -> str:
        """With what to look at, without a full stop."""
        usual = f"of those before, {self.usual_share:.0%} had one"
        return (
            f"No outcome has come for the {self.decisions:,} {self.plural} of {self.since} to {self.until}, whose time "
            f"for one (label.window) is over; {usual}. Look at what fills the column {self.column} of the source"
        )


def missing_outcomes_alert(landed: Iterable[Landed], problem: Problem) -> Alert | None:
    """Outcomes do not come any more; None where they do, as of `missing_outcomes`."""
    missing = missing_outcomes(landed, problem)
    if missing is None:
        return None
    return Alert(
        key=OUTCOMES_MISSING,
        kind="data",
        level="act",
        title=f"Outcomes do not come any more, since {missing.since}",
        happened=f"{missing.sentence}.",
        since=zoned_midnight(missing.since),
        severity=f"Performance is not measured after {missing.last_known}, and nothing later is learned from.",
        next_step="Correct the source; the next reading takes what it has. 'mlguide status' says what is known.",
        facts={"last_known": missing.last_known.isoformat(), "decisions": missing.decisions},
    )


def missing_outcomes(landed: Iterable[Landed], problem: Problem) -> MissingOutcomes | None:
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
    first, last_day = after[0]["day"], after[-1]["day"]
    return MissingOutcomes(
        before[-1]["day"], first, last_day, waiting, share, problem.decision.plural, problem.label.column
    )


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
