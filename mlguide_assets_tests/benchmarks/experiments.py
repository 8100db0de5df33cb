"""Experiments without a treatment, from assignment to verdict, and the assignment of a million units: `experiments N`.

All N experiments are on one world, each with salts of its own, so that only the assignment differs. Prints JSON.
"""

import json
import sys
import time
from datetime import timedelta
from typing import Any

import ibis
import numpy as np
from scipy.stats import binom, kstest

from mlguide_assets.experiment.analysis.analysis import analyse
from mlguide_assets.experiment.assignment import assignments
from mlguide_assets.experiment.looks import design_of
from mlguide_assets.experiment.outcomes import unit_outcomes
from mlguide_assets.experiment.specification import Experiment
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets_tests.experiment.files import PROBLEM, experiment
from mlguide_assets_tests.experiment.worlds import START, profiles, sends

UNITS = 4000
RATE = 0.06
"""Of the actions that have the positive outcome."""


def main(count: int) -> None:
    random = np.random.default_rng(1)
    days = random.uniform(-28, 7, (UNITS, 3))
    made = sends(*((unit + 1, float(day), bool(random.random() < RATE)) for unit in range(UNITS) for day in days[unit]))
    p_values = [p for number in range(count) if (p := _p_value(without_treatment(number), made)) is not None]
    alpha, rejected = experiment().alpha, sum(p < experiment().alpha for p in p_values)
    low, high = binom.interval(0.99, len(p_values), alpha)
    found = {
        "experiments": len(p_values),
        "rejected": rejected,
        "bounds": [int(low), int(high)],
        "uniform_p": float(kstest(p_values, "uniform").pvalue),
        "assign_a_million_seconds": _assign_a_million(),
    }
    print(json.dumps(found))


def without_treatment(number: int) -> Experiment:
    return experiment(
        salts=f"{{inclusion: inclusion/{number}, arm: arm/{number}}}",
        eligibility="[]",
        exclusion=f"{{group: group/{number}, first: 0, last: 0.9}}",
    )


def _p_value(which: Experiment, made: Any) -> float | None:
    """Of the primary metric; None where the experiment is unhealthy."""
    people = ibis.memtable(profiles(UNITS))
    assigned = assignments(which, people.select(unit_id="id"), share=1.0)
    exposed = assigned.select("unit_id", arm="arm", exposed_at=ibis.timestamp(START))
    until = START + which.closes_after(PROBLEM) + timedelta(seconds=1)
    units = unit_outcomes(exposed, ibis.memtable(made), people, which, PROBLEM, until=until)
    measured = ibis.memtable(units.to_pyarrow())
    found = analyse(measured, design_of(which, measured, None))
    return found.results[0].p if found.results else None


def _assign_a_million() -> float:
    connection = connect()
    connection.raw_sql("CREATE TABLE people AS SELECT range AS unit_id FROM range(1000000)")
    query = ibis.to_sql(assignments(experiment(), connection.table("people"), share=1.0))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        connection.raw_sql(f"CREATE OR REPLACE TABLE assigned AS {query}")
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]))
