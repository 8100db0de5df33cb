"""Worlds and alarms that the tests of leakage share."""

import ibis
import pyarrow as pa

from mlguide_assets.define.loading import load_problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.sources.casting import cast_to_schema
from mlguide_assets.train.leakage.identifiers import id_like_features
from mlguide_assets.train.leakage.results import Alarm
from mlguide_assets.train.leakage.single_features import features_too_good
from mlguide_assets.train.leakage.suite import MAX_NAMED_SHARE
from mlguide_assets_tests.train.sends import PROBLEM, matured

FEATURES = features_of(PROBLEM)
SIMULATED = load_problem("planeswalker")


def conformed(user_profiles: pa.Table, user_emails: pa.Table, email_content: pa.Table) -> dict[str, ibis.Table]:
    """The tables of the email case as they are after ingest."""
    tables = {"user_profiles": user_profiles, "user_emails": user_emails, "email_content": email_content}
    return {
        name: ibis.memtable(
            cast_to_schema(ibis.memtable(tables[name]), name, table, place=name).select(*table.columns).to_pyarrow()
        )
        for name, table in PROBLEM.tables.items()
    }


def named_share(rows: pa.Table) -> Alarm:
    return id_like_features(rows, FEATURES, PROBLEM.decision, limit=MAX_NAMED_SHARE)


def too_good(rows: pa.Table, limit: float = 0.85) -> Alarm:
    return features_too_good(matured(rows), FEATURES, PROBLEM.label.column, limit=limit)


def values(alarm: Alarm) -> dict[str, float]:
    assert alarm.details is not None
    return dict(zip(*alarm.details.to_pydict().values(), strict=True))
