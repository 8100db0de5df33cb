"""Incidents of failed runs: what a run was to make, which alert its failure is, and which success makes up for it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlguide_assets.observe.alerts.alert import Alert
from mlguide_assets.observe.alerts.book import AlertBook

BY_HAND = "__ASSET_JOB"
"""What Dagster calls every run of assets that a person chose, and every run of a backfill."""

PROCESS_GONE = (
    "Its process ended and could not say why: it was killed, by the system where memory ran out, or the machine "
    "stopped, the disk was full, or the database away."
)
"""Why a run failed of which no step did."""

_NAMED = 3


@dataclass(frozen=True)
class Work:
    """What a run was to make.

    Attributes:
        assets: names of the tables and the like that it makes; empty where only the job's next run makes up for it.
        first: the first of the days that it was requested for (ISO 8601); None where it was requested for none.
        last: the last of them.
        problem: the key of its problem, where that is not the one of these alerts.
    """

    job: str
    assets: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None
    problem: str | None = None

    @property
    def key(self) -> str:
        """What the incident is called: equal work is one incident."""
        return "-".join(part for part in ("failure", self._name, *self._days, self.problem) if part)

    @property
    def title(self) -> str:
        """What failed, for people.

        >>> Work(BY_HAND, ("batch_predictions",), "2026-06-20", "2026-06-20").title
        'A materialisation of batch_predictions for 2026-06-20'
        """
        what = f"A materialisation of {_in_words(self.assets)}" if self._is_by_hand else f"A run of {self._name}"
        days = f" for {' '.join(self._days)}" if self.first else ""
        return f"{what}{days}" + (f", on {self.problem}" if self.problem else "")

    def makes_up_for(self, failed: "Work") -> bool:
        """Whether this work, done, is the same or more than what had failed.

        >>> scored = Work("scoring_job", ("batch_predictions",), "2026-06-21", "2026-06-21")
        >>> scored.makes_up_for(Work("scoring_job", ("batch_predictions",), "2026-06-20", "2026-06-20"))
        False
        >>> scored.makes_up_for(Work(BY_HAND, ("batch_predictions",), "2026-06-21", "2026-06-21"))
        True
        """
        made = bool(failed.assets) and set(failed.assets) <= set(self.assets)
        same = made or (self.job == failed.job and not failed._is_by_hand)
        days = failed.first is None or (
            self.first is not None and self.first <= failed.first and str(failed.last) <= str(self.last)
        )
        return same and days and self.problem == failed.problem

    def to_facts(self) -> dict[str, Any]:
        """As facts of an alert."""
        return {**self.__dict__, "assets": list(self.assets)}

    @classmethod
    def from_facts(cls, facts: Any) -> "Work":
        """Of an alert; those of an earlier version have the job only."""
        known = {name: facts.get(name) for name in ("first", "last", "problem")}
        return cls(facts["job"], tuple(facts.get("assets", ())), **known)

    @property
    def _is_by_hand(self) -> bool:
        return self.job == BY_HAND and bool(self.assets)

    @property
    def _name(self) -> str:
        """The job's, or that of the assets, which may be all there are."""
        if not self._is_by_hand:
            # Checks alone make no asset.
            return "checks" if self.job == BY_HAND else self.job
        if len(self.assets) == 1:
            return self.assets[0]
        digest = hashlib.sha256(" ".join(sorted(self.assets)).encode()).hexdigest()[:6]
        return f"{self.assets[0]}-and-{len(self.assets) - 1}-others-{digest}"

    @property
    def _days(self) -> tuple[str, ...]:
        """In words that follow "for"."""
        if self.first is None or self.last is None:
            return ()
        return (self.first,) if self.first == self.last else (self.first, "to", self.last)


def failing_since(work: Work, book: AlertBook, now: datetime) -> datetime:
    """Since when work that fails now has not been done: since the first failure of the incident that is open."""
    return next((each.alert.since for each in book.incidents() if each.key == work.key), now)


def failed_run_alert(work: Work, run_id: str, error: str, since: datetime) -> Alert:
    """A run failed; further failures of the same work are one incident until it is done.

    Args:
        since: see `failing_since`.
    """
    again = "materialise the same again" if work.job == BY_HAND else "run the job again"
    return Alert(
        key=work.key,
        kind="failure",
        level="act",
        title=f"{work.title} failed",
        happened=f"Run {run_id} failed: {error}",
        since=since,
        severity="What depends on it is as old as its last success.",
        next_step=f"Open the run {run_id} in the Dagster UI ('mlguide ui'), fix the cause, and {again}"
        f"{' for the same day' if work.first else ''}.",
        facts={**work.to_facts(), "run_id": run_id},
    )


def job_in_words(job: str) -> str:
    """A job by the name that we gave it, or what Dagster's own job does.

    >>> job_in_words(BY_HAND)
    'assets that were chosen by hand'
    """
    return "assets that were chosen by hand" if job == BY_HAND else job


def _in_words(assets: tuple[str, ...]) -> str:
    """All of a few assets, the first of many."""
    named = list(assets) if len(assets) <= _NAMED else [*assets[: _NAMED - 1], f"{len(assets) - _NAMED + 1} others"]
    return " and ".join(part for part in (", ".join(named[:-1]), named[-1]) if part)
