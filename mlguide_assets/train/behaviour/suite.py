"""What a model must do whatever its metrics say: behaviour tests, after Ribeiro et al. (2020), "Beyond accuracy:
behavioral testing of NLP models with CheckList", here for tables.

Invariance, direction and minimum functionality have a module each; here they are put together.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import plural
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.building import clock_of
from mlguide_assets.train.behaviour.directions import directions_hold
from mlguide_assets.train.behaviour.invariance import ids_do_not_matter, row_order_does_not_matter
from mlguide_assets.train.behaviour.plain_cases import SAMPLE_ROWS, plain_cases_are_right
from mlguide_assets.train.behaviour.results import Behaviour
from mlguide_assets.train.behaviour.samples import fitting, one_per, some_of
from mlguide_assets.train.models.models import ServableModel
from mlguide_assets.train.some_units import History, Tables, history_of


def behaviour_tests(
    model: ServableModel, tables: Tables, rows: pa.Table, problem: Problem, *, seed: int
) -> tuple[Behaviour, ...]:
    """All behaviour tests of a model, on seeded samples of decisions and units.

    Args:
        tables: what `rows` were computed from, by their names in the problem file.
        rows: matured decisions with their features.

    Raises:
        InputError: the rows do not hold both outcomes.
        ValueError: the tables lack units of the rows, so they are others.
    """
    labels, decision = rows[problem.label.column].to_numpy(), problem.decision
    if not 0 < labels.sum() < len(labels):
        raise InputError(
            f"Behaviour is tested on matured rows of both outcomes, and these {len(labels):,} have one at most: add "
            f"history, or check label.positive and label.negative."
        )
    drawing, renaming, ordering, planting = np.random.default_rng(seed).spawn(4)
    sample = rows.take(some_of(rows.num_rows, SAMPLE_ROWS, drawing))
    asked = one_per(decision.unit_id, sample, drawing)
    asked = fitting(asked, decision.unit_id, tables, problem, decision.unit)
    history = history_of(tables, problem, asked[decision.unit_id].combine_chunks())
    _require_events(history, asked, problem)
    # The plainest first: what fails there explains what fails after it.
    return (
        *plain_cases_are_right(model, rows, sample, problem, drawing),
        ids_do_not_matter(model, history, problem, renaming, clock=clock_of(tables, problem)),
        row_order_does_not_matter(model, sample, decision.keys, ordering),
        *directions_hold(model, tables, sample, problem, planting),
    )


def _require_events(history: History, asked: pa.Table, problem: Problem) -> None:
    unit = problem.decision.unit
    events = {name: event.of[unit] for name, event in problem.schema.event_tables.items() if unit in event.of}
    seen = pc.unique(pa.chunked_array([history[name][column].combine_chunks() for name, column in events.items()]))
    known = int(pc.sum(pc.is_in(asked[problem.decision.unit_id], value_set=seen)).as_py() or 0)
    if known < asked.num_rows:
        raise ValueError(
            f"{' and '.join(events)} cover {known:,} of {asked.num_rows:,} {plural(unit)} sampled from rows: they "
            f"must be what the rows were computed from"
        )
