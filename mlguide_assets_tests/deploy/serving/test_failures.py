"""A request that the server fails on is logged by the arm of its units, and lands: so a canary is judged by it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.bundle import champion
from mlguide_assets.deploy.log.landing import PREDICTION_LOG, land_log
from mlguide_assets.deploy.log.prediction_log import LogWriter
from mlguide_assets.deploy.online_store.sqlite import SqliteStore
from mlguide_assets.deploy.routing import Arm, Route
from mlguide_assets.deploy.serving.batching import Batcher
from mlguide_assets.deploy.serving.model import ServedModel, load_served
from mlguide_assets.deploy.serving.request import PredictionRequest
from mlguide_assets.deploy.serving.service import NO_CHAMPION, PendingRequest, Service
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.statistics.draws import SIZE
from mlguide_assets_tests.deploy.serving.serving import House
from mlguide_assets_tests.train.sends import PROBLEM

ROUTE = Route(
    "canary-2", 1, (), "canary/2", (Arm("canary", "challenger", SIZE // 2), Arm("champion", "champion", SIZE))
)


def in_arm(name: str) -> int:
    return next(user for user in range(1, 31) if (arm := ROUTE.arm_of(user)) and arm.name == name)


IN, OUT = in_arm("canary"), in_arm("champion")


@dataclass(frozen=True)
class Broken(ServedModel):
    """It scores, but its answers cannot be put in words."""

    def label(self, probability: float) -> str:
        raise LookupError(probability)


@pytest.fixture
def service(house: House) -> Service:
    bundle = champion(house.bundles)
    assert bundle is not None
    served = load_served(bundle)
    service = Service(house.problem, SqliteStore(house.store))
    service.champion, service.challenger = served, Broken(**{**served.__dict__, "version": "2"})
    service.routes = (ROUTE,)
    return service


def test_a_champion_that_cannot_be_loaded_is_not_one_that_was_never_promoted(house: House, tmp_path: Path) -> None:
    faults = ["Its bundle is damaged.", None]
    service = Service(house.problem, SqliteStore(house.store), lambda: faults.pop(0))
    said = [ask(service, tmp_path, [3])[0].refusal for _ in range(2)]
    assert [each.detail for each in said if each] == ["Its bundle is damaged.", NO_CHAMPION]


def ask(service: Service, folder: Path, *users: Sequence[int]) -> list[PendingRequest]:
    async def answers() -> list[PendingRequest]:
        log = LogWriter(folder)
        batcher = Batcher(service, [log], lambda _: None)
        asked = (PredictionRequest(units=each, candidates=[3]) for each in users)
        pending = await asyncio.gather(*(batcher.answer(each, f"r{place}") for place, each in enumerate(asked)))
        batcher.stop()
        log.close()
        return pending

    return asyncio.run(answers())


def landed(folder: Path, tmp_path: Path) -> list[dict[str, Any]]:
    lake = Lake(tmp_path / "lake")
    land_log(folder, lake, PROBLEM, today=date(2024, 4, 21))
    return lake.read(PREDICTION_LOG).order_by("request_id", "user_id").to_pyarrow().to_pylist()


def test_a_failed_request_has_a_row_of_each_unit_with_its_arm(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    requests = ask(service, folder, [OUT], [IN], [IN, OUT])
    assert [each.refusal and each.refusal.status for each in requests] == [None, 500, 500]
    found = [
        (
            row["request_id"],
            row["user_id"],
            row["variant"],
            row["arm"],
            row["model_version"],
            row["probability"] is None,
        )
        for row in landed(folder, tmp_path)
    ]
    assert found == [
        ("r0", OUT, "champion", "champion", "1", False),
        ("r1", IN, "failed", "canary", "2", True),
        *sorted([("r2", IN, "failed", "canary", "2", True), ("r2", OUT, "failed", "champion", "1", True)]),
    ]


def test_a_failure_outside_all_arms_is_only_counted(service: Service, tmp_path: Path) -> None:
    assert service.champion is not None
    service.champion, service.routes = Broken(**service.champion.__dict__), ()
    (work,) = ask(service, tmp_path / "log", [OUT])
    assert work.refusal is not None
    assert landed(tmp_path / "log", tmp_path) == []


def test_a_log_that_cannot_be_written_leaves_the_refusal_as_it_is(service: Service, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("no folder")
    (work,) = ask(service, tmp_path / "log", [IN])
    assert work.refusal is not None
    assert work.refusal.status == 500
