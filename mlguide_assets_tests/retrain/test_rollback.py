"""A new champion beside the one before: rolled back where it is significantly worse, once, and otherwise left alone.

Watching and acting share the candidates that they are tested with, which take seconds to train.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.deploy.bundle import Bundle, export_bundle, load_bundle, pointed_version, set_champion
from mlguide_assets.deploy.gate import override, promotion
from mlguide_assets.deploy.gate.history import decisions, record
from mlguide_assets.deploy.gate.override import rollback
from mlguide_assets.deploy.registry.registry import LostVersionError
from mlguide_assets.errors import InputError
from mlguide_assets.observe.performance.champion_watch import LIMIT, Watch, compare, watch_champion
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain import rollback as acting
from mlguide_assets.retrain.decision_alerts import rollback_alert
from mlguide_assets.retrain.rollback import finish_installation, roll_back_if_worse
from mlguide_assets.retrain.ticks import TickLog, ticks_of
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import train_candidate
from mlguide_assets.train.models.models import XGBOOST
from mlguide_assets.train.storage import load_facts, load_model
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.samples import sample_tables
from mlguide_assets_tests.train.sends import PROBLEM as SAMPLE
from mlguide_assets_tests.train.sends import features_of_tables, replaced

PROBLEM = SAMPLE.model_copy(
    update={"retraining": SAMPLE.retraining.model_copy(update={"watch_for": timedelta(days=365)})}
)


class World:
    """Sends of which two candidates have learned the first two thirds: one from the outcomes, one from noise."""

    def __init__(self, folder: Path) -> None:
        self.features = features_of_tables(sample_tables(sends=4000))
        times = self.features["delivered_at"].to_numpy()
        self.half = np.sort(times)[len(times) * 2 // 3]
        past = self.features.filter(pa.array(times <= self.half))
        known = past["unsubscribed"].to_numpy(zero_copy_only=False)
        labels = {"good": known, "noise": np.random.default_rng(3).permutation(known)}
        self.candidates = {}
        for name, outcome in labels.items():
            rows = ibis.memtable(replaced(past, "unsubscribed", outcome))
            self.candidates[name] = saved(train_candidate(rows, PROBLEM, contenders=(XGBOOST,)), folder, name)
        self.rows = ibis.memtable(self.features)

    def export(self, bundles: Path, **versions: str) -> None:
        """Bundles of versions, each made from the candidate that is named."""
        for version, name in versions.items():
            facts = load_facts(self.candidates[name])
            export_bundle(self.candidates[name], bundles, version.removeprefix("v"), {"trained_at": "", **facts})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("candidates"))


@pytest.fixture
def house(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Home, Lake]]:
    """A home whose champion was this candidate first, and then that."""
    for module in (override, acting):
        monkeypatch.setattr(module, "let_registry_follow", lambda *_: None)

    def made(first: str, then: str) -> tuple[Home, Lake]:
        home = Home(tmp_path)
        lake, bundles = Lake(home.lake(PROBLEM.key)), home.bundles(PROBLEM.key)
        world.export(bundles, v1=first, v2=then)
        for version, before in (("1", None), ("2", "1")):
            set_champion(bundles, version)
            record(
                lake, version=version, trained_at="", verdict="promoted", reasons=["So it was."],
                champion_before=before, decided_by="gate",
            )  # fmt: skip
        return home, lake

    return made


@pytest.fixture
def pair(world: World, tmp_path: Path) -> tuple[Bundle, Bundle]:
    """A champion that learned from noise, and a good one before it."""
    world.export(tmp_path, v1="good", v2="noise")
    return load_bundle(tmp_path, "2"), load_bundle(tmp_path, "1")


def watch_and_act(home: Home, lake: Lake, world: World) -> Watch:
    """As the two assets do, one after the other."""
    found = watch_champion(home, lake, PROBLEM, world.rows)
    assert Watch.from_table(found.table()) == found
    roll_back_if_worse(found, home, PROBLEM)
    return found


@pytest.mark.ml_test_score("monitor-7")
def test_a_champion_that_is_significantly_worse_is_rolled_back_once(house: Callable[..., Any], world: World) -> None:
    home, lake = house("good", "noise")
    found = watch_and_act(home, lake, world)
    assert found.verdict == "worse"
    assert pointed_version(home.bundles(PROBLEM.key)) == "1"
    row = decisions(lake)[-1]
    assert (row["verdict"], row["version"], row["champion_before"]) == ("rolled_back", "1", "2")
    assert row["decided_by"] == "watch"
    assert "worse than version 1" in row["reasons"][0]
    (tick,) = ticks_of(home, PROBLEM).ticks()
    assert (tick["trigger"], tick["decision"], tick["outcome"]) == ("watch", "roll_back", "rolled_back")
    again = watch_and_act(home, lake, world)
    assert again.reason == "Version 1 is not watched: it was brought back by a rollback."
    assert len(decisions(lake)) == 3


class _Registry:
    """One that has lost all files of versions."""

    def __init__(self) -> None:
        self.alias = "2"

    def record_champion(self, version: str) -> None:
        self.alias = version

    def record_verdicts(self, _: object) -> None:
        pass

    def fetch(self, *_: object) -> Path:
        raise LostVersionError("The registry no longer has it.")


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("place", "step"), [(override, "change_champion"), (acting, "note_rollbacks"), (TickLog, "note"), (TickLog, "end")]
)
def test_what_a_killed_rollback_left_undone_is_done_once_by_the_next_run(
    house: Callable[..., Any], world: World, monkeypatch: pytest.MonkeyPatch, place: Any, step: str
) -> None:
    home, lake = house("good", "noise")
    registry = _Registry()
    monkeypatch.setattr(promotion, "registry_of", lambda *_: registry)
    monkeypatch.setattr(acting, "let_registry_follow", lambda *_: registry.record_champion("1"))
    with monkeypatch.context() as killed:
        killed.setattr(place, step, _killed)
        with pytest.raises(KeyboardInterrupt):
            watch_and_act(home, lake, world)
    for _ in range(2):
        finish_installation(home, lake, PROBLEM)
        watch_and_act(home, lake, world)
    assert pointed_version(home.bundles(PROBLEM.key)) == registry.alias == "1"
    assert [row["verdict"] for row in decisions(lake)] == ["promoted", "promoted", "rolled_back"]
    (tick,) = ticks_of(home, PROBLEM).ticks()
    assert (tick["decision"], tick["outcome"], tick["version"]) == ("roll_back", "rolled_back", "1")
    assert rollback_alert(lake, "1") is not None


def test_a_step_that_is_done_again_with_what_the_watch_found_before_does_nothing(
    house: Callable[..., Any], world: World
) -> None:
    home, lake = house("good", "noise")
    found = watch_and_act(home, lake, world)
    assert roll_back_if_worse(found, home, PROBLEM) is None
    assert len(decisions(lake)) == 3
    assert len(ticks_of(home, PROBLEM).ticks()) == 1


def test_a_version_that_a_person_brings_back_is_rolled_back_again(house: Callable[..., Any], world: World) -> None:
    home, lake = house("good", "noise")
    watch_and_act(home, lake, world)
    set_champion(home.bundles(PROBLEM.key), "2")
    record(
        lake, version="2", trained_at="", verdict="promoted", reasons=["I want it."], champion_before="1",
        decided_by="person:me",
    )  # fmt: skip
    watch_and_act(home, lake, world)
    assert [row["verdict"] for row in decisions(lake)][2:] == ["rolled_back", "promoted", "rolled_back"]
    assert [tick["outcome"] for tick in ticks_of(home, PROBLEM).ticks()] == ["rolled_back", "rolled_back"]


def test_a_rollback_is_an_incident_until_somebody_decides_on_another_champion(
    house: Callable[..., Any], world: World
) -> None:
    home, lake = house("good", "noise")
    assert rollback_alert(lake, "2") is None
    found = watch_and_act(home, lake, world)
    assert rollback_alert(lake, "2") is None, "it does not serve yet"
    alert = rollback_alert(lake, "1")
    assert alert is not None
    assert (alert.title, alert.happened) == ("The champion was rolled back to version 1", found.reason)
    kept = {"trained_at": "", "reasons": ["So it was."], "champion_before": "1", "decided_by": "person:me"}
    record(lake, version="3", verdict="kept", **kept)
    assert rollback_alert(lake, "1") == alert
    record(lake, version="3", verdict="promoted", **kept)
    assert rollback_alert(lake, "3") is None


def test_a_champion_that_is_better_stays(house: Callable[..., Any], world: World) -> None:
    home, lake = house("noise", "good")
    found = watch_and_act(home, lake, world)
    assert found.verdict == "holds"
    assert found.difference is not None
    assert found.difference > 0
    assert pointed_version(home.bundles(PROBLEM.key)) == "2"
    assert found.table().to_pylist()[0]["rows"] == found.rows > 500


def test_the_first_champion_has_none_before_it(house: Callable[..., Any], world: World) -> None:
    home, lake = house("good", "good")
    rollback(home, PROBLEM, to="1", reason="a person wants it")
    assert watch_champion(home, lake, PROBLEM, world.rows).verdict == "not_watched"
    assert (
        watch_champion(home, Lake(home.root / "empty"), PROBLEM, world.rows).reason == "There is no champion to watch."
    )


def test_what_was_promoted_and_not_installed_is_installed(
    house: Callable[..., Any], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed between the record and the pointer."""
    home, lake = house("noise", "good")
    bundles = home.bundles(PROBLEM.key)
    assert finish_installation(home, lake, PROBLEM) is None
    set_champion(bundles, "1")
    assert watch_champion(home, lake, PROBLEM, world.rows).verdict == "not_watched"
    monkeypatch.setattr("mlguide_assets.retrain.rollback.install_promoted", lambda *_: set_champion(bundles, "2"))
    assert finish_installation(home, lake, PROBLEM) == "2"
    assert watch_champion(home, lake, PROBLEM, world.rows).version == "2"


