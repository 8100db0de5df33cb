"""The definitions of one of several problems: the keys of its assets, and its groups, begin with its name."""

from types import ModuleType
from typing import Any

import dagster as dg

from mlguide_assets.defs.replacing import with_assets
from mlguide_assets.defs.workspace import NAME, PREFIX


def prefixed(found: dg.Definitions) -> dg.Definitions:
    """The definitions with `PREFIX` in front of the keys of assets; as they are where there is none.

    Checks, jobs and what others make name assets by `key_of` and `keys_of`, which have it already. The UI draws groups
    of one name as one, whatever the code location, and shows only the ends of keys in it.
    """
    if not PREFIX:
        return found
    # Dagster puts a prefix in front of the assets of a module, wherever they refer to each other.
    module, others = ModuleType("assets"), []
    for number, each in enumerate(found.assets or ()):
        if isinstance(each, dg.AssetsDefinition) and not isinstance(each, dg.AssetChecksDefinition):
            setattr(module, f"asset_{number}", each)
        else:
            others.append(each)
    loaded: Any = [*dg.load_assets_from_modules([module], key_prefix=PREFIX), *others]
    return with_assets(found, dg.map_asset_specs(_in_own_group, loaded))


def _in_own_group(spec: dg.AssetSpec) -> dg.AssetSpec:
    return spec.replace_attributes(group_name=f"{NAME}_{spec.group_name}")
