"""`mlguide experiment plan, start, status, stop, results, list`: experiments as a home knows them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from mlguide_assets.console.terminal import print_json, screen
from mlguide_assets.define.loading import current_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.gate.override import person
from mlguide_assets.english import agreeing, counted, percent
from mlguide_assets.experiment.arm_effects import primary_effects
from mlguide_assets.experiment.arm_models import versions_of_arms
from mlguide_assets.experiment.ledger import end, find, recorded, results, running, unreadable
from mlguide_assets.experiment.publishing import ended_on_servers, publish_routes
from mlguide_assets.experiment.specification import refuse_without_choice
from mlguide_assets.experiment.started import Started, Unreadable
from mlguide_assets.experiment.starting import last_planned
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home


def show_plan(home: Home, file: str, as_json: bool) -> None:
    """What an experiment would need and find here."""
    from mlguide_assets.experiment.sizing import size_of
    from mlguide_assets.experiment.specification import load_experiment
    from mlguide_assets.experiment.starting import check_days, population, why_not

    problem, lake = _place(home)
    experiment, _ = load_experiment(file, problem)
    check_days(lake, problem, experiment)
    sizing = size_of(experiment, problem, population(lake, problem, experiment))
    known, refused = sizing.population, why_not(home, lake, problem, experiment)
    value = {
        "experiment": experiment.name,
        "version": experiment.version,
        "eligible_units": known.units,
        "units_left_out": known.lost,
        "new_units_per_day": known.units_per_day,
        "baseline": known.baseline.mean,
        "baseline_units": known.measured,
        "outcome_final_after_days": experiment.days_until_closed(problem),
        "smallest_effect": experiment.primary.smallest_effect,
        "units_needed": sizing.needed_units,
        "days_needed": sizing.needed_days,
        "looks": [{"day": day, "units": units} for day, units in sizing.looks],
        "units_planned": sizing.planned_units,
        "smallest_detectable_effect": sizing.detectable,
        "events_expected": sizing.events,
        "is_enough": sizing.is_enough,
        "start_refused": refused,
    }
    if as_json:
        print_json(value)
        return
    effect, better = experiment.primary.smallest_effect, experiment.primary.better
    screen.print(f"{experiment.title}: {experiment.hypothesis}")
    screen.print(f"  eligible    {counted(known.units, 'unit')}, {known.units_per_day:.1f} more per day")
    if known.lost:
        screen.print(f"  left out    {_left_out(known.lost)}")
    what = f"{experiment.primary.metric} {known.baseline.mean:.4g} of {counted(known.measured, 'unit')}"
    screen.print(
        f"  baseline    {what}; final {counted(experiment.days_until_closed(problem), 'day')} after the exposure"
    )
    if sizing.needed_units is None:
        screen.print("  needed      not known: the baseline has no outcome to plan from")
    else:
        days = counted(sizing.needed_days, "day") if sizing.needed_days is not None else "more than ten years"
        wanted = f"to find {better} by {percent(effect)} with a power of {percent(experiment.power)}"
        screen.print(f"  needed      {counted(sizing.needed_units, 'unit')} in all arms, {days}, {wanted}")
    looks = ", ".join(f"day {day}: {units:,}" for day, units in sizing.looks)
    screen.print(f"  looks       units with a final outcome by {looks}")
    found = "no change, however large, is found by the last look with that power"
    if sizing.detectable is not None:
        found = f"{sizing.detectable:+.1%} is the smallest change that the last look finds with that power"
    screen.print(f"  detectable  {found}")
    if sizing.events is not None:
        screen.print(f"  events      about {sizing.events:.0f} expected in the smallest arm")
    screen.print(sizing.verdict)
    if refused:
        screen.print(f"It cannot be started now. {refused}")


def start_experiment(home: Home, file: str, reason: str, as_json: bool) -> None:
    """Start an experiment and say when it begins."""
    from mlguide_assets.experiment.sizing import size_of
    from mlguide_assets.experiment.starting import population, start_from_file

    problem, lake = _place(home)
    home.ensure_writable()
    started = start_from_file(home, lake, problem, file, who=person(), reason=reason)
    sizing = size_of(started.experiment, problem, population(lake, problem, started.experiment))
    lost = sizing.population.lost
    if as_json:
        print_json({**row_of(started), "units_left_out": lost, "is_enough": sizing.is_enough})
        return
    last = started.look_days()[-1]
    screen.print(f"{started.experiment.title} starts on {started.start}; its last look is on {last}.")
    if lost:
        screen.print(f"Left out: {_left_out(lost)}.")
    if not sizing.is_enough:
        screen.print(sizing.verdict)
    screen.print(home.commands("'mlguide experiment status' shows its state; 'mlguide experiment stop' ends it."))


def _left_out(lost: int) -> str:
    return f"{counted(lost, 'unit')} that had the outcome before, which ends a unit (label.ends_unit)"


def stop_experiment(home: Home, name: str, reason: str, as_json: bool) -> None:
    """Stop an experiment by hand; one that has ended and that servers still follow, since a stop was killed, too."""
    problem, lake = _place(home)
    home.ensure_writable()
    if name in ended_on_servers(home, problem, running(lake)):
        ended = next(each for each in reversed(recorded(lake)) if each.key[0] == name)
    else:
        ended = end(lake, name, reason=reason, who=person())
    # Servers follow at once; the days that are planned already stand.
    publish_routes(home, problem, running(lake), last_planned(lake, problem) or date.min)
    if isinstance(ended, Started) and ended.kept_models:
        from mlguide_assets.deploy.gate.promotion import install_challenger

        install_challenger(home, lake, problem)
    if as_json:
        print_json(row_of(ended))
    else:
        screen.print(f"{ended.title} is stopped. The next day that is planned leaves its units as all others.")


def show_status(home: Home, as_json: bool) -> None:
    """How the running experiments stand."""
    problem, lake = _place(home)
    found = [_standing(lake, problem, each) for each in running(lake)]
    lost = unreadable(lake)
    if as_json:
        print_json([*found, *map(row_of, lost)])
        return
    for other in lost:
        screen.print(f"{other.title}, assigns no unit: {other.fault}")
    if not found and not lost:
        screen.print(home.commands("No experiment runs: 'mlguide experiment start FILE' starts one."))
    for each in found:
        screen.print(f"{each['experiment']}, version {each['version']}: day {each['day']}, since {each['start']}")
        exposed = _per_arm(each["exposed"]) or "none yet"
        screen.print(f"  share       {percent(each['share'])} of the units take part")
        screen.print(
            f"  exposed     {exposed}; {each['waiting']:,} {agreeing(each['waiting'], 'wait')} for their outcome"
            f"{_of_arms(each['waiting_per_arm'])}"
        )
        screen.print(
            f"  looks       {each['looks_taken']} of {each['looks']} taken; the next is due on {each['next_look']}"
        )
        for line in _models_in_words(each["models"]):
            screen.print(f"  models      {line}")
        for fault in each["faults"]:
            screen.print(f"  fault       {fault}")
        if each["last_verdict"]:
            screen.print(f"  last look   {each['last_verdict']}: {each['last_reason']}")


def show_results(home: Home, name: str, as_json: bool) -> None:
    """Every look at an experiment, and where the picture of all of them is."""
    problem, lake = _place(home)
    started = find(lake, name)
    rows = [{**row, "evidence": json.loads(row["evidence"])} for row in results(lake, started)]
    picture = _picture(home, problem, started, rows)
    models = versions_of_arms(lake, problem, started)
    if as_json:
        print_json({**row_of(started), "models": models, "results": rows, "picture": picture})
        return
    screen.print(f"{started.experiment.title} ({started.state}): {started.experiment.hypothesis}")
    for line in _models_in_words(models):
        screen.print(f"  {line}")
    if not rows:
        due = f"No look was taken yet; the first is due on {started.look_days()[0]}."
        screen.print(due if started.state == "running" else f"It was {started.state} before its first look.")
    for row in rows:
        screen.print(f"look {row['look']} of {row['looks']}, {row['look_day']}: {row['verdict']} ({row['rule']})")
        screen.print(
            f"  {counted(row['units'], 'unit')}, {row['waiting']:,} {agreeing(row['waiting'], 'wait')}"
            f"{_of_arms(row['evidence']['waiting'])}. {row['reason']}"
        )
        for check in row["evidence"]["health"]:
            if check["passed"] and check["warning"]:
                screen.print(f"  unusual: {check['check']}: {check['text']}")
        for line in _effects(row):
            screen.print(f"  {line}")
        if triggered := row["evidence"].get("triggered"):
            screen.print(f"  {_triggered(triggered, row['units'])}")
    if picture:
        screen.print(f"picture: {picture}")


def _models_in_words(models: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Which versions decided in each arm of a model; one alone can get the verdict as a criterion of the gate."""
    for arm, versions in models.items():
        one = f"version {versions[0]}" if versions else "no version yet"
        many = f"versions {', '.join(versions)}, one after the other, so none gets the verdict as its criterion"
        yield f"arm {arm} by {many if len(versions) > 1 else one}"


