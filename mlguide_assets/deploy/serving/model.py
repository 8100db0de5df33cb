"""The model that serves, loaded from a bundle; with XGBoost where it is XGBoost's, and nothing else."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import METADATA, Bundle
from mlguide_assets.deploy.serving.features import FeaturePlan
from mlguide_assets.deploy.serving.reasons import Words
from mlguide_assets.train.files import BOOSTED, PROBLEM, model_file

if TYPE_CHECKING:
    from mlguide_assets.train.models.models import ServableModel


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A version that can answer: its model, and the problem that it was trained for.

    Args:
        base_rate: the share of positive outcomes that it was trained on.
        plan: where each of its features comes from.
        above, below: what is decided from the threshold on, and below it.
    """

    version: str
    trained_at: str
    threshold: float
    base_rate: float
    model: "ServableModel"
    problem: Problem
    plan: FeaturePlan
    words: Words
    above: str
    below: str

    def label(self, probability: float) -> str:
        label = self.problem.label
        return label.positive if probability >= self.threshold else label.negative

    def decide(self, probability: float) -> str:
        """What the costs say, as batch predictions do."""
        return self.above if probability >= self.threshold else self.below


def load_served(champion: Bundle) -> ServedModel:
    """Load a verified bundle, and score one row: what fails here, fails before it serves."""
    if model_file(champion.folder) == BOOSTED:
        import_xgboost()
    from mlguide_assets.train.storage import load_model

    model = load_model(champion.folder)
    facts, problem = _facts(champion.folder), load_problem(str(champion.folder / PROBLEM))
    plan = FeaturePlan(problem)
    model.predict(model.encoding.matrix_of_values({name: [None] for name in plan.names}))
    act, leave = problem.decision.actions
    above, below = (leave, act) if problem.decision.choose else (act, leave)
    return ServedModel(
        champion.version,
        champion.trained_at,
        champion.threshold,
        facts["train_positives"] / facts["train_rows"],
        model,
        problem,
        plan,
        Words(problem),
        above,
        below,
    )


def import_xgboost() -> None:
    """Import XGBoost without scikit-learn, which it would load, with pandas and half of SciPy, for wrappers that
    are not used here: 0.6 s instead of 3.2 s. XGBoost takes a missing scikit-learn as it is.
    """
    if "xgboost" in sys.modules or "sklearn" in sys.modules:
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        import xgboost  # noqa: F401
    finally:
        del sys.modules["sklearn"]


def _facts(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    return facts
