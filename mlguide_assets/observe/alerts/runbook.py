"""What to do about an alert: what it means, what to do, which command."""

from dataclasses import dataclass

from mlguide_assets.observe.alerts.alert import (
    CANARY_ABORT,
    DATA_OLD,
    EXPERIMENT_PLANS,
    EXPERIMENT_VERSIONS,
    EXPERIMENT_WITHDRAWN,
    OUTCOMES_MISSING,
    PERFORMANCE_GAP,
    ROLLBACK,
    ROWS_LOST,
)


@dataclass(frozen=True)
class Runbook:
    """What an alert means, what to do about it, and the command to begin with.

    People read the action with the alert's `next_step` behind it, so neither says what the other does.
    """

    meaning: str
    action: str
    command: str


BY_KEY = {
    OUTCOMES_MISSING: Runbook(
        "For a week or longer no decision has an outcome, although its time for one (label.window) is over. "
        "Performance is not measured, no drop can be noticed, and no training learns from what came since.",
        "Look at what fills the label's column of the source. If outcomes simply come later than label.window says, "
        "write a longer one.",
        "mlguide status",
    ),
    ROWS_LOST: Runbook(
        "The source had rows at an earlier reading that it has no longer. Features, scores and plans are made without "
        "them; plans of days that the data no longer reach are kept, and are not shown as the newest.",
        "If the source was cut on purpose, nothing is needed: the alert ends after the next readings. Else look for "
        "what is missing there, such as a file of a folder.",
        "mlguide status",
    ),
    DATA_OLD: Runbook(
        "The source has had no new events for a week or longer: its feed stands still, and all works with old data.",
        "If the data have ended, write serving: {clock: data} in the problem file; if they come that late, a longer "
        "serving: {stale_after}.",
        "mlguide status",
    ),
    PERFORMANCE_GAP: Runbook(
        "On the same rows, outcomes are worse than the champion's own probabilities expect, by more than chance: the "
        "relation between features and outcome has changed (concept drift).",
        "Compare realised and estimated performance in the report. Ask what changed in the product at that time. "
        "Retrain once enough outcomes of the time since have matured.",
        "mlguide report",
    ),
    ROLLBACK: Runbook(
        "The new champion was significantly worse than the one before it on matured outcomes. The one before serves "
        "again.",
        "Nothing is needed for serving, unless an experiment goes on with the version, which is an alert of its own. "
        "Find out why the gate let the version pass: compare its model card with the outcomes since. Only "
        "'mlguide promote' brings it back.",
        "mlguide history",
    ),
    CANARY_ABORT: Runbook(
        "A version that was going live for few units was significantly worse there than the champion, beyond a "
        "guardrail of canary: in the problem file. The units that saw it have the champion again.",
        "Nothing is needed for serving, unless an experiment goes on with the version, which is an alert of its own. "
        "Find out why the gate let the version pass: compare its model card with what the canary counted. It does not "
        "go live again by itself; only 'mlguide promote' brings it back.",
        "mlguide canary status",
    ),
    EXPERIMENT_PLANS: Runbook(
        "The plans of a running experiment were made when their day was over, so that nobody meets an arm by them.",
        "Let the data of a day arrive before the next one is planned.",
        "mlguide experiment status",
    ),
    EXPERIMENT_VERSIONS: Runbook(
        "An arm of a running experiment is not decided by the version that it began with, or that version is champion "
        "now, so that both arms do the same.",
        "Stop the experiment, and start a new version of it.",
        "mlguide experiment status",
    ),
    EXPERIMENT_WITHDRAWN: Runbook(
        "The version of an experiment's arm was rolled back, or its canary was aborted or stopped. The arm keeps it "
        "all the same, since an experiment compares what it began with.",
        "Ask whether the version harms the units of the arm. If it does not, let the experiment end; its looks watch "
        "the guardrails of its own file.",
        "mlguide experiment stop",
    ),
}
BY_KIND = {
    "drift": Runbook(
        "On several days in a row, columns are distributed significantly and considerably differently from the rows "
        "that the champion was evaluated on.",
        "Look at the columns in the report, those with the largest effect on cost first. If the source delivers wrong "
        "values, correct it there. The gate compares what a training makes with the champion.",
        "mlguide report",
    ),
    "performance": Runbook(
        "On matured outcomes, the champion is significantly worse than it was at training, by more than "
        "watching.max_drop.",
        "Look for the slices and days of the drop in the report. Train a new model; if the version before was better, "
        "'mlguide rollback' serves it again at once.",
        "mlguide run",
    ),
    "failure": Runbook(
        "A run ended with an error. Nothing that depends on it was updated; what was there before is intact.",
        "Read the error above. The alert closes once the same has succeeded. Where the day that the title names is not "
        "needed any more, acknowledge the alert, so that nobody is reminded.",
        "mlguide ui",
    ),
    "serving": Runbook(
        "The API does not answer as it should.",
        "Look at /readyz and /metrics of the server, and at the serving section of the report. Restart the server if "
        "it does not recover.",
        "mlguide serve",
    ),
    "data": Runbook(
        "The source delivers data that cannot be used as they are.",
        "Look at the contract's results and at the table quarantined_rows, correct the source, then read it again.",
        "mlguide status",
    ),
}


def runbook_of(key: str, kind: str) -> Runbook:
    """The runbook of an alert: by its key, else by its kind."""
    return BY_KEY.get(key) or BY_KIND[kind]
