"""Training on more rows than are held in memory gives what training in memory gives, and states its sample."""

from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss

from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.train.candidate import Candidate, train_candidate
from mlguide_assets.train.choice import TrainingRows
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.models import XGBOOST, Boosted
from mlguide_assets.train.recipe import DEFAULT_RECIPE, Recipe, TrainingWindow
from mlguide_assets.train.room import require_room_for_training, trainer_name
from mlguide_assets.train.rows import matured_rows, sampled_rows
from mlguide_assets.train.trainers import external_memory
from mlguide_assets.train.trainers.external_memory import ExternalMemory
from mlguide_assets.train.trainers.trainer import Fit
from mlguide_assets_tests.train.sends import PROBLEM

MEMORY = "mlguide_assets.prepare.memory.available_memory"


def holding(rows: int) -> Problem:
    return PROBLEM.model_copy(update={"training": PROBLEM.training.model_copy(update={"rows_in_memory": rows})})


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_memory, "BATCH_ROWS", 700)


@pytest.fixture(scope="module")
def external(sends: pa.Table) -> Candidate:
    return train_candidate(ibis.memtable(sends), PROBLEM, contenders=(XGBOOST,), trainer="external_memory")


def test_it_learns_what_a_training_in_memory_learns(external: Candidate, trained: Candidate) -> None:
    for name in ("train_rows", "refit_rows", "rounds", "train_last"):
        assert external.facts[name] == trained.facts[name]
    assert external.facts["trainer"] == "external_memory"
    ours, theirs = (np.asarray(each.scores[XGBOOST]) for each in (external, trained))
    # Its histogram bins come from batches that are merged, so a row may fall into the bin beside.
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99


def test_the_same_rows_give_the_same_bytes(external: Candidate, sends: pa.Table) -> None:
    again = train_candidate(ibis.memtable(sends), PROBLEM, contenders=(XGBOOST,), trainer="external_memory")
    for which in ("model", "holdout_model"):
        one, other = (getattr(each, which).booster.save_raw("ubj") for each in (external, again))
        assert one == other, which


def test_many_rows_are_learned_from_in_subsets(
    sends: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_memory, "SUBSET_ROWS", 1000)
    monkeypatch.setattr(external_memory, "GROUP_ROWS", 300)
    trainer = ExternalMemory.of(ibis.memtable(sends), PROBLEM, None, tmp_path)
    encoding = Encoding.fit(sends, external_features())
    subsets = trainer.subsets(DEFAULT_RECIPE, None, 7)
    assert len(subsets) == trainer.learned(None) // 1000 == 2
    assert [subset.rounds for subset in subsets] == [4, 3]
    read = [
        sum(len(batch.labels) for batch in trainer.batches(encoding, DEFAULT_RECIPE, None, subset.groups))
        for subset in subsets
    ]
    assert sum(read) == trainer.learned(None)
    assert min(read) > 0
    rows = matured_rows(ibis.memtable(sends), PROBLEM)
    matrix, labels, ones = encoding.matrix(rows), rows["unsubscribed"].to_numpy(), np.ones(rows.num_rows)
    times, units = rows[PROBLEM.decision.time].to_numpy(), rows[PROBLEM.decision.unit_id].to_numpy()
    known = TrainingRows(matrix, labels, times, units, encoding, ones)

    said: list[str] = []

    def fitted(rounds: int) -> Boosted:
        return trainer.fit(known, ones, None, Fit(rounds, 0, DEFAULT_RECIPE, 1, said.append))

    small, full = fitted(4), fitted(7)
    assert said[-2:] == ["XGBoost on all rows: 4 of 7 trees", "XGBoost on all rows: 7 of 7 trees"]
    losses = [log_loss(labels, each.predict_uncalibrated(matrix)) for each in (small, full)]
    assert full.booster.num_boosted_rounds() == 7
    assert losses[1] < losses[0], "trees of the second subset continue the first"
    columns = full.booster.trees_to_dataframe().groupby("Tree").Feature.unique().map(sorted)
    assert columns[4] != columns[0], "it draws columns of its own"


def test_no_subset_is_without_rows_that_count(sends: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_memory, "SUBSET_ROWS", 100)
    monkeypatch.setattr(external_memory, "GROUP_ROWS", 300)
    trainer = ExternalMemory.of(ibis.memtable(sends), PROBLEM, None, tmp_path)
    newest = Recipe(DEFAULT_RECIPE.parameters, TrainingWindow("rolling", 3))
    encoding = Encoding.fit(sends, external_features())
    subsets = trainer.subsets(newest, None, 50)
    assert subsets
    assert all(list(trainer.batches(encoding, newest, None, subset.groups)) for subset in subsets)


