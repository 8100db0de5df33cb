"""From decisions to the model in production: every decision stays on record, and only a promotion installs."""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.promotion import Canary, Experimenting
from mlguide_assets.deploy.bundle import CHALLENGER, champion, pointed, pointed_version
from mlguide_assets.deploy.gate import promotion
from mlguide_assets.deploy.gate.champion_change import change_champion
from mlguide_assets.deploy.gate.criteria import EXPERIMENT, Criterion
from mlguide_assets.deploy.gate.history import (
    canaries,
    candidate_decision,
    deciding_reason,
    last_decision,
    record,
    rightful_champion,
    withdrawal,
)
from mlguide_assets.deploy.gate.holdout_record import TEST_PREDICTIONS, kept_predictions
from mlguide_assets.deploy.gate.override import promote, rollback
from mlguide_assets.deploy.gate.promotion import decide_again, usable_challenger, usable_champion
from mlguide_assets.deploy.gate.recorded_criteria import record_criterion
from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.deploy.registry.registry import Registry
from mlguide_assets.deploy.routing import Route, write_routes
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.canary.evaluation import Evaluation
from mlguide_assets.experiment.canary.record import add_step
from mlguide_assets.experiment.criterion import decide_on_waiting
from mlguide_assets.experiment.ledger import end, record_models
from mlguide_assets.prepare.hosts.scratch import SCRATCH
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.rollback import finish_installation
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.storage import load_model
from mlguide_assets_tests.deploy.house import GOOD, NOISE, House, champion_home
from mlguide_assets_tests.experiment.files import ON_CHALLENGER
from mlguide_assets_tests.experiment.worlds import started
from mlguide_assets_tests.train.sends import PROBLEM


@pytest.fixture
def empty(home: Home, trained: Candidate) -> House:
    return House(home, trained)


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, trained: Candidate) -> House:
    """With version 1 as champion."""
    return House(Home(shutil.copytree(champion_home(tmp_path_factory, trained), tmp_path / "copied")), trained)


def test_before_the_first_decision_there_is_none_and_no_champion(empty: House) -> None:
    assert last_decision(empty.lake) is None
    assert rightful_champion(empty.lake) is None
    assert empty.install() is None


def test_every_decision_is_added_and_none_is_changed(empty: House) -> None:
    verdicts = []
    for data, outcome in (("a", NOISE), ("b", GOOD), ("b", GOOD), ("c", NOISE), ("d", GOOD)):
        before = empty.record() if verdicts else []
        verdicts.append(empty.gate(data, outcome))
        empty.install()
        assert empty.record()[:-1] == before
    assert verdicts == ["refused", "promoted", "kept", "refused", "promoted"]
    rows = empty.record()
    assert [row["verdict"] for row in rows] == verdicts
    assert [row["version"] for row in rows] == ["1", "2", "2", "3", "4"]
    assert [row["champion_before"] for row in rows] == [None, None, "2", "2", "2"]
    assert [row["run_id"] for row in rows] == [f"run of {data}" for data in "abbcd"]
    assert last_decision(empty.lake) == rows[-1]


def test_what_a_kept_candidate_predicts_does_not_replace_what_the_champion_did(empty: House) -> None:
    for data, first in (("a", 1), ("b", 2)):
        empty.lake.write(TEST_PREDICTIONS, pa.table({"user_id": [first]}))
        empty.gate(data, GOOD if data == "a" else NOISE)
        empty.install()
    predictions = kept_predictions(empty.lake, str(pointed_version(empty.bundles)))
    assert predictions is not None
    assert predictions.to_pyarrow()["user_id"].to_pylist() == [1]


def test_a_decision_says_why(empty: House) -> None:
    empty.gate("a", NOISE)
    row = last_decision(empty.lake)
    assert row is not None
    assert all(reason.endswith(".") for reason in row["reasons"])
    failed = [criterion["criterion"] for criterion in json.loads(row["criteria"]) if not criterion["passed"]]
    assert failed == ["beats_base_rate", "is_not_chance"]
    assert row["decided_by"] == "gate"


def test_where_there_is_room_for_one_reason_it_is_what_the_version_failed_by(empty: House) -> None:
    empty.gate("a", NOISE)
    row = last_decision(empty.lake)
    assert row is not None
    chosen = "The candidate is xgboost: it is better than a simpler model."
    refused = {**row, "reasons": [chosen, *row["reasons"]]}
    assert deciding_reason(refused) == json.loads(row["criteria"])[0]["reason"]
    assert deciding_reason({**refused, "verdict": "promoted"}) == chosen
    assert deciding_reason({**refused, "verdict": "kept", "criteria": "[]"}) == chosen


