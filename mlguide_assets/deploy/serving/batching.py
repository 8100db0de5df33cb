"""The threads that answer: they take all requests that wait, answer them together, and wake their handlers.

They take turns: while one waits until the disk has its lines, the other scores what came meanwhile.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from mlguide_assets.deploy.log.prediction_log import LogWriter
from mlguide_assets.deploy.serving.request import PredictionRequest, RefusedError
from mlguide_assets.deploy.serving.service import FAULT, Answered, Draft, PendingRequest, Service, give, note_failures

MOST_AT_ONCE = 32
"""Requests that are scored together; the rest waits for the next turn."""

_log = logging.getLogger(__name__)

_Waiting = tuple[PendingRequest, asyncio.Future[None]]


class Batcher:
    """Hands requests from the event loop to the threads, and answers back.

    Args:
        logs: one for each thread.
        after: called in a thread with what was answered, once the answers are on their way.
    """

    def __init__(self, service: Service, logs: Sequence[LogWriter], after: Callable[[Answered], None]) -> None:
        self._service = service
        self._after = after
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._turn = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._threads = [
            threading.Thread(target=self._run, args=(log,), name=f"answers-{number}", daemon=True)
            for number, log in enumerate(logs)
        ]
        for thread in self._threads:
            thread.start()

    async def answer(self, request: PredictionRequest, request_id: str) -> PendingRequest:
        """The request with its body or its refusal."""
        pending, done = PendingRequest(request, request_id), self._loop.create_future()
        self._waiting.put((pending, done))
        await done
        return pending

    def stop(self) -> None:
        """Answer what waits, then end."""
        self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, log: LogWriter) -> None:
        while True:
            with self._turn:
                batch = self._take()
                drafts = self._score([pending for pending, _ in batch]) if batch else []
            if not batch:
                return
            given = [draft.answered for draft in drafts if _give(draft, log)]
            note_failures([pending for pending, _ in batch], log)
            self._loop.call_soon_threadsafe(_wake, [done for _, done in batch])
            for answered in given:
                self._after(answered)

    def _take(self) -> list[_Waiting]:
        """All that waits, at least one; none where it is time to end."""
        batch: list[_Waiting] = []
        following = self._waiting.get()
        while following is not None:
            batch.append(following)
            if len(batch) == MOST_AT_ONCE:
                return batch
            try:
                following = self._waiting.get_nowait()
            except Empty:
                return batch
        # For the other threads, and for this one's next turn.
        self._waiting.put(None)
        return batch

    def _score(self, requests: Sequence[PendingRequest]) -> list[Draft]:
        try:
            draft = self._service.score(requests)
            return [draft] if draft else []
        except Exception:
            if len(requests) == 1:
                _fail(requests)
                return []
        # A fault of ours in one request of many: each by itself, so that it fails alone.
        return [draft for pending in requests for draft in self._score([pending])]


def _give(draft: Draft, log: LogWriter) -> bool:
    try:
        return give(draft, log)
    except Exception:
        _fail(draft.answered.requests)
        return False


def _fail(requests: Sequence[PendingRequest]) -> None:
    """Refuse requests with the error of ours that is being handled."""
    for pending in requests:
        _log.exception("request %s failed", pending.request_id)
        pending.refusal = RefusedError(
            FAULT, "The server failed on this request; its log says why, under the request's id."
        )


def _wake(done: list[asyncio.Future[None]]) -> None:
    for future in done:
        # A client that left has cancelled its future.
        if not future.done():
            future.set_result(None)
