"""`mlguide status`: what a home knows, as one JSON-ready value."""

import json
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from mlguide_assets.define.changing import changing_warnings
from mlguide_assets.define.loading import current_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.batch import reached_days
from mlguide_assets.deploy.bundle import Bundle, champion, metadata_of
from mlguide_assets.deploy.gate.history import (
    canaries,
    candidate_decision,
    last_decision,
    last_gate_decision,
    rightful_champion,
)
from mlguide_assets.deploy.predictions_table import PREDICTIONS
from mlguide_assets.english import agreeing, counted, plural
from mlguide_assets.experiment.canary.record import running_canary
from mlguide_assets.experiment.plan_alert import plan_warnings
from mlguide_assets.observe.alerts.alerting import book_of
from mlguide_assets.observe.drift.table import last_verdict, waiting
from mlguide_assets.observe.drift.windows import Landed
from mlguide_assets.observe.freshness.landed import landed_rows
from mlguide_assets.observe.freshness.missing_outcomes import age_of_performance
from mlguide_assets.observe.freshness.new_days import events_by_day, untested
from mlguide_assets.observe.freshness.source_warnings import source_warnings
from mlguide_assets.observe.performance.verdict import VERDICTS
from mlguide_assets.prepare.features.building import automatic_warnings
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.sources.simulation_clock import day_reached
from mlguide_assets.retrain.trigger_state import matured_since, rows_of
from mlguide_assets.settings import Home
from mlguide_assets.statistics.missing import finite_or_none, with_finite_numbers
from mlguide_assets.train.evaluation.decisions import DECISION_METRICS
from mlguide_assets.train.evaluation.evaluation import ORACLE
from mlguide_assets.train.evaluation.metrics import METRICS
from mlguide_assets.train.models.models import XGBOOST
from mlguide_assets.train.recipe import CHOSEN
from mlguide_assets.train.storage import model_name


def collect(home: Home) -> dict[str, Any]:
    """Problem, champion, last decision, evaluation, contract results and tables of a home."""
    problem = current_problem(home)
    lake = Lake(home.lake(problem.key))
    current = champion(home.bundles(problem.key))
    landed = landed_rows(lake)
    return {
        "problem": problem.name,
        "decisions": problem.decision.plural,
        "sources": list(problem.tables),
        "champion": {"version": current.version, "trained_at": current.trained_at} if current else None,
        "champion_model": model_name(metadata_of(current)) if current else None,
        "champion_elsewhere": None if current else (rightful_champion(lake) or {}).get("version"),
        "candidate_decision": _decision(candidate_decision(lake)),
        "last_decision": _decision(last_decision(lake)),
        "canary": _canary(lake),
        "gate": _gate(lake),
        "evaluation": _evaluation(lake, METRICS),
        "decision_metrics": _evaluation(lake, DECISION_METRICS),
        "recipe": _recipe(lake),
        "monitoring": _monitoring(home, lake, problem, current, landed) if current else None,
        "incidents": _incidents(home, problem),
        "contracts": _rows(lake, "contract_results", ["rule", "violations", "rows", "action", "cause"]),
        "warnings": [
            *changing_warnings(problem),
            *automatic_warnings(lake, problem),
            *source_warnings(lake, landed, problem, today=datetime.now(UTC).date()),
            *plan_warnings(lake, problem),
        ],
        "scored": _scored(home, lake, problem, landed),
        "tables": {name: {"rows": snapshot.rows, "snapshot": snapshot.id} for name, snapshot in lake.tables().items()},
    }


def _scored(home: Home, lake: Lake, problem: Problem, landed: Sequence[Landed]) -> dict[str, Any] | None:
    """The newest day that was scored, how many of what was scored, and where that is; None before the first.

    Of days that the data no longer reach there are scores, too: of rows that are gone.
    """
    decision = problem.decision
    table = decision.best_table or PREDICTIONS
    if not lake.exists(table):
        return None
    partitions = lake.snapshot(table).partitions
    today = day_reached(problem, home.simulation_clock(problem.key), datetime.now(UTC))
    scored = reached_days([day for day in partitions if partitions[day].rows], events_by_day(landed), today=today)
    if not scored:
        return None
    noun = decision.unit if decision.choose else decision.noun
    many = plural(noun)
    # A plan that chooses is made for the same units as the best of each; one that acts or leaves has a row of each.
    shown = table if decision.choose else decision.plan_table
    has = f"a best {decision.choose}" if decision.choose else "a plan"
    found = {"day": scored[-1], many: partitions[scored[-1]].rows, "of": many, "noun": noun, "has": has, "table": shown}
    return found | ({"chosen_from": _chosen_from(lake, problem)} if decision.choose else {})


def _chosen_from(lake: Lake, problem: Problem) -> str:
    """What a best choice was chosen from: all there are, or the newest of them."""
    choose = str(problem.decision.choose)
    table, most = problem.schema.table_of(choose), problem.scoring.candidates
    every = lake.snapshot(table).rows if table is not None and lake.exists(table) else 0
    if every <= most:
        return f"all {every:,} {plural(choose)}"
    return f"the {most:,} newest of {every:,} {plural(choose)} (scoring.candidates)"


