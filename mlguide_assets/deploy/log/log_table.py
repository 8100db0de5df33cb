"""The table of the prediction log: its columns, and what they mean. How lines become rows is in `landing.py`."""

from collections.abc import Mapping

import pyarrow as pa

from mlguide_assets.define.decision import Decision, id_column


def log_schema(decision: Decision, types: Mapping[str, pa.DataType] | None = None) -> pa.Schema:
    """The columns of the table. `features` is JSON, since every model version may have features of its own.

    Args:
        types: of ids and of what else is in the key of an event; default: whole numbers.
    """
    types = types or {}
    return pa.schema(
        [
            ("request_id", pa.string()),
            ("position", pa.int32()),
            ("answered_at", pa.timestamp("us")),
            ("endpoint", pa.string()),
            ("variant", pa.string()),
            ("model_version", pa.string()),
            *((name, types.get(name, pa.int64())) for name in decision.ids),
            (decision.time, pa.timestamp("us")),
            *((name, types.get(name, pa.int64())) for name in decision.own_keys),
            ("feature_time", pa.timestamp("us")),
            ("published", pa.string()),
            ("features", pa.string()),
            ("probability", pa.float64()),
            ("threshold", pa.float64()),
            ("decision", pa.string()),
            ("latency_ms", pa.float64()),
            ("scoring_ms", pa.float64()),
            ("experiment", pa.string()),
            ("experiment_version", pa.int64()),
            ("arm", pa.string()),
        ]
    )


def log_columns(decision: Decision) -> dict[str, str]:
    """Column → meaning."""
    act, leave = decision.actions
    return {
        "request_id": "The request that was answered.",
        "position": "The place in the answer, from 0.",
        "answered_at": "When it was answered, UTC.",
        "endpoint": "The kind of request: predict or recommend.",
        "variant": "What scored: champion, challenger (never returned), routed (the challenger, for a unit that an "
        "experiment or a canary gave it), champion_shadow (the champion, for such a unit; never returned), fallback "
        "(the champion in the challenger's place), failed (no model: the server failed), what_if, or base_rate.",
        "model_version": "The model version that scored.",
        **{id_column(noun): f"The {noun} of the request." for noun in decision.nouns},
        decision.time: "The instant that the features were computed for, UTC.",
        **dict.fromkeys(decision.own_keys, f"Part of the key of the {decision.noun}; null where it was not given."),
        "feature_time": "The instant whose knowledge the stored features hold, UTC.",
        "published": "The publication of the online store whose features were used.",
        "features": f"What the model was given, as JSON; null where nothing was known of the {decision.unit}.",
        "probability": "The probability that was answered.",
        "threshold": "The probability from which on the positive outcome is expected.",
        "decision": f"What was answered: {act} or {leave}.",
        "latency_ms": "Milliseconds from the request to its line in the log.",
        "scoring_ms": "Of these, what the model took for all requests that it scored together: how long it makes them "
        "wait, whichever model scores.",
        "experiment": "The experiment whose arm the unit met by the answer; null where there is none.",
        "experiment_version": "Its version; of a canary, it counts the shares of the units that see it.",
        "arm": "The arm that the unit met.",
    }
