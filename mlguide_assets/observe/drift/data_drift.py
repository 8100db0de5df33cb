"""Drift of one day: its decisions, and the requests to the API, each compared with the champion's reference.

Where a day has few, the days before it are compared with it: see `drift_windows`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, metadata_of
from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.instants import midnight
from mlguide_assets.observe.drift.domain_classifier import Separation, classifier_of
from mlguide_assets.observe.drift.drift import check_drift
from mlguide_assets.observe.drift.quality import Finding, Level, check_volume
from mlguide_assets.observe.drift.table import TOGETHER, TRAFFIC, VOLUME, WHOLE_DAY
from mlguide_assets.observe.drift.verdict import DRIFT_SCHEMA, LEVELS, DriftVerdict
from mlguide_assets.observe.drift.windows import (
    DriftWindow,
    decisions_on,
    expected_day,
    is_final,
    signature_of,
    window_of,
)
from mlguide_assets.observe.freshness.new_days import last_of_reference
from mlguide_assets.observe.rows import logged_traffic, rows_of_days, scored_on
from mlguide_assets.prepare.computing import Engine
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.train.files import PROFILE
from mlguide_assets.train.reference.build import PROBABILITY
from mlguide_assets.train.reference.counting import window_counts
from mlguide_assets.train.reference.profile import Profile

EARLIER_WEEKS = 8
"""Days of the same weekday, or cut-offs, from which the usual number of decisions is taken."""

SCHEMA = pa.schema(
    [
        ("day", pa.string()),
        ("source", pa.string()),
        ("model_version", pa.string()),
        ("signature", pa.string()),
        ("window_days", pa.int64()),
        *DRIFT_SCHEMA,
    ]
)


def drift_columns(problem: Problem) -> dict[str, str]:
    """Column of `SCHEMA` → meaning."""
    many = problem.decision.plural
    return {
        "day": "The day that was compared, UTC.",
        "source": f"Which rows were compared: the day's {many}, or the requests to the API (traffic).",
        "model_version": "The champion whose reference profile the day was compared with.",
        "signature": f"A hash of the {many} and outcomes that were compared; another one: they have changed.",
        "window_days": f"Days up to this one that were compared together; more than one where each has few {many}.",
        "column": "The column that was compared; (volume) is the row count, (together) a classifier that sees all "
        "columns, (all) the verdict on all of these.",
        "kind": "Whether the column is a number or a category; null for the rows in brackets.",
        "rows": "Rows that were compared.",
        "psi": "Population stability index against the reference.",
        "statistic": "Pearson's chi-square against the reference, divided by the inflation; of (together), the ROC AUC "
        "of the classifier.",
        "degrees": "Its degrees of freedom.",
        "p_value": "The probability of such a statistic or a larger one where nothing has drifted.",
        "q_value": "The p-value corrected for the number of columns (Benjamini-Hochberg).",
        "null_share": "Share of missing values on the day.",
        "reference_null_share": "Share of missing values in the reference.",
        "unseen_share": "Share of values that are none of the reference's categories.",
        "importance": "Share of the model's gain that comes from the column; 1 for probability and label.",
        "cost_effect": "Change of the cost per 1,000 decisions by the drift of this column alone; "
        "null where it was not measured.",
        "inflation": "How much larger the statistic is between days that do not drift, since rows share units.",
        "level": "The result: none, too_few, warn or act.",
        "check": "Which check decided the level: schema, nulls, categories, distribution, volume or classifier.",
        "reason": "Why, in words.",
    }


@dataclass(frozen=True)
class DayDrift:
    """The verdicts on a day, as `SCHEMA`; and on its decisions, what to say of it."""

    table: pa.Table
    level: Level
    sentence: str


@dataclass(frozen=True, eq=False)
class DaySample:
    """What is compared of a day, or of the window that ends with it.

    Attributes:
        rows: of the days that are tested, as `rows.scored_on` gives them.
        traffic: of the same days, as `rows.logged_traffic` gives it; nothing is said of none.
        earlier: decisions on earlier days like the last one, see `days_alike`.
        signature: identifies what is tested, from `drift_windows.signature_of`.
        final: all outcomes are, by the data's clock. The label is tested then; a missing one counts as missing.
        together: what the domain classifier finds of the decisions; without it, it has no row.
        expected: when a window that waits for more decisions will be tested, if that is known.
    """

    window: DriftWindow
    rows: ibis.Table
    traffic: pa.Table
    earlier: Sequence[int]
    signature: str = ""
    final: bool = True
    together: Separation | None = None
    expected: date | None = None


def profile_of(champion: Bundle) -> Profile | None:
    """The champion's reference profile; None where it was trained before drift monitoring existed."""
    path = champion.folder / PROFILE
    return Profile.from_json(path.read_bytes()) if path.is_file() else None


