"""XGBoost on Spark learns from the rows that a training in memory has, and as much; what is promised of it is kept."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.training import Training
from mlguide_assets.deploy.registry.registration import register_candidate
from mlguide_assets.deploy.registry.reproduction import reproduce
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate, train_candidate
from mlguide_assets.train.choice import TrainingRows
from mlguide_assets.train.evaluation.metrics import METRICS
from mlguide_assets.train.evaluation.uncertainty import bootstrap_metrics
from mlguide_assets.train.lineage import lineage_of
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.models import XGBOOST
from mlguide_assets.train.propensity import propensity_weights, uniform_ratios
from mlguide_assets.train.recipe import DEFAULT_RECIPE, Recipe, TrainingWindow
from mlguide_assets.train.rows import clusters_of, matured_rows
from mlguide_assets.train.storage import record_of, save_candidate, save_plots
from mlguide_assets.train.trainers.in_memory import InMemory
from mlguide_assets.train.trainers.trainer import Distributed, Fit
from mlguide_assets_tests.train.sends import PROBLEM, plans_of_sends

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def on_spark(spark_lakes: list[Lake], sends: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The trainer of the sample's sends, half of which plans chose."""
    from mlguide_assets.train.trainers.on_spark import OnSpark

    spark_lakes[0].write("plans", plans_of_sends(sends, share=0.5))
    read = Distributed(spark_lakes[1].engine, spark_lakes[1].open("send_features"), spark_lakes[1].open("plans"))
    return OnSpark.of(read, PROBLEM, tmp_path_factory.mktemp("trainer"))


