"""The thread that answers: it takes all requests that wait, answers them together, and wakes their handlers."""

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from mlguide_assets.deploy.serving.asking import Asked, RefusedError
from mlguide_assets.deploy.serving.service import Answered, Service, Work

MOST_AT_ONCE = 32
"""Requests that are scored together; the rest waits for the next turn."""

_log = logging.getLogger(__name__)


class Batcher:
    """Hands requests from the event loop to one thread, and answers back.

    Args:
        after: called in that thread with what was answered, once the answers are on their way.
    """

    def __init__(self, service: Service, after: Callable[[Answered], None]) -> None:
        self._service = service
        self._after = after
        self._waiting: SimpleQueue[tuple[Work, asyncio.Future[None]] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    async def answer(self, asked: Asked, request_id: str) -> Work:
        """The work with its body or its refusal."""
        work, done = Work(asked, request_id), self._loop.create_future()
        self._waiting.put((work, done))
        await done
        return work

    def stop(self) -> None:
        """Answer what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < MOST_AT_ONCE:
                try:
                    following = self._waiting.get_nowait()
                except Empty:
                    break
                if following is None:
                    last = True
                    break
                batch.append(following)
            self._answer([work for work, _ in batch], [done for _, done in batch])
            if last:
                return

    def _answer(self, works: list[Work], done: list[asyncio.Future[None]]) -> None:
        answered = None
        try:
            answered = self._service.answer(works)
        except Exception:
            # A fault of ours in one request of many: each by itself, so that it fails alone.
            _log.exception("answering %d requests together failed", len(works))
            for work in works:
                self._answer_alone(work)
        self._loop.call_soon_threadsafe(_wake, done)
        if answered:
            self._after(answered)

    def _answer_alone(self, work: Work) -> None:
        if work.body:
            return
        try:
            self._service.answer([work])
        except Exception:
            _log.exception("request %s failed", work.request_id)
            work.refusal = RefusedError(
                500, "The server failed on this request; its log says why, under the request's id."
            )


def _wake(done: list[asyncio.Future[None]]) -> None:
    for future in done:
        # A client that left has cancelled its future.
        if not future.done():
            future.set_result(None)