def test_a_promotion_installs_the_model_that_was_registered(empty: House) -> None:
    assert empty.gate("a", GOOD) == "promoted"
    assert empty.install() == "1"
    current = champion(empty.bundles)
    assert current is not None
    assert current.threshold == PROBLEM.costs.threshold
    assert current.lineage == json.loads((current.folder / "metadata.json").read_text())["lineage"]["id"]
    matrix = np.zeros((1, len(empty.trained.model.encoding.names)), np.float32)
    np.testing.assert_array_equal(load_model(current.folder).predict(matrix), empty.trained.model.predict(matrix))
    assert empty.alias() == "1"
    assert not list(empty.home.root.glob(f"{SCRATCH}*"))


def test_a_refusal_leaves_the_champion(house: House) -> None:
    before = house.install()
    assert house.gate("b", NOISE) == "refused"
    assert house.install() == before == "1"
    assert house.alias() == "1"
    assert not (house.bundles / "2").exists()


def test_without_a_challenger_nothing_scores_in_the_shadow(house: House) -> None:
    assert house.install_challenger() is None
    house.gate("b", NOISE)
    assert house.install_challenger() is None
    assert house.gate("a", GOOD) == "kept"
    assert house.install_challenger() is None


def test_a_version_that_did_not_beat_the_champion_scores_in_its_shadow_until_another_is_champion(house: House) -> None:
    before = champion(house.bundles)
    house.decide("b", "kept")
    assert house.install_challenger() == house.install_challenger() == "2"
    assert champion(house.bundles) == before
    house.gate("c", NOISE)
    assert house.install_challenger() == "2"
    house.gate("d", GOOD)
    house.install()
    assert house.install_challenger() is None
    assert {path.name for path in house.bundles.glob("*[0-9]")} == {"1", "4"}


@pytest.mark.parametrize("run", [promotion.install_challenger, finish_installation, usable_challenger])
def test_a_challenger_whose_bundle_is_damaged_or_gone_gets_another_one_by_every_run(
    house: House, run: Callable[[Home, Lake, Problem], object]
) -> None:
    house.decide("b", "kept")
    house.install_challenger()
    for harmed in (house.bundles / "2", house.bundles / "2" / "encoding.json"):
        shutil.rmtree(harmed) if harmed.is_dir() else harmed.unlink()
        run(house.home, house.lake, PROBLEM)
        found = pointed(house.bundles, CHALLENGER)
        assert found is not None
        assert found.version == "2"


def test_a_champion_whose_bundle_is_damaged_or_gone_gets_another_one(house: House) -> None:
    before = champion(house.bundles)
    assert before is not None
    for harmed in (before.folder, before.folder / "encoding.json"):
        shutil.rmtree(harmed) if harmed.is_dir() else harmed.unlink()
        found = usable_champion(house.home, house.lake, PROBLEM)
        assert found == champion(house.bundles)
        assert found is not None
        assert (found.version, found.lineage) == (before.version, before.lineage)


def test_a_damaged_champion_that_the_registry_lost_is_named(house: House) -> None:
    (house.bundles / "1" / "encoding.json").unlink()
    shutil.rmtree(next(house.home.registry.rglob("candidate")))
    with pytest.raises(
        InputError, match=r"The bundle .*1 is damaged and is not loaded, since encoding.json is missing"
    ):
        usable_champion(house.home, house.lake, PROBLEM)


def test_a_version_that_waits_scores_in_the_shadow_and_is_promoted_from_there(house: House) -> None:
    house.decide("b", "waiting")
    assert house.install_challenger() == "2"
    promote(house.home, PROBLEM, version="2", reason="it did well in the shadow")
    assert pointed_version(house.bundles, CHALLENGER) is None
    assert house.install_challenger() is None
    current = champion(house.bundles)
    assert current is not None
    assert current.version == "2"


@pytest.mark.parametrize("pointed", [True, False])
def test_a_version_whose_features_the_problem_lost_scores_in_no_shadow(house: House, pointed: bool) -> None:
    house.decide("b", "waiting")
    if pointed:
        assert house.install_challenger() == "2"
    house.take_out("theme")
    assert house.install_challenger() is None
    assert pointed_version(house.bundles, CHALLENGER) is None


def test_a_promotion_whose_features_the_problem_lost_is_not_installed(house: House) -> None:
    house.decide("b", "promoted")
    house.take_out("theme")
    assert house.install() == "1"


