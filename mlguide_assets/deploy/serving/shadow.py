"""Each model in the shadow of the other: it scores what the other has answered, afterwards, into the log only.

The challenger scores what the champion answered. The champion scores what an experiment or a canary gave to the
challenger, so that of each request it is known what either would have done.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from queue import Full, Queue
from time import perf_counter

from mlguide_assets.deploy.prediction_log import CHALLENGER, CHAMPION_SHADOW, LogWriter, now_utc
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
        """Have the models score what they have not answered, some time."""
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
            for each, variant in ((model, CHALLENGER), (answered.model, CHAMPION_SHADOW)):
                try:
                    self._score(answered, each, variant)
                except Exception:
                    SHADOWED.labels("failed").inc(sum(len(work.judged) for work in answered.works))
                    _log.exception("version %s could not score in the shadow", each.version)

    def _score(self, answered: Answered, model: ServedModel, variant: str) -> None:
        asked = [work for work in answered.works if any(each.model.version != model.version for each in work.judged)]
        if not asked:
            return
        began = perf_counter()
        scores = score([work.question for work in asked], model)
        works = [
            replace(work, judged=_own(judge(work.question, each.tolist(), None, model, variant), work, model))
            for work, each in zip(asked, scores, strict=True)
            if work.question is not None
        ]
        scoring = {model.version: perf_counter() - began}
        works = [replace(work, scoring=scoring) for work in works if work.judged]
        now = now_utc()
        self._log.append(log_lines(Answered(works, model, answered.published), now), now)
        SHADOWED.labels("logged").inc(sum(len(work.judged) for work in works))


def _own(judged: Sequence[Judged], work: Work, model: ServedModel) -> list[Judged]:
    """Those places that the model has not answered itself."""
    answered = {each.place for each in work.judged if each.model.version == model.version}
    return [each for each in judged if each.place not in answered]
