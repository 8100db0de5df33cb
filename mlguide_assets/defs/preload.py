"""Importing what the next assets need while this one computes, on another core.

Imports take a third of a run on the default world; DuckDB, scikit-learn and XGBoost compute without the
interpreter's lock, so that time is free.
"""

import contextlib
import importlib
import os
import threading
import warnings
from collections.abc import Callable

from mlguide_assets.deploy.registry.registry import MLFLOW_SETTINGS

FOR_TRAINING = ("sklearn.compose", "sklearn.linear_model", "sklearn.svm", "xgboost")
AFTER_TRAINING = ("matplotlib.figure", "shap", "mlflow")


def preload(names: tuple[str, ...], then: Callable[[], object] | None = None) -> None:
    """Import modules in the background; what fails is met again, and reported, where it is needed.

    Args:
        then: what to begin once they are imported, such as the registry, whose database MLflow makes in seconds.
    """
    # Dagster's storage asks SQLAlchemy in the main thread, which half of sqlalchemy.orm makes fail.
    import sqlalchemy.orm  # noqa: F401

    os.environ.update(MLFLOW_SETTINGS)
    # Set here, permanently: what `requests` silences on import is undone when scikit-learn, fitting in the main
    # thread, leaves `catch_warnings`.
    warnings.filterwarnings("ignore", "SOCKS support in urllib3")
    threading.Thread(target=_load, args=(names, then), name="preload", daemon=True).start()


def _load(names: tuple[str, ...], then: Callable[[], object] | None) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        # Not ImportError alone: an import that parses code fails where another thread parses, too (see `code_version`).
        except Exception:
            return
    if then is not None:
        with contextlib.suppress(Exception):
            then()
