"""A person decides: rollback, promotion by hand, and what the gate makes of it afterwards."""

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.console.decide import show_history
from mlguide_assets.define.loading import dump_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHALLENGER, champion, pointed_version, set_champion
from mlguide_assets.deploy.gate import override, promotion
from mlguide_assets.deploy.gate.decision_lock import decision_lock
from mlguide_assets.deploy.gate.history import champion_before, decisions, record, withdrawal
from mlguide_assets.deploy.gate.override import promote, rollback
from mlguide_assets.deploy.routing import Arm, Route, read_routes, write_routes
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.ledger import record_models
from mlguide_assets.settings import Home
from mlguide_assets.statistics.draws import SIZE
from mlguide_assets.train.candidate import Candidate
from mlguide_assets_tests.deploy.house import GOOD, NOISE, House, champion_home
from mlguide_assets_tests.experiment.files import ON_CHALLENGER
from mlguide_assets_tests.experiment.worlds import started
from mlguide_assets_tests.train.sends import PROBLEM


@pytest.fixture(scope="module")
def three_versions(tmp_path_factory: pytest.TempPathFactory, trained: Candidate) -> Path:
    """A home with three versions: 1 and 2 were champions, 3 was refused."""
    root = tmp_path_factory.mktemp("three-versions") / "home"
    house = House(Home(shutil.copytree(champion_home(tmp_path_factory, trained), root)), trained)
    for data, outcome in (("b", GOOD), ("c", NOISE)):
        house.gate(data, outcome)
        house.install()
    return root


@pytest.fixture
def house(three_versions: Path, tmp_path: Path, trained: Candidate, monkeypatch: pytest.MonkeyPatch) -> House:
    """A copy of it."""
    monkeypatch.setattr(override, "let_registry_follow", lambda *_: None)
    return House(Home(shutil.copytree(three_versions, tmp_path / "copied")), trained)


@pytest.mark.ml_test_score("infra-7")
def test_rollback_goes_to_the_champion_before_and_says_why(house: House) -> None:
    before, now = rollback(house.home, PROBLEM, to=None, reason=" too many lost ")
    assert (before, now.version) == ("2", "1")
    current = champion(house.bundles)
    assert current == now
    row = house.record()[-1]
    assert (row["verdict"], row["version"], row["champion_before"]) == ("rolled_back", "1", "2")
    assert row["reasons"] == ["too many lost"]
    assert row["decided_by"].startswith("person:")
    assert row["decided_at"]


@pytest.mark.parametrize("damaged", ["snapshots", "data"])
def test_damaged_features_keep_nobody_from_a_rollback(house: House, damaged: str) -> None:
    """They tell whether a version can score, and a run computes them again."""
    folder = house.lake.root / PROBLEM.features_table / damaged
    for path in folder.iterdir():
        path.write_bytes(b"{")
    rollback(house.home, PROBLEM, to=None, reason="complaints")
    assert pointed_version(house.bundles) == "1"


def test_a_rollback_survives_the_next_run(house: House) -> None:
    rollback(house.home, PROBLEM, to=None, reason="too many lost")
    assert house.install() == house.alias() == "1"


def test_what_was_rolled_back_is_not_promoted_by_the_gate_but_by_a_person(house: House) -> None:
    rollback(house.home, PROBLEM, to=None, reason="too many lost")
    assert house.gate("b", GOOD) == "refused"
    assert "too many lost" in house.record()[-1]["reasons"][0]
    promote(house.home, PROBLEM, version="2", reason="it was the weather")
    assert withdrawal(house.lake, "2") is None
    assert house.install() == "2"
    assert house.gate("b", GOOD) == "kept"


def test_what_was_compared_with_a_champion_that_a_person_rolls_back_meanwhile_is_compared_again(house: House) -> None:
    """Else what is better than a harmful champion would take the place of the one that the person brought back."""

    def roll_back() -> None:
        if pointed_version(house.bundles) == "2":
            rollback(house.home, PROBLEM, to=None, reason="too many lost")

    house.meanwhile = roll_back
    assert house.gate("d", GOOD) == "promoted"
    assert house.compared_with[-2:] == ["2", "1"]
    assert [row["champion_before"] for row in house.record()][-2:] == ["2", "1"]


def test_rollback_to_any_earlier_champion(house: House) -> None:
    house.gate("d", GOOD)
    house.install()
    rollback(house.home, PROBLEM, to="1", reason="far back")
    assert pointed_version(house.bundles) == "1"
    assert champion_before(house.lake, "4") == "2"


