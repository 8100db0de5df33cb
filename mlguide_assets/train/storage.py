"""A candidate on disk: a directory that explains itself, in formats that run no code when read.

    model.ubj                 the booster, XGBoost's own format; or, where a linear model was chosen,
    linear.json               what each feature adds to the log-odds
    encoding.json             the columns of its matrix, in order, with their categories
    calibration.json          the line that corrects its log-odds
    judged/                   the same three of the model that scored the test window
    recipe.json               parameters and training window
    baselines/<name>.json     the linear models that scored the test window, with the encoding of judged/
    profile.json              the reference that later days are held against
    problem.yaml              the problem it was trained for
    facts.json                rows, windows, threshold, lineage
    plots/<name>.png          added by evaluation and explanation

Loading a model takes its three files, and XGBoost for a booster: neither Ibis nor scikit-learn is imported for it.
"""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mlguide_assets.define.loading import dump_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import keep_newest, set_mode
from mlguide_assets.train.files import (
    BOOSTED,
    CALIBRATION,
    ENCODING,
    FACTS,
    HOLDOUT,
    LINEAR,
    PROBLEM,
    PROFILE,
    RECIPE,
    model_file,
)
from mlguide_assets.train.lineage import Lineage
from mlguide_assets.train.models.calibration import Calibration
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.linear import Linear
from mlguide_assets.train.models.models import XGBOOST, Boosted, ServableModel
from mlguide_assets.train.recipe import Recipe

if TYPE_CHECKING:
    import ibis

    from mlguide_assets.train.candidate import Candidate

KEPT_CANDIDATES = 5
"""The newest; the registry has a copy of every candidate."""


def save_candidate(candidate: "Candidate", problem: Problem, lineage: Lineage, folder: Path) -> None:
    """Write a candidate to a folder of its own, all at once; an older one there is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(mkdtemp(dir=folder.parent, prefix=".candidate-"))
    aside = temporary.with_suffix(".old")
    try:
        _save_model(candidate.model, temporary)
        _save_model(candidate.holdout_model, temporary / HOLDOUT)
        _write_json(temporary / RECIPE, candidate.recipe.to_json())
        facts = {**candidate.facts, "threshold": problem.costs.threshold, "lineage": lineage.to_json()}
        _write_json(temporary / FACTS, facts)
        (temporary / PROFILE).write_bytes(candidate.profile.to_json())
        (temporary / PROBLEM).write_text(dump_problem(problem), encoding="utf-8")
        (temporary / "baselines").mkdir()
        for name, model in candidate.baselines.items():
            _write_json(temporary / "baselines" / f"{name}.json", model.to_json())
        set_mode(temporary, 0o755)
        if folder.exists():
            # Aside first: deleting takes long enough to be interrupted, a rename does not.
            folder.replace(aside)
        temporary.replace(folder)
    finally:
        for leftover in (temporary, aside):
            shutil.rmtree(leftover, ignore_errors=True)
    keep_newest(KEPT_CANDIDATES, written=folder)


def _save_model(model: ServableModel, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    if isinstance(model, Boosted):
        model.booster.save_model(folder / BOOSTED)
    elif isinstance(model, Linear):
        _write_json(folder / LINEAR, model.to_json())
    else:
        raise TypeError(f"a {type(model).__name__} has no file format")
    _write_json(folder / ENCODING, model.encoding.to_json())
    _write_json(folder / CALIBRATION, model.calibration.to_json())


def load_model(folder: Path, *, threads: int = 1) -> ServableModel:
    """Load a model, its encoding and its calibration from the folder of a candidate, its `judged/`, or a bundle.

    Args:
        threads: how many score rows; a single row is scored faster by one. The answers are the same.
    """
    encoding = Encoding.from_json(json.loads((folder / ENCODING).read_text(encoding="utf-8")))
    calibration = Calibration.from_json(json.loads((folder / CALIBRATION).read_text(encoding="utf-8")))
    if model_file(folder) == LINEAR:
        return Linear.from_json(json.loads((folder / LINEAR).read_text(encoding="utf-8")), encoding, calibration)
    import xgboost as xgb

    booster = xgb.Booster({"nthread": threads})
    booster.load_model(folder / BOOSTED)
    return Boosted(booster, booster.num_boosted_rounds(), encoding, calibration)


COLUMNS = {
    "candidate": "The candidate's id: a hash of its data, problem, recipe and code.",
    "trained_at": "When it was trained, UTC.",
    "facts": "Rows, windows, threshold and lineage, as JSON.",
}
"""Column → meaning."""


def record_of(folder: Path) -> pa.Table:
    """The small value that stands for a candidate between assets: its folder's name, since when, from what."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    facts = load_facts(folder)
    return pa.Table.from_pylist(
        [
            {
                "candidate": folder.name,
                "trained_at": now,
                "facts": json.dumps(facts, sort_keys=True),
            }
        ]
    )


def folder_of(candidate_model: "ibis.Table", candidates: Path) -> Path:
    """The folder of the candidate that a record stands for.

    Args:
        candidates: the home's folder of candidates: a home may be moved, so the record does not say where it is.

    Raises:
        InputError: it is not there any more.
    """
    folder = candidates / str(candidate_model.candidate.to_pyarrow()[0].as_py())
    if not (folder / FACTS).is_file():
        raise InputError(f"The candidate in {folder} was moved or deleted: train it again with 'mlguide run'.")
    return folder


def load_facts(folder: Path) -> dict[str, Any]:
    """Rows, windows, threshold and lineage of a candidate."""
    facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return facts


def model_name(facts: Mapping[str, Any]) -> str:
    """Which model was chosen: the name of its scores and metrics. Candidates of before there was a choice are XGBoost.

    Args:
        facts: of a candidate, or the metadata of a bundle.
    """
    return str(facts.get("model", XGBOOST))


def load_recipe(folder: Path) -> Recipe:
    """How a candidate was learned."""
    return Recipe.from_json(json.loads((folder / RECIPE).read_text(encoding="utf-8")))


def save_plots(plots: Mapping[str, bytes], folder: Path) -> None:
    """Add pictures to a candidate."""
    (folder / "plots").mkdir(exist_ok=True)
    for name, png in plots.items():
        (folder / "plots" / f"{name}.png").write_bytes(png)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
