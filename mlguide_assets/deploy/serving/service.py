"""Answering requests: look up, score, log, and only then answer. No HTTP here.

Requests that arrive together are scored together and logged with one sync to the disk; what fails for one request
fails for that one alone.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter

import numpy as np
import numpy.typing as npt

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.log.prediction_log import CHAMPION, FALLBACK, ROUTED, LogError, LogWriter
from mlguide_assets.deploy.online_store.remembered import Remembered
from mlguide_assets.deploy.online_store.store import Id, OnlineStore, Snapshot, StoreError
from mlguide_assets.deploy.routing import Met, Route
from mlguide_assets.deploy.serving.answering import Reasons, Scored, answer, failure_line, log_line, meet, place_scores
from mlguide_assets.deploy.serving.features import Features, need_the_same
from mlguide_assets.deploy.serving.model import ServedModel
from mlguide_assets.deploy.serving.reasons import top_reasons
from mlguide_assets.deploy.serving.request import PredictionRequest, RefusedError, ResolvedRequest
from mlguide_assets.deploy.serving.request_resolver import Resolver
from mlguide_assets.instants import now_utc

NO_CHAMPION = (
    "There is no champion: nothing was promoted yet: 'mlguide run' trains one, 'mlguide history' says why not."
)
NO_FEATURES = (
    "The online store is empty: no features were published yet, or it lost them. 'mlguide run' publishes them."
)

FAULT = 500
"""HTTP status of a request that the server failed on."""

_log = logging.getLogger(__name__)


@dataclass
class PendingRequest:
    """A request that has no answer yet."""

    request: PredictionRequest
    request_id: str
    started: float = field(default_factory=perf_counter)
    resolved_for: dict[str, ResolvedRequest] = field(default_factory=dict)
    """By model version, what that model needs. Without what cannot be looked up."""
    mets: Mapping[Id, Met] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """By policy, the model versions that the arms of `mets` are answered by."""
    scoring: dict[str, float] = field(default_factory=dict)
    """By model version, the seconds that it took for all requests that it scored together."""
    scored: list[Scored] = field(default_factory=list)
    body: bytes = b""
    refusal: RefusedError | None = None

    def is_routed(self, unit: Id) -> bool:
        """Whether the challenger answers for a unit."""
        met = self.mets.get(unit)
        return met is not None and met.policy == "challenger"


@dataclass(frozen=True)
class Serving:
    """What answers a batch. Read once: another may become champion meanwhile."""

    champion: ServedModel
    challenger: ServedModel | None
    routes: Sequence[Route]

    @property
    def needs_two(self) -> bool:
        """Whether the challenger needs other features than the champion."""
        return self.challenger is not None and not need_the_same(self.challenger.plan, self.champion.plan)

    def routes_of(self, pending: PendingRequest) -> list[Route]:
        """The routes that a request can be answered by: none to a challenger that cannot be given what it needs."""
        version = self.challenger.version if self.challenger else None
        second = version if version in pending.resolved_for else None
        return [route for route in self.routes if route.is_served_by(self.champion.version, second)]


@dataclass(frozen=True)
class Answered:
    """Requests that were answered together, by which champion and from which publication: a shadow scores them again.

    Where an experiment or a canary gave a unit to the challenger, that version answered.
    """

    requests: Sequence[PendingRequest]
    model: ServedModel
    published: str


@dataclass(frozen=True)
class Draft:
    """What is ready, but not yet logged, so not yet given.

    Args:
        bodies: of the answers, one per request.
        lines: for the log.
        at: the instant of the answers, UTC.
    """

    answered: Answered
    bodies: Sequence[bytes]
    lines: Sequence[bytes]
    at: datetime


class Service:
    """Models, routes and the online store, put together. One thread at a time scores; any may set `champion`,
    `challenger` and `routes`.

    Args:
        problem: the home's; its `serving` says where to stop.
        champion_fault: why the version that is champion cannot serve, if it cannot.
    """

    def __init__(
        self, problem: Problem, store: OnlineStore, champion_fault: Callable[[], str | None] = lambda: None
    ) -> None:
        self._champion_fault = champion_fault
        self.champion: ServedModel | None = None
        self.challenger: ServedModel | None = None
        self.routes: Sequence[Route] = ()
        self._resolver = Resolver(problem)
        self._store = store
        self._said = ""

    def score(self, requests: Sequence[PendingRequest]) -> Draft | None:
        """Look up and score every request, or give it its refusal; None where all are refused."""
        model, challenger, routes = self.champion, self.challenger, self.routes
        try:
            if model is None:
                raise RefusedError(503, self._champion_fault() or NO_CHAMPION)
            serving = Serving(model, challenger, routes)
            snapshot = self._snapshot()
            snapshot = Remembered(snapshot) if serving.needs_two else snapshot
        except (RefusedError, StoreError) as error:
            for pending in requests:
                pending.refusal = _refusal(error)
            return None
        known = [pending for pending in requests if self._look_up(pending, snapshot, serving)]
        if not known:
            return None
        for pending in known:
            pending.versions = {"champion": model.version, "challenger": (challenger or model).version}
        self._score_requests(known, model, challenger)
        return self._draft(Answered(known, model, snapshot.publication.id))

    def _score_requests(
        self, requests: Sequence[PendingRequest], champion: ServedModel, challenger: ServedModel | None
    ) -> None:
        """By the champion, but for the units that a route gives to the challenger.

        Where the challenger fails, the champion answers for its units, too, and the log says so.
        """
        given: list[list[Scored]] = []
        routed = [pending for pending in requests if any(pending.is_routed(unit) for unit in pending.mets)]
        if routed and challenger is not None:
            try:
                given = self._scored_by(routed, challenger, ROUTED)
            except Exception:
                _log.exception("the challenger, version %s, could not answer for its units", challenger.version)
        by_challenger = {id(pending): scored for pending, scored in zip(routed, given, strict=False)}
        rest = [pending for pending in requests if not _is_whole(pending, by_challenger.get(id(pending)))]
        by_champion = dict(zip(map(id, rest), self._scored_by(rest, champion, CHAMPION), strict=True))
        for pending in requests:
            pending.scored = _put_together(pending, by_champion.get(id(pending)), by_challenger.get(id(pending)))

    def _scored_by(self, requests: Sequence[PendingRequest], model: ServedModel, variant: str) -> list[list[Scored]]:
        began = perf_counter()
        resolved = [pending.resolved_for[model.version] for pending in requests]
        scored = [
            place_scores(each, scores.tolist(), _reasons(pending, each, model), model, variant, pending.mets)
            for pending, each, scores in zip(requests, resolved, score_rows(resolved, model), strict=True)
        ]
        for pending in requests:
            pending.scoring[model.version] = perf_counter() - began
        return scored

    def _draft(self, answered: Answered) -> Draft:
        now, model = now_utc(), answered.model
        bodies = [
            answer(pending.request, pending.resolved_for[model.version], pending.scored, model, pending.request_id)
            for pending in answered.requests
        ]
        return Draft(answered, bodies, log_lines(answered, now), now)

    def _snapshot(self) -> Snapshot:
        snapshot = self._store.current()
        if snapshot is None:
            raise RefusedError(503, NO_FEATURES)
        return snapshot

    def _look_up(self, pending: PendingRequest, snapshot: Snapshot, serving: Serving) -> bool:
        """Note the features of a request, and the arms that its units meet, or its refusal.

        A what-if is hypothetical: no unit meets an arm by it.
        """
        try:
            resolved = self._resolver.resolve(pending.request, snapshot, serving.champion.plan)
            pending.resolved_for[serving.champion.version] = resolved
            self._look_up_for_challenger(pending, snapshot, serving)
            if not pending.request.what_if and (routes := serving.routes_of(pending)):
                pending.mets = meet(resolved, routes, snapshot)
        except (RefusedError, StoreError) as error:
            pending.refusal = _refusal(error)
        return pending.refusal is None

    def _look_up_for_challenger(self, pending: PendingRequest, snapshot: Snapshot, serving: Serving) -> None:
        """Note what the challenger needs: what the champion needs, or its own features.

        Where these cannot be looked up, the request is answered as if there were no challenger. No arm is met by it,
        so that nothing that the store lacks counts as an error of the challenger.
        """
        challenger, found = serving.challenger, pending.resolved_for
        if challenger is None:
            return
        if not serving.needs_two:
            found[challenger.version] = found[serving.champion.version]
            return
        try:
            found[challenger.version] = self._resolver.resolve(pending.request, snapshot, challenger.plan)
        except RefusedError:
            # A what-if of what only the champion has.
            return
        except Exception as error:
            said = f"the challenger, version {challenger.version}, is not asked: {error or type(error).__name__}"
            # Once, not for each request.
            if said != self._said:
                _log.error("%s", said)
            self._said = said


def give(draft: Draft, log: LogWriter) -> bool:
    """Log all answers, then give them to their requests; where the log fails, each gets that as its refusal."""
    requests = draft.answered.requests
    try:
        log.append(draft.lines, draft.at)
    except LogError as error:
        for pending in requests:
            pending.refusal = _refusal(error)
        return False
    for pending, body in zip(requests, draft.bodies, strict=True):
        pending.body = body
    return True


def score_rows(resolved: Sequence[ResolvedRequest], model: ServedModel) -> list[npt.NDArray[np.float64]]:
    """The probabilities of the rows of each request, through one matrix for all.

    Args:
        resolved: all looked up for the model.
    """
    parts = [each.features for each in resolved]
    if not any(features.cases for features in parts):
        return [np.empty(0) for _ in resolved]
    together = Features(parts[0].names)
    for features in parts:
        together.extend(features)
    scores = model.model.predict(model.model.encoding.matrix_of_values(together.columns))
    ends = np.cumsum([len(features.cases) for features in parts])
    return np.split(scores, ends[:-1])


def log_lines(answered: Answered, now: datetime) -> list[bytes]:
    """The log lines of answers: of each, one per model that scored."""
    finished = perf_counter()
    return [
        log_line(
            pending.request,
            pending.resolved_for[model.version],
            scored,
            model,
            request_id=pending.request_id,
            published=answered.published,
            now=now,
            latency_ms=(finished - pending.started) * 1000,
            scoring_ms=pending.scoring.get(model.version, 0.0) * 1000,
        )
        for pending in answered.requests
        for model, scored in _by_model(pending.scored, answered.model)
    ]


def note_failures(requests: Sequence[PendingRequest], log: LogWriter) -> None:
    """Log which units of which arms got no answer, because the server failed on their requests.

    A refusal before the arm is known (no features, a store that does not answer) hits all arms alike, and is counted
    in the log of faults only, as are all other requests.
    """
    now = now_utc()
    lines = [
        line
        for pending in requests
        if pending.refusal and pending.refusal.status == FAULT
        for line in _failures(pending, now)
    ]
    try:
        if lines:
            log.append(lines, now)
    except LogError as error:
        _log.error("failed requests are not in the prediction log: %s", error)


def _failures(pending: PendingRequest, now: datetime) -> Iterator[bytes]:
    if not pending.mets:
        return
    decision = pending.resolved_for[pending.versions["champion"]].decision
    latency_ms = (perf_counter() - pending.started) * 1000
    own = {unit: pending.versions["challenger" if pending.is_routed(unit) else "champion"] for unit in pending.mets}
    for version in sorted({*own.values()}):
        mets = {unit: met for unit, met in pending.mets.items() if own[unit] == version}
        yield failure_line(
            pending.request,
            decision,
            mets,
            version,
            request_id=pending.request_id,
            now=now,
            latency_ms=latency_ms,
        )


def _reasons(pending: PendingRequest, resolved: ResolvedRequest, model: ServedModel) -> list[Reasons] | None:
    if not pending.request.explain:
        return None
    features, encoding = resolved.features, model.model.encoding
    if not features.cases:
        return []
    values = model.model.contributions(encoding.matrix_of_values(features.columns))
    return [
        top_reasons(encoding.names, features.row(row), values[row], model.words) for row in range(len(features.cases))
    ]


def _by_model(scored: Sequence[Scored], champion: ServedModel) -> list[tuple[ServedModel, Sequence[Scored]]]:
    versions = {each.model.version: each.model for each in scored}
    if len(versions) <= 1:
        return [(next(iter(versions.values()), champion), scored)]
    return [(model, [each for each in scored if each.model.version == version]) for version, model in versions.items()]


def _is_whole(pending: PendingRequest, scored: Sequence[Scored] | None) -> bool:
    """Whether the challenger has answered for every place."""
    if scored is None:
        return False
    return all(each.slot.row is not None and pending.is_routed(each.slot.unit) for each in scored)


def _put_together(
    pending: PendingRequest, own: Sequence[Scored] | None, other: Sequence[Scored] | None
) -> list[Scored]:
    """Each place by the model that its unit was given to."""
    if own is None:
        return list(other or ())
    if not pending.mets:
        return list(own)

    def of(each: Scored) -> Scored:
        if each.slot.row is None or not pending.is_routed(each.slot.unit):
            return each
        return other[each.place] if other is not None else replace(each, variant=FALLBACK)

    return [of(each) for each in own]


def _refusal(error: Exception) -> RefusedError:
    return error if isinstance(error, RefusedError) else RefusedError(503, str(error))
