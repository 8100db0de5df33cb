"""A linear model in production: its bundle, its answers and its reasons are like XGBoost's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.deploy.bundle import Bundle, champion, export_bundle, set_champion
from mlguide_assets.deploy.gate.evidence import latency
from mlguide_assets.deploy.serving.model import load_served
from mlguide_assets.deploy.serving.reasons import top_reasons
from mlguide_assets.errors import InputError
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.models.calibration import log_odds
from mlguide_assets.train.storage import load_facts
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.train.sends import PROBLEM, matured


@pytest.fixture(scope="module")
def bundle(linear: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("linear")
    candidate = saved(linear, root / "candidates")
    export_bundle(candidate, root / "bundles", "1", load_facts(candidate) | {"trained_at": "2024-04-11"})
    set_champion(root / "bundles", "1")
    found = champion(root / "bundles")
    assert found is not None
    return found


def test_its_bundle_holds_no_booster_and_answers_as_the_candidate(
    bundle: Bundle, linear: Candidate, sends: pa.Table
) -> None:
    assert linear.name == "logistic_regression"
    assert {path.name for path in bundle.folder.iterdir()} >= {"linear.json", "encoding.json", "calibration.json"}
    assert not (bundle.folder / "model.ubj").exists()
    rows = matured(sends).slice(0, 50)
    served = load_served(bundle)
    values = {name: rows[name].to_pylist() for name in served.plan.names}
    matrix = served.model.encoding.matrix_of_values(values)
    np.testing.assert_array_equal(
        served.model.predict(matrix), linear.model.predict(linear.model.encoding.matrix(rows))
    )
    assert latency(served.model) < PROBLEM.gate.max_latency_ms


def test_its_reasons_are_the_differences_that_the_features_make(bundle: Bundle, sends: pa.Table) -> None:
    """Of two sends that differ in the theme alone, the reasons differ by what the theme does to the log-odds."""
    served, rows = load_served(bundle), matured(sends).slice(0, 1)
    row = {name: rows[name][0].as_py() for name in served.plan.names}
    asked = {name: [value, value] for name, value in row.items()} | {"theme": ["food", "shopping"]}
    matrix = served.model.encoding.matrix_of_values(asked)
    food, shopping = served.model.contributions(matrix)
    log_odds_of = log_odds(served.model.predict(matrix))
    np.testing.assert_allclose(food.sum() - shopping.sum(), log_odds_of[0] - log_odds_of[1], atol=1e-5)
    first = top_reasons(served.model.encoding.names, {**row, "theme": "food"}, food, served.words)[0]
    assert first["feature"] == "theme"
    assert first["text"].startswith("theme food: raises the odds")


def test_a_changed_weight_is_found(bundle: Bundle, tmp_path: Path) -> None:
    import shutil

    bundles = Path(shutil.copytree(bundle.folder.parent, tmp_path / "bundles"))
    path = bundles / "1" / "linear.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"intercept": -', '"intercept": '))
    with pytest.raises(InputError, match=r"linear\.json was changed"):
        champion(bundles)


def test_a_server_loads_it_without_xgboost_and_scikit_learn(bundle: Bundle) -> None:
    code = (
        "import sys; from pathlib import Path; from mlguide_assets.deploy.bundle import champion;"
        "from mlguide_assets.deploy.serving.model import load_served;"
        f"load_served(champion(Path({str(bundle.folder.parent)!r})));"
        "print(sorted({'sklearn', 'xgboost'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
