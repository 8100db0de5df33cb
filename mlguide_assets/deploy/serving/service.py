"""Answering requests: look up, score, log, and only then answer. No HTTP here.

Requests that arrive together are scored together and logged with one sync to the disk; what fails for one request
fails for that one alone.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter

import numpy as np
import numpy.typing as npt

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.store import Id, OnlineStore, Snapshot, StoreError
from mlguide_assets.deploy.prediction_log import CHAMPION, FALLBACK, ROUTED, LogError, LogWriter, now_utc
from mlguide_assets.deploy.routing import Met, Route
from mlguide_assets.deploy.serving.answering import Judged, Reasons, answer, failure_line, judge, log_line, meet
from mlguide_assets.deploy.serving.asked import Asked, Question, RefusedError
from mlguide_assets.deploy.serving.asking import Resolver
from mlguide_assets.deploy.serving.features import Features
from mlguide_assets.deploy.serving.model import ServedModel
from mlguide_assets.deploy.serving.reasons import top_reasons

NO_CHAMPION = (
    "There is no champion: nothing was promoted yet: 'mlguide run' trains one, 'mlguide history' tells why not."
)
NO_FEATURES = "The online store is empty, since no features were published yet: 'mlguide run' publishes them."

FAULT = 500
"""HTTP status of a request that the server failed on."""

_log = logging.getLogger(__name__)


@dataclass
class Work:
    """A request on its way to its answer."""

    asked: Asked
    request_id: str
    started: float = field(default_factory=perf_counter)
    question: Question | None = None
    mets: Mapping[Id, Met] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """By policy, the model versions that the arms of `mets` are answered by."""
    scoring: dict[str, float] = field(default_factory=dict)
    """By model version, the seconds that it took for all works that it scored together."""
    judged: list[Judged] = field(default_factory=list)
    body: bytes = b""
    refusal: RefusedError | None = None

    def is_routed(self, unit: Id) -> bool:
        """Whether the challenger answers for a unit."""
        met = self.mets.get(unit)
        return met is not None and met.policy == "challenger"


@dataclass(frozen=True)
class Answered:
    """Works that were answered together, under which champion and from which publication: what a shadow scores again.

    Where an experiment or a canary gave a unit to the challenger, that version answered.
    """

    works: Sequence[Work]
    model: ServedModel
    published: str


@dataclass(frozen=True)
class Draft:
    """What is ready, but not yet logged, so not yet given.

    Args:
        bodies: of the answers, one per work.
        lines: for the log.
        at: the instant of the answers, UTC.
    """

    answered: Answered
    bodies: Sequence[bytes]
    lines: Sequence[bytes]
    at: datetime


class Service:
    """Models, routes and the online store, put together. One thread at a time judges; any may set `champion`,
    `challenger` and `routes`.

    Args:
        problem: the home's; its `serving` says where to stop.
    """

    def __init__(self, problem: Problem, store: OnlineStore) -> None:
        self.champion: ServedModel | None = None
        self.challenger: ServedModel | None = None
        self.routes: Sequence[Route] = ()
        self._resolver = Resolver(problem)
        self._store = store

    def judge(self, works: Sequence[Work]) -> Draft | None:
        """Look up and score every work, or give it its refusal; None where all are refused."""
        # Once: another may become champion while these are answered.
        model, challenger, routes = self.champion, self.challenger, self.routes
        try:
            if model is None:
                raise RefusedError(503, NO_CHAMPION)
            snapshot = self._snapshot()
        except (RefusedError, StoreError) as error:
            for work in works:
                work.refusal = _refusal(error)
            return None
        known = [work for work in works if self._look_up(work, snapshot, model)]
        if not known:
            return None
        if routes:
            second = challenger.version if challenger else None
            served = [route for route in routes if route.is_served_by(model.version, second)]
            _route(known, served, {"champion": model.version, "challenger": second or model.version})
        self._judge(known, model, challenger)
        return self._draft(Answered(known, model, snapshot.publication.id))

    def _judge(self, works: Sequence[Work], champion: ServedModel, challenger: ServedModel | None) -> None:
        """By the champion, but for the units that a route gives to the challenger.

        Where the challenger fails, the champion answers for its units, too, and the log says so.
        """
        given: list[list[Judged]] = []
        routed = [work for work in works if any(work.is_routed(unit) for unit in work.mets)]
        if routed and challenger is not None:
            try:
                given = self._judged_by(routed, challenger, ROUTED)
            except Exception:
                _log.exception("the challenger, version %s, could not answer for its units", challenger.version)
        by_challenger = {id(work): judged for work, judged in zip(routed, given, strict=False)}
        rest = [work for work in works if not _is_whole(work, by_challenger.get(id(work)))]
        by_champion = dict(zip(map(id, rest), self._judged_by(rest, champion, CHAMPION), strict=True))
        for work in works:
            work.judged = _put_together(work, by_champion.get(id(work)), by_challenger.get(id(work)))

    def _judged_by(self, works: Sequence[Work], model: ServedModel, variant: str) -> list[list[Judged]]:
        began = perf_counter()
        judged = [
            judge(work.question, scores.tolist(), self._reasons(work, model), model, variant, work.mets)
            for work, scores in zip(works, score([work.question for work in works], model), strict=True)
            if work.question is not None
        ]
        for work in works:
            work.scoring[model.version] = perf_counter() - began
        return judged

    def _draft(self, answered: Answered) -> Draft:
        now, model = now_utc(), answered.model
        bodies = [
            answer(work.asked, work.question, work.judged, model, work.request_id)
            for work in answered.works
            if work.question is not None
        ]
        return Draft(answered, bodies, log_lines(answered, now), now)

    def _snapshot(self) -> Snapshot:
        snapshot = self._store.current()
        if snapshot is None:
            raise RefusedError(503, NO_FEATURES)
        return snapshot

    def _look_up(self, work: Work, snapshot: Snapshot, model: ServedModel) -> bool:
        try:
            work.question = self._resolver.resolve(work.asked, snapshot, model.plan)
        except (RefusedError, StoreError) as error:
            work.refusal = _refusal(error)
        return work.question is not None

    def _reasons(self, work: Work, model: ServedModel) -> list[Reasons] | None:
        if not work.asked.explain or work.question is None:
            return None
        features, encoding = work.question.features, model.model.encoding
        if not features.cases:
            return []
        values = model.model.contributions(encoding.matrix_of_values(features.columns))
        return [
            top_reasons(encoding.names, features.row(row), values[row], model.words)
            for row in range(len(features.cases))
        ]


def give(draft: Draft, log: LogWriter) -> bool:
    """Log all answers, then give them to their works; where the log fails, each gets that as its refusal."""
    works = draft.answered.works
    try:
        log.append(draft.lines, draft.at)
    except LogError as error:
        for work in works:
            work.refusal = _refusal(error)
        return False
    for work, body in zip(works, draft.bodies, strict=True):
        work.body = body
    return True


def score(questions: Sequence[Question | None], model: ServedModel) -> list[npt.NDArray[np.float64]]:
    """The probabilities of the rows of each question, through one matrix for all.

    Args:
        questions: all looked up for one model, which need not be the one that scores.
    """
    asked = [question.features for question in questions if question is not None]
    if not any(features.cases for features in asked):
        return [np.empty(0) for _ in questions]
    together = Features(asked[0].names)
    for features in asked:
        together.extend(features)
    scores = model.model.predict(model.model.encoding.matrix_of_values(together.columns))
    ends = np.cumsum([len(question.features.cases) if question else 0 for question in questions])
    return np.split(scores, ends[:-1])


def log_lines(answered: Answered, now: datetime) -> list[bytes]:
    """The lines that the log keeps of answers: of each, one per model that judged."""
    finished = perf_counter()
    return [
        log_line(
            work.asked,
            work.question,
            judged,
            model,
            request_id=work.request_id,
            published=answered.published,
            now=now,
            latency_ms=(finished - work.started) * 1000,
            scoring_ms=work.scoring.get(model.version, 0.0) * 1000,
        )
        for work in answered.works
        if work.question is not None
        for model, judged in _by_model(work.judged, answered.model)
    ]


def note_failures(works: Sequence[Work], log: LogWriter) -> None:
    """Log which units of which arms got no answer, because the server failed on their requests.

    What is refused before the arm is known (no features, a store that does not answer) hits all arms alike, and is
    counted in the log of faults only, as are all other requests.
    """
    now = now_utc()
    lines = [line for work in works if work.refusal and work.refusal.status == FAULT for line in _failures(work, now)]
    try:
        if lines:
            log.append(lines, now)
    except LogError as error:
        _log.error("failed requests are not in the prediction log: %s", error)


def _failures(work: Work, now: datetime) -> Iterator[bytes]:
    if work.question is None:
        return
    latency_ms = (perf_counter() - work.started) * 1000
    own = {unit: work.versions["challenger" if work.is_routed(unit) else "champion"] for unit in work.mets}
    for version in sorted({*own.values()}):
        mets = {unit: met for unit, met in work.mets.items() if own[unit] == version}
        yield failure_line(
            work.asked,
            work.question.decision,
            mets,
            version,
            request_id=work.request_id,
            now=now,
            latency_ms=latency_ms,
        )


def _by_model(judged: Sequence[Judged], champion: ServedModel) -> list[tuple[ServedModel, Sequence[Judged]]]:
    versions = {each.model.version: each.model for each in judged}
    if len(versions) <= 1:
        return [(next(iter(versions.values()), champion), judged)]
    return [(model, [each for each in judged if each.model.version == version]) for version, model in versions.items()]


def _route(works: Sequence[Work], routes: Sequence[Route], versions: Mapping[str, str]) -> None:
    """Note the arms that units meet. A what-if is a question: nobody meets an arm by it."""
    for work in works:
        work.versions = versions
        if routes and work.question is not None and not work.asked.what_if:
            work.mets = meet(work.question, routes)


def _is_whole(work: Work, judged: Sequence[Judged] | None) -> bool:
    """Whether the challenger has answered for every place."""
    if judged is None:
        return False
    return all(each.slot.row is not None and work.is_routed(each.slot.unit) for each in judged)


def _put_together(work: Work, own: Sequence[Judged] | None, other: Sequence[Judged] | None) -> list[Judged]:
    """Each place by the model that its unit was given to."""
    if own is None:
        return list(other or ())
    if not work.mets:
        return list(own)

    def of(each: Judged) -> Judged:
        if each.slot.row is None or not work.is_routed(each.slot.unit):
            return each
        return other[each.place] if other is not None else replace(each, variant=FALLBACK)

    return [of(each) for each in own]


def _refusal(error: Exception) -> RefusedError:
    return error if isinstance(error, RefusedError) else RefusedError(503, str(error))
