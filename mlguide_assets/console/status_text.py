"""What `mlguide run` and `mlguide status` print for people, from the value of `status.collect`."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlguide_assets.deploy.gate.history import PERSON
from mlguide_assets.english import agreeing, counted, percent
from mlguide_assets.observe.drift.table import NO_DAY
from mlguide_assets.settings import Home
from mlguide_assets.train.evaluation.metrics import METRICS
from mlguide_assets.train.models.models import XGBOOST


def print_status(status: dict[str, Any], home: Home, console: Console) -> None:
    """Print what was read and rejected, how good the model is, the verdict, where things are, what to do next."""
    if not status["tables"]:
        console.print(home.commands(f"{home.root} has no tables yet: 'mlguide run' makes them."))
        return
    if not status["tables"].keys() & set(status["sources"]):
        missing = f"{home.root} has no rows of {', '.join(status['sources'])}"
        console.print(home.commands(f"{missing}: 'mlguide run' reads them, or says why not."))
        return
    _print_data(status, console)
    for warning in status["warnings"]:
        console.print(_heading("Warning", warning))
    if status["recipe"]:
        console.print(_section("Recipe", "of the last thorough search; every training uses it"))
        for reason in status["recipe"]["reasons"]:
            console.print(f"  • {reason}")
    if status["evaluation"]:
        _print_quality(status["evaluation"], status["decisions"], console)
    if status["decision_metrics"]:
        _print_decision_quality(status["decision_metrics"], status["decisions"], console)
    _print_decisions(status, home, console)
    if status["canary"]:
        canary = status["canary"]
        seen = f"version {canary['version']} is seen by {percent(canary['share'])} of the units since {canary['since']}"
        waits = "".join(f" Version {version} waits for its end." for version in canary["waiting"])
        console.print(_section("Canary", f"{seen}. {canary['reason']}{waits}"))
    if status["monitoring"]:
        _print_monitoring(status["monitoring"], home, console)
    if status["incidents"]:
        _print_incidents(status["incidents"], home, console)
    _print_places(status, home, console)


def _section(title: str, text: str, style: str = "") -> Text:
    """A heading after an empty line."""
    return Text("\n").append(_heading(title, text, style))


def _heading(title: str, text: str, style: str = "") -> Text:
    return Text.assemble((title, "bold"), "  ", (text, style))


def _print_monitoring(monitoring: dict[str, dict[str, str | None]], home: Home, console: Console) -> None:
    drift, performance = monitoring["drift"], monitoring["performance"]
    tested = f"{drift['day']}: {drift['reason']}" if drift["day"] != NO_DAY else str(drift["reason"])
    waits = f" {drift['waits']}" if drift["waits"] not in (None, drift["reason"]) else ""
    console.print(_section("Monitoring", "of the champion in production"))
    untested = f" {drift['untested']}" if drift["untested"] else ""
    console.print(home.commands(f"  • Drift. {tested}{waits}{untested}"))
    age = f" {performance['age']}" if performance["age"] else ""
    console.print(home.commands(f"  • Performance. {performance['reason']}{age}"))


def _print_incidents(incidents: list[dict[str, Any]], home: Home, console: Console) -> None:
    are_open = "incident is" if len(incidents) == 1 else "incidents are"
    console.print(_section("Problems", f"{len(incidents)} {are_open} open"))
    for incident in incidents:
        console.print(f"  • {incident['title']}, since {incident['since'][:16].replace('T', ' ')} UTC")
        console.print(f"    {incident['happened']}")
        console.print(home.commands(f"    {incident['next_step']}"))
        if incident["delivery_problem"]:
            console.print(f"    {incident['delivery_problem']}")
    console.print(home.commands("  'mlguide alerts' says what each means and what to do, by their effect on cost."))


def _print_data(status: dict[str, Any], console: Console) -> None:
    tables, contracts = status["tables"], status["contracts"]
    read = ", ".join(
        f"{counted(tables[name]['rows'], 'row')} of {name}" for name in status["sources"] if name in tables
    )
    console.print(_section("Read", read))
    broken = [rule for rule in contracts if rule["violations"]]
    aside = tables.get("quarantined_rows", {}).get("rows", 0)
    if not broken:
        console.print(
            _heading(
                "Contract",
                f"all {counted(len(contracts), 'rule')} {agreeing(len(contracts), 'hold')}; nothing was rejected",
            )
        )
        return
    found = (
        f"{len(broken)} of {counted(len(contracts), 'rule')} {agreeing(len(broken), 'is')} broken; "
        f"{counted(aside, 'row')} {agreeing(aside, 'was')} set aside"
    )
    console.print(_heading("Contract", found))
    for rule in broken:
        share = rule["violations"] / rule["rows"]
        action = {"quarantine": "set aside", "warn": "let through with a warning", "block": "blocked"}[rule["action"]]
        console.print(
            f"  {rule['rule']}: {rule['violations']:,} of {counted(rule['rows'], 'row')} ({share:.1%}), {action}"
        )
        if rule.get("cause"):
            console.print(f"    {rule['cause']}")


def _print_quality(evaluation: dict[str, Any], decisions: str, console: Console) -> None:
    candidate = evaluation["candidate"]
    models = _models(evaluation)
    own = models[candidate]
    if evaluation["oracle"]:
        models["oracle, the truth"] = evaluation["oracle"]
    # Narrow enough for 80 columns: an interval that is cut off is worse than none.
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=0)
    table.add_column("model", no_wrap=True)
    for metric in METRICS.values():
        table.add_column(f"{metric.title} {'↑' if metric.higher_is_better else '↓'}", justify="right", no_wrap=True)
    for name, metrics in models.items():
        style = "bold" if name == candidate else None
        table.add_row(name, *(_interval(metrics[metric]) for metric in METRICS), style=style)
    sampled = f" (of a seeded sample of {evaluation['sample']:,})" if evaluation["sample"] else ""
    latest = f"on the latest {decisions}{sampled}"
    console.print(_section("Quality", f"{latest}, unseen in training, with 95 % intervals"))
    console.print(table)
    if not evaluation["decided"]:
        console.print(
            "These are figures of a newer candidate, on which the gate has not decided: the run that trained it did "
            "not finish. What is said below of the last decision and of the champion is of other models."
        )
    if evaluation["learned"]:
        console.print(f"XGBoost learned from all {evaluation['learned']}.")
    if evaluation["candidate_reason"]:
        console.print(evaluation["candidate_reason"])
    if evaluation["oracle"]:
        reached = _above_chance(own) / _above_chance(evaluation["oracle"])
        console.print(f"The candidate reaches {reached:.1%} of the oracle's ROC AUC above 0.5.")


def _models(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Every model but the oracle, the simplest first."""
    boosted = {XGBOOST: evaluation[XGBOOST]} if XGBOOST in evaluation else {}
    others = {name: value for name, value in evaluation.items() if name == evaluation["candidate"]}
    return {**evaluation["baselines"], **others, **boosted}


