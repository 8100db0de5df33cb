"""The guide's mistakes that training can make, each named after what must hold instead."""

import inspect
from collections import Counter

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.deploy.gate.gate import decide
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.train.candidate import Candidate, train_candidate
from mlguide_assets.train.evaluation.evaluation import evaluate
from mlguide_assets.train.evaluation.uncertainty import bootstrap_metrics
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.linear import CategoryTerm
from mlguide_assets.train.models.models import XGBOOST, refit_xgboost
from mlguide_assets_tests.deploy.scores import evidence
from mlguide_assets_tests.samples import sample_tables
from mlguide_assets_tests.train.sends import PROBLEM, features_of_tables, matured, replaced

FEATURES = [feature.name for feature in features_of(PROBLEM)]


def test_aggregates_do_not_count_the_rows_own_outcome_or_the_future() -> None:
    """Mistake 1: turning the outcomes of one day leaves the features of all rows up to it, and later ones not."""
    tables = sample_tables()
    before = features_of_tables(tables)
    emails = tables["user_emails"]
    day = sorted(set(emails["delivered_at"].to_pylist()))[60]
    on_day = pc.equal(emails["delivered_at"], pa.scalar(day, pa.timestamp("us")))
    turned = pc.if_else(
        on_day, pc.if_else(pc.equal(emails["unsubscribed"], "yes"), "no", "yes"), emails["unsubscribed"]
    )
    after = features_of_tables({**tables, "user_emails": replaced(emails, "unsubscribed", turned.combine_chunks())})
    known = pc.less_equal(before["delivered_at"], pa.scalar(day, pa.timestamp("us")))
    assert before.filter(known).select(FEATURES).equals(after.filter(known).select(FEATURES))
    assert not before["number_of_unsubscribes"].equals(after["number_of_unsubscribes"])


def test_theme_and_category_counts_are_under_their_own_names(sends: pa.Table) -> None:
    """Mistake 2."""
    for column in ("theme", "category"):
        seen: Counter[tuple[int, str]] = Counter()
        at_instant: list[tuple[int, str]] = []
        instant = None
        for row in sends.to_pylist():
            if row["delivered_at"] != instant:
                seen.update(at_instant)
                at_instant, instant = [], row["delivered_at"]
            for value in set(sends[column].to_pylist()) if row["user_id"] % 10 == 0 else ():
                assert row[f"number_of_email_{column}_{value}"] == seen[row["user_id"], value]
            at_instant.append((row["user_id"], row[column]))


def test_shipped_model_has_learned_from_all_matured_rows(sends: pa.Table, trained: Candidate) -> None:
    """Mistake 3: an outcome of the last matured day, in no fold's training, moves what ships."""
    known = matured(sends)
    labels = known["unsubscribed"].to_numpy().copy()
    labels[-40:] = 1
    other = train_candidate(ibis.memtable(replaced(known, "unsubscribed", labels)), PROBLEM, contenders=(XGBOOST,))
    assert other.model.rounds == trained.model.rounds
    assert other.model.booster.save_raw("ubj") != trained.model.booster.save_raw("ubj")


def test_categories_reach_the_model(sends: pa.Table, trained: Candidate) -> None:
    """Mistake 4: gender, country, theme and category are columns of the matrix, and the planted theme is used."""
    encoding = trained.model.encoding
    categories = {feature.name for feature in encoding.features if feature.categories}
    assert categories == {"gender", "country", "theme", "category"}
    pushes = np.abs(trained.model.contributions(encoding.matrix(matured(sends))))
    assert pushes[:, encoding.names.index("theme")].mean() > 0.1
    as_food = replaced(sends, "theme", ["food"] * sends.num_rows)
    as_shopping = replaced(sends, "theme", ["shopping"] * sends.num_rows)
    food, shopping = (trained.model.predict(encoding.matrix(table)) for table in (as_food, as_shopping))
    assert food.mean() > 1.8 * shopping.mean()


def test_categories_reach_the_linear_baselines(sends: pa.Table, trained: Candidate) -> None:
    """Mistake 4, where one column per category is made."""
    for model in trained.baselines.values():
        tables = [term.weights for term in model.terms if isinstance(term, CategoryTerm)]
        assert [len(weights) for weights in tables] == [2, 3, 3, 3]
        assert all(len(set(weights)) == len(weights) for weights in tables)


def test_ids_are_not_features(sends: pa.Table, trained: Candidate) -> None:
    """Mistake 5: giving everyone another id changes no score."""
    assert not {name for name in trained.model.encoding.names if name.endswith("id") or name == "subject"}
    renamed = replaced(sends, "user_id", pc.add(sends["user_id"], 1_000_000).combine_chunks())
    other = train_candidate(ibis.memtable(renamed), PROBLEM, contenders=(XGBOOST,))
    assert other.model.booster.save_raw("ubj") == trained.model.booster.save_raw("ubj")


def test_every_feature_is_there_once(sends: pa.Table, trained: Candidate) -> None:
    """Mistake 5: no column is another one, scaled."""
    names = trained.model.encoding.names
    assert len(set(names)) == len(names)
    matrix = np.nan_to_num(trained.model.encoding.matrix(matured(sends)).astype(np.float64))
    varying = matrix[:, matrix.std(axis=0) > 0]
    correlation = np.abs(np.corrcoef(varying, rowvar=False)) - np.eye(varying.shape[1])
    assert correlation.max() < 0.9999


