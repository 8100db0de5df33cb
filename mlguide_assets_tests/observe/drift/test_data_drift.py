"""Days of a simulated world: silent where nothing was planted, awake where something was."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.observe.drift.data_drift import SCHEMA, DayDrift, DaySample, drift_of_day, profile_of
from mlguide_assets.observe.drift.domain_classifier import Separation
from mlguide_assets.observe.drift.table import TOGETHER, TRAFFIC, VOLUME, WHOLE_DAY
from mlguide_assets.observe.drift.windows import DriftWindow
from mlguide_assets.observe.performance.model_performance import watch_performance
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.train.reference.costing import expected_costs
from mlguide_assets_tests.observe.replaying import Replay
from mlguide_assets_tests.train.sends import replaced

pytestmark = pytest.mark.slow
SENDS = "sends"
NOBODY = pa.table({"user_id": pa.array([], pa.int64())})


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return Replay(World(sends=60_000, days=100), tmp_path_factory.mktemp("replay"))


@pytest.fixture(scope="module")
def day(replay: Replay) -> pa.Table:
    """The sends of one day after the champion was trained, with the champion's probability."""
    from mlguide_assets.observe.rows import rows_of_days, scored

    features = ibis.memtable(replay.features(replay.world))
    rows = rows_of_days(features, replay.problem, first=replay.trained, last=replay.trained)
    return scored(rows, replay.champion, replay.problem)


def drift_on(
    replay: Replay,
    sends: pa.Table,
    traffic: pa.Table = NOBODY,
    earlier: tuple[int, ...] = (),
    *,
    final: bool = True,
    together: Separation | None = None,
) -> DayDrift:
    """The verdicts on the day after the champion was trained, where 300 sends are enough."""
    problem, profile = replay.problem, profile_of(replay.champion)
    assert profile is not None
    problem = problem.model_copy(update={"watching": problem.watching.model_copy(update={"min_rows": 300})})
    window = DriftWindow(replay.trained, replay.trained, sends.num_rows, sends.num_rows >= 300)
    sample = DaySample(window, ibis.memtable(sends), traffic, earlier, final=final, together=together)
    return drift_of_day(sample, version=replay.champion.version, profile=profile, problem=problem)


def levels_of(
    replay: Replay, sends: pa.Table, traffic: pa.Table = NOBODY, earlier: tuple[int, ...] = (), *, final: bool = True
) -> dict[str, str]:
    found = drift_on(replay, sends, traffic, earlier, final=final)
    assert found.table.schema == SCHEMA
    return {f"{row['source']}.{row['column']}": row["level"] for row in found.table.to_pylist()}


def test_the_price_of_a_day_is_what_its_scores_say(replay: Replay, day: pa.Table) -> None:
    """Twice the chance of losing the user: the effect by bins is near that of the rows themselves."""
    riskier = replaced(day, "probability", np.minimum(2 * day["probability"].to_numpy(), 1))
    profile = profile_of(replay.champion)
    assert profile is not None
    (score,) = profile.only(["probability"]).columns
    usual = np.dot(score.costs, score.counts) / score.rows
    expected = 1000 * (expected_costs(riskier["probability"].to_numpy(), replay.problem.costs).mean() - usual)
    found = drift_on(replay, riskier)
    (whole,) = [row for row in found.table.to_pylist() if row["column"] == WHOLE_DAY]
    assert whole["cost_effect"] == pytest.approx(expected, rel=0.25)
    assert whole["cost_effect"] > 0
    assert "per 1,000 decisions" in whole["reason"]


@pytest.mark.parametrize(("auc", "level"), [(0.6, "warn"), (0.5, "none")])
def test_the_classifier_has_a_row_and_can_warn_of_a_day(replay: Replay, day: pa.Table, auc: float, level: str) -> None:
    found = drift_on(replay, day, together=Separation(auc, tuple(np.linspace(0.49, 0.51, 60))))
    rows = {row["column"]: row for row in found.table.to_pylist()}
    assert (rows[TOGETHER]["level"], rows[TOGETHER]["statistic"]) == (level, auc)
    assert rows[WHOLE_DAY]["level"] == found.level == level
    assert ("A classifier separates the day" in found.sentence) is (level == "warn")


def test_a_world_without_a_shift_calls_for_no_action(replay: Replay) -> None:
    levels = Counter(drift.level for _, drift in replay.days(replay.world))
    assert levels["act"] == 0
    assert levels["none"] >= 25