@pytest.mark.parametrize(
    ("to", "reason", "words"),
    [
        (None, "  ", "A rollback needs a reason"),
        ("2", "why", "Version 2 is champion already"),
        ("3", "why", r"no bundle of version 3 among those of earlier champions.*\(1\).*mlguide promote 3"),
        (
            "7",
            "why",
            r"no bundle of version 7 among those of earlier champions.*\(1\): nor was one of that name",
        ),
        ("../1", "why", r"no bundle of version \.\./1"),
    ],
)
def test_a_rollback_that_makes_no_sense_changes_nothing(house: House, to: str | None, reason: str, words: str) -> None:
    before = house.record()
    with pytest.raises(InputError, match=words):
        rollback(house.home, PROBLEM, to=to, reason=reason)
    assert house.record() == before
    assert pointed_version(house.bundles) == "2"


def test_the_first_champion_has_none_before_it(house: House) -> None:
    rollback(house.home, PROBLEM, to=None, reason="x")
    with pytest.raises(InputError, match=r"Version 1 is the first champion.*--to \(2\)"):
        rollback(house.home, PROBLEM, to=None, reason="x")


def test_without_a_champion_there_is_nothing_to_roll_back(home: Home) -> None:
    with pytest.raises(InputError, match="nothing was ever promoted"):
        rollback(home, PROBLEM, to=None, reason="x")


def damage(folder: Path) -> None:
    model = folder / "model.ubj"
    model.chmod(0o644)
    model.write_bytes(b"tampered")


def test_a_damaged_champion_can_be_left(house: House) -> None:
    damage(house.bundles / "2")
    with pytest.raises(InputError, match=r"model\.ubj"):
        champion(house.bundles)
    assert rollback(house.home, PROBLEM, to=None, reason="damaged")[1].version == "1"


def test_a_damaged_bundle_is_not_gone_back_to(house: House) -> None:
    damage(house.bundles / "1")
    before = house.record()
    with pytest.raises(InputError, match=r"model\.ubj"):
        rollback(house.home, PROBLEM, to=None, reason="x")
    assert house.record() == before
    assert pointed_version(house.bundles) == "2"


@pytest.mark.parametrize("harm", [damage, shutil.rmtree])
def test_a_bundle_that_is_damaged_or_gone_is_exported_again_by_a_promotion(
    house: House, harm: Callable[[Path], object]
) -> None:
    for version in ("2", "1"):
        whole = {path.name: path.read_bytes() for path in (house.bundles / version).iterdir()}
        harm(house.bundles / version)
        assert promote(house.home, PROBLEM, version=version, reason="its bundle is damaged")[1].version == version
        assert {path.name: path.read_bytes() for path in (house.bundles / version).iterdir()} == whole
        assert pointed_version(house.bundles) == version


def test_a_damaged_bundle_stays_where_the_registry_has_no_other(house: House) -> None:
    damage(house.bundles / "2")
    shutil.rmtree(next(house.home.registry.rglob("candidate")).parents[2])
    with pytest.raises(InputError, match="The registry no longer has version 2, or its files"):
        promote(house.home, PROBLEM, version="2", reason="its bundle is damaged")
    assert (house.bundles / "2").is_dir()


def test_a_version_whose_features_the_problem_lost_is_neither_gone_back_to_nor_promoted(house: House) -> None:
    house.take_out("theme")
    before, bundles = house.record(), sorted(house.bundles.iterdir())
    with pytest.raises(InputError, match="Version 1 needs the feature 'theme', which the problem no longer has"):
        rollback(house.home, PROBLEM, to="1", reason="x")
    with pytest.raises(InputError, match="Version 3 needs the feature 'theme', which the problem no longer has"):
        promote(house.home, PROBLEM, version="3", reason="x")
    assert (house.record(), sorted(house.bundles.iterdir())) == (before, bundles)
    assert pointed_version(house.bundles) == "2"


def test_a_refused_version_is_promoted_by_hand_with_a_reason_only(house: House) -> None:
    with pytest.raises(InputError, match="A promotion needs a reason"):
        promote(house.home, PROBLEM, version="3", reason="")
    before, now = promote(house.home, PROBLEM, version="3", reason="we know better")
    assert (before, now.version) == ("2", "3")
    row = house.record()[-1]
    assert (row["verdict"], row["reasons"], row["criteria"]) == ("promoted", ["we know better"], "[]")
    assert house.alias() == "3"
    assert house.install() == "3"


