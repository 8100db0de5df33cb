"""The sections of a model card, each as Markdown. Every figure comes from the inputs; nothing is written to disk."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlguide_assets import markdown as md
from mlguide_assets.define.prediction import PredictEntity
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import AnySimulator
from mlguide_assets.deploy.card.inputs import CardInputs, Rows
from mlguide_assets.deploy.gate.criteria import criteria_table
from mlguide_assets.deploy.gate.history import ROLLED_BACK
from mlguide_assets.deploy.registry.promises import promise
from mlguide_assets.deploy.serving.phrases import outcome_in_words
from mlguide_assets.english import agreeing, counted, duration, plural, with_article
from mlguide_assets.train.evaluation.fairness import LARGEST_DIFFERENCE
from mlguide_assets.train.evaluation.metrics import METRICS
from mlguide_assets.train.evaluation.slices import ALL_ROWS, GAP
from mlguide_assets.train.figures import estimate
from mlguide_assets.train.storage import model_name

PICTURES = {
    "roc_curve": "How well it ranks",
    "pr_curve": "Precision and recall by threshold",
    "calibration": "Whether its probabilities come true",
    "confusion_matrix": "What the decision at the threshold does",
    "cost_curve": "What other thresholds would save",
    "slices": "ROC AUC of each slice",
    "shap_bar": "Which features move the risk",
    "shap_beeswarm": "Which way they move it",
}
TOP_FEATURES = 12
FIGURES = {
    "withheld_share": "share {above_done}",
    "cost_per_1000": "cost per 1,000 {plural}",
    "cost_of_none_per_1000": "… if none were {above_done}",
    "cost_of_all_per_1000": "… if all were {above_done}",
    "savings_per_1000": "… saved against the cheaper of these two",
    "calibration_error": "calibration error (ECE)",
    "calibration_slope": "calibration slope (ideal: 1)",
    "calibration_intercept": "calibration intercept (ideal: 0)",
    "true_positive_rate": "true positive rate",
    "false_positive_rate": "false positive rate",
    "calibration_gap": "mean probability − rate",
}
"""What figures are called that do not explain themselves."""


def decision(inputs: CardInputs) -> str:
    """What was decided on the version, by whom and why, with the criteria of the newest decision."""
    if not inputs.decisions:
        return "Not decided on yet."
    lines = []
    for row in inputs.decisions:
        verdict = "made champion again" if row["verdict"] == ROLLED_BACK else row["verdict"]
        lines.append(f"**{verdict.capitalize()}** on {row['decided_at']} by {md.escaped(row['decided_by'])}:")
        lines += ["", md.listed(row["reasons"]), ""]
    criteria = json.loads(inputs.decisions[-1]["criteria"])
    if criteria:
        lines.append(criteria_table(criteria))
    return "\n".join(lines).strip()


def intended_use(problem: Problem) -> str:
    """What one answer means, what follows from it at the threshold, and what the model is not for."""
    waits = " A person approves every version." if problem.approval == "required" else ""
    decision = problem.decision
    if decision.choose:
        follows, needless = (
            f"the {decision.choose} is withheld",
            f"{with_article(decision.choose)} that is withheld needlessly",
        )
        limits = (
            f"It knows nothing of causes: it ranks what might be chosen, not what choosing it does. It is not for any "
            f"decision about {with_article(decision.unit)} but which {decision.choose} it gets."
        )
    else:
        follows, needless = (
            f"the {decision.noun} is acted on",
            f"{with_article(decision.noun)} that is acted on needlessly",
        )
        limits = "It knows nothing of causes: it ranks what will happen, not what acting on it changes."
    return (
        f"One row is one decision: {md.escaped(decision.in_words)}. It answers with the probability "
        f"{md.escaped(_outcome(problem))}. "
        f"From {problem.costs.threshold:.2%} on {follows}: a missed positive costs {problem.costs.missed:g}, "
        f"{needless} {problem.costs.false_alarm:g}.{waits} {limits}"
    )


def _outcome(problem: Problem) -> str:
    """Of what a probability is, as the rest of a sentence."""
    label = problem.label
    if not problem.decision.is_event:
        return f"of {outcome_in_words(problem)}"
    return f"that {label.column} is “{label.positive}” within {duration(label.window)}"


def _figure(metric: str, problem: Problem) -> str:
    """What a figure is called on the card, in the words of the problem."""
    decision = problem.decision
    return FIGURES.get(metric, metric).format(above_done=decision.above_done, plural=decision.plural)


def data(inputs: CardInputs, problem: Problem) -> str:
    """The windows of training and test, and the rules of the contract that are broken."""
    facts = inputs.facts
    broken = [row for row in inputs.contracts if row["violations"]]
    source = "a simulated world, whose truth is known" if isinstance(problem.source, AnySimulator) else "real tables"
    lines = [
        "## Data",
        "",
        f"From {source}. Features know only what was known strictly before each decision, and outcomes count once they "
        f"have matured.",
        "",
        _table(
            ("window", "from", "to", problem.decision.plural, "positives"),
            (
                (
                    "training",
                    facts["train_first"],
                    facts["train_last"],
                    facts["train_rows"],
                    facts["train_positives"],
                ),
                ("test", facts["test_first"], facts["test_last"], facts["test_rows"], facts["test_positives"]),
            ),
        ),
        "",
        f"What ships has then learned from all {facts['refit_rows']:,} matured {problem.decision.plural}, with the "
        f"same recipe ({_recipe(facts)}training window: {md.escaped(facts['training_window'])}).",
        "",
    ]
    if "rows_learned_by_xgboost" in facts:
        many, units = problem.decision.plural, plural(problem.decision.unit)
        lines += [
            f"These are a seeded sample of {facts['rows_in_memory']:,} {many}, all of some {units}, "
            f"since not all are held in memory: every figure on this card is of the sample. XGBoost learned from all "
            f"{facts['rows_learned_by_xgboost']:,} {many} {facts.get('learned_where', 'in external memory')}.",
            "",
        ]
    if "planned_decisions" in facts:
        lines += [
            f"{facts['planned_decisions']:,} of them were chosen by a plan and count by the inverse of their "
            f"propensity, which makes them as good as {facts['planned_decisions_effective']:,.0f} that count alike.",
            "",
        ]
    if broken:
        lines += ["Rules of the contract that are broken:", ""]
        lines.append(
            md.listed(
                f"{r['rule']}: {r['violations']:,} of {counted(r['rows'], 'row')} ({r['action']})" for r in broken
            )
        )
    else:
        lines.append(
            f"All {counted(len(inputs.contracts), 'rule')} of the contract {agreeing(len(inputs.contracts), 'hold')}."
        )
    return "\n".join(lines)


def _recipe(facts: Mapping[str, Any]) -> str:
    return f"{facts['rounds']} rounds, " if "rounds" in facts else ""


def quality(inputs: CardInputs, problem: Problem) -> str:
    """The metrics of the candidate and the baselines on the test window."""
    models = _by_model(inputs.evaluation)
    table = _table(
        ("model", *(f"{m.title} {'↑' if m.higher_is_better else '↓'}" for m in METRICS.values())),
        ((name, *(estimate(metrics[metric]) for metric in METRICS)) for name, metrics in models.items()),
    )
    chosen = inputs.facts.get("model_reason") or f"The candidate is {model_name(inputs.facts)}."
    units = plural(problem.decision.unit)
    return f"## Quality\n\n{chosen}\n\nOn the test window, with 95 % intervals from a bootstrap of {units}.\n\n{table}"


def worth(inputs: CardInputs, problem: Problem) -> str:
    """How probabilities are corrected, and what decisions at the threshold save; empty where nothing was measured."""
    own = [
        row for row in inputs.evaluation if row["model"] == model_name(inputs.facts) and row["metric"] not in METRICS
    ]
    if not own:
        return ""
    facts, many = inputs.facts, problem.decision.plural
    corrected = facts["calibration_slope"] != 1 or facts["calibration_intercept"] != 0
    how = (
        f"Its log-odds are corrected by a line (slope {facts['calibration_slope']:.3f}, intercept "
        f"{facts['calibration_intercept']:+.3f}) learned on the latest training {many}; without it the calibration "
        f"error would be {facts['calibration_error_uncorrected']:.4f}."
        if corrected
        else f"Its probabilities are left as they are: the latest training {many} prove no need of a correction."
    )
    table = _table(("figure", "value and interval"), ((_figure(row["metric"], problem), estimate(row)) for row in own))
    unit = "Costs are in the unit of `costs` in the problem file."
    return f"## Calibration, and what the decision is worth\n\n{how} {unit}\n\n{table}"


def slices(inputs: CardInputs, problem: Problem) -> str:
    """The metrics of each slice with its interval; empty where there is none."""
    many = problem.decision.plural
    found = {(r["column"], r["slice"], r["metric"]): r for r in inputs.slices}
    names = [key[:2] for key in found if key[2] == "roc_auc"]
    rows = []
    for column, name in names:
        auc, gap = found[column, name, "roc_auc"], found.get((column, name, GAP))
        calibration = found.get((column, name, "calibration_gap"))
        rows.append(
            (
                f"all {many}" if column == ALL_ROWS else f"{column} {name}",
                auc["rows"],
                auc["positives"],
                estimate(auc) if auc["supported"] else f"too few {plural(problem.decision.unit)}",
                estimate(gap) if gap and gap["supported"] else "",
                estimate(calibration) if calibration else "",
            )
        )
    if not rows:
        return ""
    table = _table(("slice", many, "positives", "ROC AUC", "gap to all", "mean probability − rate"), rows)
    return (
        f"## Slices\n\nThe intervals of the gaps hold for all slices together. A slice without "
        f"{problem.evaluation.least(problem.decision.unit)} is not tested.\n\n{table}"
    )


def fairness(inputs: CardInputs, problem: Problem) -> str:
    """Sensitive groups beside each other, and the largest differences."""
    if not problem.evaluation.sensitive:
        return (
            "## Fairness\n\nThe problem file names no sensitive column (`evaluation.sensitive`), so none is compared."
        )
    metrics = ("withheld_share", "true_positive_rate", "false_positive_rate", "calibration_gap")
    found = {(r["column"], r["slice"], r["metric"]): r for r in inputs.groups}
    groups = [key[:2] for key in found if key[2] == "withheld_share" and key[0] != ALL_ROWS]
    table = _table(
        ("group", problem.decision.plural, *(_figure(metric, problem) for metric in metrics)),
        (
            (
                f"{column} {name}",
                found[column, name, "withheld_share"]["rows"],
                *(estimate(found[column, name, metric]) for metric in metrics),
            )
            for column, name in groups
        ),
    )
    compared = [r for r in inputs.groups if r["slice"] == LARGEST_DIFFERENCE and r["value"] == r["value"]]
    differences = (
        md.listed(f"{r['column']}, {r['metric'].replace('_', ' ')}: {estimate(r)}" for r in compared)
        if compared
        else f"None is tested: no column has two groups with {problem.evaluation.least(problem.decision.unit)}."
    )
    limit = problem.gate.max_group_gap
    gate = f"The gate allows {limit:g}." if limit else "The gate does not test them (`gate.max_group_gap` is not set)."
    return "\n".join(["## Fairness", "", table, "", "Largest differences between groups:", "", differences, "", gate])


def behaviour(inputs: CardInputs) -> str:
    """The behaviour tests and what each found."""
    rows = (("✓" if row["passed"] else "✗", row["name"], row["message"]) for row in inputs.behaviours)
    return f"## Behaviour\n\n{_table(('', 'test', 'what was found'), rows)}"


def features(inputs: CardInputs) -> str:
    """The features that move the risk most."""
    top = [row for row in inputs.explanation if row["rank"] <= TOP_FEATURES]
    table = _table(("feature", "share of all contributions"), ((row["feature"], f"{row['share']:.1%}") for row in top))
    return f"## Features\n\nThe {len(top)} that move the risk most, of {len(inputs.explanation)}.\n\n{table}"


def limits(inputs: CardInputs, problem: Problem) -> str:
    """What is not known of the version."""
    facts, decision = inputs.facts, problem.decision
    untested = [f"{r['column']} {r['slice']}" for r in inputs.slices if r["metric"] == "roc_auc" and not r["supported"]]
    limits = [
        f"It was evaluated on {decision.plural} from {facts['test_first']} to {facts['test_last']}. Later performance "
        f"is unknown.",
        f"An outcome is final {duration(problem.final_after)} after the {decision.noun}, so harm is seen that late.",
    ]
    if decision.choose:
        limits.append(
            f"What was chosen followed the policy of that time: how it ranks {plural(decision.choose)} that "
            f"{plural(decision.unit)} never got is extrapolation."
        )
    if isinstance(problem.predict, PredictEntity) and problem.predict.having:
        limits.append(
            "predict.having looks ahead: rows without it are no cases, so it was evaluated on fewer than it will score."
        )
    if untested:
        limits.append(f"Not tested, because of too few {plural(decision.unit)}: {', '.join(untested)}.")
    failed = [row["name"] for row in inputs.behaviours if not row["passed"]]
    if failed:
        limits.append(f"It fails these behaviour tests: {', '.join(failed)}.")
    return f"## Limits\n\n{md.listed(limits)}"


def _by_model(evaluation: Rows) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Model and metric to the row of the evaluation."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in evaluation:
        found.setdefault(row["model"], {})[row["metric"]] = row
    return found


def lineage_section(inputs: CardInputs) -> str:
    """What the version was made from, and how to make it again."""
    lineage = inputs.facts["lineage"]
    rows = [("trained", inputs.trained_at), ("code", lineage["code_version"]), ("data hash", lineage["data_hash"])]
    rows += [(f"snapshot of {table}", snapshot) for table, snapshot in sorted(lineage["snapshots"].items())]
    again = f"`mlguide reproduce {inputs.version}` trains it again and compares. {promise(inputs.facts)}"
    return f"## Lineage\n\n{_table(('what', 'which'), rows)}\n\n{again}"


def pictures(inputs: CardInputs) -> str:
    """The plots of the version; empty where there are none."""
    shown = [f"### {title}\n\n![{title}]({name}.png)" for name, title in PICTURES.items() if name in inputs.plots]
    return "## Pictures\n\n" + "\n\n".join(shown) if shown else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    return md.table(header, ([f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows))
