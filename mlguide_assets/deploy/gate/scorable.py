"""Whether a version can score the decisions of the problem as it is now.

A version keeps the features that it was trained with. A problem may lose some afterwards: a column or a declaration is
taken out, or fewer automatic features are wanted. Neither Ibis nor MLflow is loaded to find out.
"""

from pathlib import Path

from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.files import absent_feature


class UnscorableError(InputError):
    """A version needs a feature that the problem no longer has."""


def lost_feature(folder: Path, lake: Lake, problem: Problem) -> str | None:
    """A feature that a model needs and the problem no longer has; None where it has all, or where it is not known which
    ones it has: none are computed yet, or what was computed is damaged, which keeps nobody from a rollback.

    Args:
        folder: of a candidate or a bundle.
    """
    try:
        features = lake.first_rows(lake.snapshot(problem.features_table), 1).column_names
    except (InputError, FileNotFoundError):
        return None
    return absent_feature(folder, features)


def refuse_unscorable(folder: Path, version: str, lake: Lake, problem: Problem) -> None:
    """Refuse a version that cannot score the decisions of the problem.

    Args:
        folder: of its candidate or bundle.

    Raises:
        UnscorableError: names the feature that is gone.
    """
    if lost := lost_feature(folder, lake, problem):
        raise UnscorableError(
            f"Version {version} needs the feature {lost!r}, which the problem no longer has, so it can score nothing: "
            f"take another version, or bring the feature back in the problem file and 'mlguide run' it first."
        )