def _decision(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {each: row[each] for each in ("version", "verdict", "reasons", "decided_by")} if row else None


def _canary(lake: Lake) -> dict[str, Any] | None:
    """The version that goes live step by step, who sees it, and which others wait for its end; None where none does."""
    found = running_canary(lake)
    if found is None:
        return None
    return {
        "version": found.version,
        "share": found.share,
        "since": found.step_begun.isoformat(),
        "last_look": found.action,
        "reason": found.reason,
        "waiting": [row["version"] for row in canaries(lake) if row["version"] != found.version],
    }


def _gate(lake: Lake) -> list[dict[str, Any]]:
    """The gate's criteria for the last candidate, with their values."""
    decided = last_gate_decision(lake)
    wanted = ("criterion", "value", "low", "high", "threshold", "passed")
    return [
        with_finite_numbers({key: each[key] for key in wanted})
        for each in (json.loads(decided["criteria"]) if decided else [])
    ]


def _evaluation(lake: Lake, wanted: Container[str]) -> dict[str, Any] | None:
    """XGBoost, the baselines and the oracle, by metric; None before the first evaluation.

    `candidate` names the model that is the candidate, `candidate_reason` why it was chosen, and `decided` whether the
    gate's last decision is on it: not so where the run that trained it did not reach the gate. `sample` is the number
    of rows that all figures are of, where not all are held in memory, and `learned` from how many XGBoost learned, and
    where.
    """
    models: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in _rows(lake, "model_evaluation", ["model", "metric", "value", "low", "high"]):
        if row["metric"] in wanted:
            bounds = {bound: finite_or_none(row[bound]) for bound in ("value", "low", "high")}
            models.setdefault(row["model"], {})[row["metric"]] = bounds
    if not models:
        return None
    record = _rows(lake, "candidate_model", ["candidate", "facts"])[0]
    facts = json.loads(record["facts"])
    name, oracle = model_name(facts), models.pop(ORACLE, None)
    chosen = {
        "candidate": name,
        "candidate_reason": facts.get("model_reason"),
        "decided": _is_decided(lake, record["candidate"]),
        "sample": facts.get("rows_in_memory"),
        "learned": learned_in_words(facts),
    }
    # Each model is in the same place, whichever is the candidate; some figures are known of the candidate alone.
    own = XGBOOST if XGBOOST in models else name
    return {**chosen, own: models.pop(own), "baselines": models, "oracle": oracle}


def learned_in_words(facts: Mapping[str, Any]) -> str | None:
    """From how many rows XGBoost learned, and where; None where all rows are in memory."""
    if "rows_learned_by_xgboost" not in facts:
        return None
    return f"{counted(facts['rows_learned_by_xgboost'], 'row')} {facts.get('learned_where', 'in external memory')}"


def _is_decided(lake: Lake, candidate: str) -> bool:
    decided, registered = last_gate_decision(lake), _rows(lake, "registered_model", ["version", "candidate"])
    versions = [row["version"] for row in registered if row["candidate"] == candidate]
    return decided is not None and decided["version"] in versions


def _monitoring(
    home: Home, lake: Lake, problem: Problem, current: Bundle, landed: Sequence[Landed]
) -> dict[str, dict[str, str | None]]:
    """How the champion in production does: whether its data drift, and its performance; and what is missing to say."""
    drift, verdicts = last_verdict(lake), rows_of(lake, VERDICTS, current.version)
    today = day_reached(problem, home.simulation_clock(problem.key), datetime.now(UTC))
    missing = {"waits": waiting(lake), "untested": untested(home, lake, problem, today=today).sentence}
    performance = verdicts[-1] if verdicts else not_measured(metadata_of(current), problem, landed)
    age = age_of_performance(date.fromisoformat(performance["day"]), landed) if performance["day"] else None
    return {
        "drift": {"day": drift["day"], "level": drift["level"], "reason": drift["reason"], **missing},
        "performance": {each: performance[each] for each in ("day", "verdict", "reason")} | {"age": age},
    }


def not_measured(facts: Mapping[str, Any], problem: Problem, landed: Sequence[Landed]) -> dict[str, str | None]:
    """Why there is no verdict on a champion's performance: nothing has matured, or its measuring is still to come.

    Args:
        facts: of the champion.
    """
    matured = matured_since(landed, datetime.fromisoformat(facts["refit_until"]).date())
    reason = "No outcome has matured yet since it was trained."
    if matured:
        since = f"{problem.decision.counted(matured)} {agreeing(matured, 'has')} matured since it was trained"
        reason = f"It has not been measured yet, though {since}: 'mlguide run' measures it."
    return {"day": None, "verdict": None, "reason": reason}


def _incidents(home: Home, problem: Problem) -> list[dict[str, str | None]]:
    """Open incidents, the oldest first: sent to the webhook, if there is one, and kept in the log of alerts."""
    return [
        {
            "key": each.key,
            "level": each.alert.level,
            "title": each.alert.title,
            "happened": each.alert.happened,
            "since": each.alert.since.isoformat(timespec="seconds"),
            "next_step": each.alert.next_step,
            "delivery_problem": each.delivery_problem,
        }
        for each in book_of(home, problem).incidents()
    ]


def _recipe(lake: Lake) -> dict[str, Any] | None:
    """How candidates are learned, and why, once a thorough run has looked for a better way."""
    found = _rows(lake, CHOSEN, ["recipe", "reasons"])
    return {**json.loads(found[0]["recipe"]), "reasons": found[0]["reasons"]} if found else None


def _rows(lake: Lake, table: str, columns: list[str]) -> list[dict[str, Any]]:
    if not lake.exists(table):
        return []
    read = lake.read(table)
    # An earlier version may have written fewer.
    rows: list[dict[str, Any]] = (
        read.select(*(name for name in columns if name in read.columns)).to_pyarrow().to_pylist()
    )
    return rows
