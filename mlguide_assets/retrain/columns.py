"""What the columns of this stage's tables mean, table by table."""

COLUMNS = {
    "retraining_decisions": {
        "tick_at": "When the trigger looked, UTC.",
        "trigger": "Which trigger: daily, new_outcomes, drift, performance_drop, watch, or by_hand.",
        "data_until": "The newest day of data then.",
        "decision": "What follows: run, wait or roll_back.",
        "reason": "Why, in words.",
        "evidence": "The numbers behind the decision, as JSON.",
        "run_id": "The Dagster run that trained; null where none did.",
        "outcome": "How the training ended: the gate's verdict, failed, or rolled_back; null while unknown.",
        "outcome_reason": "Why it ended so.",
        "version": "The version that came of it.",
        "ended_at": "When it ended, UTC.",
    },
}
"""Table → column → meaning."""
