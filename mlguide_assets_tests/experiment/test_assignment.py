"""Assignment: golden units, the same in Python and in DuckDB; what grows moves nobody; draws that know nothing of
each other."""

from collections import Counter
from typing import Any

import ibis
import pytest
from scipy.stats import chi2_contingency, chisquare

from mlguide_assets.experiment.assignment import arm_of, assignments
from mlguide_assets.experiment.eligibility import eligible
from mlguide_assets.experiment.specification import Experiment
from mlguide_assets_tests.experiment.files import PROBLEM, experiment

UNITS = 10_000
GOLDEN = {1: "personal", 2: "personal", 3: "generic", 7: "personal", 14_301: "personal"}


@pytest.fixture(scope="module")
def units(duck: Any) -> ibis.Table:
    return duck.sql(f"SELECT range AS unit_id FROM range({UNITS})")


def assigned(experiment: Experiment, units: ibis.Table, share: float = 1.0) -> dict[int, str]:
    rows = assignments(experiment, units, share).to_pyarrow()
    return dict(zip(rows["unit_id"].to_pylist(), rows["arm"].to_pylist(), strict=True))


def test_no_upgrade_moves_a_unit() -> None:
    assert {unit: arm_of(experiment(), unit, 1.0) for unit in GOLDEN} == GOLDEN


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"holdout": "0.1", "exclusion": "{first: 0.25, last: 0.75}"},
        {"arms": "[" + ", ".join(f"{{name: {name}, policy: random, weight: 0.1}}" for name in "abcdefghij") + "]"},
    ],
    ids=["plain", "hold-out and slice", "ten arms"],
)
@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_python_and_duckdb_assign_alike(changes: dict[str, str], share: float, units: ibis.Table) -> None:
    which = experiment(**changes, **({"control": "a"} if "arms" in changes else {}))
    found = assigned(which, units, share)
    assert found == {unit: arm for unit in range(UNITS) if (arm := arm_of(which, unit, share)) is not None}


def test_a_ramp_lets_units_in_and_moves_none(units: ibis.Table) -> None:
    which = experiment()
    before: dict[int, str] = {}
    for share in (0.01, 0.05, 0.2, 0.5, 1.0):
        now = assigned(which, units, share)
        assert len(now) == pytest.approx(share * UNITS, rel=0.3)
        assert before.items() <= now.items()
        before = now


def test_days_follow_the_ramp() -> None:
    which = experiment(ramp="[{share: 0.01, days: 2}, {share: 0.2, days: 3}, {share: 1}]")
    assert [which.share_on(day) for day in (-1, 0, 1, 2, 4, 5, 500)] == [0, 0.01, 0.01, 0.2, 0.2, 1, 1]


def test_arms_have_their_weights_whoever_is_let_in(units: ibis.Table) -> None:
    arms = "[{name: generic, policy: generic, weight: 0.2}, {name: personal, policy: champion, weight: 0.8}]"
    for share in (0.2, 1.0):
        counts = Counter(assigned(experiment(arms=arms), units, share).values())
        total = sum(counts.values())
        assert chisquare([counts["generic"], counts["personal"]], [0.2 * total, 0.8 * total]).pvalue > 0.001


def test_experiments_with_other_salts_know_nothing_of_each_other(units: ibis.Table) -> None:
    first, second = (
        assigned(experiment(salts=f"{{inclusion: {name}/in, arm: {name}/arm}}"), units) for name in ("one", "two")
    )
    table = Counter((first[unit], second[unit]) for unit in first)
    rows = [[table[a, b] for b in ("generic", "personal")] for a in ("generic", "personal")]
    assert chi2_contingency(rows).pvalue > 0.001


def test_no_unit_is_in_two_slices_of_a_group_or_held_out_and_in(units: ibis.Table) -> None:
    low = assigned(experiment(exclusion="{first: 0, last: 0.4}"), units)
    high = assigned(experiment(exclusion="{first: 0.4, last: 1}"), units)
    assert not low.keys() & high.keys()
    assert len(low) + len(high) == UNITS
    # Another experiment, another slice, the same units kept out.
    kept_out = [
        set(range(UNITS)) - assigned(experiment(holdout="0.1", salts=f"{{inclusion: i, arm: {arm}}}"), units).keys()
        for arm in ("x", "y")
    ]
    assert kept_out[0] == kept_out[1]
    assert len(kept_out[0]) == pytest.approx(0.1 * UNITS, rel=0.1)


def test_an_unknown_value_meets_no_condition() -> None:
    rows = {"id": [1, 2, 3, 4], "age": [17, 18, 40, None], "country": ["US", "JP", None, "US"]}
    profiles = ibis.memtable(rows, schema={"id": "int64", "age": "int64", "country": "string"})
    conditions = experiment(eligibility="[{column: age, min: 18, max: 39}, {column: country, values: [JP, US]}]")
    assert eligible(profiles, conditions.eligibility, PROBLEM).to_pyarrow()["id"].to_pylist() == [2]
    assert eligible(profiles, experiment().eligibility, PROBLEM).count().to_pyarrow().as_py() == 2
