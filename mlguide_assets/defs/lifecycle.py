"""The whole graph as one job, which is what `mlguide run` makes."""

import dagster as dg

from mlguide_assets.defs.observe import EACH_DAY
from mlguide_assets.defs.workspace import RUN_TAGS

(_EACH_DAY,) = EACH_DAY.items()

# `mlguide run` makes it in two runs: the day to score is known once the source is read. The search is optional there.
lifecycle = dg.define_asset_job(
    "lifecycle",
    selection=dg.AssetSelection.all() - dg.AssetSelection.tag(*_EACH_DAY),
    tags=RUN_TAGS,
    description="Read, validate, compute features, search for the best recipe, train, evaluate, decide, install; then "
    "score and plan one day.",
)
