"""Simulated card payments: equal worlds are equal bytes, frauds are rare and have causes, and the truth is known."""

from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.prepare.features.building import decisions_of
from mlguide_assets.prepare.oracle import FILE, with_oracle
from mlguide_assets.prepare.profiling.checking import check_problem
from mlguide_assets.prepare.simulator.payments.generate import ORACLE, TRANSACTIONS, payments, write
from mlguide_assets.prepare.simulator.payments.world import PaymentWorld
from mlguide_assets.prepare.sources.reading import read_source

WORLD = PaymentWorld(payments=60_000)
SMALL = PaymentWorld(payments=3000)
FRAUD = with_overrides(load_problem("fraud"), sends=3000)


@lru_cache(maxsize=1)
def history() -> pa.Table:
    return payments(WORLD)


def frauds(table: pa.Table) -> Any:
    """Whether each payment was one, whenever that came out."""
    return ~np.isnat(table["reported_at"].to_numpy())


def test_equal_worlds_give_equal_bytes(tmp_path: Path) -> None:
    rows = write(SMALL, tmp_path / "one")
    write(SMALL, tmp_path / "two")
    assert rows == {"transactions": rows["oracle"], "oracle": rows["oracle"]}
    for name, columns in {"transactions.parquet": TRANSACTIONS, FILE: ORACLE}.items():
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert tuple(pq.read_schema(tmp_path / "one" / name).names) == columns


def test_another_seed_is_another_world() -> None:
    assert not payments(SMALL).equals(payments(PaymentWorld(seed=8, payments=3000)))


def test_payments_are_as_many_as_asked_for_and_in_order_of_time() -> None:
    table = history()
    assert table.num_rows == pytest.approx(WORLD.payments, rel=0.05)
    assert table["TRANSACTION_ID"].to_pylist() == list(range(1, table.num_rows + 1))
    times = table["TX_DATETIME"].to_numpy()
    assert (np.diff(times) >= np.timedelta64(0)).all()
    assert times[0] >= np.datetime64(WORLD.start)
    assert times[-1] < np.datetime64(WORLD.end)
    assert 1 <= pc.min(table["TERMINAL_ID"]).as_py() < pc.max(table["TERMINAL_ID"]).as_py() <= WORLD.terminals
    assert pc.max(table["CUSTOMER_ID"]).as_py() == WORLD.customers


def test_about_one_payment_in_a_hundred_is_a_fraud() -> None:
    assert 0.006 < frauds(history()).mean() < 0.016


def test_frauds_are_drawn_from_the_probabilities_that_the_oracle_knows() -> None:
    truth, happened = history()["probability"].to_numpy(), frauds(history())
    assert happened.mean() == pytest.approx(truth.mean(), rel=0.1)
    likely = truth > 0.3
    assert happened[likely].mean() == pytest.approx(truth[likely].mean(), abs=0.05)
    assert roc_auc_score(happened, truth) > 0.95


def test_frauds_have_causes_that_can_be_seen() -> None:
    table, happened = history(), frauds(history())
    amounts, terminals = table["TX_AMOUNT"].to_numpy(), table["TERMINAL_ID"].to_numpy()
    assert happened[amounts > 220].mean() > 10 * happened.mean()
    per_terminal = np.bincount(terminals[happened], minlength=WORLD.terminals + 1)
    worst = np.argsort(per_terminal)[-WORLD.terminals // 20 :]
    assert per_terminal[worst].sum() > 0.4 * happened.sum(), "a twentieth of the terminals has most frauds"
    assert 0.6 < roc_auc_score(happened, amounts) < 0.8, "and no column alone is the outcome"


def test_a_fraud_reads_no_until_it_is_reported() -> None:
    until = datetime(2018, 7, 1)
    early, whole = payments(WORLD, until), history()
    assert pc.max(early["TX_DATETIME"]).as_py() < until
    same = whole.slice(0, early.num_rows)
    assert early.drop(["TX_FRAUD"]).equals(same.drop(["TX_FRAUD"]))
    late = early.filter(pc.not_equal(early["TX_FRAUD"], same["TX_FRAUD"]))
    assert late.num_rows > 0
    assert pc.min(late["TX_DATETIME"]).as_py() > until - timedelta(days=7)
    delays = np.nanmax((whole["reported_at"].to_numpy() - whole["TX_DATETIME"].to_numpy()) / np.timedelta64(1, "D"))
    assert delays <= 7


def test_the_shipped_problem_reads_them_and_knows_the_truth_of_every_payment(duck: Any, tmp_path: Path) -> None:
    scratch, messages = tmp_path / "scratch", list[str]()
    tables = read_source(FRAUD, duck, scratch=scratch, oracle=tmp_path, report=messages.append)
    assert messages[0] == "reading from the payment simulator (3,000 payments, seed 7)"
    rows = decisions_of(tables, FRAUD)
    judged = with_oracle(rows, tmp_path, FRAUD).to_pyarrow()
    assert judged.num_rows == rows.count().execute() == tables["transactions"].count().execute()
    assert judged["oracle"].null_count == 0
    assert FRAUD.key == "fraud_simulated"


def test_the_shipped_problem_can_be_trained_on_and_needs_no_mending(duck: Any, tmp_path: Path) -> None:
    found = check_problem(FRAUD, duck, tmp_path, lambda _: None)
    assert found.decisions is not None
    assert found.decisions.positives > 10
    assert found.decisions.waiting < 0.1 * found.decisions.rows
    assert (found.remarks, found.warnings, found.quarantined, found.blocked) == ((), (), (), ())
