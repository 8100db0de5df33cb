"""The state of one worker behind its routes: the threads that answer, follow the pointers and shadow."""

import contextlib
import gc
import sys
from collections import Counter
from datetime import datetime, timedelta
from threading import Lock
from time import monotonic
from typing import Literal

from mlguide_assets.define.loading import name_in_home
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHALLENGER, CHAMPION, Role
from mlguide_assets.deploy.log.fault_log import FaultCounter
from mlguide_assets.deploy.log.forgotten_rows import ForgottenRows
from mlguide_assets.deploy.log.prediction_log import GIGABYTE, LogError, LogWriter, probe_writable
from mlguide_assets.deploy.log.sharing import Uploader, segment_bytes
from mlguide_assets.deploy.online_store.opening import open_store
from mlguide_assets.deploy.online_store.store import Publication, Row, StoreError
from mlguide_assets.deploy.serving.answers import ServiceState
from mlguide_assets.deploy.serving.batching import Batcher
from mlguide_assets.deploy.serving.examples import trial
from mlguide_assets.deploy.serving.instants import in_days, now_of
from mlguide_assets.deploy.serving.listing import List
from mlguide_assets.deploy.serving.model import ServedModel
from mlguide_assets.deploy.serving.operations import Metrics
from mlguide_assets.deploy.serving.request import RefusedError
from mlguide_assets.deploy.serving.request_resolver import Resolver
from mlguide_assets.deploy.serving.service import NO_CHAMPION, NO_FEATURES, Answered, Service, score_rows
from mlguide_assets.deploy.serving.shadow import Shadow
from mlguide_assets.deploy.serving.watching import Follower, RoutesFollower, Watcher
from mlguide_assets.instants import now_utc
from mlguide_assets.prepare.forgetting.forget_list import ForgetList
from mlguide_assets.settings import Home, with_option

SWITCH_SECONDS = 0.0005
"""The threads that answer and the event loop share the interpreter: at Python's 5 ms they would wait for each other."""

ANSWERING = 2
"""Threads that answer: one scores while the other waits for the disk."""

PROBE_SECONDS = 1.0
"""Between two checks that the log can be written, while it can."""

Status = Literal["ready", "degraded", "unavailable"]


