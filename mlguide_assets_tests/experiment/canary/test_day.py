"""The days of a canary in a home: it begins, its units follow it in plan and routes, it goes on, and it ends."""

import json
import shutil
from copy import copy, deepcopy
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets.console import decide
from mlguide_assets.define.loading import dump_problem
from mlguide_assets.define.policies import Policies
from mlguide_assets.define.promotion import Canary
from mlguide_assets.defs.experiment import canary_steps as canary_steps_asset
from mlguide_assets.deploy.bundle import CHALLENGER, champion, pointed_version
from mlguide_assets.deploy.gate.history import canaries, record, verdicts_of_registry, withdrawal
from mlguide_assets.deploy.gate.override import promote, rollback
from mlguide_assets.deploy.plan.figures import check_plan, plan_figures
from mlguide_assets.deploy.plan.planning import plan_day
from mlguide_assets.deploy.plan.policies import assigned_units
from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.deploy.routing import read_routes
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.actions import tables_of_actions
from mlguide_assets.experiment.canary import day as canary_day
from mlguide_assets.experiment.canary.alert import canary_alert
from mlguide_assets.experiment.canary.day import Look, look_at_canary, stop_canary
from mlguide_assets.experiment.canary.evaluation import Action, Evaluation
from mlguide_assets.experiment.canary.record import COLUMNS, add_step, canary_steps, running_canary
from mlguide_assets.experiment.day import assign_day
from mlguide_assets.experiment.ledger import end, record_models
from mlguide_assets.experiment.tables import CANARY_STEPS
from mlguide_assets.observe.alerts.alert import CANARY_ABORT, Alert
from mlguide_assets.observe.alerts.alerting import book_of
from mlguide_assets.prepare.hosts.host_lock import locked_on_all_hosts
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.rollback import finish_installation
from mlguide_assets.settings import Home
from mlguide_assets.statistics.draws import SIZE
from mlguide_assets.train.candidate import Candidate
from mlguide_assets_tests.deploy.house import House, champion_home
from mlguide_assets_tests.deploy.plans import predictions_of
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import ON_CHALLENGER
from mlguide_assets_tests.experiment.worlds import profiles, started
from mlguide_assets_tests.samples import arrow
from mlguide_assets_tests.train.sends import PROBLEM

UNITS, FIRST = 1200, date(2024, 3, 1)
CANARY = Canary(ramp=(0.05, 0.2, 0.5), days_per_step=1, min_events=10)
LABEL = PROBLEM.label.model_copy(update={"window": timedelta(days=1)})
ASKED = PROBLEM.model_copy(
    update={"canary": CANARY, "label": LABEL, "policies": Policies(champion=0.9, random=0.1)},
)
RISKS = np.full((UNITS, 2), 0.01)


