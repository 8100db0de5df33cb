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

from mlguide_assets.deploy.log.prediction_log import CHALLENGER, CHAMPION_SHADOW, LogWriter
from mlguide_assets.deploy.serving.answering import Scored, place_scores
from mlguide_assets.deploy.serving.model import ServedModel
from mlguide_assets.deploy.serving.operations import Metrics
from mlguide_assets.deploy.serving.service import Answered, PendingRequest, log_lines, score_rows
from mlguide_assets.instants import now_utc

MOST_WAITING = 500
"""Batches. Where the challenger cannot follow, requests pass it by; none waits for it."""

_log = logging.getLogger(__name__)


class Shadow:
    """A thread that scores what was answered. `challenger` may be set by any thread."""

    def __init__(self, log: LogWriter, metrics: Metrics) -> None:
        self.challenger: ServedModel | None = None
        self._log, self._metrics = log, metrics
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
            self._metrics.count_shadowed("dropped", _predictions(answered.requests))

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
                    self._metrics.count_shadowed("failed", _predictions(answered.requests))
                    _log.exception("version %s could not score in the shadow", each.version)

    def _score(self, answered: Answered, model: ServedModel, variant: str) -> None:
        others = [
            pending
            for pending in answered.requests
            if any(each.model.version != model.version for each in pending.scored)
        ]
        if unable := [pending for pending in others if model.version not in pending.resolved_for]:
            self._metrics.count_shadowed("failed", _predictions(unable))
            others = [pending for pending in others if model.version in pending.resolved_for]
        if not others:
            return
        began = perf_counter()
        resolved = [pending.resolved_for[model.version] for pending in others]
        requests = [
            replace(pending, scored=_own(place_scores(own, each.tolist(), None, model, variant), pending, model))
            for pending, own, each in zip(others, resolved, score_rows(resolved, model), strict=True)
        ]
        scoring = {model.version: perf_counter() - began}
        requests = [replace(pending, scoring=scoring) for pending in requests if pending.scored]
        now = now_utc()
        self._log.append(log_lines(Answered(requests, model, answered.published), now), now)
        self._metrics.count_shadowed("logged", _predictions(requests))


def _predictions(requests: Sequence[PendingRequest]) -> int:
    return sum(len(pending.scored) for pending in requests)


def _own(scored: Sequence[Scored], pending: PendingRequest, model: ServedModel) -> list[Scored]:
    """Those places that the model has not answered itself."""
    answered = {each.place for each in pending.scored if each.model.version == model.version}
    return [each for each in scored if each.place not in answered]
