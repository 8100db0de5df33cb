"""Training a candidate: what it may see, what it scores, what ships, and when it says no."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.train.candidate import Candidate, train_candidate
from mlguide_assets.train.evaluation.metrics import point
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.models import XGBOOST, fit_xgboost, refit_xgboost
from mlguide_assets.train.propensity import propensity_weights, uniform_ratios
from mlguide_assets.train.recipe import DEFAULT_RECIPE, TrainingWindow
from mlguide_assets.train.rows import matured_rows
from mlguide_assets.train.split import split_by_time
from mlguide_assets_tests.train.sends import PROBLEM, matured, plans_of_sends, replaced


def train(table: pa.Table) -> Candidate:
    return train_candidate(ibis.memtable(table), PROBLEM, contenders=(XGBOOST,))


def test_exactly_the_matured_sends_from_the_test_start_on_are_scored(sends: pa.Table, trained: Candidate) -> None:
    known = matured(sends)
    times = known["delivered_at"].to_numpy()
    expected = known.filter(pa.array(times >= np.sort(times)[int(len(times) * 0.75)]))
    keys = ["user_id", "email_id", "delivered_at"]
    assert trained.scores.select(keys).equals(expected.select(keys))
    assert trained.scores["label"].to_pylist() == expected["unsubscribed"].to_pylist()


def test_every_model_has_a_probability_for_every_row(trained: Candidate) -> None:
    models = trained.scores.column_names[4:]
    assert models == ["base_rate", "logistic_regression", "linear_svm", "xgboost"]
    for model in models:
        values = trained.scores[model].to_numpy()
        assert ((values >= 0) & (values <= 1)).all()


def test_a_planted_signal_is_found(trained: Candidate) -> None:
    assert point("roc_auc", trained.scores["label"].to_numpy(), trained.scores["xgboost"].to_numpy()) > 0.65


def test_the_model_that_ships_was_refitted_on_all_matured_rows(sends: pa.Table, trained: Candidate) -> None:
    known = matured(sends)
    encoding = Encoding.fit(known, features_of(PROBLEM))
    labels = known["unsubscribed"].to_numpy()
    again = refit_xgboost(encoding.matrix(known), labels, encoding, rounds=trained.model.rounds, seed=0)
    assert trained.model.booster.save_raw("ubj") == again.booster.save_raw("ubj")
    assert trained.facts["refit_rows"] == known.num_rows > trained.facts["train_rows"] + trained.facts["test_rows"]


def test_the_model_that_is_evaluated_has_not_learned_from_the_test_window(sends: pa.Table, trained: Candidate) -> None:
    """Turning every outcome of the test window leaves all scores, and not the model that ships."""
    known = matured(sends)
    start = pc.min(trained.scores["delivered_at"])
    turned = pc.if_else(
        pc.greater_equal(known["delivered_at"], start), pc.subtract(1, known["unsubscribed"]), known["unsubscribed"]
    )
    other = train(replaced(known, "unsubscribed", turned.cast(pa.int8()).combine_chunks()))
    for model in trained.scores.column_names[4:]:
        assert other.scores[model].equals(trained.scores[model]), model
    assert other.model.booster.save_raw("ubj") != trained.model.booster.save_raw("ubj")


def test_rows_that_have_not_matured_change_nothing(sends: pa.Table, trained: Candidate) -> None:
    open_rows = sends["unsubscribed"].is_null()
    assert pc.sum(open_rows).as_py() > 100
    changed = replaced(sends, "age", pc.if_else(open_rows, 999, sends["age"]).combine_chunks())
    changed = replaced(changed, "theme", pc.if_else(open_rows, "never seen", sends["theme"]).combine_chunks())
    for table in (changed, matured(sends)):
        other = train(table)
        assert other.scores.equals(trained.scores)
        assert other.model.booster.save_raw("ubj") == trained.model.booster.save_raw("ubj")
        assert other.model.encoding == trained.model.encoding


def test_the_order_of_the_rows_changes_nothing(sends: pa.Table, trained: Candidate) -> None:
    shuffled = sends.take(np.random.default_rng(0).permutation(sends.num_rows))
    other = train(shuffled)
    assert other.scores.equals(trained.scores)
    assert other.model.booster.save_raw("ubj") == trained.model.booster.save_raw("ubj")


def test_facts_count_the_rows_and_name_the_days(trained: Candidate) -> None:
    facts = trained.facts
    assert facts["test_rows"] == trained.scores.num_rows
    assert facts["test_positives"] == pc.sum(trained.scores["label"]).as_py()
    assert facts["train_first"] < facts["train_last"] < facts["test_first"] < facts["test_last"]
    gap = np.datetime64(facts["test_first"]) - np.datetime64(facts["train_last"])
    assert gap >= np.timedelta64(PROBLEM.label.window)


def test_the_usual_variation_of_small_days_is_measured_with_several_together(trained: Candidate) -> None:
    """Half of the reference has room for two such windows, which are shorter than drift is tested on."""
    first, last = (date.fromisoformat(trained.facts[name]) for name in ("test_first", "test_last"))
    assert trained.profile.rows < PROBLEM.watching.min_rows * (last - first).days / 2
    assert trained.profile.variation_days == (last - first).days // 4 > 1


def test_progress_names_every_model_and_its_rows(sends: pa.Table, trained: Candidate) -> None:
    said: list[str] = []
    train_candidate(ibis.memtable(sends), PROBLEM, report=said.append, contenders=(XGBOOST,))
    grows = ", ".join(trained.facts["outgrown_features"])
    assert said.pop(0) == f"these grow with the calendar, so that a model extrapolates: {grows}"
    assert said[0] == "comparing logistic regression, linear svm, xgboost on the latest training sends"
    assert said[1] == trained.facts["model_reason"]
    train, all_of_them = (f"{trained.facts[name]:,}" for name in ("train_rows", "refit_rows"))
    assert said[2:] == [
        f"fitting logistic regression, linear svm, xgboost on {train} sends, xgboost on all {all_of_them}"
    ]


def test_matured_rows_are_ordered_by_time_and_key(sends: pa.Table) -> None:
    rows = matured_rows(ibis.memtable(sends.take(np.random.default_rng(1).permutation(sends.num_rows))), PROBLEM)
    order = [("delivered_at", "ascending"), ("user_id", "ascending"), ("email_id", "ascending")]
    assert rows.equals(rows.sort_by(order))
    assert rows["unsubscribed"].null_count == 0


@pytest.mark.parametrize(
    ("side", "positives"),
    [("training", lambda late, n: np.where(late, n % 2, 0)), ("test", lambda late, n: np.where(late, 1, n % 2))],
)
def test_too_few_of_one_outcome_is_said_with_what_to_do(sends: pa.Table, side: str, positives: Any) -> None:
    known = matured(sends)
    late = np.arange(known.num_rows) > known.num_rows * 0.7
    labels = positives(late, np.arange(known.num_rows))
    with pytest.raises(InputError) as error:
        train(replaced(known, "unsubscribed", labels.astype(np.int8)))
    assert f"The {side} window has" in str(error.value)
    assert "at least 3 of each outcome in every window; add history, or check predict.label" in str(error.value)


@pytest.mark.parametrize("positives", [2, 3])
def test_three_unsubscribes_in_training_are_the_least_that_every_model_can_learn_from(
    sends: pa.Table, positives: int
) -> None:
    known = matured(sends).slice(0, 800)
    labels = (np.arange(800) > 700).astype(np.int8)
    labels[:positives] = 1
    table = replaced(known, "unsubscribed", labels)
    if positives < 3:
        with pytest.raises(InputError, match="of which 2 are positive"):
            train(table)
    else:
        assert train(table).facts["train_positives"] == 3


def test_no_matured_send_at_all_is_said(sends: pa.Table) -> None:
    with pytest.raises(InputError, match="The history has 0 matured decisions"):
        train(sends.filter(sends["unsubscribed"].is_null()))


def test_a_short_history_is_said(sends: pa.Table) -> None:
    known = matured(sends)
    first_days = known.filter(pc.less(known["delivered_at"], pc.add(pc.min(known["delivered_at"]), timedelta(days=3))))
    with pytest.raises(InputError, match="over too short a time"):
        train(first_days)


def weighted(sends: pa.Table, plans: pa.Table) -> Candidate:
    return train_candidate(ibis.memtable(sends), PROBLEM, plans=ibis.memtable(plans), contenders=(XGBOOST,))


def bytes_of(candidate: Candidate) -> tuple[bytes, bytes]:
    """Of the model that ships and of the one that is judged."""
    return bytes(candidate.model.booster.save_raw("ubj")), bytes(candidate.holdout_model.booster.save_raw("ubj"))


def test_sends_of_a_plan_count_by_their_propensity_in_both_fits(sends: pa.Table, trained: Candidate) -> None:
    plans = plans_of_sends(sends, share=0.5)
    other, known = weighted(sends, plans), matured(sends)
    ratios, most = uniform_ratios(known, ibis.memtable(plans), PROBLEM.decision), PROBLEM.exploration.max_weight
    labels, times = known["unsubscribed"].to_numpy(), known["delivered_at"].to_numpy()

    encoding = Encoding.fit(known, features_of(PROBLEM))
    weights = propensity_weights(ratios, max_weight=most)
    assert len(np.unique(weights)) == 3
    rounds = other.model.rounds
    final = refit_xgboost(encoding.matrix(known), labels, encoding, rounds=rounds, seed=0, weights=weights)

    split = split_by_time(times, test_share=PROBLEM.evaluation.test_share, gap=PROBLEM.label.window)
    earlier = known.take(split.train)
    encoding = Encoding.fit(earlier, features_of(PROBLEM))
    judged = fit_xgboost(
        encoding.matrix(earlier),
        labels[split.train],
        times[split.train],
        encoding,
        gap=split.gap,
        seed=0,
        row_weights=propensity_weights(ratios[split.train], max_weight=most),
    )
    assert bytes_of(other) == (final.booster.save_raw("ubj"), judged.booster.save_raw("ubj"))
    assert all(one != plain for one, plain in zip(bytes_of(other), bytes_of(trained), strict=True))
    assert other.facts["planned_decisions"] == (~np.isnan(ratios)).sum() > 500
    assert 0 < other.facts["planned_decisions_effective"] < other.facts["planned_decisions"]


def test_plans_that_drew_nothing_change_no_byte(sends: pa.Table, trained: Candidate) -> None:
    other = weighted(sends, plans_of_sends(sends, share=0.0))
    assert bytes_of(other) == bytes_of(trained)
    assert other.scores.equals(trained.scores)
    assert other.facts == trained.facts


def test_what_was_planned_in_the_test_window_does_not_touch_the_model_that_is_evaluated(
    sends: pa.Table, trained: Candidate
) -> None:
    plans = plans_of_sends(sends, share=0.5)
    start = pc.min(trained.scores["delivered_at"]).as_py().date()
    earlier = plans.filter(pc.less(plans["scoring_date"], start))
    assert 0 < earlier.num_rows < plans.num_rows
    whole, part = weighted(sends, plans), weighted(sends, earlier)
    assert whole.scores.equals(part.scores)
    assert bytes_of(whole)[0] != bytes_of(part)[0]


@pytest.mark.parametrize(("needed", "days"), [(5, 2), (25, None), (10**6, 8)])
def test_where_evidence_asked_the_latest_days_are_the_test_as_many_as_tell_models_apart(
    sends: pa.Table, needed: int, days: int | None
) -> None:
    problem = PROBLEM.model_copy(update={"gate": PROBLEM.gate.model_copy(update={"min_fresh_positives": needed})})
    said: list[str] = []
    recipe = replace(DEFAULT_RECIPE, window=TrainingWindow("decayed", 30), test_days=2)
    candidate = train_candidate(ibis.memtable(sends), problem, recipe, said.append, contenders=(XGBOOST,))
    (window,) = (line for line in said if "test window" in line)
    found = candidate.scores["label"].to_numpy()
    if needed == 10**6:
        assert window.startswith(f"the latest {days} days leave nothing to learn from, or have fewer than gate.")
        assert len(found) == pytest.approx(matured(sends).num_rows * PROBLEM.evaluation.test_share, rel=0.05)
    else:
        assert found.sum() >= needed
        last = matured(sends)["delivered_at"].to_numpy().max().astype("datetime64[D]")
        first = np.datetime64(candidate.facts["test_first"])
        assert window == f"the test window is the latest {(last - first).astype(int) + 1} days"
        assert days is None or (last - first).astype(int) + 1 == days
    assert candidate.facts["training_window"] == "decayed 30 d"
