"""Which part of the graph a problem has.

Everything is made for every problem, whatever its tables are, except experiments and canaries where nothing is chosen:
they compare ways to choose, and a plan that acts or leaves as the costs say has only one.
"""

from typing import Any

import dagster as dg

from mlguide_assets.defs.replacing import with_assets
from mlguide_assets.defs.workspace import PROBLEM

COMPARE_CHOICES = ("experiment_assignments", "exposures", "experiment_results", "offline_and_online", "canary_steps")
"""The assets that a problem without a choice lacks."""


def in_scope(found: dg.Definitions) -> dg.Definitions:
    """The definitions of the problem of this code location."""
    if PROBLEM.chooses:
        return found
    assets = [each for each in found.assets or () if not any(_left_out(key) for key in _keys(each))]
    checks = [each for each in found.asset_checks or () if not any(map(_is_of_left_out, _check_keys(each)))]
    return with_assets(found, assets, checks)


def _left_out(key: dg.AssetKey) -> bool:
    return key.path[-1] in COMPARE_CHOICES


def _is_of_left_out(key: dg.AssetCheckKey) -> bool:
    return _left_out(key.asset_key)


def _keys(asset: Any) -> list[dg.AssetKey]:
    # A specification has one key, and no `keys`.
    return list(asset.keys) if hasattr(asset, "keys") else [asset.key]


def _check_keys(check: Any) -> list[dg.AssetCheckKey]:
    return list(getattr(check, "check_keys", ()))
