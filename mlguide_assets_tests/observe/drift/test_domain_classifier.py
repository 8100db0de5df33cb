"""The classifier sees what columns do together, and stays silent on days like those of the reference."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.observe.drift.domain_classifier import LEAST_DAYS, DomainClassifier, Separation, steady_columns
from mlguide_assets.observe.drift.drift import check_drift
from mlguide_assets.train.folds import unit_folds
from mlguide_assets.train.models.encoding import EncodedFeature, Encoding
from mlguide_assets.train.reference.counting import window_counts
from mlguide_assets.train.reference.profile import Profile, reference_profile
from mlguide_assets_tests.train.sends import PROBLEM

DECISION = PROBLEM.decision
ENCODING = Encoding((EncodedFeature("x"), EncodedFeature("y"), EncodedFeature("country", ("DE", "FR"))))
START = datetime(2024, 1, 1)


def sends(days: int, per_day: int, *, correlation: float, seed: int, own_country: bool = False) -> pa.Table:
    """Rows whose x and y are bell-shaped and correlated; the country is drawn, or follows the sign of x."""
    random = np.random.default_rng(seed)
    n = days * per_day
    x = random.normal(size=n)
    y = correlation * x + np.sqrt(1 - correlation**2) * random.normal(size=n)
    country = np.where(x > 0 if own_country else random.random(n) < 0.5, "DE", "FR")
    return pa.table(
        {
            "user_id": random.integers(0, 2000, n),
            "delivered_at": [START + timedelta(days=day) for day in np.repeat(np.arange(days), per_day).tolist()],
            "x": x,
            "y": y,
            "country": country,
        }
    )


def profile_of(rows: pa.Table) -> Profile:
    features = ibis.memtable(rows.select(["x", "y", "country"]))
    return reference_profile(features, {"x": "number", "y": "number", "country": "category"}, {})


@pytest.fixture(scope="module")
def reference() -> pa.Table:
    return sends(LEAST_DAYS + 5, 60, correlation=0.7, seed=0)


@pytest.fixture(scope="module")
def classifier(reference: pa.Table) -> DomainClassifier:
    return DomainClassifier(ibis.memtable(reference), ENCODING, profile_of(reference), DECISION, seed=0)


@pytest.mark.parametrize(
    "changed",
    [{"correlation": -0.7}, {"correlation": 0.7, "own_country": True}],
    ids=["the sign of a correlation", "a category that follows a number"],
)
def test_columns_that_drift_together_are_seen_though_none_drifts_alone(
    classifier: DomainClassifier, changed: dict[str, float]
) -> None:
    day = sends(1, 600, seed=1, **changed)  # type: ignore[arg-type]
    alone = check_drift(
        classifier.profile, window_counts(ibis.memtable(day.select(["x", "y", "country"])), classifier.profile)
    )
    found = classifier.separation(ibis.memtable(day))
    assert alone.level == "none"
    assert found is not None
    assert found.finding.level == "warn"
    assert found.auc > 0.65


def test_days_like_those_of_the_reference_seldom_warn(classifier: DomainClassifier) -> None:
    """Of 40 days, one is expected to reach the level; five or more would be so once in 300 times."""
    found = [classifier.separation(ibis.memtable(sends(1, 60, correlation=0.7, seed=seed))) for seed in range(10, 50)]
    p_values = np.array([each.p_value for each in found if each is not None])
    assert len(p_values) == 40
    assert (p_values <= 1 / (1 + LEAST_DAYS)).sum() < 5
    assert 0.3 < p_values.mean() < 0.7


def test_without_enough_days_or_rows_nothing_is_said(classifier: DomainClassifier) -> None:
    few = sends(3, 20, correlation=0.7, seed=0)
    short = ibis.memtable(few)
    assert DomainClassifier(short, ENCODING, profile_of(few), DECISION, seed=0).separation(short) is None
    assert classifier.separation(short.limit(0)) is None
    assert classifier.separation(short.limit(1)) is None


def test_what_is_known_of_the_reference_is_kept(tmp_path: Path, classifier: DomainClassifier) -> None:
    short = sends(3, 60, correlation=0.7, seed=0)
    asked = DomainClassifier(ibis.memtable(short), ENCODING, profile_of(short), DECISION, 0, tmp_path / "null.json")
    assert json.loads((tmp_path / "null.json").read_bytes() if asked.null else b"") == list(asked.null)
    (tmp_path / "kept.json").write_text(json.dumps([0.5] * LEAST_DAYS))
    found = replace(classifier, kept=tmp_path / "kept.json").separation(
        ibis.memtable(sends(1, 60, correlation=0.7, seed=3))
    )
    assert found is not None
    assert set(found.null) == {0.5}
    (tmp_path / "null.json").write_text("[0.5")
    assert replace(asked).null == asked.null


def test_columns_that_name_the_day_or_move_on_by_themselves_are_left_out(classifier: DomainClassifier) -> None:
    x, y, country = classifier.profile.columns
    columns = (replace(x, inflation=900.0), replace(y, trend=2.0), country)
    assert steady_columns(replace(classifier.profile, columns=columns)) == ["country"]


@pytest.mark.parametrize(
    ("auc", "p_value", "level"),
    [(0.49, 1.0, "none"), (0.559, 2 / 41, "none"), (0.6, 1 / 41, "warn")],
)
def test_a_warning_takes_a_day_that_none_of_the_reference_is_like(auc: float, p_value: float, level: str) -> None:
    found = Separation(auc, tuple(np.linspace(0.5, 0.56, 40)))
    assert found.p_value == pytest.approx(p_value)
    assert found.finding.level == level


def test_a_warning_takes_a_difference_that_matters() -> None:
    found = Separation(0.511, tuple(np.linspace(0.499, 0.501, 40)))
    assert found.p_value == pytest.approx(1 / 41)
    assert found.finding.level == "none"


def test_a_user_is_in_one_fold_and_folds_are_about_equal() -> None:
    users = np.repeat(np.arange(3000), 2)
    folds = unit_folds(users, 3, seed=1)
    assert (folds[::2] == folds[1::2]).all()
    assert np.bincount(folds).min() > 1800
    assert (unit_folds(users[:10], 3, seed=1) == folds[:10]).all()