@pytest.mark.parametrize("window", [TrainingWindow(), TrainingWindow("rolling", 30), TrainingWindow("decayed", 30)])
@pytest.mark.parametrize("has_end", [False, True])
def test_batches_are_the_rows_in_memory_with_their_weights(
    sends: pa.Table, tmp_path: Path, window: TrainingWindow, has_end: bool
) -> None:
    features = ibis.memtable(sends)
    rows = matured_rows(features, PROBLEM)
    times = rows[PROBLEM.decision.time].to_numpy()
    until = times[len(times) // 2] if has_end else None
    trainer = ExternalMemory.of(features, PROBLEM, None, tmp_path)
    encoding = Encoding.fit(rows, external_features())
    batches = list(trainer.batches(encoding, Recipe(DEFAULT_RECIPE.parameters, window), until))
    early = rows if until is None else rows.filter(pa.array(times <= until))
    weights = window.weights(early[PROBLEM.decision.time].to_numpy())
    assert len(batches) > 1 or window.kind == "rolling"
    assert trainer.learned(until) == early.num_rows

    def sorted_rows(matrix: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        together = np.column_stack([np.nan_to_num(matrix, nan=-1), labels, counts])
        return together[np.lexsort(together.T)]

    expected = sorted_rows(encoding.matrix(early), early["unsubscribed"].to_numpy(), weights)
    found = [np.concatenate([getattr(each, name) for each in batches]) for name in ("matrix", "labels", "weights")]
    np.testing.assert_allclose(sorted_rows(*found), expected[expected[:, -1] > 0])


def external_features() -> tuple[object, ...]:
    from mlguide_assets.prepare.features.catalogue import features_of

    return tuple(features_of(PROBLEM))


def test_a_sample_has_all_rows_of_whole_units(sends: pa.Table) -> None:
    features, unit = ibis.memtable(sends), PROBLEM.decision.unit_id
    every, some = matured_rows(features, PROBLEM), sampled_rows(features, holding(1000))
    assert some.num_rows == pytest.approx(1000, rel=0.2)
    assert some.equals(sampled_rows(features, holding(1000)))
    chosen = set(some[unit].to_pylist())
    assert some.num_rows == sum(each in chosen for each in every[unit].to_pylist())
    assert sampled_rows(features, holding(every.num_rows)).equals(every)


def test_figures_are_of_the_sample_and_trees_of_all_rows(sends: pa.Table) -> None:
    said: list[str] = []
    problem = holding(2000)
    candidate = train_candidate(
        ibis.memtable(sends), problem, report=said.append, contenders=(XGBOOST,), trainer="external_memory"
    )
    facts = candidate.facts
    every = matured_rows(ibis.memtable(sends), problem).num_rows
    assert facts["refit_rows"] == facts["rows_in_memory"] < facts["rows_learned_by_xgboost"] == every
    assert facts["train_rows"] < facts["rows_learned_by_xgboost_holdout"] < every
    assert facts["test_rows"] == candidate.scores.num_rows < facts["rows_in_memory"]
    assert any(f"a seeded sample of {facts['rows_in_memory']:,} (training.rows_in_memory)" in line for line in said)


def test_memory_decides_unless_the_problem_does(sends: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    small = holding(1000)
    assert trainer_name(sends.num_rows, small) == "in_memory"
    monkeypatch.setattr(MEMORY, lambda: 200_000_000)
    assert trainer_name(sends.num_rows, PROBLEM) == "in_memory", "so few rows are held anyway"
    assert trainer_name(sends.num_rows, small) == "external_memory"
    assert trainer_name(sends.num_rows, small.model_copy(update={"engine": "spark"})) == "spark"
    demanded = small.training.model_copy(update={"trainer": "in_memory"})
    assert trainer_name(sends.num_rows, small.model_copy(update={"training": demanded})) == "in_memory"


def test_a_sample_that_does_not_fit_is_refused_with_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MEMORY, lambda: 1_500_000_000)
    require_room_for_training(3_000_000, holding(300_000))
    with pytest.raises(InputError, match=r"2,000,000 of them in memory \(training\.rows_in_memory\), needs about"):
        require_room_for_training(3_000_000, holding(2_000_000))
