"""`mlguide check`: what a problem file would train on, without training."""

from typing import Any

from mlguide_assets.console.interruption import scratch_folder
from mlguide_assets.console.progress import reporting
from mlguide_assets.console.terminal import console, print_json, screen
from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.define.problem import Problem
from mlguide_assets.english import agreeing, counted
from mlguide_assets.errors import AnsweredError
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.prepare.profiling.checking import Check, check_problem
from mlguide_assets.prepare.profiling.decision_counts import Decisions
from mlguide_assets.prepare.profiling.feature_list import in_lines, number_of_features
from mlguide_assets.prepare.sources.changed_files import refusing_changed_files
from mlguide_assets.prepare.sources.parquet_faults import refusing_parquet_faults
from mlguide_assets.prepare.sources.reading import describe, local_files, parquet_files


def check(file: str, source: str | None, *, as_json: bool) -> None:
    """Print what is found. Bad input ends as an error, after what could be said.

    Raises:
        InputError: nothing could be read; the text says what to fix.
        AnsweredError: nothing could be trained from what was found, which was printed.
    """
    problem = with_overrides(load_problem(file), source=source)
    with (
        scratch_folder("mlguide-check-") as scratch,
        reporting() as report,
        refusing_changed_files(lambda: local_files(problem)),
        refusing_parquet_faults(lambda: parquet_files(problem, scratch)),
    ):
        connection = connect(scratch / "spill")
        try:
            found = check_problem(problem, connection, scratch, report)
        finally:
            connection.disconnect()
    if as_json:
        print_json(_values(problem, found))
    else:
        _print(problem, found)
    if found.blocked:
        more = f" ({len(found.blocked) - 1} more)" if len(found.blocked) > 1 else ""
        raise AnsweredError(f"The contract blocks this source: {found.blocked[0]}{more}; fix the source or the rule.")
    if found.refused:
        raise AnsweredError(found.refused)
    if not as_json:
        console.print(f"Next: mlguide run --problem {file}{f' --source {source}' if source else ''}")


def _print(problem: Problem, found: Check) -> None:
    screen.print(f"{problem.name}: {problem.statement.strip()}")
    screen.print(f"source     {describe(problem)}")
    for name, (rows, accepted) in found.tables.items():
        aside = f", {rows - accepted:,} in quarantine" if accepted < rows else ""
        screen.print(f"table      {name}: {counted(rows, 'row')}{aside}")
    if found.decisions is not None:
        for line in _decided(problem, found.decisions):
            screen.print(line)
    screen.print(f"features   {_features(problem, found)}")
    for word, lines in (
        ("automatic", in_lines(found.automatic, problem)),
        ("left out", found.remarks), ("warning", found.warnings), ("set aside", found.quarantined),
        ("blocked", found.blocked),
    ):  # fmt: skip
        for line in lines:
            screen.print(f"{word:<10} {line}")


def _decided(problem: Problem, decisions: Decisions) -> list[str]:
    known = decisions.known
    share = decisions.positives / known
    never = f", {decisions.without:,} {agreeing(decisions.without, 'has')} none" if decisions.without else ""
    return [
        f"decisions  {decisions.rows:,}, one per {problem.predict.each}, {decisions.first:%Y-%m-%d} to "
        f"{decisions.last:%Y-%m-%d}; {decisions.waiting:,} {agreeing(decisions.waiting, 'wait')} for their outcome"
        f"{never}",
        f"positives  {decisions.positives:,} of {known:,} ({share:.1%})",
        f"split      {decisions.train:,} to train on ({decisions.train_positives:,} positive), {decisions.test:,} to "
        f"test on from {decisions.test_from:%Y-%m-%d} on ({decisions.test_positives:,} positive)",
    ]


def _features(problem: Problem, found: Check) -> str:
    automatic = problem.features.automatic
    written = f"{len(problem.features.declared)} declared"
    made = number_of_features(found.automatic)
    return f"{written}, {made} automatic (at most {automatic.max})" if automatic else written


def _values(problem: Problem, found: Check) -> dict[str, Any]:
    decisions = found.decisions
    return {
        "problem": problem.name,
        "source": describe(problem),
        "tables": {name: {"rows": rows, "accepted": accepted} for name, (rows, accepted) in found.tables.items()},
        "decisions": None
        if decisions is None
        else {
            "rows": decisions.rows,
            "waiting": decisions.waiting,
            "without_outcome": decisions.without,
            "positives": decisions.positives,
            "first_day": f"{decisions.first:%Y-%m-%d}",
            "last_day": f"{decisions.last:%Y-%m-%d}",
            "train": decisions.train,
            "test": decisions.test,
            "train_positives": decisions.train_positives,
            "test_positives": decisions.test_positives,
            "test_from": decisions.test_from.isoformat(),
        },
        "features": {
            "declared": list(problem.features.declared),
            "automatic": [
                {"name": each.name, "declaration": each.text, "description": each.description}
                for each in found.automatic
            ],
            "automatic_at_most": problem.features.automatic.max if problem.features.automatic else 0,
        },
        "left_out": list(found.remarks),
        "warnings": list(found.warnings),
        "quarantined": list(found.quarantined),
        "blocked": list(found.blocked),
        "refused": found.refused,
    }
