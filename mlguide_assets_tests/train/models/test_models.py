"""The models: the same bytes every time, learned from the rows they are given and from nothing else."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from mlguide_assets.train.models import models as models_module
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.models import (
    MAX_ROUNDS,
    PATIENCE,
    Labels,
    fit_xgboost,
    refit_xgboost,
)
from mlguide_assets_tests.train.planted import ENCODING, LABELS, MATRIX, TIMES
from mlguide_assets_tests.train.times import WEEK


def test_a_fixed_seed_gives_the_same_bytes_twice() -> None:
    first, again = (fit_xgboost(MATRIX, LABELS, TIMES, ENCODING, gap=WEEK, seed=3).booster for _ in range(2))
    assert first.save_raw("ubj") == again.save_raw("ubj")


def test_another_seed_gives_another_model() -> None:
    first, other = (refit_xgboost(MATRIX, LABELS, ENCODING, rounds=20, seed=seed).booster for seed in (1, 2))
    assert first.save_raw("ubj") != other.save_raw("ubj")


def test_the_number_of_threads_does_not_change_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    models = []
    for threads in (1, 2):
        monkeypatch.setattr(models_module, "THREADS", threads)
        models.append(refit_xgboost(MATRIX, LABELS, ENCODING, rounds=20, seed=0).booster.save_raw("ubj"))
    assert models[0] == models[1]


@pytest.mark.slow
@pytest.mark.ml_test_score("infra-1")
def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "import hashlib; from mlguide_assets_tests.train.models import test_models as t;"
        "b = t.refit_xgboost(t.MATRIX, t.LABELS, t.ENCODING, rounds=20, seed=0).booster;"
        "print(hashlib.sha256(b.save_raw('ubj')).hexdigest())"
    )
    here = refit_xgboost(MATRIX, LABELS, ENCODING, rounds=20, seed=0).booster.save_raw("ubj")
    there = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    assert there == hashlib.sha256(here).hexdigest()


@pytest.mark.ml_test_score("infra-2")
def test_the_number_of_rounds_comes_from_the_inner_window() -> None:
    model = fit_xgboost(MATRIX, LABELS, TIMES, ENCODING, gap=WEEK, seed=0)
    assert 1 <= model.rounds < MAX_ROUNDS
    assert model.booster.num_boosted_rounds() == model.rounds


def test_rows_in_the_gap_before_the_inner_window_do_not_choose_the_rounds() -> None:
    """The last 15 % judge, the week before them is unknown: spoiling it changes the model only by the refit."""
    start = int(len(TIMES) * 0.85)
    gap = np.flatnonzero((TIMES[start] - np.timedelta64(WEEK) < TIMES) & (TIMES[start] > TIMES))
    spoiled = LABELS.copy()
    spoiled[gap] = 1 - spoiled[gap]
    as_known, as_spoiled = (
        fit_xgboost(MATRIX, labels, TIMES, ENCODING, gap=WEEK, seed=0) for labels in (LABELS, spoiled)
    )
    assert as_known.rounds == as_spoiled.rounds


@pytest.mark.parametrize("labels", [np.r_[np.ones(20), np.zeros(1480)], np.r_[np.zeros(1480), np.ones(20)]])
def test_without_both_outcomes_in_the_inner_windows_a_fixed_number_of_rounds_is_used(labels: Labels) -> None:
    assert fit_xgboost(MATRIX, labels.astype(np.int8), TIMES, ENCODING, gap=WEEK, seed=0).rounds == PATIENCE


def test_a_history_shorter_than_the_gap_still_gives_a_model() -> None:
    assert fit_xgboost(MATRIX, LABELS, TIMES, ENCODING, gap=timedelta(days=900), seed=0).rounds == PATIENCE


def test_columns_may_have_any_name() -> None:
    """XGBoost refuses three characters."""
    plain = refit_xgboost(MATRIX, LABELS, ENCODING, rounds=5, seed=0)
    renamed = {name: f"{name} [EUR] <" for name in ENCODING.names}
    odd = Encoding(tuple(replace(feature, name=renamed[feature.name]) for feature in ENCODING.features))
    model = refit_xgboost(MATRIX, LABELS, odd, rounds=5, seed=0)
    assert model.importance() == {renamed[name]: share for name, share in plain.importance().items()}
    np.testing.assert_array_equal(model.contributions(MATRIX), plain.contributions(MATRIX))


@pytest.mark.filterwarnings("ignore:.*Empty dataset")
def test_no_rows_are_predicted_as_no_rows() -> None:
    assert refit_xgboost(MATRIX, LABELS, ENCODING, rounds=5, seed=0).predict(MATRIX[:0]).shape == (0,)


@pytest.mark.ml_test_score("infra-5")
def test_contributions_and_bias_add_up_to_the_raw_margin() -> None:
    import xgboost as xgb

    model = refit_xgboost(MATRIX, LABELS, ENCODING, rounds=30, seed=0)
    data = xgb.DMatrix(
        MATRIX, feature_names=ENCODING.names, feature_types=ENCODING.xgboost_types, enable_categorical=True
    )
    margin = model.booster.predict(data, output_margin=True)
    bias = model.booster.predict(data, pred_contribs=True)[:, -1]
    assert np.unique(bias).size == 1
    np.testing.assert_allclose(model.contributions(MATRIX).sum(axis=1) + bias, margin, atol=1e-5)
