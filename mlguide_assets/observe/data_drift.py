"""Drift of one day: its sends, and what the API was asked, each held against the champion's reference profile."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle
from mlguide_assets.errors import InputError
from mlguide_assets.observe.domain_classifier import Separation, classifier_of
from mlguide_assets.observe.drift import judge
from mlguide_assets.observe.drift_table import SENDS, TOGETHER, TRAFFIC, VOLUME, WHOLE
from mlguide_assets.observe.drift_verdict import DRIFT_SCHEMA, LEVELS, DriftVerdict
from mlguide_assets.observe.new_days import signature
from mlguide_assets.observe.quality import Finding, Level, judge_volume
from mlguide_assets.observe.rows import logged_traffic, scored_sends
from mlguide_assets.prepare.features.tables import KEYS, LABEL
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.train.files import PROFILE
from mlguide_assets.train.reference.build import PROBABILITY
from mlguide_assets.train.reference.counting import window_counts
from mlguide_assets.train.reference.profile import Profile

EARLIER_WEEKS = 8
"""Days of the same weekday that tell how many sends are usual."""

SCHEMA = pa.schema(
    [
        ("day", pa.string()),
        ("source", pa.string()),
        ("model_version", pa.string()),
        ("signature", pa.string()),
        *DRIFT_SCHEMA,
    ]
)


@dataclass(frozen=True)
class DayDrift:
    """The verdicts on a day, as `SCHEMA`; and on its sends, what to say of it."""

    table: pa.Table
    level: Level
    sentence: str


def build_reference(champion: Bundle) -> Profile | None:
    """The champion's reference profile; None where it was trained before drift monitoring existed."""
    path = champion.folder / PROFILE
    return Profile.from_json(path.read_bytes()) if path.is_file() else None


def drift_of_day(
    day: date,
    *,
    sends: pa.Table,
    traffic: pa.Table,
    earlier: Sequence[int],
    champion: Bundle,
    profile: Profile,
    min_rows: int = 500,
    signature: str = "",
    final: bool = True,
    together: Separation | None = None,
) -> DayDrift:
    """Judge a day.

    Args:
        sends: of the day, as `rows.scored_sends` gives them.
        traffic: of the day, as `rows.logged_traffic` gives it; nothing is said of none.
        earlier: sends on earlier days of the same weekday.
        min_rows: of a day that is judged.
        signature: what the day is judged as, from `new_days.signature`.
        final: all outcomes are, by the data's clock. The label is judged then; one that is missing counts as that.
        together: what the domain classifier finds of its sends; without it, it has no row.
    """
    profile = profile.on(day)
    known = [column.name for column in profile.columns if final or column.name != LABEL]
    of_sends = _judged(
        sends.drop_columns([*KEYS, "matured_at", *([] if final else [LABEL])]), profile.only(known), min_rows
    )
    volume = judge_volume(sends.num_rows, earlier)
    others = [volume, *([together.finding] if together else [])]
    verdicts = [(each.level, f"{each.reason}.") for each in others if each.level != "too_few"]
    # The first of equals: what the columns say comes first.
    level, sentence = max([(of_sends.level, of_sends.sentence), *verdicts], key=lambda each: LEVELS.index(each[0]))
    rows = [
        *_rows(of_sends, SENDS),
        {"source": SENDS, "column": VOLUME, "rows": sends.num_rows, **_told(volume)},
        {"source": SENDS, "column": WHOLE, "rows": sends.num_rows, "level": level, "reason": sentence}
        | {"cost_effect": _cost_effect(of_sends)},
    ]
    if together:
        numbers = {"rows": sends.num_rows, "statistic": together.auc, "p_value": together.p_value}
        rows.append({"source": SENDS, "column": TOGETHER, **numbers, **_told(together.finding)})
    if traffic.num_rows:
        asked = [column.name for column in profile.columns if column.name != LABEL]
        of_traffic = _judged(traffic.drop_columns(list(KEYS)), profile.only(asked), min_rows)
        rows += _rows(of_traffic, TRAFFIC)
        whole = {"level": of_traffic.level, "reason": of_traffic.sentence, "cost_effect": _cost_effect(of_traffic)}
        rows.append({"source": TRAFFIC, "column": WHOLE, "rows": traffic.num_rows, **whole})
    fixed = {"day": day.isoformat(), "model_version": champion.version, "signature": signature}
    return DayDrift(small_table([{**fixed, **row} for row in rows], SCHEMA), level, sentence)


def same_weekday(days: Mapping[date, int], day: date) -> list[int]:
    """How many sends the same weekday had in the weeks before, as far as there were any."""
    before = (day - timedelta(weeks=week) for week in range(1, EARLIER_WEEKS + 1))
    return [days[each] for each in before if each in days]


def no_drift() -> pa.Table:
    """The table of a day that nobody can judge."""
    return SCHEMA.empty_table()


def _judged(rows: pa.Table, profile: Profile, min_rows: int) -> DriftVerdict:
    known = {*profile.other_columns, *(column.name for column in profile.columns)}
    # What no profile ever knew of, such as a subject, is not watched.
    watched = [name for name in rows.column_names if name in known]
    return judge(profile, window_counts(ibis.memtable(rows.select(watched)), profile), min_rows=min_rows)


def _rows(verdict: DriftVerdict, source: str) -> list[dict[str, Any]]:
    return [{**row, "source": source} for row in verdict.columns.to_pylist()]


def _cost_effect(verdict: DriftVerdict) -> float | None:
    """What the window moves the expected cost of 1,000 decisions by: that of its scores, which all columns move."""
    return next((row["cost_effect"] for row in verdict.columns.to_pylist() if row["column"] == PROBABILITY), None)


def _told(finding: Finding) -> dict[str, str]:
    return {"level": finding.level, "check": finding.check, "reason": finding.reason}


def judge_days(
    days: Iterable[date],
    *,
    send_features: ibis.Table,
    prediction_log: ibis.Table,
    landed: ibis.Table,
    champion: Bundle,
    problem: Problem,
    reports: Path,
) -> dict[date, DayDrift]:
    """Judge days against the champion's reference.

    Args:
        landed: rows of `rows.landed_days`.
        reports: the folder of drift reports, where the classifier keeps what it knows of the champion's own days.

    Raises:
        InputError: the champion was trained before drift monitoring existed.
    """
    profile = build_reference(champion)
    if profile is None:
        raise InputError(
            f"The champion, version {champion.version}, has no reference profile, since it was trained before drift "
            f"monitoring existed: 'mlguide run' trains and promotes one that has."
        )
    known = {row["day"]: row for row in landed.to_pyarrow().to_pylist()}
    rows = {day: row["rows"] for day, row in known.items()}
    classifier = classifier_of(send_features, champion, profile, seed=problem.evaluation.seed, folder=reports)
    found = {}
    for day in days:
        sends = scored_sends(send_features, champion, first=day, last=day)
        found[day] = drift_of_day(
            day,
            sends=sends,
            traffic=logged_traffic(prediction_log, problem, day),
            earlier=same_weekday(rows, day),
            champion=champion,
            profile=profile,
            min_rows=problem.watching.min_rows,
            signature=signature(known.get(day)),
            final=known.get(day, {}).get("outcomes") is not None,
            together=classifier.separation(sends) if sends.num_rows >= problem.watching.min_rows else None,
        )
    return found
