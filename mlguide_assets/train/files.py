"""The files of a candidate by name, and what one of them says: to ask must not load XGBoost or Ibis."""

import json
from collections.abc import Container
from pathlib import Path

BOOSTED, LINEAR = "model.ubj", "linear.json"
MODEL_FILES = (BOOSTED, LINEAR)
"""A folder has the one or the other."""
ENCODING, CALIBRATION = "encoding.json", "calibration.json"
FACTS, RECIPE, PROBLEM = "facts.json", "recipe.json", "problem.yaml"
PROFILE = "profile.json"
HOLDOUT = "judged"
"""The folder of the model that scored the test window, which is called the holdout model elsewhere. Its name is part of
the format of candidates and bundles, of which homes have many: it stays."""


def model_file(folder: Path) -> str:
    """The name of the file with the model of a candidate or bundle.

    Raises:
        FileNotFoundError: the folder has none.
    """
    found = next((name for name in MODEL_FILES if (folder / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"{folder} has no model: neither {' nor '.join(MODEL_FILES)}")
    return found


def absent_feature(folder: Path, columns: Container[str]) -> str | None:
    """The first feature of a model that is not among some columns, so that it cannot score them; None where all are.

    Args:
        folder: of a candidate, or a bundle; neither the model nor what it takes to load one is loaded.
    """
    names = (feature["name"] for feature in json.loads((folder / ENCODING).read_text(encoding="utf-8")))
    return next((name for name in names if name not in columns), None)
