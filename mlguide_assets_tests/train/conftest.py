"""Point-in-time features of the sample's sends, and one candidate trained on them, made once per process."""

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.train.candidate import Candidate, train_candidate
from mlguide_assets.train.models import XGBOOST
from mlguide_assets_tests.samples import sample_tables
from mlguide_assets_tests.train.sends import PROBLEM, features_of_tables


@pytest.fixture(scope="session")
def sends() -> pa.Table:
    """Features of 3,000 sends over 120 days; food emails lose six times as many users as the others."""
    return features_of_tables(sample_tables(sends=3000))


@pytest.fixture(scope="session")
def trained(sends: pa.Table) -> Candidate:
    return train_candidate(ibis.memtable(sends), PROBLEM, contenders=(XGBOOST,))


@pytest.fixture(scope="session")
def linear(sends: pa.Table) -> Candidate:
    """As `trained`, where all models compete: so few sends do not show that XGBoost is better."""
    return train_candidate(ibis.memtable(sends), PROBLEM)