def _effects(row: Mapping[str, Any]) -> Iterator[str]:
    """The effect of each arm, which is named where there are several."""
    effects = primary_effects(row)
    for each in effects:
        if each["ratio"] is not None:
            of = f"arm {each['arm']}: " if len(effects) > 1 else ""
            means = f"{each['control']:.4g} against {each['treatment']:.4g}"
            yield f"{of}ratio to the control {_ratio(each)}, p = {_number(each['p'])}; {means}"


def _triggered(found: dict[str, Any], of: int) -> str:
    """The same of the units alone for which the two policies decided otherwise, in a line."""
    units = sum(found["units"].values())
    what = f"of these, the policies decided otherwise for {units:,} of {counted(of, 'unit')}"
    effects = primary_effects({"evidence": found})
    if not effects:
        failed = [check["text"] for check in found["health"] if not check["passed"]]
        return f"{what}: no numbers. {' '.join(failed)}".rstrip()
    arms = [f"of {each['arm']} " if len(effects) > 1 else "" for each in effects]
    ratios = (f"ratio {of}{_ratio(each)}, p = {_number(each['p'])}" for of, each in zip(arms, effects, strict=True))
    return f"{what}: {'; '.join(ratios)}"


def list_experiments(home: Home, as_json: bool) -> None:
    """All experiments of a home, the oldest first."""
    _, lake = _place(home)
    found = [row_of(each) for each in recorded(lake)]
    if as_json:
        print_json(found)
        return
    if not found:
        screen.print(home.commands("No experiment was started yet: 'mlguide experiment start FILE' starts one."))
    for row in found:
        # Not one span: in a simulated world, the day is by the clock of the data.
        ended = f" at {row['ended_at']} by {row['ended_by']}" if row["ended_at"] else ""
        what = f"{row['experiment']}, version {row['version']}: {row['state']}{ended}"
        screen.print(f"{what}, first planned day {row['start']}, started by {row['who']}")
        for said in filter(None, (row.get("fault"), row["reason"])):
            screen.print(f"    • {said}")


