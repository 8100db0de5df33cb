"""Connections of clients that are slow on purpose, or lost."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
"""A client whose request line and headers are not complete by then is told so, and let go."""


class PatientProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, with an end to its patience: it would wait for headers for ever."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

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
        detail = f"The request line and headers did not arrive within {HEADER_SECONDS:.0f} seconds: send them faster."
        body = json.dumps({"detail": detail}).encode()
        head = "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self._transport().write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self._transport().close()

    def _transport(self) -> Any:
        return self.transport
