"""The HTTP API and the playground: routes only. `service.py` is what they do, `guarding.py` what stands before them."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from mlguide_assets.define.loading import current_problem
from mlguide_assets.deploy.fault_log import FaultCounter
from mlguide_assets.deploy.online_store.opening import STORE_VARIABLE
from mlguide_assets.deploy.online_store.store import Row, StoreError
from mlguide_assets.deploy.serving.asking import Asked, RefusedError
from mlguide_assets.deploy.serving.guarding import App, Guard, Shortcut
from mlguide_assets.deploy.serving.messages import (
    Email,
    Fault,
    PredictAnswer,
    PredictRequest,
    RecommendAnswer,
    RecommendRequest,
    ServiceState,
    User,
)
from mlguide_assets.deploy.serving.operations import FEATURE_AGE, exposition, log_as_json
from mlguide_assets.deploy.serving.reach import AllowedHosts
from mlguide_assets.deploy.serving.running import Running
from mlguide_assets.deploy.serving.server import (
    ACCESS_LOG_VARIABLE,
    BOUND_HOST_VARIABLE,
    KEY_VARIABLE,
    stop_with_parent,
)
from mlguide_assets.settings import Home

PLAYGROUND = Path(__file__).parent / "playground"
_log = logging.getLogger(__name__)

_FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": Fault, "description": text}
    for status, text in {
        400: "The request, or the JSON in it, cannot be read.",
        401: "The key is missing or wrong.",
        403: "The request is addressed to another host, or comes from a page of another server.",
        408: "The body did not arrive in time.",
        413: "The body is too large.",
        422: "The request is not one that can be answered; the sentence says why.",
        429: "Too many requests are in progress.",
        503: "No champion, no features, features that are too old, or a log that cannot be written.",
    }.items()
}


def create_app() -> App:
    """The application of one worker, as its environment says: home, problem, store, key."""
    log_as_json()
    stop_with_parent()
    home = Home.locate()
    return app_of(
        home,
        hosts=AllowedHosts.of(os.environ.get(BOUND_HOST_VARIABLE) or "127.0.0.1"),
        store=os.environ.get(STORE_VARIABLE),
        key=os.environ.get(KEY_VARIABLE),
        access_log=bool(os.environ.get(ACCESS_LOG_VARIABLE)),
    )


def app_of(
    home: Home,
    *,
    hosts: AllowedHosts,
    store: str | None = None,
    key: str | None = None,
    access_log: bool = True,
) -> App:
    """The application of a home.

    Args:
        hosts: the names by which it may be addressed.
        store: address of the online store; the home's own without it.
        key: what callers must send; none is asked for without it.
    """
    problem = current_problem(home)
    faults = FaultCounter(home.faults(problem.key))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = Running(home, problem, store, faults)
        app.state.running = running
        try:
            yield
        finally:
            running.stop()

    app = FastAPI(
        title="mlguide",
        version=version("mlguide"),
        summary="Which email makes which user unsubscribe?",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    _add_predictions(app)
    _add_lists(app)
    _add_operations(app)
    _add_playground(app)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http_fault)
    app.exception_handler(RefusedError)(_refused)
    app.exception_handler(Exception)(_failed)
    return Guard(
        app, problem.serving, key, hosts=hosts, access_log=access_log, shortcuts=_shortcuts(app), faults=faults
    )


def _add_predictions(app: FastAPI) -> None:
    @app.post("/predict", responses={200: {"model": PredictAnswer}, **_FAULTS}, tags=["predictions"])
    async def predict(asked: PredictRequest, request: Request) -> Response:
        """Say which emails would lose which users; without `email_ids`, of the last email that each was sent."""
        return await _answered(asked, request)

    @app.post("/recommend", responses={200: {"model": RecommendAnswer}, **_FAULTS}, tags=["predictions"])
    async def recommend(asked: RecommendRequest, request: Request) -> Response:
        """Rank candidate emails for each user, and choose; without `email_ids`, among the newest ones."""
        return await _answered(asked, request)


async def _answered(asked: Asked, request: Request) -> Response:
    return Response(await _answer(request.app, asked, request.state.request_id), media_type="application/json")


async def _answer(app: FastAPI, asked: Asked, request_id: str) -> bytes:
    running: Running = app.state.running
    work = await running.batcher.answer(asked, request_id)
    if work.refusal is not None:
        raise work.refusal
    return work.body


def _shortcuts(app: FastAPI) -> dict[str, Shortcut]:
    """What answers a body that is as described; of any other, the routes say what is wrong with it."""

    def shortcut(form: type[Asked]) -> Shortcut:
        async def answer(body: bytes, request_id: str) -> bytes | None:
            try:
                asked = form.model_validate_json(body)
            except ValidationError:
                return None
            return await _answer(app, asked, request_id)

        return answer

    return {"/predict": shortcut(PredictRequest), "/recommend": shortcut(RecommendRequest)}


def _add_lists(app: FastAPI) -> None:
    @app.get("/users", response_model=list[User], responses=_FAULTS, tags=["lists"])
    async def users(
        request: Request,
        search: str = Query(default="", max_length=20, description="Digits that the id starts with."),
        limit: int = Query(default=20, ge=1, le=100),
    ) -> Any:
        """Users to pick from: those whose id starts with a text, or, without one, some with many emails."""
        return await _listed(request, "users", search, limit)

    @app.get("/emails", response_model=list[Email], responses=_FAULTS, tags=["lists"])
    async def emails(request: Request, limit: int = Query(default=50, ge=1, le=1000)) -> Any:
        """Emails to pick from, the newest first."""
        return await _listed(request, "emails", "", limit)


async def _listed(request: Request, table: str, search: str, limit: int) -> list[Row]:
    running: Running = request.app.state.running
    try:
        return await asyncio.to_thread(running.listed, table, search, limit)
    except StoreError as error:
        raise RefusedError(503, str(error)) from error


def _add_operations(app: FastAPI) -> None:
    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        """Whether this process answers at all."""
        return {"status": "alive"}

    @app.get("/readyz", response_model=ServiceState, responses={503: {"model": ServiceState}}, tags=["operations"])
    async def readyz(request: Request) -> Response:
        """Whether predictions are answered, by which model, from which features, and what is not as it should be."""
        state = await asyncio.to_thread(request.app.state.running.state)
        return Response(
            state.model_dump_json(), 503 if state.status == "unavailable" else 200, media_type="application/json"
        )

    @app.get("/metrics", response_class=Response, tags=["operations"])
    async def metrics(request: Request) -> Response:
        """For Prometheus."""
        state = await asyncio.to_thread(request.app.state.running.state)
        if state.feature_time and state.now:
            FEATURE_AGE.set((state.now - state.feature_time).total_seconds())
        return Response(exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_playground(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=PLAYGROUND), name="static")

    @app.get("/", include_in_schema=False)
    async def playground() -> FileResponse:
        return FileResponse(PLAYGROUND / "index.html")


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """One sentence for the first thing that is wrong; what was sent is not repeated, since it may be anything."""
    assert isinstance(error, RequestValidationError)
    first, *others = error.errors()
    if first["type"] == "json_invalid":
        return _fault(request, 422, f"The body is not JSON: {first['ctx']['error']}, at character {first['loc'][-1]}.")
    if first["loc"] == ("body",) and not _is_json(request):
        return _fault(request, 422, "The body was not read as JSON: send it with 'Content-Type: application/json'.")
    place = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
    place = _printable(place)
    more = f" ({len(others)} more to mend after this one)" if others else ""
    return _fault(request, 422, f"{place}: {_printable(first['msg'])}{more}. See /openapi.json for what is expected.")


async def _http_fault(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = {
        400: "The body is not JSON that can be read: it is not UTF-8, nested too deeply, or has a number too long.",
        404: "There is nothing at this path; /openapi.json lists what there is.",
        405: "This path does not take that method; /openapi.json lists what there is.",
    }.get(error.status_code, str(error.detail))
    return _fault(request, error.status_code, detail, dict(error.headers or {}))


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return _fault(request, error.status, error.detail, {"retry-after": "1"} if error.status == 503 else None)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    """The error itself goes on to the guard, which logs it."""
    return _fault(request, 500, "The server failed on this request; its log says why, under the request's id.")


def _is_json(request: Request) -> bool:
    return "json" in request.headers.get("content-type", "").lower()


def _fault(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail, "request_id": request.state.request_id}, status, headers)


def _printable(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()[:300]