def drift_of_day(sample: DaySample, *, version: str, profile: Profile, problem: Problem) -> DayDrift:
    """Compare a day, or the window that ends with it, with the reference.

    Fewer decisions or requests than `watching.min_rows` of the problem are not tested.

    Args:
        version: of the champion.
        profile: the champion's reference.
    """
    window = sample.window
    tested_days = (window.last - window.tested_from).days + 1
    profile = profile.on(window.last - timedelta(days=tested_days // 2), tested_days)
    decided, level, sentence = _of_decisions(sample, profile, problem)
    fixed = {
        "day": window.last.isoformat(),
        "model_version": version,
        "signature": sample.signature,
        "window_days": tested_days,
    }
    found = [*decided, *_of_traffic(sample.traffic, profile, problem)]
    return DayDrift(small_table([{**fixed, **row} for row in found], SCHEMA), level, sentence)


def _of_decisions(sample: DaySample, profile: Profile, problem: Problem) -> tuple[list[dict[str, Any]], Level, str]:
    """The rows on each column, the volume, all columns and the classifier; and the level and sentence of them all."""
    window, together, min_rows = sample.window, sample.together, problem.watching.min_rows
    label, source = problem.label.column, problem.decision.plural
    known = [column.name for column in profile.columns if sample.final or column.name != label]
    decided = sample.rows.drop(*problem.decision.keys, "matured_at", *([] if sample.final else [label]))
    of_rows = _compared(decided, profile.only(known), min_rows)
    volume = check_volume(_rows_on(window.last, sample.rows, problem), sample.earlier)
    others = [volume, *([together.finding] if together else [])]
    verdicts = [(each.level, f"{each.reason}.") for each in others if each.level != "too_few"]
    # The first of equals: what the columns say comes first.
    of_columns = of_rows.level, _said(of_rows, window, source, min_rows, sample.expected)
    level, sentence = max([of_columns, *verdicts], key=lambda each: LEVELS.index(each[0]))
    whole = {"source": source, "rows": of_rows.rows}
    found = [
        *_rows(of_rows, source),
        {**whole, "column": VOLUME, **_fields(volume)},
        {**whole, "column": WHOLE_DAY, "level": level, "reason": sentence, "cost_effect": _cost_effect(of_rows)},
    ]
    if together:
        numbers = {"statistic": together.auc, "p_value": together.p_value}
        found.append({**whole, "column": TOGETHER, **numbers, **_fields(together.finding)})
    return found, level, sentence


def _of_traffic(traffic: pa.Table, profile: Profile, problem: Problem) -> list[dict[str, Any]]:
    """The rows on each column of the requests, and on all of them; none without a request."""
    if not traffic.num_rows:
        return []
    requested = [column.name for column in profile.columns if column.name != problem.label.column]
    found = _compared(ibis.memtable(traffic), profile.only(requested), problem.watching.min_rows)
    verdict = {"level": found.level, "reason": found.sentence, "cost_effect": _cost_effect(found)}
    return [*_rows(found, TRAFFIC), {"source": TRAFFIC, "column": WHOLE_DAY, "rows": traffic.num_rows, **verdict}]


def _traffic(prediction_log: ibis.Table, window: DriftWindow, problem: Problem, min_rows: int) -> pa.Table:
    """The requests of the last day, or of the whole window where that had few."""
    of_day = logged_traffic(prediction_log, problem, first=window.last, last=window.last)
    if of_day.num_rows >= min_rows or window.tested_from == window.last:
        return of_day
    return logged_traffic(prediction_log, problem, first=window.tested_from, last=window.last)


def _rows_on(day: date, rows: ibis.Table, problem: Problem) -> int:
    """How many of the rows are of the last day."""
    return int(rows.filter(rows[problem.decision.time] >= midnight(day)).count().to_pyarrow().as_py())


def _said(verdict: DriftVerdict, window: DriftWindow, many: str, min_rows: int, expected: date | None) -> str:
    """The sentence of a verdict on the columns, with the days that it is of."""
    if window.is_enough:
        if window.days == 1:
            return verdict.sentence
        return (
            f"{counted(window.days, 'day')} together, from {window.first}: "
            f"{verdict.sentence[:1].lower()}{verdict.sentence[1:]}"
        )
    if verdict.level != "too_few":
        return verdict.sentence
    since = f" since {window.first}" if window.days > 1 else ""
    when = f"; at the usual number a day that is on {expected}" if expected else ""
    return f"No verdict: {window.decisions:,} {many}{since}, which are tested once they are {min_rows:,}{when}."


def days_alike(days: Mapping[date, int], day: date, problem: Problem) -> list[int]:
    """How much was decided on earlier days like a day: on the same weekday in the weeks before, or at the cut-offs.

    Args:
        days: decisions per day, of days that have any.
    """
    if not problem.decision.is_event:
        return [days[each] for each in sorted(days) if each < day][-EARLIER_WEEKS:]
    before = (day - timedelta(weeks=week) for week in range(1, EARLIER_WEEKS + 1))
    return [days[each] for each in before if each in days]


def no_drift() -> pa.Table:
    """The table of a day that cannot be tested."""
    return SCHEMA.empty_table()


def _compared(rows: ibis.Table, profile: Profile, min_rows: int) -> DriftVerdict:
    known = {*profile.other_columns, *(column.name for column in profile.columns)}
    # A column that is in no profile, such as a subject, is not watched.
    watched = [name for name in rows.columns if name in known]
    return check_drift(profile, window_counts(rows.select(watched), profile), min_rows=min_rows)


def _rows(verdict: DriftVerdict, source: str) -> list[dict[str, Any]]:
    return [{**row, "source": source} for row in verdict.columns.to_pylist()]


def _cost_effect(verdict: DriftVerdict) -> float | None:
    """What the window moves the expected cost of 1,000 decisions by: that of its scores, which all columns move."""
    return next((row["cost_effect"] for row in verdict.columns.to_pylist() if row["column"] == PROBABILITY), None)


def _fields(finding: Finding) -> dict[str, str]:
    return {"level": finding.level, "check": finding.check, "reason": finding.reason}


def check_days(
    days: Iterable[date],
    engine: Engine,
    *,
    features: ibis.Table,
    prediction_log: ibis.Table,
    landed: ibis.Table,
    champion: Bundle,
    problem: Problem,
    scratch: Path,
    reports: Path,
) -> dict[date, DayDrift]:
    """Compare days with the champion's reference.

    Args:
        engine: that has read the features; it scores and counts the rows of a day.
        landed: rows of `rows.landed_days`.
        scratch: a folder for what it has scored.
        reports: the folder of drift reports, where the classifier keeps what it knows of the champion's own days.

    Raises:
        InputError: the champion was trained before drift monitoring existed.
    """
    profile = profile_of(champion)
    if profile is None:
        raise InputError(
            f"The champion, version {champion.version}, has no reference profile, since it was trained before drift "
            f"monitoring existed: 'mlguide run' trains and promotes one that has."
        )
    known, min_rows = {row["day"]: row for row in landed.to_pyarrow().to_pylist()}, problem.watching.min_rows
    reference_ends = last_of_reference(metadata_of(champion))
    counts = {day: count for day, row in known.items() if (count := decisions_on(row))}
    classifier = classifier_of(features, champion, profile, problem, folder=reports)
    found = {}
    for day in days:
        window = window_of(day, known, after=reference_ends, min_rows=min_rows)
        of_days = rows_of_days(features, problem, first=window.tested_from, last=day)
        rows = scored_on(engine, of_days, champion, scratch / f"{day}.parquet")
        # The classifier's null is of single days.
        alone = window.is_enough and window.days == 1
        sample = DaySample(
            window,
            rows,
            traffic=_traffic(prediction_log, window, problem, min_rows),
            earlier=days_alike(counts, day, problem),
            signature=signature_of(window, known),
            final=is_final(window, known),
            together=classifier.separation(rows) if alone else None,
            expected=None if window.is_enough else expected_day(window, known, min_rows=min_rows),
        )
        found[day] = drift_of_day(sample, version=champion.version, profile=profile, problem=problem)
    return found
