"""The definitions of one of several problems: the keys of its assets begin with its name."""

from types import ModuleType

import dagster as dg

from mlguide_assets.defs.replacing import with_assets
from mlguide_assets.defs.workspace import PREFIX


def prefixed(found: dg.Definitions) -> dg.Definitions:
    """The definitions with `PREFIX` in front of the keys of assets; as they are where there is none.

    Checks, jobs and what others make name assets by `key_of` and `keys_of`, which have it already.
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
    return with_assets(found, [*dg.load_assets_from_modules([module], key_prefix=PREFIX), *others])
