"""What a page of another server can have a browser do to Dagster's webserver."""

import contextlib
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from mlguide_assets.console.webserver import OriginGuard
from mlguide_assets.deploy.serving.reach import AllowedHosts

HERE = "http://localhost:3000"
JSON = {"content-type": "application/json"}
EVIL = {"origin": "http://evil.example"}
PAGE = {"accept": "text/html,*/*"}


async def answered(request: Request) -> PlainTextResponse:
    return PlainTextResponse("answered")


async def accepted(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """Of an application that takes everything, behind the guard."""
    routes = [
        Route("/{path:path}", answered, methods=["GET", "POST", "PUT", "DELETE"]),
        WebSocketRoute("/graphql", accepted),
    ]
    guarded = OriginGuard(Starlette(routes=routes), AllowedHosts.of("127.0.0.1", ""))
    with TestClient(guarded, base_url=HERE) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/graphql", JSON, 200),
        ("POST", "/graphql", {**JSON, "origin": HERE}, 200),
        ("POST", "/graphql", {"content-type": "application/json; charset=utf-8"}, 200),
        ("GET", "/runs", {}, 200),
        # A link on another page leads here.
        ("GET", "/runs", {**PAGE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ("GET", "/graphql", PAGE, 200),
        ("POST", "/graphql", {**JSON, **EVIL}, 403),
        ("POST", "/graphql", {**JSON, "origin": "null"}, 403),
        ("GET", "/runs", {"host": "evil.example:3000"}, 403),
        ("GET", "/graphql?query={version}", {}, 405),
        ("GET", "/graphql/?query={version}", {}, 405),
        ("HEAD", "/graphql?query={version}", {}, 405),
        ("POST", "/graphql?query=mutation{x}", {}, 415),
        ("POST", "/graphql", {"content-type": "text/plain; application/json"}, 415),
        ("POST", "/graphql", {"content-type": "application/graphql"}, 415),
        ("POST", "/report_asset_materialization/x", {"content-type": "application/x-www-form-urlencoded"}, 415),
        ("DELETE", "/anything", {}, 415),
    ],
)
def test_only_what_the_page_itself_sends_is_answered(
    client: TestClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == status
    assert status != 200 or answer.headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    ("headers", "answers"),
    [({}, True), ({"origin": HERE}, True), (EVIL, False), ({"host": "evil.example"}, False)],
)
def test_a_web_socket_of_another_page_is_refused(client: TestClient, headers: dict[str, str], answers: bool) -> None:
    headers = {"host": "localhost:3000", **headers}
    with (
        contextlib.nullcontext() if answers else pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/graphql", headers=headers) as connected,
    ):
        assert connected.receive()["type"] == "websocket.close"
