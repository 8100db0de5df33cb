"""What stands before the routes: identity, limits, measurements. One layer of plain ASGI: every request pays for it."""

import asyncio
import hmac
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, contextmanager
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mlguide_assets.define.operations import Serving
from mlguide_assets.deploy.log.fault_log import FaultCounter
from mlguide_assets.deploy.serving.operations import AccessLog, Metrics
from mlguide_assets.deploy.serving.reach import AllowedHosts
from mlguide_assets.deploy.serving.request import RefusedError
from mlguide_assets.english import agreeing, counted

if TYPE_CHECKING:
    from fastapi import FastAPI

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Shortcut = Callable[[bytes, str], Awaitable[bytes | None]]
"""From the body of a POST of JSON, and the request's id, to the JSON of its answer; None where the application must
say what is wrong with it.

Raises:
    RefusedError: there is no answer.
"""

BODY_SECONDS = 10.0
"""A body that takes longer to arrive is given up."""

OPEN = ("/", "/healthz", "/readyz", "/problem", "/openapi.json")
"""Paths that need no key: they report whether the server lives, or hold no data."""
OPEN_BELOW = "/static/"

_log = logging.getLogger(__name__)


class Guard:
    """Gives every request an id, asks for the key, keeps to the limits, measures and logs.

    Args:
        hosts: the names by which it may be addressed, also by pages of other servers.
        shortcuts: by path, what answers without the application, whose layers would cost such a request half its time.
        faults: counts what is refused or fails.
        metrics: of the problem that the application answers for.
    """

    def __init__(
        self,
        app: "FastAPI",
        serving: Serving,
        key: str | None,
        *,
        hosts: AllowedHosts,
        access_log: bool,
        shortcuts: Mapping[str, Shortcut],
        faults: FaultCounter,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._serving = serving
        self._key = key.encode() if key else None
        self._hosts = hosts
        self._access_log = AccessLog() if access_log else None
        self._shortcuts = shortcuts
        self._faults = faults
        self._metrics = metrics
        self._in_progress = 0

    def lifespan(self) -> AbstractAsyncContextManager[Any]:
        """What the application keeps while it runs, for who starts it as one of several."""
        return self._app.router.lifespan_context(self._app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._metrics)
        try:
            if self._is_open(scope):
                # Clients without the key must not take the places of those with it, nor be waited for.
                await self._app(_as_get(scope), _again(b"", receive), exchange.send)
            else:
                with self._place():
                    await self._answer(scope, receive, exchange)
        except RefusedError as refusal:
            await exchange.refuse(refusal)
        except Exception:
            _log.exception("request failed", extra={"fields": {"request_id": exchange.request_id}})
            await exchange.refuse(
                RefusedError(500, "The server failed on this request; its log says why, under the request's id.")
            )
        finally:
            exchange.measure(self._access_log, self._faults)

    async def _answer(self, scope: Scope, receive: Receive, exchange: "_Exchange") -> None:
        body = await _body(scope, receive, self._serving.max_body_kilobytes * 1024)
        answer = await self._shortcut(scope, body, exchange)
        if answer is None:
            await self._app(_as_get(scope), _again(body, receive), exchange.send)
        else:
            await exchange.answer(answer)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for requests in progress."""
        if self._in_progress >= self._serving.max_concurrent:
            raise RefusedError(
                429,
                f"{counted(self._serving.max_concurrent, 'request')} {agreeing(self._serving.max_concurrent, 'is')} "
                "in progress, which is the limit: try again soon.",
            )
        self._in_progress += 1
        try:
            yield
        finally:
            self._in_progress -= 1

    async def _shortcut(self, scope: Scope, body: bytes, exchange: "_Exchange") -> bytes | None:
        path = _route_path(scope)
        shortcut = self._shortcuts.get(path)
        if shortcut is None or scope["method"] != "POST" or not _is_json(scope):
            return None
        exchange.path = path
        return await shortcut(body, exchange.request_id)

    def _is_open(self, scope: Scope) -> bool:
        """Whether the path needs no key.

        Raises:
            RefusedError: the request is of another host, or it lacks the key that it needs.
        """
        refusal = self._hosts.refusal(scope["headers"])
        if refusal is not None:
            raise RefusedError(*refusal)
        path = _route_path(scope)
        if path in OPEN or path.startswith(OPEN_BELOW):
            return True
        if self._key is not None and not hmac.compare_digest(_given_key(scope), self._key):
            raise RefusedError(
                401, "This server wants its key: send it as 'X-API-Key: …' or 'Authorization: Bearer …'."
            )
        return False


_PROCESS = uuid.uuid4().hex[:16]
_numbers = count()
"""An id is the process and a number: as unique as a random one, at a tenth of its cost."""


class _Exchange:
    """One request and what became of it."""

    def __init__(self, scope: Scope, send: Send, metrics: Metrics) -> None:
        self.request_id = f"{_PROCESS}{next(_numbers):016x}"
        self.path = ""
        """Of the route that took it."""
        self._scope = scope
        self._send = send
        self._metrics = metrics
        self._status = 0
        self._started = perf_counter()
        scope.setdefault("state", {})["request_id"] = self.request_id
        metrics.in_progress.inc()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode()), *_SAFE]
        await self._send(message)

    async def answer(self, body: bytes) -> None:
        """Answer with JSON."""
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, refusal: RefusedError) -> None:
        if self._status:
            # The answer has begun: all that is left is to break it off.
            return
        body = json.dumps({"detail": refusal.detail, "request_id": self.request_id}).encode()
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        if refusal.status in (429, 503):
            headers.append((b"retry-after", b"1"))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if refusal.status in (408, 413):
            # The rest of the body is not read.
            headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def measure(self, access_log: AccessLog | None, faults: FaultCounter) -> None:
        seconds = perf_counter() - self._started
        # Unknown paths are counted as one: a stranger must not make metrics grow.
        path = self.path or getattr(self._scope.get("route"), "path", "other")
        self._metrics.count_request(path, self._status, seconds)
        faults.count(path, self._status)
        self._metrics.in_progress.dec()
        if access_log is not None:
            access_log.add(
                request_id=self.request_id,
                method=self._scope["method"],
                path=self._scope["path"],
                status=self._status,
                milliseconds=round(seconds * 1000, 3),
            )


_JSON = (b"content-type", b"application/json")
_SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", b"default-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
]
"""On every answer: the page loads nothing from elsewhere, runs no script but files of ours, and is in no frame."""


def _route_path(scope: Scope) -> str:
    """The path below that of the application, which is one of several."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body, in time and within its limit; a compressed one may have any size once it is read."""
    too_large = RefusedError(413, f"The body is larger than {limit:,} bytes, which is the limit: ask for less at once.")
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if not declared.isdigit() or int(declared) > limit:
        raise too_large
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = bytearray()
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError(400, "The client left before its body had arrived.")
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_large
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise RefusedError(408, f"The body did not arrive within {BODY_SECONDS:.0f} seconds: send it faster.") from None
    coding = next((value for name, value in scope["headers"] if name == b"content-encoding"), b"identity")
    if coding.strip().lower() not in (b"identity", b""):
        raise RefusedError(415, "The body is compressed (Content-Encoding), which is not read here: send it as it is.")
    return bytes(body)


def _is_json(scope: Scope) -> bool:
    """Whether the body says plainly that it is JSON; there are other ways to say so, which the application knows."""
    said = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return bool(said.partition(b";")[0] == b"application/json")


def _again(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read to the application, then whatever else happens on the connection."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _as_get(scope: Scope) -> Scope:
    """HEAD is GET for the application; the server leaves out the body."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _given_key(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return bytes(value)
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return bytes(value[7:])
    return b""