def _place(home: Home) -> tuple[Problem, Lake]:
    home.require_used()
    problem = current_problem(home)
    refuse_without_choice(problem)
    return problem, Lake(home.lake(problem.key))


def row_of(started: Started | Unreadable) -> dict[str, Any]:
    """An experiment and what became of it, as JSON; a `fault` says why nothing can be computed of it."""
    name, version = started.key
    plan: dict[str, Any] = {"hypothesis": None, "start": str(started.start), "looks": []}
    if isinstance(started, Unreadable):
        plan["fault"] = started.fault
    else:
        looks = [day.isoformat() for day in started.look_days()]
        plan |= {"hypothesis": started.experiment.hypothesis, "looks": looks}
    return {
        "experiment": name,
        "version": version,
        "state": started.state,
        **plan,
        "planned_units": started.planned_units,
        "started_at": started.started_at,
        "ended_at": started.ended_at,
        "ended_by": started.ended_by,
        "who": started.who,
        "reason": started.reason,
    }


def _per_arm(counts: dict[str, int]) -> str:
    return ", ".join(f"{arm} {count:,}" for arm, count in counts.items())


def _of_arms(waiting: dict[str, int]) -> str:
    return f" ({_per_arm(waiting)})" if any(waiting.values()) else ""


def _standing(lake: Lake, problem: Problem, started: Started) -> dict[str, Any]:
    from mlguide_assets.experiment.plan_faults import plan_faults
    from mlguide_assets.experiment.standing import exposed_and_waiting, unplanned

    planned, taken = last_planned(lake, problem) or started.start, results(lake, started)
    exposed, waiting = exposed_and_waiting(lake, problem, started)
    due = started.look_days()[(taken[-1]["look"] if taken else 0) :]
    return {
        **row_of(started),
        "day": max((planned - started.start) // timedelta(days=1) + 1, 0),
        "share": started.share_on(planned),
        "exposed": exposed,
        "waiting": sum(waiting.values()),
        "waiting_per_arm": waiting,
        "looks": len(started.experiment.looks),
        "looks_taken": len(taken),
        "models": versions_of_arms(lake, problem, started),
        "faults": [*plan_faults(lake, problem, started), *unplanned(lake, problem, started)],
        "next_look": due[0].isoformat() if due else None,
        "last_verdict": taken[-1]["verdict"] if taken else None,
        "last_reason": taken[-1]["reason"] if taken else None,
    }


def _picture(home: Home, problem: Problem, started: Started, rows: list[dict[str, Any]]) -> str | None:
    from mlguide_assets.experiment.picture import looks_picture
    from mlguide_assets.train.plots.pictures import keep_picture

    drawn = looks_picture(started, rows)
    if drawn is None:
        return None
    folder = home.plots / problem.key
    return str(folder / f"{keep_picture(folder, f'experiment-{started.experiment.name}', drawn)}.png")


def _ratio(effect: Mapping[str, Any]) -> str:
    low, high = (_number(effect[f"ratio_{end}"]) for end in ("low", "high"))
    return f"{_number(effect['ratio'])} ({low} to {high})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
