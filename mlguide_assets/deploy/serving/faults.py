"""What is said where there is no answer, as JSON with one sentence."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mlguide_assets.deploy.serving.answers import Fault
from mlguide_assets.deploy.serving.invalid import in_words, place_of
from mlguide_assets.deploy.serving.request import RefusedError

FAULT_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Fault, "description": text}
    for status, text in {
        400: "The request, or the JSON in it, cannot be read.",
        401: "The key is missing or wrong.",
        403: "The request is addressed to another host, or comes from a page of another server.",
        408: "The body did not arrive in time.",
        413: "The body is too large.",
        415: "The body is compressed.",
        422: "The request is not one that can be answered; the sentence says why.",
        429: "Too many requests are in progress.",
        503: "No champion, no features, features that are too old, or a log that cannot be written.",
    }.items()
}
"""The responses that every route may have besides its own."""


def add_faults(app: FastAPI) -> None:
    """Have the application say what is wrong."""
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http_fault)
    app.exception_handler(RefusedError)(_refused)
    app.exception_handler(Exception)(_failed)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """One sentence for the first thing that is wrong; what was sent is not repeated, since it may be anything."""
    assert isinstance(error, RequestValidationError)
    first, *others = error.errors()
    path = place_of(first)
    if first["type"] == "json_invalid":
        return _fault(request, 422, f"The body is not JSON: {first['ctx']['error']}, at character {first['loc'][-1]}.")
    if not path and not _is_json(request):
        return _fault(request, 422, "The body was not read as JSON: send it with 'Content-Type: application/json'.")
    place = _printable(".".join(path) or "the body")
    left = len({place_of(each) for each in others} - {path})
    more = f" ({left} more to fix after this one)" if left else ""
    return _fault(
        request, 422, f"{place}: {_printable(in_words(first))}{more}. See /openapi.json for what is expected."
    )


_NOTHING = "There is nothing at this path; /openapi.json lists what there is."
_NO_PROBLEM = (
    "There is nothing at this path: /openapi.json lists what there is. A problem that the home got after this server "
    "began is served once the server starts again."
)


async def _http_fault(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = {
        400: "The body is not JSON that can be read: it is not UTF-8, nested too deeply, or has a number too long.",
        404: _NO_PROBLEM if request.url.path.startswith("/problems/") else _NOTHING,
        405: "This path does not take that method; /openapi.json lists what there is.",
    }.get(error.status_code, str(error.detail))
    return _fault(request, error.status_code, detail, dict(error.headers or {}))


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return _fault(request, error.status, error.detail, {"retry-after": "1"} if error.status == 503 else None)


async def _failed(request: Request, _error: Exception) -> JSONResponse:
    """The error itself goes on to the guard, which logs it."""
    return _fault(request, 500, "The server failed on this request; its log says why, under the request's id.")


def _is_json(request: Request) -> bool:
    return "json" in request.headers.get("content-type", "").lower()


def _fault(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail, "request_id": request.state.request_id}, status, headers)


def _printable(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()[:300]