class World:
    """A home whose version 2 goes live, and days on which sends follow the plan."""

    def __init__(self, house: House, *, harm: float, chance: float = 0.04) -> None:
        self.house, self.home, self.lake, self.problem = house, house.home, house.lake, house.problem
        self.harm, self.chance, self.day, self.random = harm, chance, FIRST, np.random.default_rng(4)
        self.lake.write("user_profiles", profiles(UNITS))
        self.sends: list[dict[str, Any]] = []

    def copied(self, root: Path) -> "World":
        """The same on a copy of its home, as it is today."""
        other = copy(self)
        other.house = House(Home(shutil.copytree(self.home.root, root)), self.house.trained, self.problem)
        other.home, other.lake = other.house.home, other.house.lake
        other.sends, other.random = [*self.sends], deepcopy(self.random)
        return other

    def live(self, *, planned: timedelta = timedelta(hours=-1)) -> Look:
        """Plan a day, let its sends come about, and look.

        Args:
            planned: so long after it began.
        """
        self.pass_a_day(planned=planned)
        return self.look()

    def pass_a_day(self, *, planned: timedelta = timedelta(hours=-1)) -> None:
        """As `live`, before the look."""
        key, midnight = self.day.isoformat(), datetime.combine(self.day, time())
        self.lake.write("user_emails", arrow("user_emails", self.sends))
        assign_day(self.home, self.lake, self.problem, self.day, report=pytest.fail)
        said = [self._predictions(version) for version in ("1", "2")]
        self.lake.write("batch_predictions", said[0])
        plan_day(
            self.lake,
            self.lake.read("batch_predictions"),
            self.problem,
            day=self.day,
            now=midnight + planned,
            run_id="scoring",
            challenger=lambda: said[1].to_reader(),
        )
        for row in self.lake.read_arrow(SEND_PLAN, [key]).to_pylist():
            lost = self.random.random() < self.chance * (self.harm if row["policy"] == "challenger" else 1)
            outcome = PROBLEM.label.positive if lost else PROBLEM.label.negative
            at = midnight + timedelta(hours=9)
            values = {"user_id": row["user_id"], "email_id": 1, "unsubscribed": outcome, "delivered_at": at}
            self.sends.append(values)
        self.day += timedelta(days=1)

    def look(self) -> Look:
        self.lake.write("user_emails", arrow("user_emails", self.sends))
        return look_at_canary(
            self.home, self.lake, self.problem, tables=tables_of_actions(self.lake, self.problem), run_id="day"
        )

    def _predictions(self, version: str) -> pa.Table:
        rows = predictions_of(RISKS, version=version)
        return rows.set_column(0, "scoring_date", pa.array([self.day] * rows.num_rows, pa.date32()))

    def seen(self) -> set[int]:
        """The units that the newest plan gave to the canary."""
        plan = self.lake.read_arrow(SEND_PLAN, [(self.day - timedelta(days=1)).isoformat()]).to_pylist()
        return {row["user_id"] for row in plan if row["arm"] == "canary"}

    def actions(self) -> list[str]:
        return [row["action"] for row in canary_steps(self.lake)]


@dataclass(frozen=True)
class Harm:
    """A harmful version's days.

    Attributes:
        before: the world when it was to be looked at for the last time.
        after: the same after that look.
        alerts: what was open after each look but the last.
    """

    before: World
    after: World
    alerts: list[Alert | None]


@pytest.fixture(scope="module")
def going_live(tmp_path_factory: pytest.TempPathFactory, trained: Candidate) -> Path:
    """A home whose version 1 is champion and whose version 2 is to go live."""
    root = tmp_path_factory.mktemp("going-live") / "home"
    house = House(Home(shutil.copytree(champion_home(tmp_path_factory, trained), root)), trained, ASKED)
    house.decide("b", "canary")
    house.home.active_problem.write_text("x")
    return root


@pytest.fixture(scope="module")
def harm(going_live: Path, tmp_path_factory: pytest.TempPathFactory, trained: Candidate) -> Harm:
    """To be looked at only: what changes it works on copies."""
    folder = tmp_path_factory.mktemp("harm")
    world = World(House(Home(shutil.copytree(going_live, folder / "home")), trained, ASKED), harm=8.0)
    alerts = []
    while True:
        world.pass_a_day()
        before = world.copied(folder / f"before {world.day}")
        progress = world.look().progress
        assert progress is not None
        if not progress.share:
            return Harm(before, world, alerts)
        alerts.append(canary_alert(world.lake))
        assert world.day < FIRST + timedelta(days=14)


@pytest.fixture
def house(going_live: Path, tmp_path: Path, trained: Candidate) -> House:
    return House(Home(shutil.copytree(going_live, tmp_path / "a home")), trained, ASKED)


@pytest.fixture
def harmless(house: House) -> World:
    return World(house, harm=1.0)