def verdict_of_experiment(lake: Lake, version: str, *, passed: bool) -> None:
    said = "The experiment says so." if passed else "The experiment says no."
    criterion = Criterion(EXPERIMENT, 0.8, 0.7, 0.9, 1.0, passed, said)
    record_criterion(lake, version=version, criterion=criterion, recorded_by="personalised v1")


def test_a_version_that_waits_for_an_experiment_is_promoted_by_its_verdict(house: House) -> None:
    problem = PROBLEM.model_copy(update={"experiment": Experimenting(required=True)})
    house.decide("b", "waiting")
    assert decide_again(house.home, house.lake, problem, "2", run_id="run 9").verdict == "waiting"
    verdict_of_experiment(house.lake, "2", passed=True)
    decision = decide_again(house.home, house.lake, problem, "2", run_id="run 10")
    assert (decision.verdict, decision.reasons) == ("promoted", ("The experiment says so.",))
    assert house.install() == house.alias() == "2"
    last = house.record()[-1]
    assert (last["version"], last["champion_before"], last["decided_by"], last["run_id"]) == (
        "2",
        "1",
        "gate",
        "run 10",
    )
    with pytest.raises(InputError, match="Version 2 was promoted: only a version that waits"):
        decide_again(house.home, house.lake, problem, "2", run_id="run 11")


def test_a_verdict_is_used_once_in_whatever_second_it_was_recorded(house: House) -> None:
    problem = PROBLEM.model_copy(update={"approval": "required"})
    house.decide("b", "waiting")
    assert decide_on_waiting(house.home, house.lake, problem, run_id="run 9") == []
    verdict_of_experiment(house.lake, "2", passed=True)
    for expected in (["waiting"], []):
        assert decide_on_waiting(house.home, house.lake, problem, run_id="run 10") == expected
    verdict_of_experiment(house.lake, "2", passed=False)
    assert decide_on_waiting(house.home, house.lake, problem, run_id="run 11") == ["waiting"]
    assert decide_on_waiting(house.home, house.lake, problem, run_id="run 12") == []


def test_an_experiment_against_a_champion_that_was_replaced_promotes_nothing(house: House) -> None:
    house.decide("b", "waiting")
    house.gate("c", GOOD)
    house.install()
    verdict_of_experiment(house.lake, "2", passed=True)
    decision = decide_again(house.home, house.lake, house.problem, "2", run_id="run 9")
    assert decision.verdict == "kept"
    assert decision.reasons[0].startswith("Version 3 became champion since")
    assert house.install() == "3"


def test_a_candidate_that_was_deleted_after_its_registration_is_installed_from_the_registry(empty: House) -> None:
    empty.gate("a", GOOD)
    shutil.rmtree(empty.home.candidates(PROBLEM.key))
    assert empty.install() == "1"


def test_installing_twice_changes_nothing(empty: House) -> None:
    empty.gate("a", GOOD)
    assert empty.install() == empty.install() == "1"
    assert {path.name for path in empty.bundles.iterdir()} == {"1", "champion.json", ".deciding.lock"}


def test_a_promotion_that_a_crash_kept_from_being_installed_is_installed_by_the_next_run(house: House) -> None:
    house.gate("b", GOOD)
    # The crash: no install. The next run brings a candidate that is refused.
    house.gate("c", NOISE)
    assert house.install() == house.alias() == "2"