def test_a_concept_shift_is_seen_by_the_gap_and_not_by_the_features(tmp_path: Path) -> None:
    """The same sends, another risk: outcomes tell it, once they have matured; enough of them within the days left."""
    replay = Replay(World(sends=60_000, days=100, base_rate=0.06), tmp_path)
    shifted = replace(replay.world, concept_shift=replay.shift)
    features = ibis.memtable(replay.features(shifted))
    watched = watch_performance(features, None, replay.champion, replay.problem)
    rows = watched.performance_gap.filter(pc.equal(watched.performance_gap["window_days"], 7)).to_pylist()
    gaps = {row["day"]: row["sees_concept_drift"] for row in rows if row["metric"] == "roc_auc"}
    before = [seen for day, seen in gaps.items() if day < replay.shift]
    after = [seen for day, seen in gaps.items() if day >= replay.shift + timedelta(days=6)]
    assert len(before) >= 10
    assert sum(before) <= 2
    assert sum(after[-3:]) >= 2
    usual, found = (
        {row["column"] for _, drift in replay.days(world, since=replay.shift)
         for row in drift.table.to_pylist() if row["level"] == "act"}
        for world in (replay.world, shifted)
    )  # fmt: skip
    assert found <= usual | {"unsubscribed", "(all)"}


def test_a_day_like_the_others_is_none(replay: Replay, day: pa.Table) -> None:
    levels = levels_of(replay, day, earlier=(day.num_rows,) * 6)
    assert levels[f"{SENDS}.{WHOLE_DAY}"] == levels[f"{SENDS}.{VOLUME}"] == "none"
    assert "subject" not in str(levels)


def test_the_label_is_evaluated_once_all_have_matured(replay: Replay, day: pa.Table) -> None:
    assert f"{SENDS}.unsubscribed" in levels_of(replay, day)
    unknown = replaced(day, "unsubscribed", [None] * day.num_rows)
    assert f"{SENDS}.unsubscribed" not in levels_of(replay, unknown, final=False)


def test_outcomes_that_are_missing_once_they_should_be_known_call_for_action(replay: Replay, day: pa.Table) -> None:
    unknown = replaced(day, "unsubscribed", [None] * day.num_rows)
    assert levels_of(replay, unknown)[f"{SENDS}.unsubscribed"] == "act"


def test_a_full_day_of_unseen_categories_calls_for_action(replay: Replay, day: pa.Table) -> None:
    levels = levels_of(replay, replaced(day, "country", ["ZZ"] * day.num_rows))
    assert levels[f"{SENDS}.country"] == levels[f"{SENDS}.{WHOLE_DAY}"] == "act"


def test_other_users_call_for_action(replay: Replay, day: pa.Table) -> None:
    levels = levels_of(replay, replaced(day, "age", pc.add(day["age"], 30).to_pylist()))
    assert levels[f"{SENDS}.age"] == "act"


def test_a_column_that_is_gone_calls_for_action(replay: Replay, day: pa.Table) -> None:
    assert levels_of(replay, day.drop_columns(["purchases"]))[f"{SENDS}.purchases"] == "act"


def test_a_day_with_few_sends_is_not_tested_but_its_volume_is(replay: Replay, day: pa.Table) -> None:
    levels = levels_of(replay, day.slice(0, 20), earlier=(600,) * 6)
    assert levels[f"{SENDS}.age"] == "too_few"
    assert levels[f"{SENDS}.{VOLUME}"] == levels[f"{SENDS}.{WHOLE_DAY}"] == "act"


def test_a_day_without_sends_is_reported(replay: Replay, day: pa.Table) -> None:
    assert levels_of(replay, day.slice(0, 0), earlier=(600,) * 6)[f"{SENDS}.{WHOLE_DAY}"] == "act"


def test_what_the_api_was_asked_is_evaluated_by_itself(replay: Replay, day: pa.Table) -> None:
    asked = replaced(day, "gender", ["male"] * day.num_rows).drop_columns(["unsubscribed", "matured_at", "subject"])
    levels = levels_of(replay, day, traffic=asked)
    assert levels[f"{TRAFFIC}.gender"] == levels[f"{TRAFFIC}.{WHOLE_DAY}"] == "act"
    assert levels[f"{SENDS}.{WHOLE_DAY}"] == "none"


def test_a_champion_of_before_drift_was_watched_has_no_reference(replay: Replay, tmp_path: Path) -> None:
    assert profile_of(replace(replay.champion, folder=tmp_path)) is None
