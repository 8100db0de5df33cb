"""What a model must do whatever its metrics say: behaviour tests, after Ribeiro et al. (2020), "Beyond accuracy:
behavioral testing of NLP models with CheckList", here for a table of users.

Invariance, direction and minimum functionality have a module each; here they are put together.
"""

import ibis
import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.tables import send_features
from mlguide_assets.train.behaviour.directions import directions_hold
from mlguide_assets.train.behaviour.invariance import ids_do_not_matter, row_order_does_not_matter
from mlguide_assets.train.behaviour.plain_cases import SAMPLE_ROWS, plain_cases_are_right, scores_are_plain
from mlguide_assets.train.behaviour.results import Behaviour
from mlguide_assets.train.behaviour.samples import one_per_user, sends_of, some_of
from mlguide_assets.train.models import ServableModel


def behaviour_tests(
    model: ServableModel, core_users: ibis.Table, rows: pa.Table, problem: Problem, *, seed: int
) -> tuple[Behaviour, ...]:
    """All behaviour tests of a model, on seeded samples of sends and users.

    Args:
        core_users: the core table that `rows` were computed from.
        rows: matured rows of `send_features`.

    Raises:
        InputError: the rows do not hold both outcomes.
        ValueError: the core table lacks users of the rows, so it is another one.
    """
    labels = rows[problem.label.column].to_numpy()
    if not 0 < labels.sum() < len(labels):
        raise InputError(
            f"Behaviour is tested on matured rows of both outcomes, and these {len(labels):,} have one at most: add "
            f"history, or check label.positive and label.negative."
        )
    drawing, renaming, ordering, planting = np.random.default_rng(seed).spawn(4)
    sample = rows.take(some_of(rows.num_rows, SAMPLE_ROWS, drawing))
    if not problem.has_email_tables:
        return (
            *scores_are_plain(model, rows, sample, problem, drawing),
            row_order_does_not_matter(model, sample, ordering),
        )
    asked = one_per_user(sample, drawing)
    core = sends_of(core_users, asked)
    if (known := len(np.unique(core["user_id"].to_numpy()))) < asked.num_rows:
        raise ValueError(
            f"core_users has sends of {known:,} of {asked.num_rows:,} users sampled from rows: it must be theirs"
        )
    features = send_features(ibis.memtable(core), problem).to_pyarrow()
    # The plainest first: what fails there explains what fails after it.
    return (
        *plain_cases_are_right(model, rows, sample, problem, drawing),
        ids_do_not_matter(model, core, features, problem, renaming),
        row_order_does_not_matter(model, sample, ordering),
        *directions_hold(model, core, features, asked, problem, planting),
    )