def test_the_registry_gets_the_verdict_of_a_gate_that_was_killed_once_it_was_on_record(
    empty: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(Registry, "record_verdict", _crash)
        with pytest.raises(KeyboardInterrupt):
            empty.gate("a", NOISE)
    assert empty.install() is None
    stored = registry_of(empty.home, PROBLEM).client.get_model_version(PROBLEM.key, "1")
    assert (stored.tags["verdict"], bool(stored.description)) == ("refused", True)


def _crash(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("moved", [True, False])
def test_pointer_and_alias_agree_with_the_record_after_a_crash_and_a_look(
    house: House, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    """A look at new data, which trains nothing: only a pointer that is not where the record says makes it act."""
    house.gate("b", GOOD)

    def crash(*arguments: object) -> None:
        if moved:
            change_champion(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as crashing:
        crashing.setattr(promotion, "change_champion", crash)
        with pytest.raises(KeyboardInterrupt):
            house.install()
    assert finish_installation(house.home, house.lake, PROBLEM) == (None if moved else "2")
    assert pointed_version(house.bundles) == house.alias() == "2"


def test_a_version_whose_canary_runs_keeps_its_place_until_it_ends(house: House) -> None:
    for data, verdict in (("b", "kept"), ("c", "canary"), ("d", "kept"), ("e", "canary")):
        house.decide(data, verdict)
    assert ([row["version"] for row in canaries(house.lake)], house.install_challenger()) == (["5", "3"], "5")
    begun = Evaluation("start", 0, 0.01, "It begins.", ())
    add_step(house.lake, begun, version="3", champion="1", day=date(2024, 3, 1), run_id="")
    assert ([row["version"] for row in canaries(house.lake)], house.install_challenger()) == (["3", "5"], "3")
    end = Criterion("canary", 1.02, 0.9, 1.15, 1.2, True, "It went live.")
    record_criterion(house.lake, version="3", criterion=end, recorded_by="canary")
    problem = PROBLEM.model_copy(update={"canary": Canary()})
    decision = decide_again(house.home, house.lake, problem, "3", run_id="run 9", by="canary")
    assert (decision.verdict, decision.reasons) == ("promoted", ("It went live.",))
    assert house.record()[-1]["decided_by"] == "canary"
    # What waits was compared with another champion.
    assert (house.install(), house.install_challenger(), canaries(house.lake)) == ("3", None, [])


def test_a_version_that_an_experiment_decides_by_stays_challenger_until_its_end(house: House) -> None:
    house.decide("b", "kept")
    assert house.install_challenger() == "2"
    begun = started(house.lake, arms=ON_CHALLENGER)
    record_models(house.lake, begun, {"champion": "1", "challenger": "2"}, who="me")
    house.decide("c", "waiting")
    assert house.install_challenger() == "2"
    # Through the gate, where the decision says that it waits.
    assert house.gate("d", GOOD) == "promoted"
    assert house.gate("e", NOISE) == "refused"
    waiting = House(house.home, house.trained, PROBLEM.model_copy(update={"approval": "required"}))
    assert waiting.gate("f", GOOD) == "waiting"
    said = "Version 2 stays challenger until the end of experiment fewer_losses, version 1. This version waits"
    assert house.record()[-1]["reasons"][-1].startswith(said)
    # Another became champion, by the gate; then the version itself, by hand; then it was rolled back.
    assert (house.install(), house.install_challenger()) == ("4", "2")
    promote(house.home, PROBLEM, version="2", reason="impatient")
    assert (pointed_version(house.bundles), pointed_version(house.bundles, CHALLENGER)) == ("2", "2")
    rollback(house.home, PROBLEM, to="4", reason="it did harm")
    assert (house.install(), house.install_challenger()) == ("4", "2")
    house.take_out(house.trained.model.encoding.names[0])
    assert house.install_challenger() is None
    house.lake.write("send_features", pa.table({name: [1] for name in house.trained.model.encoding.names}))
    assert house.install_challenger() == "2"
    house.decide("g", "kept")
    assert house.install_challenger() == "2"
    end(house.lake, "fewer_losses", reason="enough", who="me")
    assert house.install_challenger() == "7"


def test_an_aborted_version_is_withdrawn_and_leaves_the_champion(house: House) -> None:
    for verdict in ("kept", "canary", "aborted"):
        house.decide("b", verdict)
    assert (house.install(), house.install_challenger(), canaries(house.lake)) == ("1", None, [])
    assert (withdrawal(house.lake, "2") or "").startswith("on ")
    assert withdrawal(house.lake, "1") is None


@pytest.mark.parametrize("running", [False, True])
def test_a_version_that_passes_while_another_goes_live_says_what_it_waits_for(house: House, running: bool) -> None:
    house.gate("a", GOOD)
    house.install()
    house.decide("b", "canary")
    if running:
        models = {"champion": "1", "challenger": "2"}
        write_routes(house.bundles, [Route("canary-2", 1, (), "canary/2", (), models=models)])
    house.problem = house.problem.model_copy(update={"approval": "required"})
    assert house.gate("c", GOOD) == "waiting"
    waits = "Version 2 stays challenger until its canary ends. This version waits for the place."
    assert (house.record()[-1]["reasons"][-1] == waits) is running
    # What is decided on the version that goes live says nothing of the kind, and is not the newest candidate's.
    by_canary = {"trained_at": "x", "reasons": ["Counted."], "champion_before": "1", "decided_by": "canary"}
    record(house.lake, version="2", verdict="aborted", **by_canary)
    newest = candidate_decision(house.lake)
    assert newest is not None
    assert (newest["version"], newest["verdict"]) == ("3", "waiting")
    record(house.lake, version="3", verdict="promoted", **by_canary)
    newest = candidate_decision(house.lake)
    assert newest is not None
    assert (newest["version"], newest["verdict"]) == ("3", "promoted")
