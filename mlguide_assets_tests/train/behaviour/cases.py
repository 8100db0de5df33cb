"""Models, rows and tests that the tests of behaviour share; each is computed once per process."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.core import core_rows
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.tables import LABEL, send_features
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.train.behaviour.directions import EXTRA_SENDS, directions_hold, with_extra_recent_sends
from mlguide_assets.train.behaviour.plain_cases import plain_cases_are_right
from mlguide_assets.train.behaviour.results import Behaviour
from mlguide_assets.train.behaviour.samples import rows_of_sends
from mlguide_assets.train.behaviour.suite import behaviour_tests
from mlguide_assets.train.encoding import EncodedFeature, Encoding
from mlguide_assets.train.models import Boosted, refit_xgboost
from mlguide_assets.train.rows import matured_rows
from mlguide_assets_tests.prepare.simulator.worlds import content, history, profiles
from mlguide_assets_tests.samples import sample_problem

WORLD = World(sends=20_000, unobserved_sd=0.0)
FATIGUE = {"feature": "emails_last_7_days", "effect": "never_lowers"}
PROBLEM = sample_problem("nowhere", behaviour={"directions": [FATIGUE]})
FEATURES = features_of(PROBLEM)


@lru_cache(maxsize=1)
def core() -> pa.Table:
    sent = ibis.memtable(history(WORLD).select(["user_id", "email_id", "unsubscribed", "delivered_at"]))
    who = ibis.memtable(profiles(WORLD)).cast({"date_joined": "timestamp(6)"})
    what = ibis.memtable(content(WORLD)).cast({"created_at": "timestamp(6)"})
    tables = {"user_profiles": who, "user_emails": sent, "email_content": what}
    return core_rows(tables, PROBLEM).to_pyarrow()


@lru_cache(maxsize=1)
def rows() -> pa.Table:
    return matured_rows(send_features(ibis.memtable(core()), PROBLEM), PROBLEM)


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
    return by_name(behaviour_tests(model, ibis.memtable(core()), known, PROBLEM, seed=seed))


def plain_results(model: Boosted, known: pa.Table | None = None) -> dict[str, Behaviour]:
    """Of the tests of minimum functionality, which need no features computed again."""
    known, random = rows() if known is None else known, np.random.default_rng(0)
    sample = known.take(np.sort(random.permutation(known.num_rows)[:2000]))
    return by_name(plain_cases_are_right(model, known, sample, PROBLEM, random))


def directions(model: Boosted, problem: Problem = PROBLEM) -> dict[str, Behaviour]:
    """Of the tests of direction, on the users of the intervention below."""
    asked, random = intervention().asked, np.random.default_rng(0)
    return by_name(directions_hold(model, core(), rows(), asked, problem, random))


def by_name(found: Iterable[Behaviour]) -> dict[str, Behaviour]:
    return {behaviour.name: behaviour for behaviour in found}


def failures(found: dict[str, Behaviour]) -> set[str]:
    return {name for name, behaviour in found.items() if not behaviour.passed}


# What is done to the source, and what the simulator says of it.


@dataclass(frozen=True)
class Intervention:
    asked: pa.Table
    sends: pa.Table
    planted: pa.Table
    before: pa.Table
    after: pa.Table


@lru_cache(maxsize=1)
def intervention() -> Intervention:
    """One late send each of 400 users, before and after they got more emails."""
    of_users = rows().filter(pc.less_equal(rows()["user_id"], 1500))
    _, last = np.unique(of_users["user_id"].to_numpy()[::-1], return_index=True)
    asked = of_users.take(of_users.num_rows - 1 - last[-400:])
    more, possible = with_extra_recent_sends(core(), asked, EXTRA_SENDS, PROBLEM, np.random.default_rng(0))
    asked = asked.filter(pa.array(possible))
    assert asked.num_rows > 300
    features = send_features(ibis.memtable(more), PROBLEM).to_pyarrow()
    return Intervention(
        asked=asked,
        sends=core(),
        planted=more.slice(core().num_rows),
        before=rows_of_sends(asked, rows()),
        after=rows_of_sends(asked, features),
    )
