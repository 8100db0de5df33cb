"""A model that decides nothing yet is valued by the plans: as if they had scored it, on days it has not seen."""

import json
import shutil
from copy import copy
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from mlguide_assets.cli import app
from mlguide_assets.console.value import _as_json
from mlguide_assets.define.loading import dump_problem
from mlguide_assets.define.policies import Exploration, Policies
from mlguide_assets.deploy.batch import Scorer, scores_on
from mlguide_assets.deploy.plan.choices import Choosing, plan_choices
from mlguide_assets.experiment.off_policy.candidate import value_of_model
from mlguide_assets.experiment.off_policy.comparing import compare_policies, final_decisions
from mlguide_assets.experiment.off_policy.record import recorded
from mlguide_assets.prepare.core import core_rows
from mlguide_assets.prepare.features.building import tables_of
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.files import HOLDOUT
from mlguide_assets.train.storage import load_facts
from mlguide_assets_tests.deploy.house import House, champion_home
from mlguide_assets_tests.email_case import SEND_PLAN, by_name, send_features
from mlguide_assets_tests.samples import Tables
from mlguide_assets_tests.train.sends import PROBLEM, replaced

DAYS = 3
EXPLORATION, POLICIES = Exploration(share=0.3), Policies(champion=0.6, random=0.4)
ASKED = PROBLEM.model_copy(update={"exploration": EXPLORATION, "policies": POLICIES})
TOLERANT = ASKED.model_copy(update={"gate": ASKED.gate.model_copy(update={"min_fresh_positives": 1})})


class World:
    """Planned days after the last send of a sample, whose champion is a model that holds other risks."""

    def __init__(self, home: Home, tables: Tables) -> None:
        self._settle(home)
        lake, self.random = self.lake, np.random.default_rng(3)
        for name, rows in tables.items():
            lake.write(name, rows)
        lake.write("core_users", core_rows(by_name(tables), PROBLEM).to_pyarrow())
        lake.write("send_features", send_features(by_name(tables), PROBLEM))
        self.first = max(tables["user_emails"]["delivered_at"].to_pylist()).date() + timedelta(days=1)
        self.stated: list[pa.Table] = []
        self.sends = [tables["user_emails"]]
        for number in range(DAYS):
            self._live(self.first + timedelta(days=number), tables)
        end = datetime.combine(self.first + timedelta(days=DAYS), time()) + PROBLEM.label.window
        # A day of sends later, by which the data's clock says that the outcomes of the planned days are final.
        self.sends.append(replaced(self.sends[-1], "delivered_at", [end] * self.sends[-1].num_rows))
        lake.write("user_emails", pa.concat_tables(self.sends))

    def _live(self, day: date, tables: Tables) -> None:
        midnight = datetime.combine(day, time())
        users = entity_state(tables_of(self.lake, PROBLEM), PROBLEM, "user", midnight).to_pyarrow()
        self.lake.write_partition("user_feature_store", day.isoformat(), users)
        threshold = load_facts(self.candidate)["threshold"]
        own = scores_on(Scorer(self.candidate, threshold, "2"), self.lake, ASKED, day=day, run_id="").read_all()
        noise = np.exp(self.random.normal(0, 1, own.num_rows))
        risk = np.minimum(own["probability"].to_numpy() * noise, 1)
        said = own.set_column(3, "probability", pa.array(risk))
        said = said.set_column(4, "decision", pa.array(np.where(risk >= threshold, "withhold", "send")))
        said = said.set_column(5, "model_version", pa.array(["1"] * own.num_rows))
        asked = {"day": day, "planned_at": midnight - timedelta(hours=1), "run_id": "run"}
        champion = ibis.memtable(said)
        # What the plan would have stated, had it scored the model; the one that stands knows nothing of it.
        with_it = Choosing(PROBLEM.decision, EXPLORATION, POLICIES, challenger=ibis.memtable(own))
        self.stated.append(plan_choices(champion, with_it, **asked).read_all())
        plan = plan_choices(champion, Choosing(PROBLEM.decision, EXPLORATION, POLICIES), **asked).read_all()
        self.lake.write_partition(SEND_PLAN, day.isoformat(), plan)
        sent = plan.filter(pc.equal(plan["decision"], "send"))
        lost = self.random.random(sent.num_rows) < 0.2
        values: dict[str, Any] = {
            "user_id": sent["user_id"],
            "email_id": sent["email_id"],
            "unsubscribed": np.where(lost, PROBLEM.label.positive, PROBLEM.label.negative),
            "delivered_at": [midnight + timedelta(hours=9)] * sent.num_rows,
        }
        schema = tables["user_emails"].schema
        self.sends.append(pa.table({field.name: pa.array(values[field.name], field.type) for field in schema}))

    def _settle(self, home: Home) -> None:
        self.home, self.lake = home, Lake(home.lake(PROBLEM.key))
        self.candidate = next(path for path in home.candidates(PROBLEM.key).iterdir())

    def copied(self, root: Path) -> "World":
        """The same in a copy of its home."""
        other = copy(self)
        other._settle(Home(shutil.copytree(self.home.root, root)))
        return other

    def decisions(self) -> pa.Table:
        found = final_decisions(self.lake, ASKED, self.lake.read("user_emails"))
        assert found is not None
        return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, trained: Candidate, tables: Tables) -> World:
    """A home whose version 1 is champion and whose version 2 is its challenger; not to be changed."""
    root = tmp_path_factory.mktemp("valued") / "home"
    house = House(Home(shutil.copytree(champion_home(tmp_path_factory, trained), root)), trained, TOLERANT)
    house.decide("b", "kept")
    assert house.install_challenger() == "2"
    return World(house.home, tables)


