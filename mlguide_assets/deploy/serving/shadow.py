"""The challenger in the champion's shadow: it scores the same requests after they were answered, into the log only."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from queue import Full, Queue

from mlguide_assets.deploy.prediction_log import CHALLENGER, LogWriter, now_utc
from mlguide_assets.deploy.serving.answering import Judged, judge
from mlguide_assets.deploy.serving.model import ServedModel
from mlguide_assets.deploy.serving.operations import SHADOWED
from mlguide_assets.deploy.serving.service import Answered, Work, log_lines, score

MOST_WAITING = 500
"""Batches. Where the challenger cannot follow, requests pass it by; none waits for it."""

_log = logging.getLogger(__name__)


class Shadow:
    """A thread that scores what was answered. `challenger` may be set by any thread."""

    def __init__(self, log: LogWriter) -> None:
        self.challenger: ServedModel | None = None
        self._log = log
        self._waiting: Queue[Answered | None] = Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def follow(self, answered: Answered) -> None:
        """Have the challenger score this too, some time."""
        if self.challenger is None or self.challenger.version == answered.model.version:
            return
        try:
            self._waiting.put_nowait(answered)
        except Full:
            SHADOWED.labels("dropped").inc(sum(len(work.judged) for work in answered.works))

    def stop(self) -> None:
        """Score what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (answered := self._waiting.get()) is not None:
            model = self.challenger
            if model is None:
                continue
            try:
                self._score(answered, model)
            except Exception:
                SHADOWED.labels("failed").inc(sum(len(work.judged) for work in answered.works))
                _log.exception("the challenger, version %s, could not score", model.version)

    def _score(self, answered: Answered, model: ServedModel) -> None:
        scores = score([work.question for work in answered.works], model)
        works = [
            replace(work, judged=_own(judge(work.question, each.tolist(), None, model, CHALLENGER), work, model))
            for work, each in zip(answered.works, scores, strict=True)
            if work.question is not None
        ]
        works = [work for work in works if work.judged]
        if not works:
            return
        now = now_utc()
        self._log.append(log_lines(Answered(works, model, answered.published), now), now)
        SHADOWED.labels("logged").inc(sum(len(work.judged) for work in works))


def _own(judged: Sequence[Judged], work: Work, model: ServedModel) -> list[Judged]:
    """Those places that the challenger has not answered itself."""
    answered = {each.place for each in work.judged if each.model.version == model.version}
    return [each for each in judged if each.place not in answered]
