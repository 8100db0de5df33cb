"""The guide's mistakes that deployment can make, each named after what must hold instead.

Those of training are in `train/test_guide_mistakes.py`. Mistake 10 is of the API.
"""

from datetime import timedelta

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.contracts import Rule
from mlguide_assets.define.tables import TABLES
from mlguide_assets.definitions import defs
from mlguide_assets.deploy.bundle import champions
from mlguide_assets.prepare.core import join_core_users
from mlguide_assets.prepare.features.tables import email_state, features_at, pair_features, user_state
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate
from mlguide_assets_tests.deploy.test_promotion import GOOD, NOISE, House
from mlguide_assets_tests.samples import Tables
from mlguide_assets_tests.train.sends import PROBLEM


def core_of(tables: Tables) -> ibis.Table:
    profiles, content, emails = (
        ibis.memtable(tables[name]) for name in ("user_profiles", "email_content", "user_emails")
    )
    return join_core_users(profiles, emails, content)


def test_content_can_be_chosen_for_each_user(tables: Tables, trained: Candidate) -> None:
    """Mistake 11: every pair of a user and an email is scored, so users can be sent different emails."""
    as_of = max(tables["user_emails"]["delivered_at"].to_pylist()) + timedelta(days=1)
    core, profiles = core_of(tables), ibis.memtable(tables["user_profiles"])
    users = user_state(core, profiles, PROBLEM, as_of)
    emails = email_state(core, ibis.memtable(tables["email_content"]), PROBLEM, as_of)
    pairs = pair_features(users, emails, PROBLEM).to_pyarrow()
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
    others = [ibis.memtable(tables[name]) for name in ("user_profiles", "email_content")]
    found = []
    for outcome in ("yes", "no"):
        is_last = pc.and_(
            pc.equal(emails["user_id"], last["user_id"][0]), pc.equal(emails["delivered_at"], last["delivered_at"][0])
        )
        turned = pc.if_else(is_last, outcome, emails["unsubscribed"])
        changed = emails.set_column(2, "unsubscribed", turned.combine_chunks())
        core = core_of({**tables, "user_emails": changed})
        found.append(features_at(asked, core, *others, PROBLEM).to_pyarrow())
    assert found[0].equals(found[1])


def test_a_model_replaces_another_through_the_gate_only_and_can_be_taken_back(home: Home, trained: Candidate) -> None:
    """Mistake 13: nothing is overwritten, nothing worse gets in, and the way back is there."""
    from mlguide_assets.deploy.override import rollback

    house = House(home, trained)
    for data, outcome in (("a", GOOD), ("b", GOOD), ("c", NOISE)):
        house.judge(data, outcome)
        house.install()
    assert champions(house.bundles) == ["1", "2"]
    assert [row["verdict"] for row in house.record()] == ["promoted", "promoted", "refused"]
    assert rollback(home, PROBLEM, to=None, reason="worse in production")[1].version == "1"


def test_every_column_that_matters_is_tested_on_every_ingest() -> None:
    """Mistake 14: the rules are checks of the graph, none of which can be commented out by leaving it."""
    checks = {key.name for key in defs().resolve_asset_graph().asset_check_keys}
    rules: tuple[Rule, ...] = PROBLEM.rules
    assert {rule.table for rule in rules} == set(TABLES)
    assert {"well_typed", "present", "unique", "one_of"} <= {rule.rule for rule in rules}
    assert {"unsubscribed_is_known"} <= checks
