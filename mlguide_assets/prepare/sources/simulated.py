"""Tables from a simulator. Its truth goes to a folder of its own, outside the lake."""

from datetime import datetime
from pathlib import Path
from typing import Any

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import TableName
from mlguide_assets.define.sources import FeedFault, PaymentSimulatorSource, SimulatorSource
from mlguide_assets.english import counted
from mlguide_assets.prepare.duckdb.connection import read_parquet
from mlguide_assets.prepare.oracle import FILE
from mlguide_assets.prepare.simulator.generate import write
from mlguide_assets.prepare.simulator.payments.world import PaymentWorld
from mlguide_assets.prepare.simulator.plans import NO_PLANS, Plans
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.prepare.sources.feed_faults import spoil
from mlguide_assets.progress import Report


def world_of(problem: Problem) -> World:
    """The world that a problem's simulator describes."""
    source = problem.source
    if not isinstance(source, SimulatorSource):
        raise TypeError(f"{problem.name} does not read from the simulator")
    return World(
        seed=source.seed,
        sends=source.sends,
        start=problem.history_start,
        days=source.days,
        base_rate=source.base_rate,
        unobserved_sd=source.unobserved_sd,
        covariate_shift=source.covariate_shift,
        concept_shift=source.concept_shift,
    )


def payment_world_of(problem: Problem) -> PaymentWorld:
    """The world that a problem's payment simulator describes."""
    source = problem.source
    if not isinstance(source, PaymentSimulatorSource):
        raise TypeError(f"{problem.name} does not read from the payment simulator")
    return PaymentWorld(seed=source.seed, payments=source.payments, start=problem.history_start, days=source.days)


def read_payment_simulator(
    problem: Problem,
    connection: Any,
    *,
    scratch: Path,
    oracle: Path,
    report: Report,
    until: datetime | None = None,
) -> dict[TableName, ibis.Table]:
    """Generate the payments as known at `until` into `scratch`, and move the oracle to its own folder."""
    # Half a second, for scipy.stats, that other sources need not wait for.
    from mlguide_assets.prepare.simulator.payments.generate import write as write_payments

    world = payment_world_of(problem)
    counts = write_payments(world, scratch, until=until)
    known = f", as known at {until}" if until else ""
    report(f"simulated {counts['transactions']:,} payments of {world.customers:,} customers{known}")
    oracle.mkdir(parents=True, exist_ok=True)
    (scratch / FILE).replace(oracle / FILE)
    return {name: read_parquet(connection, scratch / f"{name}.parquet") for name in problem.tables}


def read_simulator(
    problem: Problem,
    connection: Any,
    *,
    scratch: Path,
    oracle: Path,
    report: Report,
    until: datetime | None = None,
    plans: Plans = NO_PLANS,
) -> dict[TableName, ibis.Table]:
    """Generate the three tables as known at `until` into `scratch`, and move the oracle to its own folder.

    Args:
        plans: what a world that follows plans follows, from `followed_plans.py`.
    """
    counts = write(world_of(problem), scratch, until=until, plans=plans)
    known = f", as known at {until}" if until else ""
    followed = f", those of {counted(len(plans.days), 'day')} by the send plan" if plans.days else ""
    report(f"simulated {counts['user_emails']:,} sends to {counts['user_profiles']:,} users{known}{followed}")
    oracle.mkdir(parents=True, exist_ok=True)
    (scratch / FILE).replace(oracle / FILE)
    for fault in _faults_at(problem, until):
        spoil(scratch / f"{fault.table}.parquet", fault)
        report(f"{fault.table}.{fault.column} arrives {fault.what}, as source.faults has planted it")
    return {table: read_parquet(connection, scratch / f"{table}.parquet") for table in problem.tables}


def _faults_at(problem: Problem, until: datetime | None) -> list[FeedFault]:
    """The faults of a reading."""
    if not isinstance(problem.source, SimulatorSource) or until is None:
        return []
    return [fault for fault in problem.source.faults if fault.first <= until.date() < fault.until]
