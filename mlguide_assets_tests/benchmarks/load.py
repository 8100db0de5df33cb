"""A bounded load on a local server: `load URL CONNECTIONS REQUESTS BODY…`, bodies in turn; prints JSON.

Each connection sends its next request once the answer to the last is there. Plain sockets, so that the client costs
the server's cores little.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from itertools import cycle
from urllib.parse import urlsplit

import uvloop


class Connection(asyncio.Protocol):
    """One client: requests one after the other."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = self._load.next()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, rest = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = b""
        self._load.answered(time.perf_counter() - self._sent, int(head[9:12]))
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.left()


class Load:
    """The requests that are left to send, and what became of those that were sent."""

    def __init__(self, requests: int, connections: int, messages: Sequence[bytes]) -> None:
        self.seconds: list[float] = []
        self.faults = 0
        self._remaining = requests
        self._connections = connections
        self._messages = cycle(messages)
        self.done = asyncio.get_running_loop().create_future()

    def next(self) -> bytes | None:
        self._remaining -= 1
        return next(self._messages) if self._remaining >= 0 else None

    def answered(self, seconds: float, status: int) -> None:
        self.seconds.append(seconds)
        self.faults += status != 200

    def left(self) -> None:
        self._connections -= 1
        if not self._connections:
            self.done.set_result(None)


async def run(url: str, connections: int, requests: int, bodies: Sequence[str]) -> dict[str, float]:
    """Rate, and latencies in milliseconds."""
    place = urlsplit(url)
    head = f"POST {place.path} HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-type: application/json\r\ncontent-length: "
    load = Load(requests, connections, [f"{head}{len(body)}\r\n\r\n{body}".encode() for body in bodies])
    start = time.perf_counter()
    for _ in range(connections):
        await asyncio.get_running_loop().create_connection(lambda: Connection(load), place.hostname, place.port)
    await load.done
    seconds, taken = time.perf_counter() - start, sorted(load.seconds)

    def quantile(share: float) -> float:
        return taken[min(int(share * len(taken)), len(taken) - 1)] * 1000

    return {
        "rate": len(taken) / seconds,
        "p10": quantile(0.1),
        "p50": quantile(0.5),
        "p99": quantile(0.99),
        "faults": load.faults + requests - len(taken),
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))))
