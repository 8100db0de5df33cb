"""Logged features equal those computed offline; one that is broken on purpose is found and named."""

import shutil
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pytest

from mlguide_assets.define.features import Declaration
from mlguide_assets.deploy.bundle import champion, export_bundle, set_champion
from mlguide_assets.deploy.log.landing import PREDICTION_LOG, land_log
from mlguide_assets.deploy.log.prediction_log import LogWriter
from mlguide_assets.deploy.online_store.publishing import publish_online, state_of
from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.deploy.serving.model import load_served
from mlguide_assets.deploy.serving.request import PredictionRequest
from mlguide_assets.deploy.serving.service import PendingRequest, Service, give
from mlguide_assets.instants import now_utc
from mlguide_assets.observe.online_parity import OnlineParity, online_parity, parity_verdict
from mlguide_assets.prepare.features import request_time
from mlguide_assets.prepare.features.request_time import HOUR, at_request
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.storage import load_facts
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.email_case import counted_values, send_features
from mlguide_assets_tests.samples import Tables, sample_tables, with_themes
from mlguide_assets_tests.train.sends import PROBLEM, replaced

MIDNIGHT = datetime(2024, 4, 1)


class Serving:
    """A lake, a store, a champion and a log, without the network."""

    def __init__(self, folder: Path) -> None:
        self.lake, self.log = Lake(folder / "lake"), folder / "served"
        self.store = SqliteStore(folder / "online.sqlite")
        bundle = champion(folder / "bundles")
        assert bundle is not None
        self.service = Service(PROBLEM, self.store)
        self.service.champion = load_served(bundle)

    def write(self, tables: Tables) -> None:
        for name, rows in tables.items():
            self.lake.write(name, rows)
        read = {name: self.lake.read(name) for name in tables}
        self.lake.write("send_features", send_features(read, PROBLEM))

    def publish(self, as_of: datetime = MIDNIGHT, **broken: Any) -> None:
        """Publish, with some columns of users computed otherwise."""
        tables = {name: self.lake.read(name) for name in PROBLEM.tables}
        nouns = PROBLEM.decision.nouns
        states = {noun: ibis.memtable(entity_state(tables, PROBLEM, noun, as_of).to_pyarrow()) for noun in nouns}
        states["user"] = states["user"].mutate(**broken)
        state = state_of(states, self.lake.read("send_features"), PROBLEM, self.lake)
        assert publish_online(self.store, state, self.lake, newest=as_of.date()).startswith("Published")

    def ask(self, *asked: PredictionRequest) -> None:
        requests = [PendingRequest(each, uuid.uuid4().hex) for each in asked]
        draft = self.service.score(requests)
        assert draft is not None
        give(draft, LogWriter(self.log))
        for pending in requests:
            assert pending.refusal is None, pending.refusal

    def parity(self) -> OnlineParity:
        land_log(self.log, self.lake, PROBLEM, today=now_utc().date())
        return online_parity(self.lake.read(PREDICTION_LOG), self.lake, PROBLEM)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, tables: Tables, trained: Candidate) -> Path:
    """The folder of a `Serving` in which nothing was asked yet."""
    folder = tmp_path_factory.mktemp("published")
    candidate = saved(trained, folder / "candidates")
    export_bundle(candidate, folder / "bundles", "1", {"trained_at": "2024-05-01", **load_facts(candidate)})
    set_champion(folder / "bundles", "1")
    serving = Serving(folder)
    serving.write(tables)
    serving.publish()
    return folder


