"""An experiment that was started, and what became of it, as its rows in the record say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from mlguide_assets.define.documents import parse_document
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.sections import LATEST
from mlguide_assets.experiment.specification import Experiment

_WHAT_TO_DO = "Stop it, and start a new version."

State = Literal["running", "stopped", "finished"]


@dataclass(frozen=True, kw_only=True)
class _Recorded:
    """What the record says of every experiment that was started.

    Attributes:
        planned_units: units expected to have a closed outcome window at the last look.
        who: started it.
        ended_at: None while it runs.
        ended_by: who stopped it, or the look that finished it; None while it runs.
        reason: why it was started, or why it ended.
    """

    planned_units: int
    started_at: str
    who: str
    state: State = "running"
    ended_at: str | None = None
    ended_by: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Started(_Recorded):
    """An experiment that was started, and what became of it.

    Attributes:
        start: its first day.
        models: the versions that its arms began with, by policy. That of the challenger is kept until its end; an arm
            of the champion follows whatever is in production.
    """

    experiment: Experiment
    start: date
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int]:
        return self.experiment.key

    @property
    def title(self) -> str:
        return self.experiment.title

    @property
    def fingerprint(self) -> str | None:
        return self.experiment.fingerprint

    def share_on(self, day: date) -> float:
        """The share of the units that take part on a day."""
        if self.experiment.end is not None and day >= self.experiment.end:
            return 0.0
        return self.experiment.share_on((day - self.start).days)

    @property
    def kept_models(self) -> Mapping[str, str]:
        """Of `models`, the versions that no other may replace in its arms."""
        return {policy: version for policy, version in self.models.items() if policy == "challenger"}

    def look_days(self) -> list[date]:
        """The days on which results are read."""
        return [self.start + look for look in self.experiment.looks]


@dataclass(frozen=True)
class Unreadable(_Recorded):
    """An experiment that was started, and of which nothing can be computed: it assigns no unit.

    Attributes:
        fault: why, and what to do.
    """

    name: str
    version: int
    fault: str
    start: str

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.version

    @property
    def fingerprint(self) -> str | None:
        """Unlike that of any file that can be read."""
        return None

    @property
    def title(self) -> str:
        return f"{self.name}, version {self.version}"


def of_rows(row: dict[str, Any], ended: dict[str, Any] | None, models: Mapping[str, str]) -> Started | Unreadable:
    """What the record says of an experiment: an earlier version also took days that no calendar has.

    Args:
        row: of its start.
        ended: of its end, where it has one.
        models: see `Started`.
    """
    known: dict[str, Any] = {
        "planned_units": row["planned_units"],
        "started_at": row["at"],
        "who": row["who"],
        "state": ended["event"] if ended else "running",
        "ended_at": ended["at"] if ended else None,
        "ended_by": ended["who"] if ended else None,
        "reason": (ended or row)["reason"],
    }
    key = row["experiment"], row["version"]
    try:
        experiment = parse_document(row["content"].encode(), Path("the file on record"), Experiment)
    except InputError as error:
        return Unreadable(*key, f"{error} {_WHAT_TO_DO}", row["start"], **known)
    start = date.fromisoformat(row["start"])
    if start > LATEST:
        return Unreadable(*key, f"{experiment.fault_of_days(start)}. {_WHAT_TO_DO}", row["start"], **known)
    return Started(experiment, start, models, **known)
