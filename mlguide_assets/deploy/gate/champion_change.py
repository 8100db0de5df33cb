"""The one way to another champion: with it ends what was compared with the champion before.

It imports neither Ibis nor MLflow, so that a rollback need not wait for them.
"""

from pathlib import Path

from mlguide_assets.deploy.bundle import CHALLENGER, pointed_version, set_challenger, set_champion
from mlguide_assets.deploy.gate.held_challenger import held_challenger
from mlguide_assets.deploy.routing import change_routes, without_canary
from mlguide_assets.prepare.lake.lake import Lake


def change_champion(lake: Lake, bundles: Path, version: str) -> None:
    """Point production to a bundle that is whole, and let servers follow no canary any more.

    The challenger's place is free from then on, unless a running experiment decides by the version that has it.

    Raises:
        InputError: the bundle or the pointer is damaged, or the disk is full.
    """
    # Else the canary would come back once the champion that it was compared with does.
    change_routes(bundles, without_canary)
    set_champion(bundles, version)
    held, challenger = held_challenger(lake), pointed_version(bundles, CHALLENGER)
    if challenger is not None and (held is None or held.version != challenger):
        set_challenger(bundles, None)