def test_only_sends_that_neither_has_learned_from_count(pair: tuple[Bundle, Bundle], world: World) -> None:
    times = world.features["delivered_at"].to_numpy()
    matured = world.features["unsubscribed"].is_valid().to_numpy(zero_copy_only=False)
    learned = max(np.datetime64(load_facts(world.candidates[name])["refit_until"]) for name in world.candidates)
    assert compare(*pair, world.rows, PROBLEM).rows == int(((times > learned) & matured).sum())


def test_too_few_outcomes_are_no_verdict(pair: tuple[Bundle, Bundle], world: World) -> None:
    picky = PROBLEM.model_copy(update={"evaluation": PROBLEM.evaluation.model_copy(update={"min_positives": 100_000})})
    found = compare(*pair, world.rows, picky)
    assert (found.verdict, found.difference) == ("too_few", None)
    assert "too few to compare" in found.reason


def test_outcomes_that_never_come_are_no_verdict(pair: tuple[Bundle, Bundle], world: World) -> None:
    without = replaced(world.features, "unsubscribed", [0] * world.features.num_rows)
    assert compare(*pair, ibis.memtable(without), PROBLEM).verdict == "too_few"


def test_a_champion_is_watched_for_as_long_as_the_problem_says(pair: tuple[Bundle, Bundle], world: World) -> None:
    short = PROBLEM.model_copy(
        update={"retraining": PROBLEM.retraining.model_copy(update={"watch_for": timedelta(days=1)})}
    )
    found = compare(*pair, world.rows, short)
    assert found.verdict == "over"
    assert found.until == datetime.fromisoformat(str(world.features["delivered_at"][-1].as_py())).date()