def _print_decision_quality(evaluation: dict[str, Any], decisions: str, console: Console) -> None:
    """Whether the probabilities mean what they say, and what acting on them is worth."""
    found, oracle = _models(evaluation)[evaluation["candidate"]], evaluation["oracle"]
    beside = f"; the oracle's is {_figure(oracle['calibration_error'], 4)}" if oracle else ""
    console.print(f"Calibration error (ECE) {_figure(found['calibration_error'], 4)}{beside}.")
    lift = found["lift"]["value"]
    rich = f" at lift {lift:.1f} ({lift:.1f} times the overall rate of positives)" if lift is not None else ""
    console.print(
        f"At the cost-optimal threshold it acts on {found['withheld_share']['value']:.1%} of the {decisions}{rich}; "
        f"{_savings(found['savings_per_1000'], decisions, _without_model(found))}."
    )


def _savings(saved: dict[str, float | None], decisions: str, without: str) -> str:
    """What acting by the model saves against a policy without one, or costs more."""
    value, low, high = (saved[bound] for bound in ("value", "low", "high"))
    unit = f"per 1,000 {decisions}, in the unit of costs,"
    if value is None or value >= 0:
        return f"that saves {_figure(saved, 1)} {unit} against acting on {without}"
    lost = {"value": -value, "low": None if high is None else -high, "high": None if low is None else -low}
    return f"that costs {_figure(lost, 1)} {unit} more than acting on {without}"


