"""Days of a simulated world, one after the other, before a champion that was trained on the days before."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.loading import load_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, champion, export_bundle, set_champion
from mlguide_assets.observe.drift.data_drift import DayDrift, DaySample, days_alike, drift_of_day, profile_of
from mlguide_assets.observe.drift.domain_classifier import classifier_of
from mlguide_assets.observe.drift.windows import DriftWindow
from mlguide_assets.observe.rows import rows_of_days, scored
from mlguide_assets.prepare.simulator.generate import email_content, sends, user_profiles
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.prepare.sources.casting import cast_to_schema
from mlguide_assets.prepare.sources.names import UNREADABLE
from mlguide_assets.train.candidate import train_candidate
from mlguide_assets.train.models.models import XGBOOST
from mlguide_assets.train.storage import load_facts
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.email_case import send_features

TRAINED, SHIFTED = 2 / 3, 5 / 6
"""When in the history the champion is trained, and when a planted shift begins."""


class Replay:
    """A world, and the champion that its first two thirds gave."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self._features: dict[World, pa.Table] = {}
        self.problem: Problem = load_problem("planeswalker")
        self.trained, self.shift = (world.start + timedelta(days=int(world.days * at)) for at in (TRAINED, SHIFTED))
        past = self.features(world)
        known = past.filter(
            pc.less(past["delivered_at"], pa.scalar(datetime.combine(self.trained, datetime.min.time())))
        )
        candidate = saved(
            train_candidate(ibis.memtable(known), self.problem, contenders=(XGBOOST,)), folder / "candidates"
        )
        export_bundle(candidate, folder / "bundles", "1", {"trained_at": "", **load_facts(candidate)})
        set_champion(folder / "bundles", "1")
        found = champion(folder / "bundles")
        assert found is not None
        self.champion: Bundle = found

    @cached_property
    def shifted(self) -> World:
        return replace(self.world, covariate_shift=self.shift)

    def features(self, world: World) -> pa.Table:
        """Point-in-time features of all sends of a world, computed once."""
        if world not in self._features:
            self._features[world] = self._computed(world)
        return self._features[world]

    def _computed(self, world: World) -> pa.Table:
        history = pa.concat_tables(sends(world, None, None, None))
        tables: dict[str, pa.Table] = {
            "user_profiles": user_profiles(world),
            "user_emails": history.select(["user_id", "email_id", "unsubscribed", "delivered_at"]),
            "email_content": email_content(world),
        }
        cast = {
            name: cast_to_schema(ibis.memtable(rows), name, self.problem.tables[name], place=name).drop(UNREADABLE)
            for name, rows in tables.items()
        }
        return send_features(cast, self.problem).to_pyarrow()

    def days(
        self, world: World, *, since: date | None = None, together: bool = False
    ) -> Iterator[tuple[date, DayDrift]]:
        """The verdict on every day since the champion was trained; nobody asked the API anything.

        Args:
            since: leave out the days before this one.
            together: with the domain classifier, which takes some seconds for its null.
        """
        rows = ibis.memtable(self.features(world))
        counted = rows.group_by(day=rows.delivered_at.date()).aggregate(n=rows.count()).to_pyarrow().to_pylist()
        counts = {each["day"]: each["n"] for each in counted}
        profile = profile_of(self.champion)
        assert profile is not None
        classifier = classifier_of(rows, self.champion, profile, self.problem) if together else None
        for day in sorted(counts):
            # The last day of a world may be a part of one.
            if (since or self.trained) <= day < max(counts):
                of_day = scored(rows_of_days(rows, self.problem, first=day, last=day), self.champion, self.problem)
                sample = DaySample(
                    DriftWindow(day, day, of_day.num_rows, of_day.num_rows >= self.problem.watching.min_rows),
                    rows=ibis.memtable(of_day),
                    traffic=pa.table({"user_id": pa.array([], pa.int64())}),
                    earlier=days_alike(counts, day, self.problem),
                    # In a simulated world every outcome is known in the end.
                    final=of_day.num_rows > 0 and of_day["unsubscribed"].null_count == 0,
                    together=classifier.separation(ibis.memtable(of_day)) if classifier else None,
                )
                version = self.champion.version
                yield day, drift_of_day(sample, version=version, profile=profile, problem=self.problem)
