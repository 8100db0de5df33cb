"""What a server answers while it does not know its problem yet: that it waits, and for what.

The problem is in the store that hosts share. Where that is away, or slow, when a server starts, the server waits for
it, as one that runs goes on without it. What watches over the process sees one that lives (`/healthz`) and is not
ready (`/readyz`); callers get 503 with the reason. What does not pass by itself, such as wrong credentials, ends the
process.
"""

import json
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mlguide_assets.deploy.serving.answers import Fault, ServiceState
from mlguide_assets.deploy.serving.reach import AllowedHosts, bind
from mlguide_assets.deploy.serving.server import refuse_open_without_key
from mlguide_assets.errors import AwayError

PATIENCE_SECONDS = 2.0
"""How long the store may take before it is said that the server waits."""
PAUSE_SECONDS = 1.0
"""Before the store is asked again; it is asked for half a minute each time."""
_SLOW = "The store that hosts share has not answered yet."


def wait_for_store(join: Callable[[], None], *, host: str, port: int) -> None:
    """Do what needs the store, again and again while that is away, and answer meanwhile.

    Args:
        join: raises AwayError while the store is away.
        host, port: where the server will listen.

    Raises:
        InputError: the address is open to others and there is no key, it is taken, or what `join` raises else.
    """
    refuse_open_without_key(host)
    joining = _Joining(join)
    joining.start()
    if not joining.ended.wait(PATIENCE_SECONDS):
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with _answering(host, port, joining):
            joining.ended.wait()
        signal.signal(signal.SIGTERM, before)
    if joining.error is not None:
        raise joining.error


class _Joining(threading.Thread):
    """Joins in a thread of its own, so that a signal ends the process meanwhile."""

    def __init__(self, join: Callable[[], None]) -> None:
        super().__init__(name="joining", daemon=True)
        self.ended = threading.Event()
        self.error: Exception | None = None
        self.why = _SLOW
        self._join_hosts = join

    def run(self) -> None:
        while True:
            try:
                self._join_hosts()
            except AwayError as error:
                if self.why != str(error):
                    print(f"mlguide: waiting: {error}", file=sys.stderr)
                self.why = str(error)
                time.sleep(PAUSE_SECONDS)
                continue
            except Exception as error:
                self.error = error
            break
        self.ended.set()


@contextmanager
def _answering(host: str, port: int, joining: _Joining) -> Iterator[None]:
    """Answer on an address for the length of a `with` block."""
    hosts = AllowedHosts.of(host)

    def answer(path: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str]:
        if refusal := hosts.refusal(headers):
            return refusal[0], _detail(refusal[1])
        return _said(path, joining.why)

    listening = bind(host, port)
    with ThreadingHTTPServer((host, port), partial(_Handler, answer), bind_and_activate=False) as server:
        server.socket.close()
        server.socket = listening
        server.server_activate()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    """One answer a connection; what a client sends after the headers is not read."""

    timeout = 5
    server_version, sys_version = "mlguide", ""

    def __init__(self, answer: Callable[[str, Iterable[tuple[bytes, bytes]]], tuple[int, str]], *about: Any) -> None:
        # Before: the base class answers while it is initialised.
        self._answer = answer
        super().__init__(*about)

    def do_GET(self) -> None:
        given = ((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items())
        status, body = self._answer(self.path, given)
        content = body.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("retry-after", "1")
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing: what is asked while nothing is answered is no news."""


def _said(path: str, why: str) -> tuple[int, str]:
    """What is answered to a request: status and JSON, of the form that they have once the server is up."""
    if path == "/healthz":
        return HTTPStatus.OK, json.dumps({"status": "alive"})
    if path != "/readyz":
        return HTTPStatus.SERVICE_UNAVAILABLE, _detail(why)
    unknown = dict.fromkeys(set(ServiceState.model_fields) - {"status", "reasons"})
    state = ServiceState.model_validate({"status": "unavailable", "reasons": [why], **unknown})
    return HTTPStatus.SERVICE_UNAVAILABLE, state.model_dump_json()


def _detail(why: str) -> str:
    return Fault(detail=why, request_id=uuid.uuid4().hex).model_dump_json()
