"""The pictures of a home, beside Dagster's UI: its metadata shows a picture at once only where it has an address."""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from mlguide_assets.pages import PLOTS
from mlguide_assets.prepare.hosts.shared_files import fetch_file, shared_bucket
from mlguide_assets.settings import Home


def serve_plots(app: Starlette, home: Home) -> None:
    """Let the application of Dagster's webserver serve the pictures, too, before its route that takes any path."""
    home.plots.mkdir(parents=True, exist_ok=True)
    app.router.routes.insert(0, Mount(PLOTS, Pictures(directory=home.plots)))


class Pictures(StaticFiles):
    """Pictures of the home, also those that another host has drawn."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        full, found = super().lookup_path(path)
        if found is None and shared_bucket() is not None:
            wanted = Path(str(self.directory), path).resolve()
            if wanted.is_relative_to(Path(str(self.directory)).resolve()) and fetch_file(wanted):
                return super().lookup_path(path)
        return full, found
