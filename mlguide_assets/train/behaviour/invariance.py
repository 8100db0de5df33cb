"""Invariance: what must not matter, such as the value of an id or the order of rows, does not."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.english import agreeing, counted, plural
from mlguide_assets.prepare.features.building import features_from
from mlguide_assets.prepare.features.catalogue import event_of
from mlguide_assets.train.behaviour.results import Behaviour, example_of, share_of
from mlguide_assets.train.behaviour.samples import exchanged, ids_of, renamed_history, scores_of, translated
from mlguide_assets.train.models.models import ServableModel
from mlguide_assets.train.some_units import History, as_tables

TOLERANCE = 1e-6
"""Relative, of features and scores after renaming: the model's own precision, float32."""

ROWS_ALONE = 50
"""Rows that are also scored one at a time."""


def ids_do_not_matter(
    model: ServableModel, history: History, problem: Problem, random: np.random.Generator, *, clock: datetime
) -> Behaviour:
    """Entities under other ids keep their features and scores.

    Args:
        history: what happened to some units.
        clock: of the data.
    """
    decision, kept = problem.decision, nouns_that_order_ties(problem)
    old = {noun: ids_of(history, problem, noun) for noun in problem.schema.entities}
    new = {noun: exchanged(ids, random) for noun, ids in old.items()}
    renamed_ids = {noun: new[noun] for noun in old if noun not in kept}
    features, renamed = (
        features_from(as_tables(each), problem, clock=clock).to_pyarrow()
        for each in (history, renamed_history(history, problem, old, renamed_ids))
    )
    # Side by side under the old ids, but given to the model under the new ones: one that reads ids is to be found out.
    by_key = [(key, "ascending") for key in decision.keys]
    there = {id_column(noun): (old[noun], new[noun]) for noun in decision.nouns}
    back = {id_column(noun): (renamed_ids[noun], old[noun]) for noun in decision.nouns if noun in renamed_ids}
    before, after = features.sort_by(by_key), translated(translated(renamed, back).sort_by(by_key), there)
    seen, seen_after = model.encoding.matrix(before), model.encoding.matrix(after)
    scores, scores_after = scores_of(model, before), scores_of(model, after)
    moved = ~np.isclose(seen, seen_after, rtol=TOLERANCE, atol=0, equal_nan=True)
    broken = moved.any(axis=1) | ~np.isclose(scores, scores_after, rtol=TOLERANCE, atol=0)
    share = share_of(broken)
    most = model.encoding.names[int(moved.sum(axis=0).argmax())] if moved.any() else None
    message = (
        f"All ids of {' and '.join(map(plural, decision.nouns))} were replaced at random; no feature or score may "
        f"change, and {share:.1%} of {len(broken):,} {decision.plural} changed"
        f"{f', most often in {most}' if most else ''}."
    )
    example = example_of(before, decision.keys, scores, scores_after, broken)
    return Behaviour("ids_do_not_matter", "invariance", share <= 0, share, 0.0, len(broken), message, example)


def nouns_that_order_ties(problem: Problem) -> set[str]:
    """The entities whose ids say which of the events at one instant is the last, where a feature asks for it.

    Of these, history keeps its ids: the order among such events is by what makes them unique, and so by design
    another one under other ids. The model is given other ids of them all the same.
    """
    found = set()
    for each in problem.features.declared.values():
        if each.operator == "last":
            event = problem.schema.event(event_of(each, problem))
            found |= {noun for noun, column in event.of.items() if noun != each.by and column in event.unique_by}
    return found


def row_order_does_not_matter(
    model: ServableModel, sample: pa.Table, keys: Sequence[str], random: np.random.Generator
) -> Behaviour:
    """A row's score is the same to the byte in another order of rows, and alone."""
    scores, after = scores_of(model, sample), np.empty(sample.num_rows)
    order = random.permutation(sample.num_rows)
    after[order] = scores_of(model, sample.take(order))
    broken = after != scores
    for row in order[:ROWS_ALONE]:
        alone = scores_of(model, sample.slice(row, 1))[0]
        if alone != scores[row]:
            broken[row], after[row] = True, alone
    share = share_of(broken)
    message = (
        f"{counted(len(broken), 'row')} {agreeing(len(broken), 'was')} scored in another order, and "
        f"{min(ROWS_ALONE, len(broken))} of them alone; no "
        f"score may change by a bit, and {share:.1%} did."
    )
    example = example_of(sample, keys, scores, after, broken)
    return Behaviour("row_order_does_not_matter", "invariance", share <= 0, share, 0.0, len(broken), message, example)
