"""A real S3 server of this process, on a free port of the loopback interface, that can fail on request.

It is moto's, over HTTP. Writes are let through one at a time: what makes a conditional write safe is the server's
part, and moto looks and writes in two steps.
"""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

BUCKET = "lakes"
Rule = Callable[[str, str], str | None]
"""Given method and path of a request, how it fails: a status and code such as `503 SlowDown`, `cut` before it was done
or `cut after`, or None. It is called while the client waits, so another client may act in it."""


@dataclass
class ObjectServer:
    """The server. Set `rule` to make requests fail; `seen` are the requests since it was last cleared."""

    application: Any
    rule: Rule | None = None
    honours_conditions: bool = True
    seen: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0
    _writing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to know of it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
            "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
        }

    @contextmanager
    def failing(self, rule: Rule) -> Iterator[None]:
        self.rule = rule
        try:
            yield
        finally:
            self.rule = None

    def address(self) -> str:
        """A prefix that nobody else uses."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex}"

    def objects(self, address: str) -> dict[str, bytes]:
        """All objects below an address, by their names there."""
        import obstore

        config: Any = {key.lower(): value for key, value in self.environment.items()}
        store = obstore.store.from_url(address, config=config, client_options={"allow_http": True})
        names = [each["path"] for batch in obstore.list(store) for each in batch]
        return {name: bytes(obstore.get(store, name).bytes()) for name in names}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.seen.append((method, path))
        failure = self.rule(method, path) if self.rule else None
        if not self.honours_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
            environ.pop("HTTP_IF_MATCH", None)
        if failure == "cut":
            return _cut(environ)
        if failure and failure != "cut after":
            status, _, code = failure.partition(" ")
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{status} {code}", [("Content-Type", "application/xml")])
            key = self.environment["AWS_ACCESS_KEY_ID"]
            return [f"<Error><Code>{code}</Code><AWSAccessKeyId>{key}</AWSAccessKeyId></Error>".encode()]
        if method != "PUT":
            return self.application(environ, start_response)  # type: ignore[no-any-return]
        with self._writing:
            done = list(self.application(environ, start_response if not failure else lambda *_: None))
        return _cut(environ) if failure else done


def _cut(environ: dict[str, Any]) -> Iterable[bytes]:
    """Close the connection without an answer."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("cut by the test")


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    """A running server with an empty bucket."""
    # It never asks for them, and refuses to be imported with others than those of tests.
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ObjectServer(DomainDispatcherApplication(create_backend_app))
    http = make_server("127.0.0.1", 0, server, threaded=True)
    server.port = http.server_port
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        httpx.put(f"http://127.0.0.1:{server.port}/{BUCKET}", trust_env=False, timeout=60).raise_for_status()
        yield server
    finally:
        http.shutdown()
        thread.join(timeout=10)


def enter(environment: dict[str, str]) -> None:
    """Make this process use a server; a process of its own does not inherit what a test has set."""
    os.environ.update(environment)