def test_where_approval_is_required_a_passed_challenger_waits_for_a_person(home: Home, trained: Candidate) -> None:
    house = House(home, trained, PROBLEM.model_copy(update={"approval": "required"}))
    assert house.gate("a", GOOD) == "waiting"
    assert house.install() is None
    assert house.gate("b", NOISE) == "refused"
    before, now = promote(home, house.problem, version="1", reason="the card looks right")
    assert (before, now.version) == (None, "1")
    assert house.install() == house.alias() == "1"
    assert [row["verdict"] for row in house.record()] == ["waiting", "refused", "promoted"]


@pytest.mark.parametrize(("version", "words"), [("9", r"no version 9 .*1, 2, 3"), ("2", "champion already")])
def test_a_promotion_that_makes_no_sense_changes_nothing(house: House, version: str, words: str) -> None:
    before = house.record()
    with pytest.raises(InputError, match=words):
        promote(house.home, PROBLEM, version=version, reason="x")
    assert house.record() == before


def test_champions_keep_what_they_learned_from(house: House) -> None:
    assert set(house.lake.pinned(PROBLEM.features_table)) == {"version-1", "version-2"}


def test_a_champion_by_hand_keeps_its_inputs_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = house.lake.snapshot(PROBLEM.features_table).id
    real = promotion.load_facts

    def facts_of(folder: Path) -> dict[str, Any]:
        return {**real(folder), "lineage": {**real(folder)["lineage"], "snapshots": {PROBLEM.features_table: snapshot}}}

    monkeypatch.setattr(promotion, "load_facts", facts_of)
    promote(house.home, PROBLEM, version="3", reason="x")
    assert house.lake.pinned(PROBLEM.features_table)["version-3"] == snapshot