@pytest.mark.parametrize("installed", [True, False])
def test_a_version_whose_features_the_problem_lost_leaves_the_ramp(harmless: World, installed: bool) -> None:
    world = harmless
    world.live()
    assert read_routes(world.house.bundles) != ()
    world.house.take_out("theme")
    if not installed:
        # As the run does that takes a feature out, before it looks.
        world.house.install_challenger()
    assert world.look().progress is None
    last = world.house.record()[-1]
    assert (last["version"], last["verdict"], last["decided_by"]) == ("2", "kept", "canary")
    assert last["reasons"] == [
        "It needs the feature 'theme', which the problem no longer has, so it can score nothing."
    ]
    assert (read_routes(world.house.bundles), canaries(world.lake), world.actions()[-1]) == ((), [], "give_up")


def test_a_canary_whose_bundle_is_damaged_gets_another_one_and_goes_on(harmless: World) -> None:
    harmless.live()
    harmless.house.take_out("a column that no version needs")
    damaged = harmless.house.bundles / "2" / "encoding.json"
    whole = damaged.read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(whole[:50])
    found = harmless.live().progress
    assert found is not None
    assert found.action == "hold"
    assert damaged.read_bytes() == whole


def test_a_harmless_version_goes_live_step_by_step_and_is_promoted(house: House) -> None:
    # So many outcomes that few days are enough.
    world, met, shares, versions = World(house, harm=1.0, chance=0.08), [], [], set()
    while not (shares and not shares[-1]):
        found = world.live()
        assert found.progress is not None
        shares.append(found.progress.share)
        versions |= {(shares[-1], route.version) for route in read_routes(house.bundles)}
        met.append(world.seen())
        assert world.day < FIRST + timedelta(days=30)
    assert sorted(set(shares)) == [0, *CANARY.ramp]
    # By which the log says at which share an answer was given.
    assert versions == {(share, version) for version, share in enumerate(CANARY.ramp, start=2)}
    assert world.actions()[0] == "start"
    assert world.actions()[-1] == "promote"
    # Who is in stays in; nobody but units of the champion's policy is.
    assert all(before <= after for before, after in pairwise(met))
    assert len(met[-1]) == pytest.approx(0.5 * 0.9 * UNITS, rel=0.15)
    assert len(met[1]) == pytest.approx(0.05 * 0.9 * UNITS, rel=0.6)
    last = world.house.record()[-1]
    assert (last["version"], last["verdict"], last["decided_by"]) == ("2", "promoted", "canary")
    assert json.loads(last["criteria"])[-1]["criterion"] == "canary"
    now = champion(world.house.bundles)
    assert now is not None
    assert (now.version, pointed_version(world.house.bundles, CHALLENGER)) == ("2", None)
    assert read_routes(world.house.bundles) == ()
    assert running_canary(world.lake) is None
    assert set(world.lake.read_arrow(CANARY_STEPS).column_names) == set(COLUMNS)


def test_a_harmful_version_is_aborted_and_the_champion_stays(harm: Harm, tmp_path: Path) -> None:
    world = harm.after.copied(tmp_path / "home")
    house = world.house
    assert world.actions()[-1] == "abort"
    assert max(row["share"] for row in canary_steps(world.lake)) <= 0.2
    last = house.record()[-1]
    assert (last["version"], last["verdict"], last["champion_before"], last["decided_by"]) == (
        "2",
        "aborted",
        "1",
        "canary",
    )
    assert last["reasons"][0].startswith("It is significantly harmful: the rate of units with the outcome is ")
    (evidence,) = json.loads(last["criteria"])
    assert evidence["low"] > evidence["threshold"] == 1.2
    assert pointed_version(house.bundles) == "1"
    assert pointed_version(house.bundles, CHALLENGER) is None
    assert (read_routes(house.bundles), canaries(world.lake)) == ((), [])
    assert "canary" in (withdrawal(world.lake, "2") or "")
    assert world.live().progress is None


