"""Resolves a request to the features of its cases, or refuses it with the reason."""

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.store import LEFT_OUT, Id, Publication, Row, Snapshot
from mlguide_assets.deploy.serving.examples import ids_of
from mlguide_assets.deploy.serving.features import Case, FeaturePlan, Features, Values, microseconds
from mlguide_assets.deploy.serving.instants import check_age, now_of, utc, zone_of_events
from mlguide_assets.deploy.serving.request import PredictionRequest, RefusedError, ResolvedRequest, Slot
from mlguide_assets.english import plural

_UUID = re.compile("[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


class Resolver:
    """Looks up the entities and features of requests.

    Args:
        problem: the home's, whose `serving` sets the limits.
    """

    def __init__(self, problem: Problem) -> None:
        self.decision = problem.decision
        self.problem = problem
        self._id_of = {noun: id_column(noun) for noun in self.decision.nouns}
        self._kinds_of: Publication | None = None
        self._kinds: list[tuple[str, type]] = []
        self._cases: dict[str, Callable[[str], str]] = {}
        self._zone = zone_of_events(problem) if self.decision.is_event else "UTC"
        self._declared = {noun: problem.schema.entity(noun) is not None for noun in self.decision.nouns}

    def resolve(self, request: PredictionRequest, snapshot: Snapshot, plan: FeaturePlan) -> ResolvedRequest:
        """Look up the entities and features of a request.

        Args:
            plan: of the model that answers.

        Raises:
            RefusedError: it is too large, or its features would know the future or are too old.
            StoreError: the store does not answer.
        """
        self._refuse_other_ids(request, snapshot.publication)
        request = self._as_stored(request)
        if request.what_if and (unknown := plan.unsettable(request.what_if)):
            raise RefusedError(422, f"what_if: {unknown[0]} is no feature of the instant that the champion has.")
        if self.decision.choose is None:
            return (self._events if self.decision.is_event else self._entities)(request, snapshot, plan)
        if request.endpoint == "predict" and request.candidates is None:
            return self._last(request, snapshot, plan)
        return self._choices(request, snapshot, plan)

    def _choices(self, request: PredictionRequest, snapshot: Snapshot, plan: FeaturePlan) -> ResolvedRequest:
        """Every unit with every candidate, unit by unit."""
        unit, choose = self.decision.nouns
        candidates = self._candidates(request, snapshot)
        self._refuse_too_many(request, len(request.units) * len(candidates))
        instant, feature_time, degraded = self._instant(request, snapshot)
        at, of_instant = microseconds(instant), plan.of_instant(microseconds(instant))
        units = _found(plan, unit, snapshot.look_up(plural(unit), request.units), at)
        contents = _found(plan, choose, snapshot.look_up(plural(choose), candidates), at)
        offered = [each for each in candidates if each in contents]
        slots: list[Slot] = []
        features = Features(plan.names)
        for each in request.units:
            for candidate in offered:
                ids = (each, candidate)
                if each in units:
                    slots.append(Slot(ids, len(features.rows)))
                    values = plan.values(units[each], contents[candidate], (), of_instant, what_if=request.what_if)
                    features.add(Case(ids, instant, feature_time), values)
                elif request.on_unknown == "base_rate":
                    slots.append(Slot(ids, None))
        unknown = {unit: _unknown(request.units, units), choose: _unknown(candidates, contents)}
        return ResolvedRequest(self.decision, slots, features, len(offered), unknown, degraded)

    def _last(self, request: PredictionRequest, snapshot: Snapshot, plan: FeaturePlan) -> ResolvedRequest:
        """The last decision about each unit, as of its own instant, so that its outcome is in no feature."""
        decision = self.decision
        if request.as_of or request.what_if:
            raise RefusedError(
                422,
                f"as_of and what_if need {decision.choose}_ids: without them, the last {decision.noun} of each "
                f"{decision.unit} is scored as of its own instant.",
            )
        self._refuse_too_many(request, len(request.units))
        feature_time = snapshot.publication.as_of
        now, name = now_of(self.problem, feature_time), f"as_of, and {decision.choose}_ids with it"
        degraded = check_age(now, feature_time, self.problem.serving, given=False, name=name)
        last = snapshot.look_up(f"last_{decision.plural}", request.units)
        slots: list[Slot] = []
        features = Features(plan.names)
        for each in request.units:
            if each in last:
                ids = tuple(last[each][name] for name in decision.ids)
                at = datetime.fromisoformat(last[each][decision.time])
                slots.append(Slot(ids, len(features.rows)))
                features.add(Case(ids, at, at), plan.stored(last[each]))
            elif request.on_unknown == "base_rate":
                slots.append(Slot((each, None), None))
        unknown: dict[str, list[Id]] = {decision.unit: _unknown(request.units, last), str(decision.choose): []}
        return ResolvedRequest(self.decision, slots, features, 1, unknown, degraded)

    def _entities(self, request: PredictionRequest, snapshot: Snapshot, plan: FeaturePlan) -> ResolvedRequest:
        """Entities, as at a cut-off at the requested instant."""
        unit = self.decision.unit
        self._refuse_too_many(request, len(request.units))
        instant, feature_time, degraded = self._instant(request, snapshot)
        at, of_instant = microseconds(instant), plan.of_instant(microseconds(instant))
        units = _found(plan, unit, snapshot.look_up(plural(unit), request.units), at)
        slots: list[Slot] = []
        features = Features(plan.names)
        for each in request.units:
            if each in units:
                slots.append(Slot((each,), len(features.rows)))
                values = plan.values(units[each], (), of_instant, what_if=request.what_if)
                features.add(Case((each,), instant, feature_time), values)
            elif request.on_unknown == "base_rate":
                slots.append(Slot((each,), None))
        unknown = {unit: _unknown(request.units, units)}
        return ResolvedRequest(self.decision, slots, features, 1, unknown, degraded, _left_out(request, snapshot))

    def _events(self, request: PredictionRequest, snapshot: Snapshot, plan: FeaturePlan) -> ResolvedRequest:
        """Events, each at its own time. Of an entity that no table declares, an unknown one has no history."""
        decision, feature_time = self.decision, snapshot.publication.as_of
        self._refuse_too_many(request, len(request.events))
        now = now_of(self.problem, feature_time)
        rows: dict[str, dict[Id, Row]] = {}
        named: dict[str, list[Id]] = {}
        for noun, name in zip(decision.nouns, decision.ids, strict=True):
            named[noun] = [event[name] for event in request.events]
            rows[noun] = snapshot.look_up(plural(noun), list(dict.fromkeys(named[noun])))
        slots: list[Slot] = []
        features = Features(plan.names)
        degraded: dict[str, None] = {}
        for event, ids in zip(request.events, zip(*named.values(), strict=True), strict=True):
            given = event.get(decision.time)
            instant = utc(given, decision.time, self._zone) if given else now
            said = self._check_age(instant, feature_time, given=decision.time if given else None)
            degraded |= dict.fromkeys(said)
            keys = {name: event[name] for name in decision.own_keys if event.get(name) is not None}
            if self._is_known(ids, rows):
                slots.append(Slot(ids, len(features.rows), instant, keys))
                values = plan.values(*self._parts(event, ids, rows, plan, instant), what_if=request.what_if)
                features.add(Case(ids, instant, feature_time), values)
            elif request.on_unknown == "base_rate":
                slots.append(Slot(ids, None, instant, keys))
        unknown = {noun: _unknown(ids, rows[noun]) for noun, ids in named.items()}
        return ResolvedRequest(self.decision, slots, features, 1, unknown, list(degraded))

    def _is_known(self, ids: Sequence[Id], rows: Mapping[str, Mapping[Id, Row]]) -> bool:
        """Whether every entity that has a table is in it."""
        pairs = zip(self.decision.nouns, ids, strict=True)
        return all(each in rows[noun] for noun, each in pairs if self._declared[noun])

    def _parts(
        self,
        event: Mapping[str, Any],
        ids: Sequence[Id],
        rows: Mapping[str, Mapping[Id, Row]],
        plan: FeaturePlan,
        instant: datetime,
    ) -> Iterator[Values]:
        at = microseconds(instant)
        for noun, each in zip(self.decision.nouns, ids, strict=True):
            yield plan.of_entity(noun, rows[noun].get(each), at)
        yield plan.of_event(event)
        yield plan.of_instant(at)

    def _candidates(self, request: PredictionRequest, snapshot: Snapshot) -> Sequence[Id]:
        if request.candidates is not None:
            return request.candidates
        newest = snapshot.publication.candidates[: self.problem.scoring.candidates]
        if not newest:
            raise RefusedError(
                503,
                f"The online store knows no {self.decision.choose} to recommend: publish one first, with 'mlguide "
                f"run'.",
            )
        return newest

    def _refuse_too_many(self, request: PredictionRequest, cases: int) -> None:
        serving, decision = self.problem.serving, self.decision
        limit = serving.max_explained_pairs if request.explain else serving.max_pairs
        if cases <= limit:
            return
        what = plural(decision.noun)
        if decision.choose:
            what = f"pairs of {decision.unit} and {decision.choose}"
        explained = " to explain" if request.explain else ""
        raise RefusedError(
            422, f"The request has {cases:,} {what}{explained}; at most {limit:,} are answered: split it."
        )

    def _refuse_other_ids(self, request: PredictionRequest, publication: Publication) -> None:
        """The ids of an entity are all whole numbers or all texts. A server that began before any were published takes
        both: no number must be answered as if it were the text, or the other way round."""
        if self._kinds_of is not publication:
            self._kinds_of = publication
            known = ids_of(self.problem, publication)
            self._kinds = [(noun, type(ids[0])) for noun, ids in known.items() if ids]
            self._cases = {noun: case for noun, ids in known.items() if (case := _case_of_uuids(ids))}
        for noun, kind in self._kinds:
            if request.events:
                given: Sequence[Id] = [event[self._id_of[noun]] for event in request.events]
            else:
                given = request.units if noun == self.decision.unit else request.candidates or ()
            if any(type(each) is not kind for each in given):
                what = "texts" if kind is str else "whole numbers"
                raise RefusedError(422, f"{noun}: the ids of {plural(noun)} are {what} here.")

    def _as_stored(self, request: PredictionRequest) -> PredictionRequest:
        """The request with UUIDs in the case of the store's: some systems write them in capitals, others do not."""
        if not self._cases:
            return request
        if request.events:
            columns = {self._id_of[noun]: case for noun, case in self._cases.items()}
            events = [
                {**event, **{name: _in_case(event[name], case) for name, case in columns.items()}}
                for event in request.events
            ]
            return replace(request, events=events)
        of_unit, of_candidate = (self._cases.get(noun or "") for noun in (self.decision.unit, self.decision.choose))
        units = [_in_case(each, of_unit) for each in request.units] if of_unit else request.units
        candidates = request.candidates
        if of_candidate and candidates is not None:
            candidates = [_in_case(each, of_candidate) for each in candidates]
        return replace(request, units=units, candidates=candidates)

    def _instant(self, request: PredictionRequest, snapshot: Snapshot) -> tuple[datetime, datetime, list[str]]:
        """When it is decided, the instant of the features, and what is to be said of the two."""
        feature_time = snapshot.publication.as_of
        instant = utc(request.as_of, "as_of") if request.as_of else now_of(self.problem, feature_time)
        given = "as_of" if request.as_of else None
        return instant, feature_time, self._check_age(instant, feature_time, given=given)

    def _check_age(self, instant: datetime, feature_time: datetime, *, given: str | None) -> list[str]:
        """See `check_age`.

        Args:
            given: the field by which the request named the instant, if it did.
        """
        by_event = self.decision.is_event and not self.decision.choose
        name = given or (self.decision.time if by_event else "as_of")
        return check_age(instant, feature_time, self.problem.serving, given=given is not None, name=name)


def _case_of_uuids(ids: Sequence[Id]) -> Callable[[str], str] | None:
    """What gives UUIDs the case of these; None where they are no UUIDs, or are of either case."""
    texts = [each for each in ids if isinstance(each, str) and _UUID.fullmatch(each)]
    if not texts or len(texts) < len(ids):
        return None
    return next((case for case in (str.lower, str.upper) if all(case(each) == each for each in texts)), None)


def _in_case(given: Id, case: Callable[[str], str]) -> Id:
    return case(given) if isinstance(given, str) and _UUID.fullmatch(given) else given


def _found(plan: FeaturePlan, noun: str, rows: Mapping[Id, Row], at: int) -> dict[Id, Values]:
    return {each: plan.of_entity(noun, row, at) for each, row in rows.items()}


def _left_out(request: PredictionRequest, snapshot: Snapshot) -> list[Id]:
    """Each once, in order. What an earlier version published does not say of any."""
    if LEFT_OUT not in snapshot.publication.keys:
        return []
    found = snapshot.look_up(LEFT_OUT, request.units)
    return [each for each in dict.fromkeys(request.units) if each in found]


def _unknown(ids: Sequence[Id], known: Container[Id]) -> list[Id]:
    """Each once, in order."""
    return [each for each in dict.fromkeys(ids) if each not in known]