def test_a_crash_after_the_record_is_finished_by_the_next_run(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(override, "change_champion", _crash)
    with pytest.raises(KeyboardInterrupt):
        rollback(house.home, PROBLEM, to=None, reason="x")
    monkeypatch.undo()
    assert pointed_version(house.bundles) == "2"
    assert house.install() == "1"


def _crash(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("decide", "champion_now", "withdrawn"),
    [
        (lambda home: rollback(home, PROBLEM, to=None, reason="x"), "2", True),
        (lambda home: rollback(home, PROBLEM, to="2", reason="x"), "2", True),
        (lambda home: rollback(home, PROBLEM, to="1", reason="x"), "1", True),
        (lambda home: promote(home, PROBLEM, version="2", reason="x"), "2", False),
        (lambda home: promote(home, PROBLEM, version="4", reason="x"), "4", False),
    ],
)
def test_a_person_decides_on_a_promotion_that_a_killed_run_has_not_installed(
    house: House, decide: Callable[[Home], object], champion_now: str, withdrawn: bool
) -> None:
    assert house.gate("d", GOOD) == "promoted"
    assert pointed_version(house.bundles) == "2"
    decide(house.home)
    assert pointed_version(house.bundles) == house.install() == champion_now
    assert (withdrawal(house.lake, "4") is not None, withdrawal(house.lake, "2")) == (withdrawn, None)
    assert champion_before(house.lake, "2") == "1"


def test_what_is_on_record_can_be_gone_back_to_where_something_else_serves(house: House) -> None:
    promote(house.home, PROBLEM, version="3", reason="x")
    promote(house.home, PROBLEM, version="1", reason="x")
    # As a lake does that was restored from an earlier state.
    set_champion(house.bundles, "2")
    assert rollback(house.home, PROBLEM, to="1", reason="x")[0] == "2"
    assert pointed_version(house.bundles) == house.install() == "1"
    set_champion(house.bundles, "2")
    rollback(house.home, PROBLEM, to="3", reason="x")
    assert pointed_version(house.bundles) == house.install() == "3"


def test_history_says_what_was_decided_and_does_not_serve_yet(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.home.active_problem.write_text(dump_problem(PROBLEM))
    show_history(house.home, False)
    assert capsys.readouterr().out.endswith("Champion now: version 2\n")
    house.gate("d", GOOD)
    show_history(house.home, False)
    assert "Champion now: version 2\nVersion 4 was decided on and does not serve yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("decide", "champion_now"),
    [
        (lambda home: rollback(home, PROBLEM, to=None, reason="x"), "1"),
        (lambda home: rollback(home, PROBLEM, to="2", reason="x"), "2"),
        (lambda home: promote(home, PROBLEM, version="2", reason="x"), "2"),
    ],
)
def test_a_person_decides_on_a_rollback_that_was_killed(
    house: House, monkeypatch: pytest.MonkeyPatch, decide: Callable[[Home], object], champion_now: str
) -> None:
    with monkeypatch.context() as crashing:
        crashing.setattr(override, "change_champion", _crash)
        with pytest.raises(KeyboardInterrupt):
            rollback(house.home, PROBLEM, to=None, reason="x")
    assert pointed_version(house.bundles) == "2"
    decide(house.home)
    assert pointed_version(house.bundles) == house.install() == champion_now
    assert champion_before(house.lake, "2") == "1"


def test_two_rollbacks_at_once_are_two_rows_and_one_champion(house: House) -> None:
    code = (
        "import sys; from pathlib import Path; from mlguide_assets.deploy.gate import override; "
        "from mlguide_assets.settings import Home; from mlguide_assets.errors import InputError\n"
        "from mlguide_assets_tests.samples import sample_problem\n"
        "override.let_registry_follow = lambda *_: None\n"
        "try: override.rollback(Home(Path(sys.argv[1])), sample_problem('nowhere'), to='1', reason='x')\n"
        "except InputError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(house.home.root)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate()[0] for process in started)
    assert said[0] == ""
    assert "Version 1 is champion already" in said[1]
    assert [row["verdict"] for row in decisions(house.lake)].count("rolled_back") == 1


@pytest.mark.parametrize(
    ("meanwhile", "current"),
    [
        (lambda house: (house.gate("d", GOOD), house.install()), "4"),
        (lambda house: rollback(house.home, PROBLEM, to=None, reason="x"), "1"),
    ],
)
def test_a_rollback_that_waited_while_another_became_champion_does_not_leave_that_one(
    house: House, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[House], object], current: str
) -> None:
    """Version 2 was to be left: the champion before a newer one would be it, and before version 1 there is none."""

    def lock_after_another(home: Home, problem: Problem) -> AbstractContextManager[object]:
        monkeypatch.setattr(override, "decision_lock", decision_lock)
        meanwhile(house)
        return decision_lock(home, problem)

    monkeypatch.setattr(override, "decision_lock", lock_after_another)
    with pytest.raises(InputError, match=f"^Version {current} became champion meanwhile, in place of version 2"):
        rollback(house.home, PROBLEM, to=None, reason="y")
    assert pointed_version(house.bundles) == house.install() == current


def test_the_registry_follows_in_a_process_of_its_own(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    rollback(house.home, PROBLEM, to=None, reason="x")
    assert _soon(lambda: house.alias() == "1")


def _soon(holds: Callable[[], bool], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.2)
    return False


def test_bundles_are_as_they_were_after_all_this(house: House) -> None:
    def hashes() -> dict[str, str]:
        files = [path for path in house.bundles.glob("*/*") if path.is_file()]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = hashes()
    rollback(house.home, PROBLEM, to=None, reason="x")
    promote(house.home, PROBLEM, version="2", reason="y")
    assert hashes() == before


CANARY = Route("canary-3", 1, (), "canary/3", (Arm("canary", "challenger", SIZE),))
EXPERIMENT = Route("fewer_losses", 1, (), "arm", (Arm("personal", "challenger", SIZE),))


@pytest.mark.parametrize("held", [None, "4"])
def test_another_champion_ends_the_canary_for_servers_and_frees_the_place_of_the_challenger(
    house: House, held: str | None
) -> None:
    house.decide("d", "kept")
    assert house.install_challenger() == "4"
    if held:
        record_models(house.lake, started(house.lake, arms=ON_CHALLENGER), {"challenger": "4"}, who="me")
    for change in (
        lambda: rollback(house.home, PROBLEM, to=None, reason="x"),
        lambda: promote(house.home, PROBLEM, version="3", reason="x"),
        lambda: (_promoted(house, "2"), house.install()),
    ):
        write_routes(house.bundles, [EXPERIMENT, CANARY])
        before = pointed_version(house.bundles)
        change()
        assert pointed_version(house.bundles) != before
        assert read_routes(house.bundles) == (EXPERIMENT,)
        assert pointed_version(house.bundles, CHALLENGER) == ("4" if held else None)


def _promoted(house: House, version: str) -> None:
    row = {"reasons": ["It passed."], "champion_before": pointed_version(house.bundles), "decided_by": "gate"}
    record(house.lake, version=version, trained_at="2024-01-01", verdict="promoted", **row)
