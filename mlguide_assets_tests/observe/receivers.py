"""A real receiver of webhooks on the loopback interface, which does what a test tells it to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG_UP = 0
"""Instead of a status: close the connection without an answer."""


@dataclass
class Receiver:
    """`answers` are the statuses of the first requests, 200 from then on; `received` the bodies of all."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    delay: float = 0.0
    drip: bool = False
    location: str = ""
    received: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def events(self) -> list[str]:
        return [body["event"] for body in self.received]


@contextmanager
def receiver(
    *answers: int, delay: float = 0.0, drip: bool = False, location: str = "", port: int = 0
) -> Iterator[Receiver]:
    """Serve on a free port, or a given one, until the block ends.

    `delay` are seconds before each answer, `drip` sends headers without end, a byte at a time.
    """
    state = Receiver(answers=list(answers), delay=delay, drip=drip, location=location)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append(json.loads(body))
            state.headers.append(dict(self.headers))
            status = state.answers.pop(0) if state.answers else 200
            state.released.wait(state.delay)
            if status == HANG_UP:
                self.close_connection = True
                return
            with suppress(OSError):  # the sender gave up, as it should
                self._answer(status)

        def do_GET(self) -> None:
            state.received.append({"event": "read"})
            self._answer(200)

        def _answer(self, status: int) -> None:
            if state.drip:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not state.released.wait(0.02):
                    self.wfile.write(b"X")
                return
            self.send_response(status)
            if state.location:
                self.send_header("Location", state.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/hooks/s3cret-token?key=s3cret-too"
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """A port on which nobody listens, until somebody does."""
    with receiver() as gone:
        return int(gone.url.split(":")[2].split("/")[0])
