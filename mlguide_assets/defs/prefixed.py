"""The definitions of one of several problems: the keys of its assets begin with its name."""

import importlib
from pathlib import Path

import dagster as dg

from mlguide_assets.defs.workspace import PREFIX

_FOLDER = Path(__file__).parent


def prefixed(found: dg.Definitions) -> dg.Definitions:
    """The definitions with `PREFIX` in front of the keys of assets; as they are where there is none.

    Jobs select by `keys_of`, which has it already.
    """
    if not PREFIX:
        return found
    names = sorted(path.stem for path in _FOLDER.glob("*.py") if path.stem != "__init__")
    modules = [importlib.import_module(f"mlguide_assets.defs.{name}") for name in names]
    return dg.Definitions(
        # Specifications of what others make have the prefix by themselves.
        assets=[*dg.load_assets_from_modules(modules, key_prefix=PREFIX), *_specifications(found)],
        asset_checks=dg.load_asset_checks_from_modules(modules, asset_key_prefix=PREFIX),
        jobs=found.jobs,
        schedules=found.schedules,
        sensors=found.sensors,
        resources=found.resources,
        executor=found.executor,
    )


def _specifications(found: dg.Definitions) -> list[dg.AssetSpec]:
    return [each for each in found.assets or () if isinstance(each, dg.AssetSpec)]
