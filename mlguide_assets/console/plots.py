"""The pictures of a home, beside Dagster's UI: its metadata shows a picture at once only where it has an address."""

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from mlguide_assets.pages import PLOTS
from mlguide_assets.settings import Home


def serve_plots(app: Starlette, home: Home) -> None:
    """Let the application of Dagster's webserver serve the pictures, too, before its route that takes any path."""
    home.plots.mkdir(parents=True, exist_ok=True)
    app.router.routes.insert(0, Mount(PLOTS, StaticFiles(directory=home.plots)))
