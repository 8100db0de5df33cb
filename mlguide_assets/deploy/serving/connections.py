"""Connections of clients that are slow on purpose, lost, or do not speak HTTP."""

import asyncio
import json
import re
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
"""A client whose request line and headers are not complete by then gets 408, and is let go."""

WRITE_SECONDS = 20.0
"""A client that has not taken its answer by then, or what is left of it at the end, is let go."""

LINGER_SECONDS = 2.0
"""After an answer that did not wait for the whole request: until then what still arrives is read and dropped, since
closing at once could destroy the answer on its way."""

MOST_HEADER_BYTES = 64 * 1024
"""Request line, headers and trailers together; they are kept in memory, and no client needs more."""

MOST_HEADERS = 200
"""Each takes more memory than its bytes."""

FRAMING_PER_BODY_BYTE = 8
"""What sizes and ends of chunks may add; a chunk of one byte has five."""

MOST_QUEUED = 100
"""Requests that a client may send before their answers; each waits in memory."""


class PatientProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with limits that it lacks: it would wait for ever, and keep any number of headers.

    It parses nothing itself; it counts and sets clocks. What is wrong before there is a request is said as everything
    else is, in JSON and under an id.
    """

    _patience: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    url = b""
    _spare = MOST_HEADER_BYTES
    """Bytes that may yet arrive that are no body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(PatientTransport(transport, self.loop, self._is_unread))  # type: ignore[arg-type]
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self._gone():
            return
        # Empty lines before a request begin none, but end uvicorn's clock for connections on which nothing is said.
        if self._patience is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()
        # Of equal length, so that lengths stay true; JSON never has such a line.
        data = _OFFER.sub(b"\r\noffered:", data)
        message = self.scope
        super().data_received(data)
        # What arrived in one piece with the start of a request is short.
        if message is self.scope and not self._gone():
            self._spare -= len(data)
            if self._spare < 0:
                self._refuse(431, _TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._spare = MOST_HEADER_BYTES
        self._wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Those that come after the body are trailers, which are not used.
        if self._patience is None:
            return
        super().on_header(name, value)
        if len(self.headers) > MOST_HEADERS:
            raise ValueError(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        if self._is_too_large():
            raise ValueError(_TOO_LARGE)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._spare += (1 + FRAMING_PER_BODY_BYTE) * len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_unread():
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open: a client that has sent all may still wait for its answer."""
        self._stop_waiting()
        if self._is_answering():
            self.cycle.keep_alive = False
            return True
        return False

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing = self.loop.call_later(WRITE_SECONDS, self._transport().abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_writing()

    def send_400_response(self, msg: str) -> None:
        self._stop_waiting()
        if self._is_too_large():
            self._refuse(431, _TOO_LARGE)
        else:
            self._refuse(
                400, "The request could not be parsed as HTTP/1.1: its first line, a header or a chunk is wrong."
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_writing()
        super().connection_lost(exc)
        self._transport().ended()

    def _wait(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(HEADER_SECONDS, self._let_go)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _let_go(self) -> None:
        self._patience = None
        self._refuse(
            408, f"The request line and headers did not arrive within {HEADER_SECONDS:.0f} seconds: send them faster."
        )

    def _refuse(self, status: int, detail: str) -> None:
        if self._is_answering():
            # Whole requests came before it: they are answered, then the connection ends.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            # In the middle of an answer there is nothing to say.
            self._transport().close()
            return
        body = json.dumps({"detail": detail, "request_id": uuid.uuid4().hex}).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        )
        self._transport().write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self._transport().close()

    def _is_answering(self) -> bool:
        """Whether a request that has arrived to its end is being answered."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _is_unread(self) -> bool:
        """Whether a request has been answered of which the end has not arrived."""
        return self.cycle is not None and self.cycle.response_complete and self.cycle.more_body

    def _is_too_large(self) -> bool:
        headers = self.headers or ()
        length = len(self.url) + sum(len(name) + len(value) for name, value in headers)
        return length > MOST_HEADER_BYTES or len(headers) > MOST_HEADERS or len(self.pipeline) >= MOST_QUEUED

    def _gone(self) -> bool:
        return bool(self._transport().is_closing())

    def _transport(self) -> Any:
        return self.transport


class PatientTransport:
    """A transport that ends in time, and sends at once what is written in one turn of the loop.

    Uvicorn writes an answer's head and its body by themselves, and each would be a call of the system and a packet:
    more than all else that it does for a short answer.

    Args:
        unread: whether the client is still sending a request that has been answered.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, unread: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._unread = unread
        self._pieces: list[bytes] = []
        self._closing = False
        self._clocks: list[asyncio.TimerHandle] = []

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._send)
        self._pieces.append(data)

    def close(self) -> None:
        """Send what is written, then close, whether or not the client takes it."""
        if self._closing:
            return
        self._closing = True
        self._send()
        if self._unread() and self._transport.can_write_eof():
            self._transport.write_eof()
            self._clocks.append(self._loop.call_later(LINGER_SECONDS, self._transport.close))
        else:
            self._transport.close()
        self._clocks.append(self._loop.call_later(WRITE_SECONDS, self._transport.abort))

    def ended(self) -> None:
        """The connection is closed: no clock need hold it any more."""
        for clock in self._clocks:
            clock.cancel()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def _send(self) -> None:
        if self._pieces:
            self._transport.write(b"".join(self._pieces))
            self._pieces.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


_OFFER = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
"""Of another protocol, as Java's own client makes with its first request: the parser would take the body for that."""
_TOO_LARGE = (
    f"Request line, headers and trailers may have {MOST_HEADER_BYTES:,} bytes and {MOST_HEADERS} headers, and "
    f"{MOST_QUEUED} requests may come before their answers: send fewer."
)
