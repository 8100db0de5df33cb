"""The send plan: for each user of a day, which email they are sent, by which policy, and with which probability.

Which policy a user follows is in `policies.py`. The policy of a model, champion or challenger, is greedy but for a
random share: a user's email is the least risky one, or, for `exploration.share` of the users who are sent something,
one drawn uniformly from the K that the model would send them. What it holds to be too risky is never sent to learn
from it: exploration costs no more than the threshold allows, and withholding is not put to the test. So these are the
probabilities of the actions, given the policy, with N candidates:

    champion,      an email may be sent    the best: 1 - share (K - 1) / K    each of the K - 1 others: share / K
    challenger     none may be sent        withhold: 1; the row names the least risky email, which stays unsent
    generic                                the email of the day: 1
    random                                 each email: 1 / N

which sum to 1. The propensity of a row is the probability of its action over all draws, that of the policy included:
the sum of `policy_shares` times `policy_propensities`. The draws are those of `statistics.draws`, by salt, day and
user, so the same day is planned the same way again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.policies import POLICIES, Exploration, Policies, Policy
from mlguide_assets.deploy.actions import generic_action
from mlguide_assets.deploy.policies import PER_POLICY, followed_policies
from mlguide_assets.deploy.propensities import Bools, Floats, Ints, Scores, mixed, propensities
from mlguide_assets.statistics.draws import SIZE, draw_column, draw_index_column

PAIRS_AT_ONCE = 400_000
BEST, EXPLORE, FIXED = "best", "explore", "fixed"
MODELS: tuple[Policy, ...] = ("champion", "challenger")

SCHEMA = pa.schema(
    [
        ("scoring_date", pa.date32()),
        ("user_id", pa.int64()),
        ("email_id", pa.int64()),
        ("probability", pa.float64()),
        ("best_probability", pa.float64()),
        ("decision", pa.string()),
        ("experiment", pa.string()),
        ("arm", pa.string()),
        ("policy", pa.string()),
        ("choice", pa.string()),
        ("propensity", pa.float64()),
        ("policy_shares", PER_POLICY),
        ("policy_propensities", PER_POLICY),
        ("candidates", pa.int64()),
        ("emails", pa.int64()),
        ("supported", pa.int64()),
        ("exploration_share", pa.float64()),
        ("salt", pa.string()),
        ("model_version", pa.string()),
        ("planned_at", pa.timestamp("us")),
        ("run_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class Choosing:
    """Who chooses: the shares of the policies, whom an experiment assigned, and what the challenger says.

    Attributes:
        assigned: rows as in `policies.ASSIGNED`.
        challenger: predictions as those of the champion, for the same users and emails.
    """

    exploration: Exploration
    policies: Policies
    assigned: ibis.Table | None = None
    challenger: ibis.Table | None = None


def plan_sends(
    predictions: ibis.Table, choosing: Choosing, *, day: date, planned_at: datetime, run_id: str
) -> pa.RecordBatchReader:
    """Choose for every user of a day's predictions, a slice of the users at a time, in order of their ids.

    Args:
        predictions: every user with every candidate, as `batch.score_pairs` makes them; empty without a champion.
        planned_at: now, by the problem's clock, UTC.

    Raises:
        ValueError: a user lacks a candidate.
    """
    same = {"scoring_date": day, "salt": choosing.exploration.salt, "planned_at": planned_at, "run_id": run_id}
    return pa.RecordBatchReader.from_batches(SCHEMA, _batches(predictions, choosing, day, same))


def _batches(predictions: ibis.Table, choosing: Choosing, day: date, same: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    users = predictions.select("user_id").distinct().order_by("user_id").to_pyarrow()["user_id"]
    emails = np.sort(predictions.select("email_id").distinct().to_pyarrow()["email_id"].to_numpy())
    # All pairs at once might not fit in memory.
    step = max(PAIRS_AT_ONCE // max(len(emails), 1), 1)
    for start in range(0, len(users), step):
        some = users.slice(start, step)
        champion, version = _read(predictions, some, emails)
        other = (champion, version) if choosing.challenger is None else _read(choosing.challenger, some, emails)
        challenger, other_version = other
        draws = _draws(predictions, some, choosing, day, (champion, challenger))
        columns = _columns(some, emails, champion, challenger, draws, choosing, day) | {
            "model_version": np.where(pc.equal(draws["policy"], "challenger"), other_version, version),
            **{name: pa.array([value] * len(some)) for name, value in same.items()},
        }
        rows = pa.table({name: columns[name] for name in SCHEMA.names}).cast(SCHEMA)
        yield from rows.combine_chunks().to_batches()


def _read(predictions: ibis.Table, users: pa.ChunkedArray, emails: Ints) -> tuple[Scores, str]:
    """What a model says of some users, and its version."""
    slice_ = predictions.filter(predictions.user_id.between(users[0].as_py(), users[-1].as_py()))
    rows = slice_.order_by("user_id", "email_id").to_pyarrow()
    shape = len(users), len(emails)
    if rows.num_rows != len(users) * len(emails) or (rows["email_id"].to_numpy().reshape(shape) != emails).any():
        raise ValueError(f"{rows.num_rows} predictions for {shape[0]} users and {shape[1]} emails; expected every pair")
    sendable = pc.equal(rows["decision"], "send").to_numpy()
    scores = Scores(rows["probability"].to_numpy().reshape(shape), sendable.reshape(shape))
    return scores, rows["model_version"][0].as_py()


def _draws(
    predictions: ibis.Table, users: pa.ChunkedArray, choosing: Choosing, day: date, models: tuple[Scores, Scores]
) -> pa.Table:
    """One row per user in order: the policy that they follow, and the numbers that their draws give."""
    salt, when = choosing.exploration.salt, day.isoformat()
    champion, challenger = models
    asked = ibis.memtable(
        pa.table({"user_id": users, "candidates": champion.candidates, "others": challenger.candidates})
    )
    followed = followed_policies(
        asked, choosing.policies, salt=salt, assigned=choosing.assigned, has_challenger=choosing.challenger is not None
    )
    rows = asked.inner_join(followed, "user_id").order_by("user_id")
    count = ibis.ifelse(rows.policy == "challenger", rows.others, rows.candidates)
    emails = ibis.literal(champion.probability.shape[1], "int64")
    drawn = rows.mutate(
        explore=draw_column(f"{salt}/explore:{when}", rows.user_id),
        which=draw_index_column(f"{salt}/which:{when}", rows.user_id, count),
        any=draw_index_column(f"{salt}/random:{when}", rows.user_id, emails),
    )
    return predictions.get_backend().to_pyarrow(drawn)


def _columns(
    users: pa.ChunkedArray,
    emails: Ints,
    champion: Scores,
    challenger: Scores,
    draws: pa.Table,
    choosing: Choosing,
    day: date,
) -> dict[str, Any]:
    """What is done with each user, how that was chosen, and how probable it was."""
    policy, share = draws["policy"].to_numpy(), choosing.exploration.share
    of_model, row = np.isin(policy, MODELS), np.arange(len(policy))
    own = _of_either(policy == "challenger", challenger, champion)
    candidates, best = own.candidates, own.best
    explored = of_model & (candidates > 0) & (draws["explore"].to_numpy() < round(share * SIZE))
    generic = emails.tolist().index(generic_action(emails.tolist(), salt=choosing.exploration.salt, day=day))
    email = np.where(explored, own.drawn(draws["which"].to_numpy()), best)
    email = np.select([policy == "generic", policy == "random"], [generic, draws["any"].to_numpy()], email)
    withheld = of_model & (candidates == 0)

    shares: dict[Policy, Floats] = {each: pc.struct_field(draws["policy_shares"], each).to_numpy() for each in POLICIES}
    of_all = propensities(champion, challenger, share=share, generic=generic)
    of_these = of_all.of_actions(email, withheld)
    return {
        "user_id": users,
        "email_id": emails[email],
        "probability": own.probability[row, email],
        "best_probability": own.probability[row, best],
        "decision": np.where(withheld, "withhold", "send"),
        **{name: draws[name] for name in ("experiment", "arm", "policy")},
        "choice": np.select([policy == "generic", (policy == "random") | explored], [FIXED, EXPLORE], BEST),
        "propensity": mixed(shares, of_these),
        "policy_shares": _struct(shares),
        "policy_propensities": _struct(of_these),
        "candidates": candidates,
        "emails": np.full(len(row), len(emails)),
        "supported": of_all.supported(shares),
        "exploration_share": np.full(len(row), share),
    }


def _of_either(second: Bools, one: Scores, other: Scores) -> Scores:
    """The scores of one model for some of the users, and of the other for the rest."""
    choice = second[:, None]
    return Scores(np.where(choice, one.probability, other.probability), np.where(choice, one.sendable, other.sendable))


def _struct(columns: dict[Policy, Floats]) -> pa.StructArray:
    return pa.StructArray.from_arrays([columns[policy] for policy in POLICIES], list(POLICIES))
