"""The UI shows plots at once: they have an address, and what is there is served."""

import asyncio
import re
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mlguide_assets.console.plots import serve_plots
from mlguide_assets.defs.metadata import plots
from mlguide_assets.settings import DATABASE_VARIABLE, HOME_VARIABLE, LAKE_VARIABLE, Home
from mlguide_assets.train.plots.pictures import keep_picture
from mlguide_assets_tests.object_store import ObjectServer
from mlguide_assets_tests.samples import sample_problem

SHOWN_AT_ONCE = 1_000
"""Characters of Markdown that Dagster's UI does not hide behind a button."""


def png(width: int, height: int) -> bytes:
    drawn = BytesIO()
    Image.new("1", (width, height)).save(drawn, "PNG")
    return drawn.getvalue()


async def anything(_: Request) -> PlainTextResponse:
    return PlainTextResponse("Dagster")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home [1] #é")


@pytest.fixture
def ui(home: Home) -> Starlette:
    app = Starlette(routes=[Route("/{path:path}", anything)])
    serve_plots(app, home)
    return app


def get(app: Starlette, path: str) -> httpx.Response:
    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.get(path)

    return asyncio.run(answer())


def test_a_picture_is_at_the_address_in_the_metadata(home: Home, ui: Starlette) -> None:
    pictures = {"roc_curve": png(640, 400), "calibration": png(100, 50)}
    shown = plots(home, sample_problem("nowhere"), pictures)
    assert shown.keys() == pictures.keys()
    sizes = {}
    for name, picture in pictures.items():
        text = shown[name].value
        assert len(text) < SHOWN_AT_ONCE
        narrow, whole = re.findall(r"\(([^()]+)\)", text)
        assert text == f"[![{name}]({narrow})]({whole})"
        answer = get(ui, whole)
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, picture, "image/png")
        answer = get(ui, narrow)
        assert answer.headers["content-type"] == "image/svg+xml"
        sizes[name] = re.findall(r' (?:width|height)="(\d+)"', answer.text)[:2]
    assert sizes == {"roc_curve": ["300", "187"], "calibration": ["100", "50"]}
    assert get(ui, "/runs").text == "Dagster"


def test_only_pictures_of_the_home_are_served(home: Home, ui: Starlette) -> None:
    (home.root / "problem.yaml").write_text("secret")
    (home.plots / "link.png").symlink_to(home.root / "problem.yaml")
    for path in ("/plots/../problem.yaml", "/plots/%2e%2e/problem.yaml", "/plots/..%2fproblem.yaml", "/plots/link.png"):
        answer = get(ui, path)
        assert "secret" not in answer.text, path


def test_a_picture_that_another_host_has_drawn_is_served(
    objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LAKE_VARIABLE, objects.address())
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "trainer"))
    stem = keep_picture(Home(tmp_path / "trainer").plots / "sample", "curve", png(9, 9))
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "daemon"))
    app = Starlette(routes=[Route("/{path:path}", anything)])
    serve_plots(app, Home(tmp_path / "daemon"))
    assert get(app, f"/plots/sample/{stem}.png").content == png(9, 9)
    assert get(app, "/plots/sample/none.png").status_code == 404


def test_the_oldest_pictures_are_forgotten(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlguide_assets.train.plots.pictures.KEPT", 4)
    stems = [keep_picture(home.plots, name, png(9, 9)) for name in ("first", "second", "first", "third")]
    assert {path.stem for path in home.plots.iterdir()} == {stems[0], stems[3]}


def test_another_picture_of_the_name_has_another_address(home: Home) -> None:
    """A browser would show the one that it has kept; and an earlier run its own."""
    problem = sample_problem("nowhere")
    one, other = (plots(home, problem, {"roc_curve": png})["roc_curve"].value for png in (png(3, 2), png(4, 2)))
    assert one != other
    assert len(list((home.plots / problem.key).iterdir())) == 4
