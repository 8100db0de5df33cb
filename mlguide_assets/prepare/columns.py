"""What the columns of this stage's tables mean, table by table: one name may mean another thing elsewhere."""

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import UnresolvedFeatureError, features_of
from mlguide_assets.prepare.features.registry import CONTENT, PROFILE

_CORE = {
    "user_id": "The user.",
    "email_id": "The email of the send; null for a user who was never sent one.",
    "delivered_at": "When the email was delivered, UTC; null for a user who was never sent one.",
    "unsubscribed": "Whether this send lost the user; null until that is known.",
    "date_joined": "When the user joined, UTC.",
    "created_at": "When the email was created, UTC.",
}
_SEND = {
    "user_id": "The user who received the email.",
    "email_id": "The email that was sent.",
    "delivered_at": "When the email was delivered, UTC. Features know nothing from then on.",
    "unsubscribed": "The label: 1 where this send lost the user; null until it has matured.",
    "matured_at": "When the outcome is final: the delivery plus the label window, UTC.",
}
_STATE = {
    "user_id": "The user.",
    "date_joined": "When the user joined, UTC.",
    "as_of": "The instant whose knowledge the row holds: the start of the day, UTC.",
    "last_delivered_at": "When the user was last sent an email before that instant, UTC; null where never.",
}
_RECORDS = {
    "contract_results": {
        "rule": "The rule: table and fact that should hold.",
        "violations": "Rows that break the rule.",
        "rows": "Rows that the rule was applied to.",
        "action": "What happens to a violation: block, quarantine or warn.",
        "example": "One row that breaks the rule.",
        "cause": "What is wrong with it, and what to do in the source.",
    },
    "quarantined_rows": {
        "table": "The table that the row was read for.",
        "reasons": "The rules that the row breaks.",
        "row": "The row as it was read, as text.",
    },
}


def columns_of(problem: Problem) -> dict[str, dict[str, str]]:
    """Table → column → meaning, for every table of this stage and for the users' states, which it defines."""
    sources = {
        str(name): {column: each.description for column, each in table.columns.items()}
        for name, table in problem.tables.items()
    }
    if not problem.has_email_tables:
        return {**sources, **_RECORDS, **_of_any_tables(problem)}
    features = {each.name: each for each in features_of(problem)}
    meanings = {name: each.description for name, each in features.items()}
    states = {
        name for name, each in features.items() if each.origin != "request" and each.noun == problem.decision.unit
    }
    return {
        **sources,
        **_RECORDS,
        "core_users": {**{name: meanings[name] for name in (*PROFILE, *CONTENT)}, **_CORE},
        "send_features": meanings | _SEND,
        "user_feature_store": {name: meanings[name] for name in features if name in states} | _STATE,
    }


def _of_any_tables(problem: Problem) -> dict[str, dict[str, str]]:
    decision, label = problem.decision, problem.label.column
    keys = dict.fromkeys(decision.keys, f"What makes a {decision.noun} unique.")
    keys |= {id_column(noun): f"The {noun}." for noun in decision.nouns}
    keys[decision.time] = f"The instant of the {decision.noun}, UTC. Features know nothing from then on."
    keys[label] = "The outcome: 1 where it is positive, 0 where it is not, null until it has matured."
    keys["matured_at"] = "When the outcome is final, UTC."
    try:
        features = () if problem.features.automatic else features_of(problem)
    except UnresolvedFeatureError:
        # Before the data have decided what the features are, none can be described.
        features = ()
    return {
        problem.core_table: keys,
        problem.features_table: {each.name: each.description for each in features} | keys,
        "feature_declarations": {
            "feature": "The name of the feature.",
            "declaration": "How it is declared, as in a problem file.",
            "description": "What it means.",
        },
    }
