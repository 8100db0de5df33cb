"""Invariance: what must not matter, such as the value of an id or the order of rows, does not."""

import ibis
import numpy as np
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.tables import KEYS, send_features
from mlguide_assets.train.behaviour.results import Behaviour, example_of, share_of
from mlguide_assets.train.behaviour.samples import exchanged, scores_of, translated
from mlguide_assets.train.models import ServableModel

TOLERANCE = 1e-6
"""Relative, of features and scores after renaming: the model's own precision, float32."""

ROWS_ALONE = 50
"""Rows that are also scored one at a time."""


def ids_do_not_matter(
    model: ServableModel, core: pa.Table, features: pa.Table, problem: Problem, random: np.random.Generator
) -> Behaviour:
    """Users and emails under other ids, in another order, keep their features and scores.

    Args:
        core: sends of the core table.
        features: their rows of `send_features`.
    """
    old = {key: np.unique(core[key].to_numpy()) for key in ("user_id", "email_id")}
    new = {key: exchanged(ids, random) for key, ids in old.items()}
    renamed = send_features(ibis.memtable(translated(core, old, new)), problem).to_pyarrow()
    # Side by side under the old ids, but given to the model under the new ones: one that reads ids is to be found out.
    by_key = [(key, "ascending") for key in KEYS]
    before = features.sort_by(by_key)
    after = translated(translated(renamed, new, old).sort_by(by_key), old, new)
    seen, seen_after = model.encoding.matrix(before), model.encoding.matrix(after)
    scores, scores_after = scores_of(model, before), scores_of(model, after)
    moved = ~np.isclose(seen, seen_after, rtol=TOLERANCE, atol=0, equal_nan=True)
    broken = moved.any(axis=1) | ~np.isclose(scores, scores_after, rtol=TOLERANCE, atol=0)
    share = share_of(broken)
    most = model.encoding.names[int(moved.sum(axis=0).argmax())] if moved.any() else None
    message = (
        f"All user and email ids were replaced at random; no feature or score may change, and {share:.1%} of "
        f"{len(broken):,} sends changed{f', most often in {most}' if most else ''}."
    )
    example = example_of(before, scores, scores_after, broken)
    return Behaviour("ids_do_not_matter", "invariance", share <= 0, share, 0.0, len(broken), message, example)


def row_order_does_not_matter(model: ServableModel, sample: pa.Table, random: np.random.Generator) -> Behaviour:
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
        f"{len(broken):,} rows were scored in another order, and {min(ROWS_ALONE, len(broken))} of them alone; no "
        f"score may change by a bit, and {share:.1%} did."
    )
    example = example_of(sample, scores, after, broken)
    return Behaviour("row_order_does_not_matter", "invariance", share <= 0, share, 0.0, len(broken), message, example)
