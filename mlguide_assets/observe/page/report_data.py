"""All that the page is made from: plain rows of the tables that assets wrote, and nothing that must be computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mlguide_assets.observe.alerts.incidents import Incident
from mlguide_assets.observe.performance.window_words import window_in_words
from mlguide_assets.train.evaluation.metrics import METRICS, Metric

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Champion:
    """The version in production.

    Attributes:
        card: where its model card is, as seen from the page; None where it has none.
        model: which model it is, such as `xgboost`.
    """

    version: str
    trained_at: str
    card: str | None = None
    model: str | None = None


@dataclass(frozen=True, eq=False)
class ReportData:
    """What a home knows.

    Attributes:
        written_at: the present instant.
        metric: name of the problem's primary metric.
        plural: what many of its decisions are called, such as `sends`.
        unit: the noun of the entities whose decisions depend on each other, such as `user`.
        above_done: what happens to those whose probability reaches the threshold, such as `withheld`.
        stale_after: features that are older are not fresh.
        decisions, performance, estimate, gaps, drift, serving, faults, retraining: rows of promotion_decisions,
            model_performance, estimated_performance, performance_gap, data_drift, serving_health, request_faults
            and retraining_decisions; empty where the table is not there.
        verdict: row of performance_verdicts on the champion's last window; None where there is none.
        verdict_age: that it is of a day longer ago than it should be; None where it is not.
        about_source: what the source no longer delivers, a sentence each.
        watch: row of champion_watch on the champion; None where there is none.
        trusted: by metric, whether the estimate was right on earlier days as often as its noise says.
        untested: which days are still to be tested for drift, and which are not; None where there is nothing to say.
        reports: day (ISO 8601) to where its drift report is, as seen from the page.
        incidents: all of the alert book, those that are over included.
        experiments: those that were ever started, the oldest first, each with its rows of `experiment_results`, whose
            `effects` are the figures of each arm.
        reached: how far the data reached at an instant, by growing instants, where the days of a simulated world are
            not those of the clock; None where they are.
        chooses: a decision chooses something for its unit; elsewhere there are no experiments.
    """

    problem: str
    statement: str
    metric: str
    window_days: int
    written_at: datetime
    stale_after: timedelta
    plural: str = "decisions"
    above_done: str = "acted on"
    unit: str = "unit"
    champion: Champion | None = None
    decisions: Rows = ()
    performance: Rows = ()
    estimate: Rows = ()
    gaps: Rows = ()
    verdict: Mapping[str, Any] | None = None
    verdict_age: str | None = None
    about_source: Sequence[str] = ()
    watch: Mapping[str, Any] | None = None
    trusted: Mapping[str, bool] = field(default_factory=dict)
    drift: Rows = ()
    untested: str | None = None
    reports: Mapping[str, str] = field(default_factory=dict)
    serving: Rows = ()
    faults: Rows = ()
    incidents: Sequence[Incident] = ()
    retraining: Rows = ()
    experiments: Rows = ()
    reached: Sequence[tuple[datetime, date]] | None = None
    chooses: bool = True

    @property
    def primary(self) -> Metric:
        return METRICS[self.metric]

    @property
    def other_versions(self) -> list[str]:
        """Whom figures of performance are of, where that is not the champion: it changed since they were made."""
        versions = {row["model_version"] for row in (*self.performance, *self.estimate, *self.gaps)}
        return sorted(versions - {self.champion.version}) if self.champion else []

    @property
    def record_begins(self) -> date | None:
        """The first day that figures of performance are of."""
        return min((row["day"] for row in (*self.performance, *self.estimate)), default=None)

    def window(self, day: date) -> str:
        """The window of performance that ends with a day, in words."""
        return window_in_words(day, self.window_days, self.record_begins or day)

    @property
    def open_incidents(self) -> list[Incident]:
        return [each for each in self.incidents if each.resolved_at is None]

    def data_day(self, instant: datetime) -> date | None:
        """The newest day of data at an instant; None where that is not known."""
        if self.reached is None:
            return instant.astimezone(UTC).date()
        return next((day for at, day in reversed(self.reached) if at <= instant), None)
