"""The simulated payments, and the oracle that knows how likely each was a fraud.

There are three kinds of fraud. About half of the payments at a compromised terminal are frauds. A thief pays several
times the customer's usual amount, anywhere, at any hour. Very large amounts are often frauds. Whether a payment is one
is drawn from its own probability, which is the oracle's.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit
from scipy.stats import poisson

from mlguide_assets.instants import midnight
from mlguide_assets.prepare.simulator.payments.population import Customers, customers
from mlguide_assets.prepare.simulator.payments.thieves import compromised, stolen
from mlguide_assets.prepare.simulator.payments.world import PaymentWorld
from mlguide_assets.prepare.simulator.randomness import entity_normal, entity_uniform
from mlguide_assets.statistics.arrays import Flags, Floats, Integers

TRANSACTIONS = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")
ORACLE = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "probability", "reported_at")

_DAY = 86_400
_LONGEST_DELAY = 7 * _DAY
_AWAY = 0.1
"""Share of payments at a terminal that may be anywhere."""
_THIEFS = 0.4
"""Share of the payments with a stolen card that the thief makes."""
_THIEFS_FACTOR = 5.0
"""So many times the usual amount."""
_BIG = 220.0

# In logit units.
_USUAL, _AT_COMPROMISED, _BY_THIEF, _BIG_AMOUNT, _PER_USUAL_AMOUNT, _AT_NIGHT = -7.6, 7.4, 9.0, 4.5, 0.5, 0.8


@dataclass(frozen=True)
class _Payments:
    """One value per payment. Customers and terminals count from 1, days from 0."""

    id: Integers
    customer: Integers
    terminal: Integers
    day: Integers
    second: Integers
    """From the world's start."""
    amount: Floats
    by_thief: Flags


def payments(world: PaymentWorld, until: datetime | None = None) -> pa.Table:
    """All payments before `until`, in order of time, with the truth of each.

    Columns as in TRANSACTIONS and ORACLE; times are UTC without a zone. `TX_FRAUD` is what was on record at `until`
    (default: the world's end): a fraud is reported some days later, a week at most. `probability` and `reported_at` are
    the truth, whenever it came out.

    >>> payments(PaymentWorld(payments=1000)).column_names[:3]
    ['TRANSACTION_ID', 'TX_DATETIME', 'CUSTOMER_ID']
    """
    made = _in_order(_drawn(world, customers(world)))
    probability = expit(_logits(world, made))
    fraud = entity_uniform(world.seed, "payment/fraud", made.id) < probability
    delay = (_LONGEST_DELAY * entity_uniform(world.seed, "payment/delay", made.id) ** 2).astype(np.int64)
    reported = made.second + delay
    known = _seconds(world, until or midnight(world.end))
    table = pa.table(
        {
            "TRANSACTION_ID": made.id,
            "TX_DATETIME": pa.array(_times(world, made.second)),
            "CUSTOMER_ID": made.customer,
            "TERMINAL_ID": made.terminal,
            "TX_AMOUNT": made.amount,
            "TX_FRAUD": (fraud & (reported <= known)).astype(np.int64),
            "probability": probability,
            "reported_at": pa.array(_times(world, reported), mask=~fraud),
        }
    )
    return table.slice(0, int(np.searchsorted(made.second, known)))


def write(world: PaymentWorld, out: Path, *, until: datetime | None = None) -> dict[str, int]:
    """Write `transactions.parquet` and `oracle.parquet` as known at `until` into a folder; returns rows per file.

    A file appears complete or not at all.
    """
    rows = payments(world, until)
    out.mkdir(parents=True, exist_ok=True)
    files = {"transactions": TRANSACTIONS, "oracle": ORACLE}
    with TemporaryDirectory(prefix=".simulating-", dir=out) as work:
        for name, columns in files.items():
            pq.write_table(rows.select(columns), Path(work) / f"{name}.parquet", compression="zstd")
        for name in files:
            (Path(work) / f"{name}.parquet").replace(out / f"{name}.parquet")
    return dict.fromkeys(files, rows.num_rows)


def _drawn(world: PaymentWorld, who: Customers) -> _Payments:
    """Who pays how often on which day, where, when and how much; numbered customer by customer, day by day."""
    cells = np.arange(1, world.customers * world.days + 1)
    often = poisson.ppf(entity_uniform(world.seed, "day/count", cells), np.repeat(who.rate, world.days))
    cell = np.repeat(cells - 1, often.astype(np.int64))
    id, customer, day = np.arange(1, len(cell) + 1), cell // world.days, cell % world.days
    by_thief = stolen(world)[customer, day] & (entity_uniform(world.seed, "payment/thief", id) < _THIEFS)
    amount = who.usual_amount[customer] * np.exp(0.55 * entity_normal(world.seed, "payment/amount", id))
    hour = who.hour[customer] + 3.5 * entity_normal(world.seed, "payment/hour", id)
    hour = np.where(by_thief, 24 * entity_uniform(world.seed, "payment/any hour", id), hour)
    return _Payments(
        id=id,
        customer=customer + 1,
        terminal=_terminals(world, who, id, customer, by_thief),
        day=day,
        second=day * _DAY + (hour % 24 * 3600).astype(np.int64),
        amount=np.round(np.where(by_thief, _THIEFS_FACTOR, 1.0) * amount, 2),
        by_thief=by_thief,
    )


def _terminals(world: PaymentWorld, who: Customers, id: Integers, customer: Integers, by_thief: Flags) -> Integers:
    """The nearer a terminal, the likelier it is used; a thief goes anywhere."""
    rank = (who.near.shape[1] * entity_uniform(world.seed, "payment/near", id) ** 2).astype(np.int64)
    anywhere = (world.terminals * entity_uniform(world.seed, "payment/anywhere", id)).astype(np.int64) + 1
    away = by_thief | (entity_uniform(world.seed, "payment/away", id) < _AWAY)
    return np.where(away, anywhere, who.near[customer, rank])


def _in_order(made: _Payments) -> _Payments:
    """In order of time, and numbered so: a payment's number says nothing about whose it is."""
    order = np.lexsort((made.id, made.second))
    columns = {name: values[order] for name, values in vars(made).items()}
    return _Payments(**{**columns, "id": made.id})


def _logits(world: PaymentWorld, made: _Payments) -> Floats:
    usual = customers(world).usual_amount[made.customer - 1]
    hour = made.second % _DAY // 3600
    logits: Floats = (
        _USUAL
        + _AT_COMPROMISED * compromised(world)[made.terminal - 1, made.day]
        + _BY_THIEF * made.by_thief
        + _BIG_AMOUNT * (made.amount > _BIG)
        + _PER_USUAL_AMOUNT * np.log(np.maximum(made.amount, 1.0) / usual)
        + _AT_NIGHT * ((hour < 6) | (hour >= 23))
    )
    return logits


def _seconds(world: PaymentWorld, when: datetime) -> int:
    return int((when - midnight(world.start)).total_seconds())


def _times(world: PaymentWorld, seconds: Integers) -> npt.NDArray[np.datetime64]:
    return np.datetime64(world.start, "us") + seconds.astype("timedelta64[s]")
