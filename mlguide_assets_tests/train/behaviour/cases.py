"""Models, rows and tests that the tests of behaviour share; each is computed once per process."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.train.behaviour.directions import directions_hold
from mlguide_assets.train.behaviour.interventions import feature_called, raised
from mlguide_assets.train.behaviour.plain_cases import plain_cases_are_right
from mlguide_assets.train.behaviour.results import Behaviour
from mlguide_assets.train.behaviour.samples import rows_of
from mlguide_assets.train.behaviour.suite import behaviour_tests
from mlguide_assets.train.models.encoding import EncodedFeature, Encoding
from mlguide_assets.train.models.models import Boosted, refit_xgboost
from mlguide_assets.train.rows import matured_rows
from mlguide_assets.train.some_units import as_tables, history_of
from mlguide_assets_tests.email_case import LABEL, send_features
from mlguide_assets_tests.prepare.simulator.worlds import content, history, profiles
from mlguide_assets_tests.samples import sample_problem

WORLD = World(sends=20_000, unobserved_sd=0.0)
FATIGUE = {"feature": "emails_last_7_days", "effect": "never_lowers"}
PROBLEM = sample_problem("nowhere", behaviour={"directions": [FATIGUE]})
FEATURES = features_of(PROBLEM)


@lru_cache(maxsize=1)
def tables() -> dict[str, ibis.Table]:
    sent = history(WORLD).select(["user_id", "email_id", "unsubscribed", "delivered_at"])
    found = {"user_profiles": profiles(WORLD), "email_content": content(WORLD), "user_emails": sent}
    days = {"user_profiles": "date_joined", "email_content": "created_at"}
    return {
        name: ibis.memtable(rows).cast({days[name]: "timestamp(6)"} if name in days else {})
        for name, rows in found.items()
    }


@lru_cache(maxsize=1)
def rows() -> pa.Table:
    return matured_rows(send_features(tables(), PROBLEM), PROBLEM)


def fitted(*extra: str, only: Callable[[str], bool] = lambda _: True, known: pa.Table | None = None) -> Boosted:
    """A model of the world's sends, with more columns, with fewer, or learned from other rows."""
    known = rows() if known is None else known
    usual = Encoding.fit(known, FEATURES)
    kept = tuple(feature for feature in usual.features if only(feature.name))
    encoding = Encoding((*kept, *(EncodedFeature(name) for name in extra)))
    return refit_xgboost(encoding.matrix(known), known[LABEL].to_numpy(), encoding, rounds=60, seed=0)


def results(model: Boosted, *, known: pa.Table | None = None, seed: int = 0) -> dict[str, Behaviour]:
    """Of all tests."""
    known = rows() if known is None else known
    return by_name(behaviour_tests(model, tables(), known, PROBLEM, seed=seed))


def plain_results(model: Boosted, known: pa.Table | None = None) -> dict[str, Behaviour]:
    """Of the tests of minimum functionality, which need no features computed again."""
    known, random = rows() if known is None else known, np.random.default_rng(0)
    sample = known.take(np.sort(random.permutation(known.num_rows)[:2000]))
    return by_name(plain_cases_are_right(model, known, sample, PROBLEM, random))


def directions(model: Boosted, problem: Problem = PROBLEM) -> dict[str, Behaviour]:
    """Of the tests of direction, on the users of the intervention below."""
    return by_name(directions_hold(model, tables(), intervention().asked, problem, np.random.default_rng(0)))


def by_name(found: Iterable[Behaviour]) -> dict[str, Behaviour]:
    return {behaviour.name: behaviour for behaviour in found}


def failures(found: dict[str, Behaviour]) -> set[str]:
    return {name for name, behaviour in found.items() if not behaviour.passed}


# What is done to the source, and what the simulator says of it.


@dataclass(frozen=True)
class Intervention:
    asked: pa.Table
    planted: pa.Table
    before: pa.Table
    after: pa.Table


@lru_cache(maxsize=1)
def intervention() -> Intervention:
    """One late send each of 400 users, before and after they got more emails."""
    of_users = rows().filter(pc.less_equal(rows()["user_id"], 1500))
    _, last = np.unique(of_users["user_id"].to_numpy()[::-1], return_index=True)
    asked = of_users.take(of_users.num_rows - 1 - last[-400:])
    feature = feature_called(FATIGUE["feature"], PROBLEM)
    every = pc.unique(tables()["user_emails"].to_pyarrow()["user_id"])
    there = history_of(tables(), PROBLEM, every)
    change = raised(feature, there, asked, PROBLEM, np.random.default_rng(0))
    asked = asked.filter(pa.array(change.reached))
    assert asked.num_rows > 300
    features = send_features(as_tables(change.history), PROBLEM).to_pyarrow()
    return Intervention(
        asked=asked,
        planted=change.history["user_emails"].slice(there["user_emails"].num_rows),
        before=rows_of(asked, rows(), PROBLEM, "user"),
        after=rows_of(asked, features, PROBLEM, "user"),
    )