class WorkerState:
    """Everything that one worker keeps while it runs. Made inside the event loop.

    Raises:
        InputError: the address is of no kind of store.
    """

    def __init__(self, home: Home, problem: Problem, store: str | None, faults: FaultCounter, metrics: Metrics) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._problem = problem
        self._name = name_in_home(problem, home)
        # A store belongs to one thread at a time: threads that answer share one, threads that list and report another.
        answering, self._store = (open_store(home, problem.key, store) for _ in range(2))
        self._turn = Lock()
        self._probe_at = 0.0
        logs = home.served(problem.key)
        self._most_bytes = problem.serving.max_log_gigabytes * GIGABYTE
        self._logs = [
            LogWriter(logs, most_bytes=self._most_bytes, segment_bytes=segment_bytes()) for _ in range(ANSWERING + 1)
        ]
        self._log_folder = logs
        listed = home.forgotten(problem.key)
        self._uploader = Uploader(logs, lambda: ForgottenRows(ForgetList.load(listed), problem))
        self._resolver = Resolver(problem)
        self._service = Service(problem, answering, lambda: self._champion.fault)
        self._shadow = Shadow(self._logs[-1], metrics)
        bundles = home.bundles(problem.key)
        self._champion = Follower(bundles, CHAMPION, lambda model: setattr(self._service, "champion", model))
        self._challenger = Follower(bundles, CHALLENGER, self._take_challenger)
        self._routes = RoutesFollower(bundles, lambda routes: setattr(self._service, "routes", routes))
        self._faults, self._metrics = faults, metrics
        self._watcher = Watcher([self._champion, self._challenger, self._routes], self._write_faults)
        self._watcher.start()
        self._uploader.start()
        self.batcher = Batcher(self._service, self._logs[:ANSWERING], self._after)
        # Objects that live as long as the server are excluded from full collections, which would take 45 ms.
        gc.collect()
        gc.freeze()

    def _take_challenger(self, model: ServedModel | None) -> None:
        self._shadow.challenger = model
        self._service.challenger = model

    def _write_faults(self) -> None:
        self._faults.write(now_utc())

    def _after(self, answered: Answered) -> None:
        self._count_predictions(answered)
        self._shadow.follow(answered)

    def _count_predictions(self, answered: Answered) -> None:
        classes = Counter(
            (scored.model.version, scored.model.label(scored.probability))
            for pending in answered.requests
            for scored in pending.scored
        )
        for (version, label), number in classes.items():
            self._metrics.count_predictions(version, label, number)

    def commands(self, text: str) -> str:
        """A text whose `mlguide` commands name the problem, where the home has others."""
        return with_option(text, f"--problem {self._name}") if self._name else text

    def stop(self) -> None:
        """Finish what was begun, and close the log."""
        self._watcher.stop()
        self.batcher.stop()
        self._shadow.stop()
        for log in self._logs:
            log.close()
        self._write_faults()
        self._uploader.stop()

    def listed(self, list_: List, search: str, limit: int) -> list[Row]:
        """Entities to pick from.

        Raises:
            StoreError: the store does not answer.
        """
        with self._turn:
            snapshot = self._store.current()
            return list_.found(snapshot, search, limit) if snapshot else []

    def publication(self) -> Publication | None:
        """What is published; None before the first, or while the store does not answer."""
        with contextlib.suppress(StoreError), self._turn:
            snapshot = self._store.current()
            return snapshot.publication if snapshot else None
        return None

    def feature_age(self) -> float | None:
        """Seconds from the instant of the features to now; None where no features can be read."""
        feature_time, now, _, _ = self._features()
        return (now - feature_time).total_seconds() if feature_time and now else None

    def state(self) -> ServiceState:
        """What serves, and what is not as it should be."""
        model, challenger = self._service.champion, self._shadow.challenger
        reasons = [follower.fault for follower in (self._champion, self._challenger, self._routes) if follower.fault]
        feature_time, now, fault, usable = self._features()
        reasons += [fault] if fault else []
        if model is not None and usable and (fault := self._prediction_fault(model)):
            reasons.append(fault)
            usable = False
        if challenger is not None and usable and (fault := self._scoring_fault(challenger, "challenger")):
            reasons.append(f"The challenger, version {challenger.version}, answers nobody: {fault}")
        reasons += self._unpublished()
        if model is None and not self._champion.fault:
            reasons.append(NO_CHAMPION)
        status: Status = "unavailable" if model is None or not usable else "degraded" if reasons else "ready"
        return ServiceState(
            status=status,
            reasons=[self.commands(each) for each in reasons],
            model_version=model.version if model else None,
            trained_at=model.trained_at if model else None,
            threshold=model.threshold if model else None,
            positive=model.problem.label.positive if model else None,
            shadow_version=challenger.version if challenger else None,
            feature_time=feature_time,
            now=now,
        )

    def _unpublished(self) -> list[str]:
        """Of which experiments the online store does not say who may take part."""
        chosen = [route for route in self._service.routes if route.by_eligibility]
        publication = self.publication() if chosen else None
        return [
            f"The online store does not say yet who may take part in {route.experiment}, so all units are answered as "
            f"if it did not run: materialize online_store, or 'mlguide run', to publish it again."
            for route in chosen
            if publication is not None and route.eligibility_column not in publication.eligibility
        ]

    def _prediction_fault(self, model: ServedModel) -> str | None:
        """Why no prediction can be answered, found by trying one up to the log; None where it can."""
        if fault := self._scoring_fault(model, "champion"):
            return fault
        try:
            with self._turn:
                if monotonic() >= self._probe_at:
                    probe_writable(self._log_folder, self._most_bytes)
                    self._probe_at = monotonic() + PROBE_SECONDS
        except LogError as error:
            return str(error)
        return None

    def _scoring_fault(self, model: ServedModel, role: Role) -> str | None:
        """Why a model can score nothing, found by trying one request; None where it can."""
        try:
            with self._turn:
                snapshot = self._store.current()
                request = trial(self._problem, snapshot.publication) if snapshot else None
                if snapshot is not None and request is not None:
                    score_rows([self._resolver.resolve(request, snapshot, model.plan)], model)
        except (StoreError, RefusedError) as error:
            return str(error)
        except Exception as error:
            return f"The {role}, version {model.version}, cannot score ({type(error).__name__})."
        return None

    def _features(self) -> tuple[datetime | None, datetime | None, str | None, bool]:
        """The instant of the features, now, what is wrong with them, and whether they can be used."""
        try:
            with self._turn:
                snapshot = self._store.current()
        except StoreError as error:
            return None, None, str(error), False
        if snapshot is None:
            return None, None, NO_FEATURES, False
        feature_time, serving = snapshot.publication.as_of, self._problem.serving
        now = now_of(self._problem, feature_time)
        age = now - feature_time
        if age < timedelta(0):
            return feature_time, now, f"The features are of {feature_time.isoformat()}, which is still to come.", False
        if age <= serving.stale_after:
            return feature_time, now, None, True
        usable = age <= serving.refuse_after
        what = "flagged in every answer" if usable else "refused without an earlier as_of"
        return feature_time, now, f"The features are {in_days(age)} old, which is {what}.", usable
