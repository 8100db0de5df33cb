"""Entities that a problem file keeps apart and that may be the same: asked of their ids, decided by a person."""

from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.prepare.forgetting.forget_list import entity_of
from mlguide_assets.prepare.forgetting.other_roles import possible_roles
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.other_tables import PAYERS, problem_of


@pytest.mark.parametrize(
    ("noun", "key", "roles"),
    [
        ("card", 1, ["payer"]),
        ("card", 2, ["payer", "payee"]),
        ("card", 4, []),
        ("payer", 2, ["card"]),
        ("shop", 1, []),
    ],
)
def test_an_id_in_another_role_is_found_where_all_ids_of_that_role_are_those_of_a_table(
    tmp_path: Path, noun: str, key: int, roles: list[str]
) -> None:
    problem, lake = problem_of(PAYERS, tmp_path / "bank"), Lake(tmp_path / "lake")
    lake.write("cards", pa.table({"card": [1, 2, 3, 4]}))
    lake.write("payments", pa.table({"from": [1, 2, None], "to": ["2", "3", "2"], "shop": [1, 9, 2]}))
    assert possible_roles(lake, problem, [entity_of(problem, noun)], key) == roles
