"""Rows per second of exact contributions by the champion of a home: `explaining HOME`."""

import sys
import time
from pathlib import Path

from mlguide_assets.define.loading import load_problem
from mlguide_assets.deploy.bundle import champion
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.rows import matured_rows
from mlguide_assets.train.storage import load_model

ROWS = 10_000

if __name__ == "__main__":
    home = Home(Path(sys.argv[1]))
    current = champion(home.bundles("planeswalker_simulated"))
    if current is None:
        raise SystemExit("this home has no champion to explain")
    model = load_model(current.folder)
    rows = matured_rows(
        Lake(home.lake("planeswalker_simulated")).read("send_features").limit(ROWS), load_problem("planeswalker")
    )
    matrix = model.encoding.matrix(rows)
    model.contributions(matrix[:100])
    start = time.perf_counter()
    model.contributions(matrix)
    print(len(matrix) / (time.perf_counter() - start))