@pytest.fixture
def serving(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serving:
    # The sample's problem lives by the wall's clock, and its data are of 2024.
    monkeypatch.setattr("mlguide_assets.deploy.serving.instants.now_utc", lambda: MIDNIGHT + timedelta(hours=9))
    return Serving(shutil.copytree(published, tmp_path / "copied"))


EVERYTHING = (
    PredictionRequest(units=range(1, 61)),
    PredictionRequest(units=[1, 5, 60, 10**6], candidates=[3, 12], on_unknown="base_rate"),
    PredictionRequest(units=[1, 2], candidates=[1], as_of=MIDNIGHT + timedelta(days=1, hours=7, microseconds=1)),
    PredictionRequest("recommend", units=range(1, 61)),
)


def test_nothing_was_logged(serving: Serving) -> None:
    parity = serving.parity()
    assert (parity.rows, parity.beyond) == (0, 0)
    assert parity_verdict(ibis.memtable(parity.table)).differing == ()


@pytest.mark.ml_test_score("monitor-3")
def test_all_ways_of_asking_see_what_training_would(serving: Serving) -> None:
    serving.ask(*EVERYTHING)
    parity = serving.parity()
    # The last sends of 58 users who were sent any, three known users with two emails, two, and 60 with five.
    assert parity.rows == 58 + 6 + 2 + 300
    assert parity.beyond == 0
    verdict = parity_verdict(ibis.memtable(parity.table))
    assert verdict.differing == ()
    assert "All features of 366 logged vectors equal" in verdict.sentence


def test_a_what_if_is_no_mismatch(serving: Serving) -> None:
    serving.ask(PredictionRequest(units=[1], candidates=[1], what_if={"tenure_days": 1}))
    assert serving.parity().rows == 0


@pytest.mark.ml_test_score("monitor-3")
def test_a_feature_that_the_model_never_learned_from_is_no_mismatch(serving: Serving) -> None:
    """Declared since: the champion is answered without it, and a challenger with it may answer beside."""
    serving.ask(*EVERYTHING)
    land_log(serving.log, serving.lake, PROBLEM, today=now_utc().date())
    more = with_themes(PROBLEM, *counted_values(PROBLEM, "theme"), "sports")
    found = online_parity(serving.lake.read(PREDICTION_LOG), serving.lake, more)
    rows = {row["feature"]: (row["rows"], row["mismatches"]) for row in found.table.to_pylist()}
    assert rows["number_of_email_theme_sports"] == (0, 0)
    assert rows["age"] == (found.rows, 0)
    assert parity_verdict(ibis.memtable(found.table)).differing == ()


def test_a_feature_that_is_broken_online_is_named(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def an_hour_late(declaration: Declaration, at: int, since: int | None) -> Any:
        return at_request(declaration, at + HOUR if declaration.calendar == "hour" else at, since)

    monkeypatch.setattr(request_time, "at_request", an_hour_late)
    serving.ask(PredictionRequest(units=[1, 2, 3], candidates=[4]))
    verdict = parity_verdict(ibis.memtable(serving.parity().table))
    assert verdict.differing == ("hour_of_day",)
    assert (
        "hour_of_day does in 3 of 3 logged vectors (user 1, email 4 at 2024-04-01T09:00:00: 10 online, 9 offline)"
        in (verdict.sentence)
    )


def test_a_stored_feature_that_is_broken_is_named(serving: Serving) -> None:
    """As if a publisher had counted otherwise than training does."""
    serving.publish(number_of_unsubscribes=lambda users: users.number_of_unsubscribes + 1)
    serving.ask(*EVERYTHING)
    assert parity_verdict(ibis.memtable(serving.parity().table)).differing == ("number_of_unsubscribes",)


def test_what_arrives_or_changes_later_is_no_mismatch(serving: Serving, tables: Tables) -> None:
    serving.ask(*EVERYTHING)
    bought = replaced(tables["user_profiles"], "purchases", [99] * tables["user_profiles"].num_rows)
    late = sample_tables(seed=5, sends=200)["user_emails"]
    for _ in range(3):
        serving.write({**tables, "user_profiles": bought, "user_emails": late})
        serving.write(tables)
        late = late.slice(0, late.num_rows - 1)
    serving.write({**tables, "user_profiles": bought, "user_emails": late})
    parity = serving.parity()
    assert (parity.rows, parity.beyond) == (366, 0)
    assert parity_verdict(ibis.memtable(parity.table)).differing == ()


def test_answers_of_two_publications_are_each_held_against_their_own(serving: Serving, tables: Tables) -> None:
    serving.ask(*EVERYTHING[:2])
    serving.write({**tables, "user_emails": sample_tables(seed=5, sends=500)["user_emails"]})
    serving.publish()
    serving.ask(*EVERYTHING[:2])
    parity = serving.parity()
    assert parity.rows > 100
    assert parity_verdict(ibis.memtable(parity.table)).differing == ()


def test_vectors_whose_tables_are_gone_are_counted_apart(serving: Serving) -> None:
    serving.ask(PredictionRequest(units=[1], candidates=[1]))
    for table in PROBLEM.tables:
        for reason in serving.lake.pinned(table):
            serving.lake.unpin(table, reason)
    parity = serving.parity()
    assert (parity.rows, parity.beyond) == (0, 1)
