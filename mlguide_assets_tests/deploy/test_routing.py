"""Routes: what is written is what servers read; where not everybody may take part, the online store says who does."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mlguide_assets.deploy.routing import (
    ROUTING,
    Arm,
    Met,
    Range,
    Route,
    change_routes,
    met_by,
    read_routes,
    without_canary,
    write_routes,
)
from mlguide_assets.errors import InputError
from mlguide_assets.statistics.draws import SIZE, draw
from mlguide_assets_tests.other_user import not_allowed_to_read

ROUTE = Route(
    "fewer_losses",
    2,
    (Range("in", 0, SIZE // 2),),
    "arm",
    (Arm("generic", "generic", SIZE // 2), Arm("personal", "champion", SIZE)),
    by_eligibility=True,
)
MAY = {"fewer_losses_2": 1}


def test_routes_are_read_as_they_were_written_and_none_leave_no_file(tmp_path: Path) -> None:
    write_routes(tmp_path, [])
    assert not (tmp_path / ROUTING).exists()
    assert read_routes(tmp_path) == ()
    write_routes(tmp_path, [ROUTE])
    before = (tmp_path / ROUTING).stat().st_ino
    write_routes(tmp_path, [ROUTE])
    assert (tmp_path / ROUTING).stat().st_ino == before
    assert read_routes(tmp_path) == (ROUTE,)
    write_routes(tmp_path, [])
    assert read_routes(tmp_path) == ()


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / ROUTING).write_text('{"routes": [{"experiment": "x"}]}')
    with pytest.raises(InputError, match=r"routing\.json is damaged"):
        read_routes(tmp_path)


def test_a_file_that_this_user_may_not_read_is_not_called_damaged(tmp_path: Path) -> None:
    write_routes(tmp_path, [ROUTE])
    with not_allowed_to_read(tmp_path / ROUTING), pytest.raises(InputError, match="run as the user who owns it"):
        read_routes(tmp_path)


def test_a_unit_meets_the_arm_that_its_draws_say() -> None:
    for unit in range(200):
        met = met_by(unit, MAY, [ROUTE])
        if draw("in", unit) >= SIZE // 2:
            assert met is None
        else:
            arm = ("generic", "personal")[draw("arm", unit) >= SIZE // 2]
            assert met == Met("fewer_losses", 2, arm, "generic" if arm == "generic" else "champion")


@pytest.mark.parametrize("eligible", [{}, {"fewer_losses_2": 0}, {"fewer_losses_2": None}, {"fewer_losses_1": 1}])
def test_a_unit_that_is_not_eligible_meets_no_arm(eligible: dict[str, object]) -> None:
    member = next(unit for unit in range(200) if met_by(unit, MAY, [ROUTE]))
    assert met_by(member, eligible, [ROUTE]) is None
    assert met_by(member, eligible, [replace(ROUTE, by_eligibility=False)]) is not None


def test_a_unit_that_an_experiment_does_not_admit_is_in_the_canary_as_those_that_it_did_not_draw() -> None:
    canary = Route("canary-8", 1, (), "canary/8", (Arm("canary", "challenger", SIZE),))
    member = next(unit for unit in range(200) if met_by(unit, MAY, [ROUTE]))
    found = [met_by(member, eligible, [ROUTE, canary]) for eligible in (MAY, {})]
    assert [met and met.experiment for met in found] == ["fewer_losses", "canary-8"]


def test_of_the_conditions_that_an_earlier_version_wrote_only_that_there_are_some_is_kept(tmp_path: Path) -> None:
    write_routes(tmp_path, [ROUTE])
    content = json.loads((tmp_path / ROUTING).read_text())
    del content["routes"][0]["by_eligibility"]
    for conditions in ([], [{"column": "age", "values": [], "min": 18, "max": None}]):
        content["routes"][0]["conditions"] = conditions
        (tmp_path / ROUTING).write_text(json.dumps(content))
        assert read_routes(tmp_path) == (replace(ROUTE, by_eligibility=bool(conditions)),)


def test_changes_at_once_lose_no_route(tmp_path: Path) -> None:
    def add(number: int) -> None:
        own = replace(ROUTE, experiment=f"canary-{number}" if number % 2 else f"experiment{number}")
        change_routes(tmp_path, lambda published: [*published, own])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert len({route.experiment for route in read_routes(tmp_path)}) == 40
    change_routes(tmp_path, without_canary)
    assert sum(route.is_canary for route in read_routes(tmp_path)) == 0
    assert len(read_routes(tmp_path)) == 20


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    for routes in ((), (ROUTE,)):
        (tmp_path / ROUTING).write_text("{")
        write_routes(tmp_path, routes)
        assert read_routes(tmp_path) == routes