def test_what_xgboost_learns_from_on_spark_are_the_rows_in_memory(
    on_spark: Any, spark_lakes: list[Lake], sends: pa.Table, tmp_path: Path
) -> None:
    rows = matured_rows(ibis.memtable(sends), PROBLEM)
    assert on_spark.rows.equals(rows.select(on_spark.rows.column_names))
    encoding, window = Encoding.fit(rows, features_of(PROBLEM)), TrainingWindow("rolling", 30)
    times = rows["delivered_at"].to_numpy()
    until = times[len(times) // 2]
    early = rows.filter(pa.array(times <= until))
    ratios = uniform_ratios(early, spark_lakes[0].read("plans"), PROBLEM.decision)
    weights = window.weights(early["delivered_at"].to_numpy()) * propensity_weights(ratios, max_weight=10)
    assert len({*weights.round(9)}) > 2
    used = weights > 0
    assert 0 < used.sum() < on_spark.learned(until) == early.num_rows
    frame = (
        on_spark.encoded(encoding, window, until, tmp_path / "encoded").order_by("key0", "key1", "key2").to_pyarrow()
    )
    order = early.append_column("at", pa.array(np.arange(early.num_rows))).filter(pa.array(used))
    places = order.sort_by([(name, "ascending") for name in PROBLEM.decision.order])["at"].to_numpy()
    np.testing.assert_array_equal(np.array(frame["features"].to_pylist(), np.float32), encoding.matrix(early)[places])
    np.testing.assert_array_equal(frame["label"].to_numpy(), early["unsubscribed"].to_numpy()[places])
    np.testing.assert_allclose(frame["weight"].to_numpy(), weights[places].astype(np.float32), rtol=1e-6)


def test_xgboost_learns_on_spark_what_it_learns_in_memory(on_spark: Any, sends: pa.Table) -> None:
    rows = matured_rows(ibis.memtable(sends), PROBLEM)
    encoding, labels = Encoding.fit(rows, features_of(PROBLEM)), rows["unsubscribed"].to_numpy()
    known = TrainingRows(
        encoding.matrix(rows), labels, rows["delivered_at"].to_numpy(), clusters_of(rows, PROBLEM), encoding,
        np.ones(len(labels)),
    )  # fmt: skip
    # What is drawn at random is drawn by each task for its own rows.
    recipe = Recipe({**DEFAULT_RECIPE.parameters, "subsample": 1.0, "colsample_bytree": 1.0})
    how = Fit(rounds=30, seed=0, recipe=recipe, threads=1)
    unweighted = replace(on_spark, known=on_spark.known.drop("_ratio"))
    ours, theirs = (
        trainer.fit(known, known.row_weights, None, how) for trainer in (unweighted, InMemory(rows, "delivered_at"))
    )
    assert np.corrcoef(ours.predict(known.matrix), theirs.predict(known.matrix))[0, 1] > 0.995
    assert ours.booster.feature_names == encoding.names
    # Another order, in other files: with two tasks a sum has two terms, so the bytes are the same here.
    shuffled = unweighted.known.order_by(unweighted.known.age.desc(), "user_id")
    mixed = replace(unweighted, known=on_spark.engine.stored(shuffled, on_spark.folder / "shuffled"))
    again = mixed.fit(known, known.row_weights, None, how)
    assert again.booster.save_raw("ubj") == ours.booster.save_raw("ubj")


@pytest.mark.usefixtures("spark")
def test_a_version_that_learned_on_spark_is_promised_an_interval_and_keeps_it(
    tmp_path: Path, trained: Candidate, sends: pa.Table
) -> None:
    """What learned in memory stands for what another cluster had learned: other bytes, and as good."""
    home = Home(tmp_path)
    problem = PROBLEM.model_copy(update={"engine": "spark", "training": Training(trainer="spark")})
    lake = Lake(home.lake(problem.key), engine="spark")
    for table in (*problem.tables, problem.core_table, problem.features_table):
        lake.write(table, sends if table == "send_features" else pa.table({"x": [1]}))
    learned = {"trainer": "spark", "learned_where": "on Spark, in 2 tasks", "rows_learned_by_xgboost": 2819}
    lineage = lineage_of(lake, problem)
    folder = home.candidates(problem.key) / lineage.id
    save_candidate(replace(trained, facts={**trained.facts, **learned}), problem, lineage, folder)
    save_plots({"roc_curve": b"\x89PNG"}, folder)
    scores = trained.scores
    users, settings = clusters_of(scores, problem), problem.evaluation
    bounds = bootstrap_metrics(
        scores["label"].to_numpy(), {XGBOOST: scores[XGBOOST].to_numpy()}, users,
        repeats=settings.bootstrap_repeats, seed=settings.seed,
    )[XGBOOST]  # fmt: skip
    evaluated = [{"model": XGBOOST, "metric": name, **asdict(bounds[name])} for name in METRICS]
    record = register_candidate(
        home, problem, ibis.memtable(record_of(folder)), ibis.memtable(pa.Table.from_pylist(evaluated))
    )
    said: list[str] = []
    again = reproduce(home, problem, str(record["version"][0].as_py()), said.append)
    assert said[0].startswith("XGBoost learned on Spark, in 2 tasks: an interval is promised.")
    assert any("learns from all 2,819 sends on Spark, in 2 tasks" in line for line in said)
    assert again.as_promised, again.different
    assert {*again.same} == {"encoding.json", "calibration.json", "judged/encoding.json", "judged/calibration.json"}
    assert [each.split()[0] for each in again.within] == [*METRICS]


def test_more_tasks_than_run_at_once_are_refused_before_spark_waits_for_them(on_spark: Any) -> None:
    many = PROBLEM.model_copy(update={"training": Training(spark_tasks=64)})
    how = Fit(rounds=1, seed=0, recipe=DEFAULT_RECIPE, threads=1)
    with pytest.raises(InputError, match=r"training\.spark_tasks is 64, and Spark has room for 2 tasks at a time"):
        replace(on_spark, problem=many).fit(None, None, None, how)


def test_the_trainer_spark_needs_the_engine_spark(sends: pa.Table) -> None:
    with pytest.raises(InputError, match=r"training\.trainer: spark needs the engine spark.*external_memory"):
        train_candidate(ibis.memtable(sends), PROBLEM, trainer="spark")