def test_preprocessing_is_learned_from_training_rows_only(sends: pa.Table, trained: Candidate) -> None:
    """Mistake 6: whatever the test window holds, what was fitted before it is the same."""
    known = matured(sends)
    late = pc.greater_equal(known["delivered_at"], pc.min(trained.scores["delivered_at"]))
    wild = replaced(known, "age", pc.if_else(late, 10_000, known["age"]).combine_chunks())
    wild = replaced(wild, "theme", pc.if_else(late, "never seen", known["theme"]).combine_chunks())
    other = train_candidate(ibis.memtable(wild), PROBLEM, contenders=(XGBOOST,))
    for name, model in trained.baselines.items():
        assert model.to_json() == other.baselines[name].to_json()


def test_preprocessing_travels_with_the_model_and_is_not_refitted(trained: Candidate, sends: pa.Table) -> None:
    """Mistake 6: a row alone is encoded as it is among all the others."""
    encoding = trained.model.encoding
    alone = np.vstack([encoding.matrix(sends.slice(row, 1)) for row in range(20)])
    np.testing.assert_array_equal(alone, encoding.matrix(sends)[:20])


def test_models_are_compared_by_scores_not_hard_labels() -> None:
    """Mistake 7: two models with the same hard labels differ where one ranks better."""
    labels = np.tile([0, 0, 0, 1], 100).astype(np.int8)
    ranks = np.tile([0.01, 0.02, 0.03, 0.3], 100)
    scores = pa.table(
        {
            "user_id": np.arange(400),
            "label": labels,
            "base_rate": np.full(400, 0.25),
            "hard": (ranks > 0.5).astype(float),
            "xgboost": ranks,
        }
    )
    assert not (scores["hard"].to_numpy() != (ranks > 0.5)).any()
    unsliced = PROBLEM.model_copy(update={"evaluation": PROBLEM.evaluation.model_copy(update={"slices": ()})})
    estimates = evaluate(scores, scores, XGBOOST, unsliced).estimates
    assert estimates["hard"]["roc_auc"].value == 0.5
    assert estimates["xgboost"]["roc_auc"].value == 1
    assert decide(evidence(scores), PROBLEM).verdict == "promoted"


@pytest.mark.ml_test_score("model-5")
def test_baselines_are_fitted_on_the_same_rows_and_gate_the_model(trained: Candidate) -> None:
    """Mistake 8: they exist, they are not guesses, and a model that only equals the base rate is refused."""
    assert {"base_rate", "logistic_regression", "linear_svm"} <= set(trained.scores.column_names)
    rate = trained.facts["train_positives"] / trained.facts["train_rows"]
    assert set(trained.scores["base_rate"].to_pylist()) == {rate}
    position = trained.scores.column_names.index("xgboost")
    as_base_rate = trained.scores.set_column(position, "xgboost", trained.scores["base_rate"])
    assert decide(evidence(as_base_rate), PROBLEM).verdict == "refused"


def test_no_generator_is_unseeded() -> None:
    """Mistake 8: whatever is drawn in training and gate is drawn from a seed of the problem."""
    from mlguide_assets.deploy.gate import gate
    from mlguide_assets.train import candidate
    from mlguide_assets.train.evaluation import evaluation, explanation, uncertainty
    from mlguide_assets.train.models import models

    for module in (candidate, evaluation, explanation, models, uncertainty, gate):
        source = inspect.getsource(module)
        assert "default_rng()" not in source
        assert "np.random.rand" not in source
        assert "import random" not in source


def test_test_window_is_later_than_training_by_the_label_window(sends: pa.Table, trained: Candidate) -> None:
    """Mistake 9: every outcome learned from was known when the first test send went out."""
    start = pc.min(trained.scores["delivered_at"]).as_py()
    known = matured(sends)
    in_training = pc.less_equal(known["matured_at"], pa.scalar(start, pa.timestamp("us")))
    assert pc.sum(in_training).as_py() == trained.facts["train_rows"]
    encoding = Encoding.fit(known.filter(in_training), features_of(PROBLEM))
    rows = known.filter(in_training)
    again = refit_xgboost(
        encoding.matrix(rows),
        rows["unsubscribed"].to_numpy(),
        encoding,
        rounds=trained.model.rounds,
        seed=PROBLEM.evaluation.seed,
        calibration=trained.holdout_model.calibration,
    )
    keys = ["user_id", "email_id", "delivered_at"]
    judged = known.join(trained.scores.select(keys), keys, join_type="inner").sort_by(
        [("delivered_at", "ascending"), ("user_id", "ascending"), ("email_id", "ascending")]
    )
    np.testing.assert_array_equal(again.predict(encoding.matrix(judged)), trained.scores["xgboost"].to_numpy())


def test_intervals_resample_users_not_rows() -> None:
    """Mistake 9: forty equal rows of a user are one witness, not forty."""
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 50), random.random(50)
    once = bootstrap_metrics(labels, {"m": scores}, np.arange(50))["m"]["roc_auc"]
    forty = bootstrap_metrics(np.repeat(labels, 40), {"m": np.repeat(scores, 40)}, np.repeat(np.arange(50), 40))
    assert forty["m"]["roc_auc"].low == once.low
    assert forty["m"]["roc_auc"].high == once.high
