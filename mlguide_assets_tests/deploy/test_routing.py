"""Routes: what is written is what servers read; conditions hold only for what is known."""

from pathlib import Path

import pytest

from mlguide_assets.deploy.routing import ROUTING, Arm, Condition, Met, Range, Route, met_by, read_routes, write_routes
from mlguide_assets.errors import InputError
from mlguide_assets.statistics.draws import SIZE, draw

ROUTE = Route(
    "fewer_losses",
    2,
    (Range("in", 0, SIZE // 2),),
    "arm",
    (Arm("generic", "generic", SIZE // 2), Arm("personal", "champion", SIZE)),
    (Condition("age", min=18), Condition("country", ("US", "KO"))),
)
KNOWN = {"age": 30, "country": "US"}


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


def test_a_unit_meets_the_arm_that_its_draws_say() -> None:
    for unit in range(200):
        met = met_by(unit, KNOWN, [ROUTE])
        if draw("in", unit) >= SIZE // 2:
            assert met is None
        else:
            arm = ("generic", "personal")[draw("arm", unit) >= SIZE // 2]
            assert met == Met("fewer_losses", 2, arm, "generic" if arm == "generic" else "champion")


@pytest.mark.parametrize(
    "known", [{}, {"age": 17, "country": "US"}, {"age": None, "country": "US"}, {"age": 30, "country": "JP"}]
)
def test_a_unit_that_does_not_meet_the_conditions_meets_no_arm(known: dict[str, object]) -> None:
    member = next(unit for unit in range(200) if met_by(unit, KNOWN, [ROUTE]))
    assert met_by(member, known, [ROUTE]) is None
