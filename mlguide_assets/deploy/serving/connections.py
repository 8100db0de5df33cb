"""Connections of clients that are slow on purpose, lost, or do not speak HTTP."""

import asyncio
import json
import re
import uuid
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
"""A client whose request line and headers are not complete by then is told so, and let go."""

MOST_HEADER_BYTES = 64 * 1024
"""Request line and headers together, of which nobody needs more; they are kept in memory."""


class PatientProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, with an end to its patience: it would wait for headers for ever, and take any number.

    What is wrong before there is a request is said as everything else is, in JSON and under an id.
    """

    _patience: asyncio.TimerHandle | None = None
    url = b""
    _unfinished = 0
    """Bytes that arrived of headers that are not complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Joining(transport, self.loop))  # type: ignore[arg-type]
        self._wait()

    def data_received(self, data: bytes) -> None:
        # Of equal length, so that lengths stay true; JSON never has such a line.
        data = _OFFER.sub(b"\r\noffered:", data)
        message, waited = self.scope, self._patience is not None
        super().data_received(data)
        if waited and self._patience is not None and message is self.scope and not self._gone():
            self._unfinished += len(data)
            if self._unfinished > MOST_HEADER_BYTES:
                self._refuse(431, _TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unfinished = 0
        self._wait()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        if self._header_bytes() > MOST_HEADER_BYTES:
            raise ValueError(_TOO_LARGE)
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._stop_waiting()
        if self._header_bytes() > MOST_HEADER_BYTES:
            self._refuse(431, _TOO_LARGE)
        else:
            self._refuse(
                400, "This is no request that can be read as HTTP/1.1: its first line, a header or a chunk is wrong."
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(HEADER_SECONDS, self._let_go)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _let_go(self) -> None:
        self._patience = None
        self._refuse(
            408, f"The request line and headers did not arrive within {HEADER_SECONDS:.0f} seconds: send them faster."
        )

    def _refuse(self, status: int, detail: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            # Whole requests came before it: they are answered, then the connection ends.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        body = json.dumps({"detail": detail, "request_id": uuid.uuid4().hex}).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        )
        self._transport().write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self._transport().close()

    def _header_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers or ())

    def _gone(self) -> bool:
        return bool(self._transport().is_closing())

    def _transport(self) -> Any:
        return self.transport


class Joining:
    """A transport that sends at once what is written in one turn of the loop.

    Uvicorn writes an answer's head and its body by themselves, and each would be a call of the system and a packet:
    more than all else that it does for a short answer.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._send)
        self._pieces.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._pieces:
            self._transport.write(b"".join(self._pieces))
            self._pieces.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


_OFFER = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
"""Of another protocol, as Java's own client makes with its first request: the parser would take the body for that."""
_TOO_LARGE = f"The request line and headers have more than {MOST_HEADER_BYTES:,} bytes, which is the limit: send fewer."
