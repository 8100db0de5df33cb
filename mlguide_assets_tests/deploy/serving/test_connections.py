"""Clients that do not take their answers are let go; what is in the system's own buffers is no measure."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from mlguide_assets.deploy.serving import connections
from mlguide_assets.deploy.serving.connections import PatientProtocol
from mlguide_assets.deploy.serving.reach import bind
from mlguide_assets_tests.deploy.serving.serving import eventually

PATIENCE = 0.3
LARGE = b"x" * 50_000_000
"""More than any system keeps for a connection."""


async def answers(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"%d" % len(LARGE))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": LARGE})


@contextmanager
def served() -> Iterator[tuple[int, uvicorn.Server]]:
    """A server, in this process, that gives a large answer to everything; and its port."""
    config = uvicorn.Config(answers, http=PatientProtocol, lifespan="off", log_level="error", access_log=False)
    server = uvicorn.Server(config)
    with bind("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            eventually(lambda: server.started)
            yield listening.getsockname()[1], server
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_client_that_does_not_take_its_answer_is_let_go(monkeypatch: pytest.MonkeyPatch, connection: str) -> None:
    monkeypatch.setattr(connections, "WRITE_SECONDS", PATIENCE)
    sent = f"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: {connection}\r\n\r\n".encode()
    with served() as (port, server), socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(sent)
        eventually(lambda: server.server_state.connections)
        eventually(lambda: not server.server_state.connections)
        assert not server.server_state.tasks


def test_a_client_that_takes_it_slowly_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WRITE_SECONDS", 20)
    with served() as (port, _), socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        with slow.makefile("rb") as stream:
            assert stream.read().endswith(LARGE)