@pytest.fixture
def world(built: World, tmp_path: Path) -> World:
    return built.copied(tmp_path / "home")


def stated(world: World) -> dict[tuple[date, int], float]:
    """By day and user: with which probability the model would have done what the plan did, as a plan states it."""
    rows = pa.concat_tables(world.stated).to_pylist()
    return {(row["scoring_date"], row["user_id"]): row["policy_propensities"]["challenger"] for row in rows}


def propensities(decisions: pa.Table) -> dict[tuple[date, int], float]:
    rows = decisions.select(["scoring_date", "unit_id", "policy_propensities"]).to_pylist()
    return {(row["scoring_date"], row["unit_id"]): row["policy_propensities"]["challenger"] for row in rows}


def test_the_model_has_the_propensities_that_a_plan_would_have_stated(world: World) -> None:
    decisions = world.decisions()
    assert propensities(decisions) != stated(world)
    found = value_of_model(world.candidate, "2", world.lake, TOLERANT, decisions)
    assert found.which == "planned day after the last that it has learned from"
    assert propensities(found.decisions) == pytest.approx(stated(world))
    assert len(found.decisions) == len(decisions)
    assert found.value is not None
    assert found.value.evaluation.diagnostics.rows > 0


def test_a_model_whose_features_the_problem_lost_has_no_value(world: World) -> None:
    world.lake.write("send_features", world.lake.read("send_features").drop("theme"))
    found = value_of_model(world.candidate, "2", world.lake, TOLERANT, world.decisions())
    assert found.value is None
    assert found.which.endswith("the version needs the feature 'theme', which the problem no longer has.")


def test_days_that_it_has_learned_from_are_not_taken(world: World) -> None:
    candidate, decisions = world.candidate, world.decisions()
    facts = json.loads((candidate / "facts.json").read_text())
    learned = facts | {"refit_until": str(world.first + timedelta(days=DAYS)), "test_from": str(world.first)}
    (candidate / "facts.json").write_text(json.dumps(learned))
    # Its holdout model is taken, and only after the first day of its test window.
    found = value_of_model(candidate, "2", world.lake, TOLERANT, decisions)
    assert "holdout model" in found.which
    assert min(found.decisions["scoring_date"].to_pylist()) == world.first + timedelta(days=1)
    (candidate / HOLDOUT / "model.ubj").unlink()
    with pytest.raises(FileNotFoundError):
        value_of_model(candidate, "2", world.lake, TOLERANT, decisions)
    # Plans that nobody followed are no record: nothing is scored.
    ignored = decisions.set_column(
        decisions.column_names.index("followed"), "followed", pa.array([False] * len(decisions))
    )
    refused = value_of_model(candidate, "2", world.lake, TOLERANT, ignored)
    assert refused.value is None
    assert refused.which.startswith("No planned day of its test window")
    assert "100% of the actions were not those of the plan" in refused.which
    assert _as_json(refused, None, "champion")["days"] is None
    (candidate / "facts.json").write_text(json.dumps(learned | {"test_from": str(world.first + timedelta(days=DAYS))}))
    nothing = value_of_model(candidate, "2", world.lake, TOLERANT, decisions)
    assert nothing.value is None
    assert nothing.which.startswith("There is no planned day of its test window")


def test_a_home_values_its_challenger_once_and_the_command_line_says_the_same(world: World) -> None:
    home, lake = world.home, world.lake
    asked = {"tables": {"user_emails": lake.read("user_emails")}, "home": home}
    first = compare_policies(lake, TOLERANT, run_id="one", **asked)
    assert compare_policies(lake, TOLERANT, run_id="two", **asked).version == first.version
    (row,) = [row for row in recorded(lake) if row["policy"] == "challenger"]
    assert (row["against"], row["model_version"]) == ("champion", "2")
    assert row["reason"].startswith("Of each planned day after the last that it has learned from. ")
    assert row["mean_weight"] == pytest.approx(1, abs=0.5)

    home.active_problem.write_text(dump_problem(TOLERANT))
    command = ["experiment", "value", "--home", str(home.root)]
    said = CliRunner().invoke(app, [*command, "--json"])
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert (found["model_version"], found["supported"]) == ("2", row["supported"])
    assert found["reason"] in row["reason"]
    assert found["diagnostics"]["effective_sample_size"] == row["effective_sample_size"]
    shown = CliRunner().invoke(app, command, env={"COLUMNS": "160"}).stdout
    assert "Model version 2 against champion, from " in shown
    of_policy = CliRunner().invoke(app, [*command, "--policy", "random", "--json"])
    assert json.loads(of_policy.stdout)["diagnostics"]["mean_weight"] == pytest.approx(1, abs=0.2)
    for wrong, sentence in (
        (["--model", "9"], "has no version 9"),
        (["--model", "1", "--policy", "random"], "not both"),
        (["--policy", "champion"], "two different policies"),
    ):
        refused = CliRunner().invoke(app, [*command, *wrong])
        assert (refused.exit_code, sentence in refused.stderr) == (2, True), refused.stderr
