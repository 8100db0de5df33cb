"""Batch predictions: every user with every candidate email, and the best email of each user."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHALLENGER, Bundle, pointed
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.clock import last_day
from mlguide_assets.prepare.features.tables import KEYS, email_state, pair_features
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.storage import load_model

USERS_AT_ONCE = 20_000

USER_FEATURES = "user_feature_store"
BEST = "best_email_per_user"
PER_SCORING_DAY = (USER_FEATURES, "batch_predictions", BEST, "experiment_assignments", "send_plan")
"""Tables that hold the same entities once more for every day that was scored, a partition each."""

PREDICTIONS = pa.schema(
    [
        ("scoring_date", pa.date32()),
        ("user_id", pa.int64()),
        ("email_id", pa.int64()),
        ("probability", pa.float64()),
        ("decision", pa.string()),
        ("model_version", pa.string()),
        ("feature_time", pa.timestamp("us")),
        ("run_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class Scorer:
    """A model in a folder, the threshold from which on it withholds, and its version."""

    folder: Path
    threshold: float
    version: str


def scoring_day(reached: date, *, today: date) -> date:
    """The day to score for: the one after the last day that the data have reached, as far as it has begun.

    Args:
        reached: by the data's clock.
        today: by the clock of the source, UTC.
    """
    return min(reached + timedelta(days=1), today)


def days_to_score(landed: Mapping[date, int], *, today: date) -> list[date]:
    """Every day that can be scored: from the first that has sends to the day to score for.

    Args:
        landed: sends per day, of days that have any.
    """
    reached = last_day(landed)
    if reached is None:
        return []
    last = scoring_day(reached, today=today)
    first = min(*landed, last)
    return [first + timedelta(days=place) for place in range((last - first).days + 1)]


def skipped_days(scored: Iterable[str], day: date) -> str | None:
    """Of the days before one, those that were passed over since the last that was scored, as a sentence.

    Args:
        scored: partitions that there are, in ISO 8601; before the first nothing was passed over.
    """
    before = max((known for known in map(date.fromisoformat, scored) if known < day), default=None)
    if before is None or before == day - timedelta(days=1):
        return None
    first, last = before + timedelta(days=1), day - timedelta(days=1)
    days = f"{first} was" if first == last else f"{first} to {last} were"
    return f"{days} not scored: the data went on to {day} before a run could begin. 'Materialize' scores any of them."


def refuse_unreached(day: date, newest: date) -> None:
    """Raise InputError for a day that is later than the day to score for: of it nothing is known."""
    if day > newest:
        raise InputError(
            f"{day} cannot be scored: the data reach as far as {newest - timedelta(days=1)}, so {newest} is the last "
            f"day that can be; read newer data first, or choose that day."
        )


def candidate_emails(emails: ibis.Table, problem: Problem) -> ibis.Table:
    """The newest emails of a state, as many as the problem file says."""
    newest = emails.order_by(emails.created_at.desc(), emails.email_id.desc())
    return newest.limit(problem.scoring.candidate_emails)


def score_pairs(
    users: ibis.Table,
    emails: ibis.Table,
    champion: Bundle | Scorer | None,
    problem: Problem,
    *,
    day: date,
    run_id: str,
) -> pa.RecordBatchReader:
    """Score every pair of a user and a candidate email, a slice of the users at a time.

    Without a champion there is nothing to score with: the result is empty.

    Args:
        users: rows of the feature store as of the day.
        emails: the candidates as of the day.
    """
    batches = _batches(users, emails, champion, problem, day, run_id) if champion else iter(())
    return pa.RecordBatchReader.from_batches(PREDICTIONS, batches)


def challenger_scores(
    bundles: Path, lake: Lake, problem: Problem, *, day: date, run_id: str
) -> pa.RecordBatchReader | None:
    """What the challenger says of the users and emails that were scored for a day; None without a challenger."""
    challenger = pointed(bundles, CHALLENGER)
    return None if challenger is None else scores_on(challenger, lake, problem, day=day, run_id=run_id)


def scores_on(scorer: Bundle | Scorer, lake: Lake, problem: Problem, *, day: date, run_id: str) -> pa.RecordBatchReader:
    """What a model says of the users and emails that were scored for a day, with the features of that day."""
    users = lake.read("user_feature_store", partitions=[day.isoformat()])
    content = email_state(
        lake.read("core_users"), lake.read("email_content"), problem, datetime.combine(day, datetime.min.time())
    )
    return score_pairs(users, candidate_emails(content, problem), scorer, problem, day=day, run_id=run_id)


def best_emails(predictions: ibis.Table) -> ibis.Table:
    """The candidate that is least likely to lose each user; between equals, the newest."""
    order = [predictions.probability, predictions.email_id.desc()]
    ranked = predictions.mutate(rank=ibis.row_number().over(group_by="user_id", order_by=order) + 1)
    return ranked.filter(ranked["rank"] == 1).drop("rank").order_by("user_id")


def _batches(
    users: ibis.Table, emails: ibis.Table, champion: Bundle | Scorer, problem: Problem, day: date, run_id: str
) -> Iterator[pa.RecordBatch]:
    # The users' own backend: another would spill into the working directory.
    model, backend = load_model(champion.folder), users.get_backend()
    state, candidates = users.order_by("user_id").to_pyarrow(), ibis.memtable(emails.to_pyarrow())
    for start in range(0, state.num_rows, USERS_AT_ONCE):
        some = ibis.memtable(state.slice(start, USERS_AT_ONCE))
        features = pair_features(some, candidates, problem)
        asked = [name for name in model.encoding.names if name in features.columns]
        pairs = backend.to_pyarrow(features.select(*KEYS, *asked))
        # Put in order as numbers: the engine would sort rows of forty columns, most of the time that they take.
        order = np.lexsort([pairs[name].to_numpy() for name in ("email_id", "user_id")])
        probability = model.predict(model.encoding.matrix(pairs)[order])
        pairs = pairs.select(KEYS).take(pa.array(order))
        n = pairs.num_rows
        columns = [
            pa.array(np.full(n, np.datetime64(day))),
            pairs["user_id"].combine_chunks(),
            pairs["email_id"].combine_chunks(),
            pa.array(probability),
            pa.array(np.where(probability >= champion.threshold, "withhold", "send")),
            pa.array([champion.version] * n),
            pairs["delivered_at"].combine_chunks().cast(pa.timestamp("us")),
            pa.array([run_id] * n),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=PREDICTIONS)