def _without_model(found: dict[str, Any]) -> str:
    """The cheaper of the policies that need no model, which the savings are against."""
    # Figures of an earlier version do not have them, and are against acting on none.
    none, everything = (found.get(name, {}).get("value") for name in ("cost_of_none_per_1000", "cost_of_all_per_1000"))
    return "all" if none is not None and everything is not None and everything < none else "none"


def _figure(estimate: dict[str, float | None], digits: int) -> str:
    """A value, with its interval where there is one."""
    value, low, high = (estimate[bound] for bound in ("value", "low", "high"))
    shown = "–" if value is None else f"{value:.{digits}f}"
    if low is None or high is None:
        return shown
    between = " to " if low < 0 else "–"
    return f"{shown} ({low:.{digits}f}{between}{high:.{digits}f})"


def _above_chance(metrics: dict[str, dict[str, float]]) -> float:
    return metrics["roc_auc"]["value"] - 0.5


def _interval(estimate: dict[str, float | None]) -> Text:
    value, low, high = (estimate[bound] for bound in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return Text("–" if value is None else f"{value:.4f}")
    return Text(f"{value:.4f}\n") + Text(f"{low:.4f}–{high:.4f}", style="dim")


def _print_decisions(status: dict[str, Any], home: Home, console: Console) -> None:
    """What became of the newest candidate; below it, what was decided on another version since."""
    candidate, last = status["candidate_decision"], status["last_decision"]
    if candidate:
        title = "By hand" if candidate["decided_by"].startswith(PERSON) else "Gate"
        _print_decision(title, candidate, status, home, console)
    if last and last != candidate:
        _print_decision("Since then" if candidate else "Decision", last, status, home, console)


def _print_decision(title: str, decision: dict[str, Any], status: dict[str, Any], home: Home, console: Console) -> None:
    champion = status["champion"]
    colour = {"promoted": "green", "refused": "red"}.get(decision["verdict"], "yellow")
    verdict = decision["verdict"].replace("_", " ")
    elsewhere = status["champion_elsewhere"]
    now = (
        f"version {champion['version']} ({status['champion_model']}) is champion"
        if champion
        else f"version {elsewhere} is champion where this was decided; here is no bundle of it"
        if elsewhere
        else "there is no champion yet"
    )
    of = "" if champion and champion["version"] == decision["version"] else f" (version {decision['version']})"
    why = "; what did not hold:" if decision["verdict"] == "refused" else ""
    console.print(_section(title, f"{verdict}{of}", colour).append(f": {now}{why}"))
    said = (status["evaluation"] or {}).get("candidate_reason")
    for reason in decision["reasons"]:
        if reason == said:
            continue
        console.print(home.commands(f"  • {reason}"))


def _print_places(status: dict[str, Any], home: Home, console: Console) -> None:
    console.print(_section("Results", str(home.root)))
    if scored := status["scored"]:
        out = "best.csv" if scored["table"].startswith("best_") else "plan.csv"
        export = home.commands(f"mlguide export {scored['table']} --out {out}")
        many = scored["of"]
        among = f", from {scored['chosen_from']}" if "chosen_from" in scored else ""
        console.print(
            f"  {counted(scored[many], scored['noun'])} {agreeing(scored[many], 'has')} {scored['has']} for "
            f"{scored['day']}{among}: {export}"
        )
    steps = {
        "mlguide ui": "look at the graph, the plots and the run",
        "mlguide report": "write one page about the model in production",
        "mlguide export": "list the tables, or write one to a file",
        "mlguide run --source DIR_OR_URI": "the same on your own tables of these columns",
    }
    if not status["champion"] and not status["champion_elsewhere"]:
        steps["mlguide run"] = (
            "without a champion nothing is scored: correct the data or the problem file, then run again"
        )
    shown = {home.commands(command): purpose for command, purpose in steps.items()}
    width = max(map(len, shown))
    console.print("Next", style="bold")
    for command, purpose in shown.items():
        console.print(f"  {command:<{width}}  {purpose}")