def test_a_champion_that_came_meanwhile_is_not_rolled_back(house: Callable[..., Any], world: World) -> None:
    home, lake = house("good", "noise")
    world.export(home.bundles(PROBLEM.key), v3="good")
    set_champion(home.bundles(PROBLEM.key), "3")
    with pytest.raises(InputError, match="Version 3 became champion meanwhile"):
        rollback(home, PROBLEM, to="1", reason="worse", by="watch", leaving="2")
    assert len(decisions(lake)) == 2


def test_many_looks_seldom_roll_back_an_equal() -> None:
    """Of equals, the difference over the sends so far is a random walk; a look a day, from the third day on."""
    steps = np.random.default_rng(0).normal(size=(20_000, 28)).cumsum(axis=1) / np.sqrt(np.arange(1, 29))
    rolled_back = (steps[:, 2:] < -LIMIT).any(axis=1).mean()
    assert 0.004 < rolled_back < 0.012
    assert (steps[:, 2:] < -1.96).any(axis=1).mean() > 0.10, "two standard errors would not do"


def test_the_row_of_a_champion_that_is_not_watched_has_no_numbers(house: Callable[..., Any], world: World) -> None:
    home, lake = house("good", "good")
    rollback(home, PROBLEM, to="1", reason="a person wants it")
    (row,) = watch_champion(home, lake, PROBLEM, world.rows).table().to_pylist()
    assert {name for name, value in row.items() if value not in (None, 0)} == {"model_version", "verdict", "reason"}
    assert row["verdict"] == "not_watched"


def test_a_champion_is_not_compared_with_one_whose_features_the_problem_lost(
    house: Callable[..., Any], world: World
) -> None:
    home, lake = house("good", "noise")
    encoding = load_model(world.candidates["good"]).encoding
    fewer = ibis.memtable(world.features.drop([encoding.names[0]]))
    found = watch_champion(home, lake, PROBLEM, fewer)
    assert (found.verdict, found.version, found.before) == ("not_watched", "2", "1")
    assert f"needs the feature {encoding.names[0]!r}, which the problem no longer has." in found.reason
    assert roll_back_if_worse(found, home, PROBLEM) is None
