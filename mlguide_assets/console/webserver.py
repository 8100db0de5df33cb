"""Dagster's webserver, behind checks of where a request comes from.

Dagster answers any host and origin, and takes mutations by GET, so any web page that the user opens could delete runs.
"""

import socket
import sys

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlguide_assets.console.plots import serve_plots
from mlguide_assets.deploy.serving.reach import AllowedHosts
from mlguide_assets.settings import Home

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_GRAPHQL = "/graphql"
STOP_SECONDS = 1
"""What open pages, which hold a connection each, delay the end."""


class OriginGuard:
    """Refuses requests that another web page has a browser send, HTTP and WebSocket alike.

    What changes anything is a POST of JSON: a page of another origin cannot have a browser send one without asking
    the server first, which says no.
    """

    def __init__(self, app: ASGIApp, allowed: AllowedHosts) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        fault = self._fault(scope)
        if fault is None:
            await self._app(scope, receive, _unframed(send) if scope["type"] == "http" else send)
        elif scope["type"] == "http":
            status, detail = fault
            await JSONResponse({"detail": detail}, status)(scope, receive, send)
        else:
            # Before it is accepted: the browser sees 403.
            await send({"type": "websocket.close", "code": 1008})

    def _fault(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence of what is wrong with a request."""
        refusal = self._allowed.refusal(scope["headers"])
        if refusal is not None:
            return refusal
        if scope["type"] == "websocket":
            return None
        request = Request(scope)
        if request.method not in _SAFE_METHODS:
            said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if said != "application/json":
                return 415, "What is sent here is JSON: send it with 'Content-Type: application/json'."
        # Only of a request for a page does Dagster not execute the query.
        elif request.url.path.rstrip("/") == _GRAPHQL and "text/html" not in request.headers.get("accept", ""):
            return 405, "GraphQL takes POST only, with 'Content-Type: application/json'."
        return None


def _unframed(send: Send) -> Send:
    """Keep pages of others from showing this one in a frame, where a click would be led astray."""

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"x-frame-options", b"SAMEORIGIN")]
        await send(message)

    return send_on


def main() -> None:
    """Serve Dagster's UI: `webserver HOST FILE-DESCRIPTOR WORKSPACE`, of a socket that is bound already."""
    host, descriptor, workspace = sys.argv[1:]
    import dagster as dg
    import uvicorn

    # Neither is public, but there is no other way to the application than through the command, which runs it at once.
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.app import create_app_from_workspace_process_context

    with dg.DagsterInstance.get() as instance:
        # As the command does by default.
        instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3_600, max_overflow=20)
        with WorkspaceProcessContext(instance, WorkspaceFileTarget([workspace])) as context:
            ui = create_app_from_workspace_process_context(context)
            serve_plots(ui, Home.locate())
            guarded = OriginGuard(ui, AllowedHosts.of(host))
            config = uvicorn.Config(guarded, log_level="warning", timeout_graceful_shutdown=STOP_SECONDS)
            uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(descriptor))])
