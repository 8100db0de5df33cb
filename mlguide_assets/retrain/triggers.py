"""When to retrain, and why not: a pure function per trigger, from the state to a tick with its reason.

Time and volume check whether there is anything new to learn. Evidence checks whether the champion still fits: a
realised drop that lasts for a window, or scores and an important feature that drifted together on two days in a row.
Evidence waits for its cool-down. Drift alone, of features that do not move the scores, retrains nothing. Neither does
drift that our own experiments cause: while one chooses, only columns of the units are evidence, which no plan can move.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import agreeing, counted, duration
from mlguide_assets.observe.alerts.alerting import IN_A_ROW, lasting
from mlguide_assets.observe.drift.table import VOLUME, WHOLE_DAY
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.retrain.ticks import RUN, WAIT, Tick, Trigger
from mlguide_assets.retrain.trigger_state import Row, TriggerState
from mlguide_assets.train.evaluation.metrics import METRICS
from mlguide_assets.train.reference.build import PROBABILITY

IMPORTANT = 0.05
"""Share of the model's gain from which on a feature's drift counts."""

WINDOWS_AGAIN = 6
"""Windows after a drop with each of which another model is tried, as long as none was better."""

MOVED = ("warn", "act")
"""Levels of the drift of the scores that count; of a feature only "act" does."""


def daily(state: TriggerState, problem: Problem) -> Tick:
    """Train where the last candidate has not seen everything that has matured."""
    return _with_at_least("daily", 1, state, problem)


def new_outcomes(state: TriggerState, problem: Problem) -> Tick:
    """Train where enough has matured since the last candidate was trained."""
    return _with_at_least("new_outcomes", problem.retraining.min_new_matured, state, problem)


SCHEDULED: Mapping[Trigger, Callable[[TriggerState, Problem], Tick]] = {"daily": daily, "new_outcomes": new_outcomes}
"""The triggers that look when their schedule ticks, and not again until its next tick."""


def _with_at_least(trigger: Trigger, wanted: int, state: TriggerState, problem: Problem) -> Tick:
    since = f"since the last training, which learned up to {state.learned_until}" if state.learned_until else "so far"
    new, required = state.new_matured, f"{wanted:,} {agreeing(wanted, 'is')} required"
    reason = (
        f"{problem.decision.counted(new)} {agreeing(new, 'has')} matured, with a known outcome, {since}; {required}"
    )
    evidence = {"new_matured": state.new_matured, "wanted": wanted}
    return Tick(trigger, RUN if state.new_matured >= wanted else WAIT, f"{reason}.", evidence)


def drift(state: TriggerState, problem: Problem) -> Tick:
    """Train where the scores have drifted, together with an important feature, on the last days in a row."""
    tested = [list(rows) for _, rows in groupby(state.drift, key=lambda row: row["day"])]
    # Of a day that waits for others nothing is known but how much was decided.
    days = [rows for rows in tested if _level(rows, PROBABILITY) != "too_few"][-IN_A_ROW:]
    scores = [_level(rows, PROBABILITY) in MOVED for rows in days]
    features = [_drifted(rows, problem, planned=_days_of(rows[0]) & state.experimented) for rows in days]
    evidence = {"days": [rows[0]["day"] for rows in days], "scores_drifted": scores, "drifted_features": features}
    if state.champion is None or len(days) < IN_A_ROW:
        return Tick(
            "drift",
            WAIT,
            _too_few(state, f"{counted(len(days), 'day')} {agreeing(len(days), 'was')} tested for drift"),
            evidence,
        )
    last, holds = days[-1][0]["day"], [moved and bool(names) for moved, names in zip(scores, features, strict=True)]
    if all(holds):
        names, what = ", ".join(features[-1]), "windows" if any(len(_days_of(rows[0])) > 1 for rows in days) else "days"
        why = f"Scores and important features ({names}) have drifted {IN_A_ROW} {what} in a row, up to {last}"
        return _cooled_down("drift", why, evidence, state, problem)
    found = {
        (True, True): "scores and important features have drifted, on this day only so far",
        (True, False): "the scores have drifted, but no important feature has",
        (False, True): "important features have drifted, but the scores have not",
        (False, False): "nothing has drifted that moves the scores",
    }[scores[-1], bool(features[-1])]
    return Tick("drift", WAIT, f"Up to {last}, {found}.", evidence)


def performance_drop(state: TriggerState, problem: Problem) -> Tick:
    """Train where the champion has dropped significantly more than it may, for the length of a window.

    And again with the outcomes of each further window, while no model was better: of what had changed, the first has
    seen next to nothing.
    """
    tested = [row for row in state.verdicts if row["verdict"] != "too_few"]
    run = lasting(tested, lambda row: row["verdict"] == "dropped")
    shown = run or tested[-IN_A_ROW:]
    windows = [{name: row[name] for name in ("day", "verdict", "difference")} for row in shown]
    evidence = {"champion": state.champion, "windows": windows}
    if state.champion is None or not tested:
        return Tick("performance_drop", WAIT, _too_few(state, "no window has matured", 1), evidence)
    if run:
        return _cooled_down("performance_drop", tested[-1]["reason"].rstrip("."), evidence, state, problem)
    if _is_unmended(state, tested[-1], problem):
        return Tick("performance_drop", RUN, _still_below(state.dropped[0], tested[-1], problem), evidence)
    only = f"Not for {counted(tested[-1]['window_days'], 'day')} yet: " if tested[-1]["verdict"] == "dropped" else ""
    return Tick("performance_drop", WAIT, only + tested[-1]["reason"], evidence)


def _is_unmended(state: TriggerState, last: Row, problem: Problem) -> bool:
    """Whether the champion has dropped before, is as far below as it may not be, and a window has passed since."""
    if not state.dropped or state.newest is None or not last["difference"] <= -problem.watching.max_drop:
        return False
    window = timedelta(days=last["window_days"])
    return state.newest - state.dropped[-1] >= window and state.newest - state.dropped[0] <= WINDOWS_AGAIN * window


def _still_below(dropped: date, last: Row, problem: Problem) -> str:
    return (
        f"It had dropped by {dropped}, and no model since was better: in the {counted(last['window_days'], 'day')} to "
        f"{last['day']} {METRICS[problem.metric.primary].title} was {-last['difference']:.4f} below that at training."
    )


def _cooled_down(
    trigger: Trigger, why: str, evidence: Mapping[str, object], state: TriggerState, problem: Problem
) -> Tick:
    """Act on evidence, unless it was acted on lately."""
    wait, last = problem.retraining.cool_down, state.last_action
    if last is not None and state.newest is not None and state.newest - last < wait:
        acted = f"evidence was acted on at {last}, less than {duration(wait)} of data ago"
        return Tick(trigger, WAIT, f"{why}; {acted}.", evidence)
    return Tick(trigger, RUN, f"{why}.", evidence)


def _too_few(state: TriggerState, what: str, needed: int = IN_A_ROW) -> str:
    if state.champion is None:
        return "There is no champion to watch."
    return f"Of version {state.champion}, {what}; {needed} {'is' if needed == 1 else 'are'} needed."


def _level(rows: Sequence[Row], column: str) -> str:
    return next((str(row["level"]) for row in rows if row["column"] == column), "none")


def _days_of(row: Row) -> frozenset[str]:
    """The days (ISO 8601) that were tested together."""
    last = date.fromisoformat(row["day"])
    return frozenset((last - timedelta(days=back)).isoformat() for back in range(row.get("window_days") or 1))


def _drifted(rows: Sequence[Row], problem: Problem, *, planned: Collection[str]) -> list[str]:
    """The important features of a day that call for action, the most important first.

    Args:
        planned: days on which an experiment chose for some units, so only columns of the units are evidence.
    """
    own = {each.name for each in features_of(problem) if each.origin == "column" and each.noun == problem.decision.unit}
    found = [
        row
        for row in rows
        if row["column"] not in (PROBABILITY, problem.label.column, WHOLE_DAY, VOLUME)
        and (not planned or row["column"] in own)
        and row["level"] == "act"
        and (row["importance"] or 0.0) >= IMPORTANT
    ]
    return [row["column"] for row in sorted(found, key=lambda row: -row["importance"])]