def test_plan_and_routes_agree_on_who_sees_it(harmless: World) -> None:
    world = harmless
    world.live()
    world.live()
    (route,) = read_routes(world.house.bundles)
    assert (route.experiment, route.models) == ("canary-2", {"champion": "1", "challenger": "2"})
    plan = world.lake.read_arrow(SEND_PLAN, [(world.day - timedelta(days=1)).isoformat()]).to_pylist()
    own = [row for row in plan if row["experiment"]]
    assert {row["arm"] for row in own} == {"champion", "canary"}
    for row in own:
        arm = route.arm_of(row["user_id"])
        assert arm is not None
        assert (arm.name, arm.policy) == (row["arm"], row["policy"])
    for row in plan:
        shares = row["policy_shares"]
        assert shares["challenger"] == pytest.approx(0.9 * 0.05)
        assert shares["champion"] == pytest.approx(0.9 * 0.95)
        assert row["propensity"] == pytest.approx(sum(shares[p] * row["policy_propensities"][p] for p in shares))
    assert {row["policy"] for row in plan if not row["experiment"]} == {"random"}
    figures = plan_figures(world.lake.read(SEND_PLAN, partitions=[plan[0]["scoring_date"].isoformat()]), ASKED)
    assert check_plan(figures).exact


def test_the_assignments_of_a_day_name_the_canary(harmless: World) -> None:
    harmless.live()
    assigned = assign_day(harmless.home, harmless.lake, ASKED, harmless.day, report=pytest.fail)
    assert assigned is not None
    assert assigned.running == ("canary-2",)


def test_a_newer_version_takes_the_place_of_one_that_has_not_begun(harmless: World) -> None:
    harmless.house.decide("c", "canary")
    found = harmless.live()
    assert found.progress is not None
    assert found.progress.version == "3"
    assert [row["verdict"] for row in harmless.house.record()[-2:]] == ["canary", "kept"]
    # Now that it runs, it keeps its place.
    harmless.house.decide("d", "canary")
    again = harmless.live().progress
    assert again is not None
    assert (again.version, pointed_version(harmless.house.bundles, CHALLENGER)) == ("3", "3")


def test_after_an_abort_the_newest_that_waits_is_next_in_the_shadow_as_on_the_ramp(harm: Harm, tmp_path: Path) -> None:
    world = harm.before.copied(tmp_path / "home")
    for seed in "cd":
        world.house.decide(seed, "canary")
    assert pointed_version(world.house.bundles, CHALLENGER) == "2"
    ended = world.look().progress
    assert ended is not None
    assert (ended.version, ended.action) == ("2", "abort")
    assert [row["version"] for row in canaries(world.lake)] == ["4", "3"]
    assert pointed_version(world.house.bundles, CHALLENGER) == "4"
    assert canary_alert(world.lake) is not None
    begun = world.look().progress
    assert begun is not None
    assert (begun.version, [row["version"] for row in canaries(world.lake)]) == ("4", ["4"])
    assert canary_alert(world.lake) is None


def test_a_version_waits_while_an_experiment_decides_by_another_challenger(harmless: World) -> None:
    harmless.house.decide("c", "kept")
    begun = started(harmless.lake, arms=ON_CHALLENGER)
    record_models(harmless.lake, begun, {"challenger": "3"}, who="me")
    look = harmless.look()
    assert (look.progress, running_canary(harmless.lake)) == (None, None)
    assert look.said.startswith("Version 2 waits to go live. Version 3 stays challenger until the end of experiment")
    end(harmless.lake, "fewer_losses", reason="enough", who="me")
    assert harmless.live().said == "It begins with 5% of the units."


def test_that_plans_came_too_late_for_outcomes_to_count_is_said(harmless: World) -> None:
    harmless.live()
    assert harmless.live().late is None
    look = harmless.live(planned=timedelta(days=1, hours=8))
    assert look.late is not None
    assert "when its day was over: it decided nothing" in look.late
    assert canary_steps(harmless.lake)[-1]["reason"].endswith(look.late)


