"""Samples of sends and users, and changed copies of them; all seeded. Nothing here decides whether a model passes."""

from collections.abc import Mapping

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.tables import TABLES
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.tables import KEYS
from mlguide_assets.train.models import ServableModel

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PROFILE = ("age", "gender", "country", "words_in_description", "purchases")
EMAIL_HISTORY = ("email_matured_sends", "email_unsubscribe_rate")
"""The columns of users, and what is known of an email's past, in the email case."""

SAMPLE_USERS = 500
"""Users whose features are computed again: the cost of all tests is that of their sends."""
CANDIDATES = 20


def scores_of(model: ServableModel, rows: pa.Table) -> Floats:
    """What the model says of each row (n,); NaN for all of them where it refuses, as serving would the whole batch."""
    if not rows.num_rows:
        return np.empty(0)
    try:
        return model.predict(model.encoding.matrix(rows))
    except ValueError:
        return np.full(rows.num_rows, np.nan)


def some_of(count: int, at_most: int, random: np.random.Generator) -> Ints:
    """Positions of a sample, rising."""
    return np.sort(random.choice(count, min(count, at_most), replace=False))


def one_per_user(sample: pa.Table, random: np.random.Generator) -> pa.Table:
    """One row of each user, of `SAMPLE_USERS` users at most, in random order."""
    order = random.permutation(sample.num_rows)
    _, first = np.unique(sample["user_id"].to_numpy()[order], return_index=True)
    return sample.take(order[random.permutation(first)[:SAMPLE_USERS]])


def sends_of(core_users: ibis.Table, asked: pa.Table) -> pa.Table:
    """The rows of the core table of these users: few enough to change them in memory."""
    sends = core_users.filter(core_users.delivered_at.notnull())
    return sends.semi_join(ibis.memtable(asked.select(["user_id"])), "user_id").to_pyarrow()


def rows_of_sends(asked: pa.Table, features: pa.Table) -> pa.Table:
    """The features of the sends asked for, in their order, computed from a core table of some users.

    The emails' own record stays as asked: it is of all users, and no send of the last week has matured into it.
    """
    kept = asked.select([*KEYS, *EMAIL_HISTORY]).append_column("place", pa.array(np.arange(asked.num_rows)))
    computed = features.drop_columns(list(EMAIL_HISTORY))
    return kept.join(computed, list(KEYS), join_type="inner").sort_by("place")


def exchanged(ids: Ints, random: np.random.Generator) -> Ints:
    """Another id for each (n,), distinct, from among these and one more: such as the model has seen."""
    # The ids are in order: a text that is longer than the last is none of them.
    more = f"{ids[-1]}+" if isinstance(ids[-1], str) else ids[-1] + 1
    pool = np.append(ids, np.array([more], ids.dtype))
    cycle = random.permutation(len(pool))
    new = np.empty_like(pool)
    new[cycle] = pool[np.roll(cycle, 1)]
    return new[: len(ids)]


def translated(table: pa.Table, old: Mapping[str, Ints], new: Mapping[str, Ints]) -> pa.Table:
    """The table with other ids; each in `old` becomes the one at its place in `new`."""
    for key in old:
        order = np.argsort(old[key])
        ids = new[key][order][np.searchsorted(old[key][order], table[key].to_numpy())]
        field = table.schema.field(key)
        table = table.set_column(table.column_names.index(key), field, pa.array(ids, field.type))
    return table


def overwritten(table: pa.Table, values: Mapping[str, str | None]) -> pa.Table:
    """The table with one value, or null, throughout each of these columns."""
    for name, value in values.items():
        field = table.schema.field(name)
        column = pa.array([value] * table.num_rows, field.type)
        table = table.set_column(table.column_names.index(name), field, column)
    return table


def newest_emails(rows: pa.Table) -> pa.Table:
    """The latest send of each of the emails that were sent last."""
    latest_first = rows.sort_by([("delivered_at", "descending"), ("email_id", "descending")])
    _, first = np.unique(latest_first["email_id"].to_numpy(), return_index=True)
    return latest_first.take(np.sort(first)[:CANDIDATES])


def pairs_of(users: pa.Table, emails: pa.Table, problem: Problem) -> pa.Table:
    """Each user's row with what belongs to the email taken from each email's row, user by user."""
    of_email = {"email_id", *(feature.name for feature in features_of(problem) if feature.noun == "email")}
    user = np.repeat(np.arange(users.num_rows), emails.num_rows)
    email = np.tile(np.arange(emails.num_rows), users.num_rows)
    left, right = users.take(user), emails.take(email)
    return pa.table({name: (right if name in of_email else left)[name] for name in users.column_names})


def is_of_user(column: str) -> bool:
    return column == "user_id" or column in TABLES["user_profiles"].columns
