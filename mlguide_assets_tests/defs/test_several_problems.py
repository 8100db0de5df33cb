"""Several problems in one home: what each is called, and one Dagster that shows all of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.console.code_server import locations, workspace
from mlguide_assets.console.run import choose_problem
from mlguide_assets.define.loading import (
    PROBLEM_VARIABLE,
    current_problem,
    dump_problem,
    find_problem,
    load_problem,
    name_in_home,
    problem_of_home,
    problems_of_home,
    with_overrides,
)
from mlguide_assets.deploy.serving.server import served_problems
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.forgetting.forget_list import ForgetList, Forgotten
from mlguide_assets.prepare.forgetting.same_entities import neighbours
from mlguide_assets.settings import HOME_VARIABLE, Home
from mlguide_assets_tests.commands import python
from mlguide_assets_tests.other_tables import PAYMENTS, problem_of

KEYS = """
import json, dagster as dg
from mlguide_assets.definitions import defs
with dg.DagsterInstance.ephemeral():
    found = defs()
    dg.Definitions.validate_loadable(found)
    graph = found.resolve_asset_graph()
    jobs = {job.name: found.resolve_job_def(job.name).asset_layer.selected_asset_keys for job in found.jobs}
print(json.dumps({
    "keys": sorted(key.to_user_string() for key in graph.get_all_asset_keys()),
    "groups": sorted({node.group_name for node in graph.asset_nodes}),
    "checked": sorted({check.asset_key.to_user_string() for check in graph.asset_check_keys}),
    "jobs": {name: sorted(key.to_user_string() for key in keys) for name, keys in jobs.items()},
}))
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home in which runs of two problems have succeeded, the payments last."""
    home = Home(tmp_path / "home")
    payments = problem_of(PAYMENTS, tmp_path)
    home.problems.mkdir(parents=True)
    for problem in (load_problem("planeswalker"), payments):
        (home.problems / f"{problem.key}.yaml").write_text(dump_problem(problem))
    home.active_problem.write_text(dump_problem(payments))
    return home


def test_a_problem_is_found_by_its_name_or_its_key(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(problems_of_home(home)) == ["cards", "planeswalker_simulated"]
    assert problem_of_home(home, "planeswalker") == problem_of_home(home, "planeswalker_simulated")
    assert problem_of_home(home, str(home.problems / "cards.yaml")) == problem_of_home(home, "cards")
    assert current_problem(home).name == "cards"
    monkeypatch.setenv(PROBLEM_VARIABLE, "planeswalker")
    assert current_problem(home).name == "planeswalker"
    monkeypatch.setenv(PROBLEM_VARIABLE, "churn")
    with pytest.raises(InputError, match=r"no problem called 'churn'; it has: cards, planeswalker_simulated\."):
        current_problem(home)


def test_a_run_takes_what_the_home_has_then_what_ships_then_a_file(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cards = problem_of_home(home, "cards")
    assert choose_problem(home, "cards", None, None) == cards
    assert choose_problem(home, "planeswalker", None, None).key == "planeswalker_simulated"
    # Tables of one's own, read as those of a shipped problem.
    real = with_overrides(load_problem("planeswalker"), source=str(tmp_path))
    (home.problems / f"{real.key}.yaml").write_text(dump_problem(real))
    assert choose_problem(home, "planeswalker", None, None) == real
    assert choose_problem(Home(tmp_path / "new"), "planeswalker", None, None) == load_problem("planeswalker")
    Path("mine.yaml").write_text(dump_problem(cards.model_copy(update={"name": "mine"})))
    assert choose_problem(home, "mine.yaml", None, None).name == "mine"
    with pytest.raises(InputError, match=r"'card': it is neither a file nor one of this home's .* mean 'cards'\?"):
        choose_problem(home, "card", None, None)


def test_the_only_problem_of_a_home_has_no_name_there(home: Home, tmp_path: Path) -> None:
    (payments, mails) = problems_of_home(home).values()
    assert name_in_home(payments, Home(tmp_path / "new")) is None
    assert (name_in_home(payments, home), name_in_home(mails, home)) == ("cards", "planeswalker")


def test_problems_of_one_name_are_distinguished_by_their_keys(home: Home, tmp_path: Path) -> None:
    real = problem_of({**PAYMENTS, "name": "planeswalker"}, tmp_path)
    (home.problems / f"{real.key}.yaml").write_text(dump_problem(real))
    assert name_in_home(real, home) == "planeswalker"
    assert name_in_home(problems_of_home(home)["planeswalker_simulated"], home) == "planeswalker_simulated"


def test_a_home_of_an_earlier_version_has_the_problem_of_its_last_run(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.active_problem.write_text(dump_problem(load_problem("planeswalker")))
    assert list(problems_of_home(home)) == ["planeswalker_simulated"]


def test_a_file_that_is_broken_stops_its_own_problem_alone(home: Home, tmp_path: Path) -> None:
    broken, cards = home.problems / "planeswalker_simulated.yaml", problem_of_home(home, "cards")
    broken.write_text("name: [")
    assert [each.name for each in locations(home, tmp_path)] == ["cards", "planeswalker_simulated"]
    assert served_problems(home) == {"cards": cards}, "by the name that it had"
    assert (find_problem(home, "cards"), find_problem(home, "guide").name) == (cards, "guide")
    assert list(neighbours(home)) == [cards]
    for name in ("planeswalker", "planeswalker_simulated"):
        for find in (find_problem, problem_of_home):
            with pytest.raises(InputError, match=r"planeswalker_simulated\.yaml, line 1: this is not YAML"):
                find(home, name)
    home.forgotten("cards").parent.mkdir()
    ForgetList.load(home.forgotten("cards")).with_entry(Forgotten("0" * 64, "2026-01-01")).save()
    with pytest.raises(InputError, match="this is not YAML"):
        neighbours(home)


def test_every_problem_is_a_code_location_of_its_own(home: Home, tmp_path: Path) -> None:
    found = locations(home, tmp_path)
    assert [each.name for each in found] == ["cards", "planeswalker"]
    assert [each.environment for each in found] == [{PROBLEM_VARIABLE: "cards"}, {PROBLEM_VARIABLE: "planeswalker"}]
    named = [each["grpc_server"]["location_name"] for each in json.loads(workspace(found))["load_from"]]
    assert named == ["cards", "planeswalker"]
    (empty,) = locations(Home(tmp_path / "new"), tmp_path)
    assert (empty.name, empty.environment) == (None, {})
    # Its runs are new processes, and by then the home may work on another problem.
    (home.problems / "planeswalker_simulated.yaml").unlink()
    (alone,) = locations(home, tmp_path)
    assert (alone.name, alone.environment) == (None, {PROBLEM_VARIABLE: "cards"})


def test_assets_checks_and_jobs_have_the_name_of_their_problem(home: Home) -> None:
    of_cards = {HOME_VARIABLE: str(home.root), PROBLEM_VARIABLE: "cards"}
    shown: dict[str, Any] = python(KEYS, cwd=home.root, **of_cards).json()
    assert {"cards/payments", "cards/payment_plan", "cards/served_predictions"} <= set(shown["keys"])
    keys = [*shown["keys"], *shown["checked"], *(key for keys in shown["jobs"].values() for key in keys)]
    assert all(key.startswith("cards/") for key in keys)
    assert all(shown["jobs"].values())
    # The UI draws groups of one name as one, whatever the code location.
    assert shown["groups"] == [
        f"cards_{stage}" for stage in ("define", "deploy", "observe", "prepare", "retrain", "train")
    ]
