"""From the findings on every column to a verdict: one word, one sentence, one table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from mlguide_assets.english import agreeing, counted
from mlguide_assets.observe.drift.quality import Finding, Level
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.statistics.missing import finite_or_none, with_finite_numbers

MOST_NAMED = 5
"""Columns that a verdict names."""

LEVELS: tuple[Level, ...] = ("none", "too_few", "warn", "act")
"""From good to bad."""

DRIFT_SCHEMA = pa.schema(
    {
        "column": pa.string(),
        "kind": pa.string(),
        "rows": pa.int64(),
        "psi": pa.float64(),
        "statistic": pa.float64(),
        "degrees": pa.int64(),
        "p_value": pa.float64(),
        "q_value": pa.float64(),
        "null_share": pa.float64(),
        "reference_null_share": pa.float64(),
        "unseen_share": pa.float64(),
        "importance": pa.float64(),
        "cost_effect": pa.float64(),
        "inflation": pa.float64(),
        "level": pa.string(),
        "check": pa.string(),
        "reason": pa.string(),
    }
)


@dataclass(frozen=True)
class ColumnMeasures:
    """The numbers of one column in DRIFT_SCHEMA, None or NaN where not measured."""

    column: str
    kind: str | None = None
    importance: float = 0.0
    inflation: float = 1.0
    psi: float | None = None
    statistic: float | None = None
    degrees: int | None = None
    p_value: float | None = None
    q_value: float | None = None
    null_share: float | None = None
    reference_null_share: float | None = None
    unseen_share: float | None = None
    cost_effect: float | None = None


@dataclass(frozen=True)
class ColumnResult:
    """One column: its numbers, and the findings on it, quality before drift."""

    measures: ColumnMeasures
    findings: tuple[Finding, ...]

    @property
    def foremost(self) -> Finding:
        """The worst finding, the first of equals."""
        return max(self.findings, key=lambda finding: LEVELS.index(finding.level))

    @property
    def reason(self) -> str:
        """The reasons of all findings that say anything, or of the drift test where none does."""
        reasons = [finding.reason for finding in self.findings if finding.level != "none"]
        return "; ".join(dict.fromkeys(reasons)) or self.findings[-1].reason

    @property
    def rank(self) -> tuple[int, float, float, float, float, str]:
        """First what is so bad that it has neither cost nor PSI, then by effect on the cost of decisions.

        Where that is not known, or equal: by importance times PSI, PSI, importance, name.
        """
        psi, cost = finite_or_none(self.measures.psi), finite_or_none(self.measures.cost_effect)
        importance = self.measures.importance
        order = {"act": 0, "warn": 1}.get(self.foremost.level, 2) if psi is None and cost is None else 2
        psi = psi or 0.0
        return order, -abs(cost or 0.0), -importance * psi, -psi, -importance, self.measures.column

    @property
    def sentence(self) -> str:
        """The column, the reason, and the effect on the cost where that is known, without a full stop."""
        cost = finite_or_none(self.measures.cost_effect)
        price = "" if cost is None else f", expected cost {cost:+.1f} per 1,000 decisions"
        return f"{self.measures.column}: {self.reason}{price}"


@dataclass(frozen=True, eq=False)
class DriftVerdict:
    """What a window is, in one word and one sentence, and every column of it.

    `level` is the worst of `quality` (schema, nulls, categories) and `drift` (distributions); `too_few` where the
    window is too small for any test but that of its schema. `worst` names the foremost columns of that level.

    `columns` (DRIFT_SCHEMA) has one row per column, the foremost first, see `ColumnResult.rank`. `cost_effect` is
    what the change of the column alone moves the expected cost of 1,000 decisions by, see `costing`. `statistic` is
    already divided by `inflation`; `check` says which check set the level; what was not measured is null.
    """

    level: Level
    quality: Level
    drift: Level
    rows: int
    worst: tuple[str, ...]
    sentence: str
    columns: pa.Table


def conclude(results: Sequence[ColumnResult], rows: int) -> DriftVerdict:
    """The verdict over a window of so many rows from the results of its columns."""
    ordered = sorted(results, key=lambda each: each.rank)
    findings = [finding for each in ordered for finding in each.findings]
    level = worst_level(findings)
    alike = [each for each in ordered if each.foremost.level == level]
    return DriftVerdict(
        level=level,
        quality=worst_level([finding for finding in findings if finding.check != "distribution"]),
        drift=worst_level([finding for finding in findings if finding.check == "distribution"]),
        rows=rows,
        worst=tuple(each.measures.column for each in alike[:MOST_NAMED]) if level in ("warn", "act") else (),
        sentence=_sentence(level, alike, len(ordered), rows),
        columns=small_table([_row(each, rows) for each in ordered], DRIFT_SCHEMA),
    )


def worst_level(findings: Sequence[Finding]) -> Level:
    return max((finding.level for finding in findings), key=LEVELS.index, default="none")


def _sentence(level: Level, alike: Sequence[ColumnResult], columns: int, rows: int) -> str:
    if level == "none" or not alike:
        return f"None of {counted(columns, 'column')} has drifted enough for a warning, over {counted(rows, 'row')}."
    if level == "too_few":
        return f"No verdict: {alike[0].reason}."
    what = (
        f"{agreeing(len(alike), 'call')} for action" if level == "act" else f"{agreeing(len(alike), 'is')} worth a look"
    )
    named = [each.sentence for each in alike[:MOST_NAMED]]
    more = [f"and {len(alike) - MOST_NAMED} more"] if len(alike) > MOST_NAMED else []
    said = [f"{len(alike)} of {counted(columns, 'column')} over {counted(rows, 'row')} {what}", *named, *more]
    return f"{'; '.join(said)}."


def _row(result: ColumnResult, rows: int) -> dict[str, Any]:
    numbers = with_finite_numbers(asdict(result.measures))
    foremost = result.foremost
    check = None if foremost.level in ("none", "too_few") else foremost.check
    return {**numbers, "rows": rows, "level": foremost.level, "check": check, "reason": result.reason}