def test_a_champion_by_other_means_ends_it_for_plan_and_servers(harmless: World) -> None:
    world = harmless
    world.live()
    assert running_canary(world.lake) is not None
    record(
        world.lake,
        version="1",
        trained_at="2024-01-01",
        verdict="rolled_back",
        reasons=["A person says so."],
        champion_before="1",
        decided_by="person:me",
    )
    assert running_canary(world.lake) is None
    found = world.live()
    assert (found.progress, world.seen(), read_routes(world.house.bundles)) == (None, set(), ())
    assert [row["action"] for row in canary_steps(world.lake)] == ["start", "give_up"]


def test_a_decision_by_hand_names_the_canary_that_it_ends(
    harmless: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    harmless.home.active_problem.write_text(dump_problem(harmless.problem))
    harmless.live()

    def decided(*_: Any, version: str, **__: Any) -> tuple[str, Any]:
        said: dict[str, Any] = {
            "trained_at": "2024-01-01",
            "reasons": ["x"],
            "champion_before": "1",
            "decided_by": "person:me",
        }
        record(harmless.lake, version=version, verdict="promoted", **said)
        return "1", SimpleNamespace(version=version, trained_at="2024-01-01")

    monkeypatch.setattr(decide, "promote_by_hand", decided)
    decide.promote(harmless.home, "3", "Better.")
    assert "Version 2 does not go live by canary any more" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("how", ["promote", "rollback", "canary"])
def test_another_champion_puts_on_record_that_those_that_wait_do_not_go_live(
    harmless: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Without it, the last word of the record on them would be that they go live."""
    monkeypatch.setattr("mlguide_assets.deploy.gate.override.let_registry_follow", lambda *_: None)
    world = harmless
    world.live()
    world.house.decide("c", "canary")
    world.house.decide("d", "kept")
    if how == "rollback":
        promote(world.home, world.problem, version="4", reason="We know better.")
        world.house.decide("e", "canary")
        rollback(world.home, world.problem, to="1", reason="We did not.")
        ended, champion_now = ["5"], "1"
    else:
        champion_now = {"promote": "4", "canary": "2"}[how]
        promote(world.home, world.problem, version=champion_now, reason="We know better.")
        ended = [version for version in ("2", "3") if version != champion_now]
    *before, last = world.house.record()
    assert (last["version"], last["verdict"] in ("promoted", "rolled_back")) == (champion_now, True)
    rows = before[-len(ended) :]
    assert [(row["version"], row["verdict"], row["decided_by"]) for row in rows] == [
        (version, "kept", last["decided_by"]) for version in ended
    ]
    assert rows[0]["reasons"] == [
        f"Version {champion_now} is champion from now on, and this one was not compared with it. It does not go live."
    ]
    assert {row["verdict"] for row in world.house.record() if row["version"] in ended} == {"canary", "kept"}
    # They are no challengers of a champion that they were not compared with, as before.
    assert world.look().progress is None
    finish_installation(world.home, world.lake, world.problem)
    assert pointed_version(world.house.bundles, CHALLENGER) is None
    assert {verdicts_of_registry(world.lake)[version][0] for version in ended} == {"kept"}


@pytest.mark.parametrize("found", ["advance", "promote", "abort"])
def test_a_version_that_a_person_promotes_while_it_is_looked_at_stays_champion(
    harmless: World, monkeypatch: pytest.MonkeyPatch, found: Action
) -> None:
    world = harmless
    world.live()
    world.pass_a_day()

    def evaluated_slowly(*_: Any, **__: Any) -> Evaluation:
        promote(world.home, world.problem, version="2", reason="Now.")
        return Evaluation(found, 1, 0.2 if found == "advance" else 0.0, "So it was counted.", ())

    monkeypatch.setattr("mlguide_assets.experiment.canary.evaluation.evaluate", evaluated_slowly)
    assert world.look() == Look()
    assert [row["verdict"] for row in world.house.record()][-2:] == ["canary", "promoted"]
    assert (pointed_version(world.house.bundles), pointed_version(world.house.bundles, CHALLENGER)) == ("2", None)
    assert (read_routes(world.house.bundles), running_canary(world.lake)) == ((), None)
    assert withdrawal(world.lake, "2") is None


def test_what_a_crash_left_undone_the_next_look_does(
    harm: Harm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = harm.before.copied(tmp_path / "home")
    with monkeypatch.context() as crashing:
        crashing.setattr("mlguide_assets.experiment.canary.day._end", lambda *_: Look())
        assert world.look().progress is None
    assert world.house.record()[-1]["verdict"] == "canary"
    assert read_routes(world.house.bundles) == ()
    world.look()
    last = world.house.record()[-1]
    assert last["verdict"] == "aborted"
    # As without a crash, with the numbers that decided.
    (kept,), (expected,) = (json.loads(row["criteria"]) for row in (last, harm.after.house.record()[-1]))
    assert kept == expected


def test_without_a_canary_nothing_is_written(tmp_path: Path) -> None:
    home_, lake = Home(tmp_path), Lake(Home(tmp_path).lake(PROBLEM.key))
    assert look_at_canary(home_, lake, PROBLEM, tables={}, run_id="day") == Look()
    assert [*tmp_path.rglob("*")] == []
    assert assigned_units(lake, FIRST) is None


def test_a_person_stops_it_for_plan_and_servers_and_no_alert_opens(harmless: World) -> None:
    world = harmless
    world.live()
    assert len(read_routes(world.house.bundles)) == 1
    with pytest.raises(InputError, match="needs a reason"):
        stop_canary(world.home, world.lake, world.problem, reason=" ", by="person:me")
    assert world.actions() == ["start"]
    stop_canary(world.home, world.lake, world.problem, reason="Support calls.", by="person:me")
    assert world.actions() == ["start", "stop"]
    last = world.house.record()[-1]
    assert (last["version"], last["verdict"], last["decided_by"]) == ("2", "aborted", "person:me")
    assert last["reasons"] == ["Support calls."]
    assert (read_routes(world.house.bundles), pointed_version(world.house.bundles, CHALLENGER)) == ((), None)
    assert canary_alert(world.lake) is None
    found = world.live()
    assert (found.progress, world.seen(), world.actions()) == (None, set(), ["start", "stop"])
    with pytest.raises(InputError, match="none to stop"):
        stop_canary(world.home, world.lake, world.problem, reason="Again.", by="person:me")


def test_a_version_that_only_waits_can_be_stopped(harmless: World) -> None:
    stop_canary(harmless.home, harmless.lake, harmless.problem, reason="Not this one.", by="person:me")
    assert harmless.house.record()[-1]["verdict"] == "aborted"
    assert harmless.live().progress is None


def test_a_stop_that_waited_while_the_canary_ended_does_not_stop_the_next_one(
    harmless: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = harmless
    world.live()
    world.house.decide("c", "canary")

    def lock_after_its_end(*place: Any) -> Any:
        monkeypatch.setattr(canary_day, "locked_on_all_hosts", locked_on_all_hosts)
        stop_canary(world.home, world.lake, world.problem, reason="Harm.", by="person:you")
        return locked_on_all_hosts(*place)

    monkeypatch.setattr(canary_day, "locked_on_all_hosts", lock_after_its_end)
    with pytest.raises(InputError, match="The canary of version 2 has ended meanwhile, and version 3 is next"):
        stop_canary(world.home, world.lake, world.problem, reason="Harm.", by="person:me")
    assert [row["version"] for row in canaries(world.lake)] == ["3"]


@pytest.mark.parametrize("step", ["publish_canary", "add_step"])
def test_what_a_crash_leaves_of_a_stop_the_next_look_does(
    harmless: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    harmless.live()
    with monkeypatch.context() as crashing:
        crashing.setattr(f"mlguide_assets.experiment.canary.day.{step}", _crash)
        with pytest.raises(RuntimeError):
            stop_canary(harmless.home, harmless.lake, harmless.problem, reason="Now.", by="person:me")
    harmless.look()
    last = harmless.house.record()[-1]
    assert (last["verdict"], last["decided_by"], last["reasons"]) == ("aborted", "person:me", ["Now."])
    assert (read_routes(harmless.house.bundles), harmless.actions()) == ((), ["start", "stop"])
    assert canary_steps(harmless.lake)[-1]["reason"] == "Now."
    assert canary_alert(harmless.lake) is None


@pytest.mark.parametrize(
    "step",
    [
        "mlguide_assets.deploy.registry.registry.Registry.record_verdict",
        "mlguide_assets.deploy.gate.promotion.set_challenger",
    ],
)
def test_a_version_whose_end_was_killed_leaves_the_shadow_with_the_next_run(
    harm: Harm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    world = harm.before.copied(tmp_path / "home")
    with monkeypatch.context() as crashing:
        crashing.setattr(step, _crash)
        with pytest.raises(RuntimeError):
            world.look()
    assert pointed_version(world.house.bundles, CHALLENGER) == "2"
    assert finish_installation(world.home, world.lake, world.problem) is None
    assert pointed_version(world.house.bundles, CHALLENGER) is None
    assert [row["verdict"] for row in world.house.record()].count("aborted") == 1
    # What the registry shows follows with the next training, which installs.
    world.house.install()
    stored = registry_of(world.home, world.problem).client.get_model_version(world.problem.key, "2")
    assert (stored.tags["verdict"], "significantly harmful" in stored.description) == ("aborted", True)


def test_an_abort_opens_an_alert_until_another_version_goes_live(harm: Harm, tmp_path: Path) -> None:
    world = harm.after.copied(tmp_path / "home")
    assert len(harm.alerts) > 1
    assert not any(harm.alerts)
    found = canary_alert(world.lake)
    assert found is not None
    assert found.happened.startswith("It is significantly harmful")
    assert found.facts == {"model_version": "2", "champion": "1"}
    world.house.decide("c", "canary")
    assert canary_alert(world.lake) == found
    assert world.look().said == "It begins with 5% of the units."
    assert canary_alert(world.lake) is None


def test_the_run_that_aborts_opens_the_alert_and_a_promotion_by_hand_closes_it(harm: Harm, tmp_path: Path) -> None:
    world = harm.before.copied(tmp_path / "home")
    workspace = SimpleNamespace(home=world.home, lake=world.lake, problem=world.problem)
    context = SimpleNamespace(run=SimpleNamespace(run_id="day"), log=None)
    world.lake.write("user_emails", arrow("user_emails", world.sends))
    asset: Any = canary_steps_asset.op.compute_fn
    asset.decorated_fn(context, workspace, **tables_of_actions(world.lake, world.problem))
    book = book_of(world.home, world.problem)
    assert [each.key for each in book.incidents()] == [CANARY_ABORT]
    world.home.active_problem.write_text(dump_problem(world.problem))
    decide.promote(world.home, "2", "It was the weather.")
    assert book.incidents() == []


def test_status_and_stop_on_the_command_line(harmless: World) -> None:
    def said(*words: str) -> str:
        found = CliRunner().invoke(app, ["canary", *words, "--home", str(harmless.home.root)])
        assert found.exit_code == 0, found.output
        return found.stdout

    harmless.home.active_problem.write_text(dump_problem(harmless.problem))
    assert json.loads(said("status", "--json")) == {"state": "none", "waiting": ["2"]}
    for _ in range(2):
        harmless.live()
    found = json.loads(said("status", "--json"))
    assert (found["state"], found["version"], found["share"], found["looks"]) == ("running", "2", 0.05, 2)
    assert {each["metric"] for each in found["findings"]} == {"outcome", "errors", "slow", "withheld"}
    assert "5% of the units see it" in said("status")
    assert "Version 1 serves all units" in said("stop", "--reason", "Enough.")
    assert json.loads(said("status", "--json"))["state"] == "ended"
    again = CliRunner().invoke(app, ["canary", "stop", "--reason", "x", "--home", str(harmless.home.root)])
    assert again.exit_code == 2


def test_status_says_that_another_decision_ended_it(harmless: World) -> None:
    harmless.home.active_problem.write_text(dump_problem(harmless.problem))
    harmless.live()
    for ended in (False, True):
        if ended:
            promote(harmless.home, ASKED, version="2", reason="at once")
        found = CliRunner().invoke(app, ["canary", "status", "--home", str(harmless.home.root)])
        assert ("Another decision ended it: 'mlguide history " in found.stdout) == ended


def _crash(*_: Any, **__: Any) -> None:
    raise RuntimeError


def test_a_canary_that_another_champion_ended_does_not_come_back_with_the_one_before(
    harmless: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = harmless
    monkeypatch.setattr("mlguide_assets.deploy.gate.override.let_registry_follow", lambda *_: None)
    world.live()
    world.house.decide("c", "kept")
    promote(world.home, world.problem, version="3", reason="We know better.")
    rollback(world.home, world.problem, to="1", reason="We did not.")
    assert read_routes(world.house.bundles) == ()
    assert (pointed_version(world.house.bundles), pointed_version(world.house.bundles, CHALLENGER)) == ("1", None)


def test_a_route_that_is_not_on_record_any_more_is_stopped_too(harmless: World) -> None:
    world = harmless
    world.live()
    row = {"reasons": ["x"], "champion_before": "1", "decided_by": "person:me"}
    record(world.lake, version="1", trained_at="2024-01-01", verdict="rolled_back", **row)
    assert canaries(world.lake) == []
    stopped = stop_canary(world.home, world.lake, world.problem, reason="Now.", by="person:me")
    assert (stopped.version, stopped.champion) == ("2", "1")
    assert (read_routes(world.house.bundles), world.actions()) == ((), ["start", "give_up"])
    assert world.house.record()[-1]["verdict"] == "rolled_back"
    with pytest.raises(InputError, match="none to stop"):
        stop_canary(world.home, world.lake, world.problem, reason="Again.", by="person:me")


def test_servers_get_what_a_look_put_on_record_and_could_not_publish(harmless: World) -> None:
    world = harmless
    world.live()
    (before,) = read_routes(world.house.bundles)
    advance(world, 0.2)
    world.look()
    (after,) = read_routes(world.house.bundles)
    assert before.arms[0].end < after.arms[0].end == round(0.2 * SIZE)


def test_an_end_that_servers_do_not_know_of_reaches_them_with_the_next_stop_or_look(harmless: World) -> None:
    world = harmless
    world.live()
    advance(world, 0.0, action="stop")
    assert len(read_routes(world.house.bundles)) == 1
    stop_canary(world.home, world.lake, world.problem, reason="Again.", by="person:me")
    assert read_routes(world.house.bundles) == ()
    assert world.house.record()[-1]["verdict"] == "aborted"


def advance(world: World, share: float, action: Action = "advance") -> None:
    """Put a look on record that servers hear nothing of."""
    found = Evaluation(action, 1, share, "So it was found.", ())
    add_step(world.lake, found, version="2", champion="1", day=world.day - timedelta(days=1), run_id="killed")


def test_where_an_experiment_goes_on_with_the_version_a_stop_says_so(harmless: World) -> None:
    world = harmless
    world.home.active_problem.write_text(dump_problem(world.problem))
    world.live()
    record_models(world.lake, started(world.lake, arms=ON_CHALLENGER), {"challenger": "2"}, who="me")
    stop, status = (
        CliRunner().invoke(app, ["canary", *words, "--home", str(world.home.root)])
        for words in (["stop", "--reason", "Enough."], ["status"])
    )
    assert (stop.exit_code, status.exit_code) == (0, 0)
    assert "Version 1 serves all units but those of experiment fewer_losses, version 1." in stop.stdout
    assert "There version 2 goes on: 'mlguide experiment stop " in stop.stdout
    assert "fewer_losses --reason TEXT' takes it from them, too." in stop.stdout
    assert "fewer_losses goes on with version 2 until it ends" in status.stdout
