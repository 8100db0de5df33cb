"""The guide's mistakes that deployment can make, each named after what must hold instead.

Those of training are in `train/test_guide_mistakes.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.define.contracts import Rule
from mlguide_assets.definitions import defs
from mlguide_assets.deploy.bundle import champion, champions
from mlguide_assets.deploy.log.prediction_log import LogWriter
from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.deploy.serving.api import api_of
from mlguide_assets.deploy.serving.model import load_served
from mlguide_assets.deploy.serving.service import PendingRequest, Service, give
from mlguide_assets.prepare.features.compiling import with_features
from mlguide_assets.prepare.features.state import entity_state, features_of_choices
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate
from mlguide_assets_tests.deploy.house import GOOD, NOISE, House
from mlguide_assets_tests.deploy.serving.serving import House as Serving
from mlguide_assets_tests.samples import TABLES, Tables
from mlguide_assets_tests.train.sends import PROBLEM


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, trained: Candidate, tables: Tables) -> Serving:
    """To be asked only: what changes it works on a copy."""
    return Serving.build(tmp_path_factory.mktemp("serving") / "home", trained, tables)


def answered(house: Serving, request: Mapping[str, Any]) -> Any:
    """What the API says, without the network."""
    current = champion(house.bundles)
    assert current is not None
    service = Service(house.problem, SqliteStore(house.store))
    service.champion = load_served(current)
    api = api_of(house.home, house.problem, None, real=True)
    pending = PendingRequest(api.requests.parse(request, recommend="probability" not in request), "one")
    draft = service.score([pending])
    assert draft is not None
    give(draft, LogWriter(house.served))
    return json.loads(pending.body)


def test_the_api_keeps_the_order_asked_for_and_names_whom_it_does_not_know(serving: Serving) -> None:
    """Mistake 10: `[100, 1, 5]` was answered in the store's order, and unknown users were dropped silently."""
    said = answered(serving, {"user_ids": [50, 1, 5, 1, 12345], "probability": True})
    assert [each["user_id"] for each in said["predictions"]] == [50, 1, 5, 1]
    assert said["unknown_users"] == [12345]
    alone = [answered(serving, {"user_ids": [user], "probability": True})["predictions"][0] for user in (50, 1, 5, 1)]
    assert said["predictions"] == alone


def test_the_api_takes_candidate_emails_and_chooses(serving: Serving) -> None:
    """Mistake 11, of the payload: it took user ids only."""
    said = answered(serving, {"user_ids": [1, 2], "email_ids": [3, 4, 5]})["recommendations"]
    for each in said:
        risks = {candidate["email_id"]: candidate["probability"] for candidate in each["candidates"]}
        assert set(risks) == {3, 4, 5}
        assert each["choice"]["email_id"] == min(risks, key=lambda email: (risks[email], -email))


def test_the_api_does_not_count_the_outcome_of_the_email_that_it_judges(
    serving: Serving, tmp_path: Path, tables: Tables
) -> None:
    """Mistake 12, of the payload: without candidates the last email is scored, whose label was among its features."""
    sends = tables["user_emails"].to_pylist()
    last = max((send for send in sends if send["user_id"] == 12), key=lambda send: send["delivered_at"])
    said = []
    for outcome in ("yes", "no"):
        turned = [{**send, "unsubscribed": outcome} if send is last else send for send in sends]
        emails = pa.Table.from_pylist(turned, schema=tables["user_emails"].schema)
        house = replace(serving.copy(tmp_path / outcome), tables={**tables, "user_emails": emails})
        house.lake.write("user_emails", emails)
        house.publish(last["delivered_at"] + timedelta(days=30))
        said.append(answered(house, {"user_ids": [12], "probability": True})["predictions"])
    assert said[0][0]["email_id"] == last["email_id"]
    assert said[0] == said[1]


def test_content_can_be_chosen_for_each_user(tables: Tables, trained: Candidate) -> None:
    """Mistake 11: every pair of a user and an email is scored, so users can be sent different emails."""
    as_of = max(tables["user_emails"]["delivered_at"].to_pylist()) + timedelta(days=1)
    read = {name: ibis.memtable(rows) for name, rows in tables.items()}
    states = (entity_state(read, PROBLEM, noun, as_of) for noun in ("user", "email"))
    pairs = features_of_choices(*states, PROBLEM).to_pyarrow()
    assert pairs.num_rows == tables["user_profiles"].num_rows * tables["email_content"].num_rows
    scores = trained.model.predict(trained.model.encoding.matrix(pairs))
    of_user = pairs.select(["user_id"]).append_column("score", pa.array(scores)).group_by("user_id")
    spread = of_user.aggregate([("score", "min"), ("score", "max")])
    assert pc.all(pc.greater(spread["score_max"], spread["score_min"])).as_py()


def test_a_served_row_does_not_count_its_own_outcome(tables: Tables) -> None:
    """Mistake 12: asked at the instant of a user's last send, its outcome is not in the features."""
    emails = tables["user_emails"]
    last = emails.sort_by([("delivered_at", "descending")]).slice(0, 1)
    asked = ibis.memtable(last.select(["user_id", "email_id", "delivered_at"]))
    found = []
    for outcome in ("yes", "no"):
        is_last = pc.and_(
            pc.equal(emails["user_id"], last["user_id"][0]), pc.equal(emails["delivered_at"], last["delivered_at"][0])
        )
        turned = pc.if_else(is_last, outcome, emails["unsubscribed"])
        changed = emails.set_column(2, "unsubscribed", turned.combine_chunks())
        read = {name: ibis.memtable(rows) for name, rows in {**tables, "user_emails": changed}.items()}
        found.append(with_features(asked, read, PROBLEM).to_pyarrow())
    assert found[0].equals(found[1])


def test_a_model_replaces_another_through_the_gate_only_and_can_be_taken_back(home: Home, trained: Candidate) -> None:
    """Mistake 13: nothing is overwritten, nothing worse gets in, and the way back is there."""
    from mlguide_assets.deploy.gate.override import rollback

    house = House(home, trained)
    for data, outcome in (("a", GOOD), ("b", GOOD), ("c", NOISE)):
        house.gate(data, outcome)
        house.install()
    assert champions(house.bundles) == ["1", "2"]
    assert [row["verdict"] for row in house.record()] == ["promoted", "promoted", "refused"]
    assert rollback(home, PROBLEM, to=None, reason="worse in production")[1].version == "1"


def test_every_column_that_matters_is_tested_on_every_ingest() -> None:
    """Mistake 14: the rules are checks of the graph, none of which can be commented out by leaving it."""
    # Dagster asks the instance that was entered last, which an earlier test may have closed.
    with dg.DagsterInstance.ephemeral():
        checks = {key.name for key in defs().resolve_asset_graph().asset_check_keys}
    rules: tuple[Rule, ...] = PROBLEM.rules
    assert {rule.table for rule in rules} == set(TABLES)
    assert {"well_typed", "present", "unique", "one_of"} <= {rule.rule for rule in rules}
    assert {"unsubscribed_is_known"} <= checks
