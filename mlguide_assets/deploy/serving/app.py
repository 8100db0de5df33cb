"""The HTTP API and the playground: routes only. `service.py` is what they do, `guarding.py` what stands before them."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from mlguide_assets.define.loading import PROBLEM_VARIABLE, current_problem, name_in_home
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.log.fault_log import FaultCounter
from mlguide_assets.deploy.online_store.opening import STORE_VARIABLE
from mlguide_assets.deploy.online_store.store import StoreError
from mlguide_assets.deploy.serving.answers import ServiceState
from mlguide_assets.deploy.serving.api import Api, api_of
from mlguide_assets.deploy.serving.describing import ProblemWords
from mlguide_assets.deploy.serving.examples import ids_of, instant_of, request_examples
from mlguide_assets.deploy.serving.faults import FAULT_RESPONSES, add_faults
from mlguide_assets.deploy.serving.guarding import App, Guard, Shortcut
from mlguide_assets.deploy.serving.listing import List, row_type
from mlguide_assets.deploy.serving.messages import longest, purpose
from mlguide_assets.deploy.serving.operations import Metrics, exposition, log_as_json
from mlguide_assets.deploy.serving.reach import AllowedHosts
from mlguide_assets.deploy.serving.request import PredictionRequest, RefusedError
from mlguide_assets.deploy.serving.server import (
    ACCESS_LOG_VARIABLE,
    BOUND_HOST_VARIABLE,
    KEY_VARIABLE,
    served_problems,
    stop_with_parent,
)
from mlguide_assets.deploy.serving.several import Several
from mlguide_assets.deploy.serving.types import list_of
from mlguide_assets.deploy.serving.worker_state import WorkerState
from mlguide_assets.settings import Home

PLAYGROUND = Path(__file__).parent / "playground"
_log = logging.getLogger(__name__)


def create_app() -> App:
    """The application of one worker, as its environment says: home, problem, store, key."""
    log_as_json()
    stop_with_parent()
    home = Home.locate()
    name = None if os.environ.get(PROBLEM_VARIABLE) else name_in_home(current_problem(home), home)
    problems = served_problems(home)
    served = {each: app_from_environment(home, problem, each, list(problems)) for each, problem in problems.items()}
    return Several(served, name or next(iter(served)))


def app_from_environment(home: Home, problem: Problem, name: str, served: Sequence[str]) -> Guard:
    """The application of a problem, as the environment says: host, store, key."""
    return app_of(
        home,
        problem,
        name=name,
        served=served,
        hosts=AllowedHosts.of(os.environ.get(BOUND_HOST_VARIABLE) or "127.0.0.1"),
        store=os.environ.get(STORE_VARIABLE),
        key=os.environ.get(KEY_VARIABLE),
        access_log=bool(os.environ.get(ACCESS_LOG_VARIABLE)),
    )


def app_of(
    home: Home,
    problem: Problem | None = None,
    *,
    name: str | None = None,
    served: Sequence[str] = (),
    hosts: AllowedHosts,
    store: str | None = None,
    key: str | None = None,
    access_log: bool = True,
) -> Guard:
    """The application of a problem of a home.

    Args:
        problem: default: the one that this process works on.
        name: what distinguishes it from others of the server, in the address and in metrics; default: its own.
        served: the names of all problems of the server; default: this one alone.
        hosts: the names by which it may be addressed.
        store: address of the online store; the home's own without it.
        key: what callers must send; None: no key is needed.
    """
    problem = problem or current_problem(home)
    faults, metrics = FaultCounter(home.faults(problem.key)), Metrics(name or problem.name)
    api = api_of(home, problem, store, real=key is None, served_as=name, served=served)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = WorkerState(home, problem, store, faults, metrics)
        app.state.running = running
        try:
            with metrics.measuring_feature_age(running.feature_age):
                yield
        finally:
            running.stop()

    app = FastAPI(
        title="mlguide",
        version=version("mlguide"),
        summary=problem.statement,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    _add_predictions(app, api)
    _add_lists(app, api)
    _add_operations(app, api)
    _add_playground(app)
    _add_examples(app, api, real=key is None)
    add_faults(app)
    return Guard(
        app,
        problem.serving,
        key,
        hosts=hosts,
        access_log=access_log,
        shortcuts=_shortcuts(app, api),
        faults=faults,
        metrics=metrics,
    )


def _add_predictions(app: FastAPI, api: Api) -> None:
    async def predict(body: Any, request: Request) -> Response:
        return await _answered(api.requests.parse(body), request)

    async def recommend(body: Any, request: Request) -> Response:
        return await _answered(api.requests.parse(body, recommend=True), request)

    routes = [("/predict", predict, api.requests.predict, api.answers.predict)]
    if api.requests.recommend is not None:
        routes.append(("/recommend", recommend, api.requests.recommend, api.answers.recommend))
    for path, route, body_type, answered in routes:
        # FastAPI reads what a body must be from the annotation.
        route.__annotations__["body"] = Annotated[body_type, Body()]
        route.__doc__ = purpose(api.problem)[path]
        app.post(path, responses={200: {"model": answered}, **FAULT_RESPONSES}, tags=["predictions"])(route)


async def _answered(prediction_request: PredictionRequest, request: Request) -> Response:
    return Response(
        await _answer(request.app, prediction_request, request.state.request_id), media_type="application/json"
    )


async def _answer(app: FastAPI, prediction_request: PredictionRequest, request_id: str) -> bytes:
    running: WorkerState = app.state.running
    pending = await running.batcher.answer(prediction_request, request_id)
    if (refusal := pending.refusal) is not None:
        raise RefusedError(refusal.status, running.commands(refusal.detail))
    return pending.body


def _shortcuts(app: FastAPI, api: Api) -> dict[str, Shortcut]:
    """What answers a body that is as described; of any other, the routes say what is wrong with it."""

    def shortcut(form: Any, *, recommend: bool) -> Shortcut:
        adapter: TypeAdapter[Any] = TypeAdapter(form)

        async def answer(body: bytes, request_id: str) -> bytes | None:
            try:
                parsed = adapter.validate_json(body)
            except ValidationError:
                return None
            return await _answer(app, api.requests.parse(parsed, recommend=recommend), request_id)

        return answer

    found = {"/predict": shortcut(api.requests.predict, recommend=False)}
    if api.requests.recommend is not None:
        found["/recommend"] = shortcut(api.requests.recommend, recommend=True)
    return found


def _add_lists(app: FastAPI, api: Api) -> None:
    for each in api.lists:
        _add_list(app, each, api.ids[each.noun])


def _add_list(app: FastAPI, list_: List, id_: Any) -> None:
    first, most = (50, 1000) if list_.chosen else (20, 100)

    async def listed(
        request: Request,
        search: str = Query(default="", max_length=longest(id_), description="What the id starts with."),
        limit: int = Query(default=first, ge=1, le=most),
    ) -> Response:
        running: WorkerState = request.app.state.running
        try:
            rows = await asyncio.to_thread(running.listed, list_, search, limit)
        except StoreError as error:
            raise RefusedError(503, running.commands(str(error))) from error
        return Response(to_json(rows), media_type="application/json")

    some = "the newest first" if list_.chosen else f"or, without one, some {list_.table} with many events"
    listed.__doc__ = f"{list_.table.capitalize()} to pick from: those whose id starts with a text, {some}."
    row = row_type(list_, id_)
    responses = {200: {"model": list_of(row)}, **FAULT_RESPONSES}
    app.get(f"/{list_.table}", name=list_.table, responses=responses, tags=["lists"])(listed)


def _add_operations(app: FastAPI, api: Api) -> None:
    @app.get("/problem", response_model=ProblemWords, responses=FAULT_RESPONSES, tags=["operations"])
    async def problem() -> ProblemWords:
        """What is decided, about what, and how it is called: what the playground is drawn from."""
        return api.words

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
    async def metrics() -> Response:
        """For Prometheus, of all problems of this server, which the label `problem` names."""
        return Response(await asyncio.to_thread(exposition), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_playground(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=PLAYGROUND), name="static")

    @app.get("/", include_in_schema=False)
    async def playground() -> FileResponse:
        return FileResponse(PLAYGROUND / "index.html")


def _add_examples(app: FastAPI, api: Api, *, real: bool) -> None:
    """Have the description show requests about ids that are published by then.

    Args:
        real: whether anybody may see these; the description needs no key.
    """
    described = app.openapi

    def with_examples() -> dict[str, Any]:
        running: WorkerState | None = getattr(app.state, "running", None)
        publication = running.publication() if real and running else None
        description = deepcopy(described())
        ids, at = ids_of(api.problem, publication), instant_of(api.problem, publication)
        for path, bodies in request_examples(api.problem, ids, at, api.usual).items():
            content = description["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            content["examples"] = {f"example {number}": {"value": body} for number, body in enumerate(bodies, 1)}
        return description

    app.openapi = with_examples  # type: ignore[method-assign]
