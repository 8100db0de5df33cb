"""Small tables that are nobody's emails, and problem files that read them: payments of cards, orders of customers."""

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from mlguide_assets.define.problem import Problem

START = datetime(2024, 1, 1)
DAYS = 120

PAYMENTS: dict[str, Any] = {
    "name": "cards",
    "statement": "Stolen cards cost money.",
    "hypothesis": "The shop and the habits of the card give them away.",
    "history_start": "2024-01-01",
    "tables": {
        "cards": {
            "entity": "card",
            "key": "card",
            "known_from": "issued",
            "columns": {"issued": "time", "kind": "category"},
        },
        "payments": {
            "event": "payment",
            "key": ["payment"],
            "at": "paid",
            "of": {"card": "card", "shop": "shop"},
            "columns": {"amount": "number", "fraud": "flag"},
        },
    },
    "predict": {
        "each": "payment",
        "known": ["amount"],
        "label": {"column": "fraud", "positive": "true", "negative": "false", "window": "3d"},
    },
    "features": {
        "declared": {
            "payments_7d": {"count": "payment", "by": "card", "within": "7d"},
            "mean_amount": {"mean": "payment.amount", "by": "card"},
            "shop_frauds_14d": {"rate": "label", "by": "shop", "within": "14d"},
            "age_days": {"age": "card"},
            "hour": {"calendar": "hour"},
        }
    },
    "evaluation": {"bootstrap_repeats": 50},
    "gate": {"permutations": 100},
    "costs": {"missed": 50.0, "false_alarm": 2.0},
}

PAYERS: dict[str, Any] = {
    **PAYMENTS,
    "tables": {
        **PAYMENTS["tables"],
        "payments": {
            **PAYMENTS["tables"]["payments"],
            "of": {"payer": "from", "payee": "to", "shop": "shop"},
        },
    },
    "features": {"declared": {"payments_7d": {"count": "payment", "by": "payer", "within": "7d"}}},
}
"""Whoever pays and is paid has a card, as the ids may say; no table says so."""

ORDERS: dict[str, Any] = {
    **{key: PAYMENTS[key] for key in ("statement", "hypothesis", "history_start", "evaluation", "gate", "costs")},
    "name": "orders",
    "tables": {
        "orders": {
            "event": "order",
            "at": "ordered",
            "of": {"customer": "customer"},
            "columns": {"amount": "number", "channel": "category"},
        }
    },
    "predict": {
        "each": "customer",
        "every": "7d",
        "where": {"count": "order", "within": "60d", "at_least": 1},
        "label": {"count": "order", "within": "14d", "at_most": 0},
    },
    "features": {"automatic": {"windows": ["14d", "all"], "max": 20}},
}


def problem_of(values: dict[str, Any], folder: Path) -> Problem:
    return Problem.model_validate({**values, "source": {"kind": "files", "uri": str(folder)}})


def write_payments(folder: Path, seed: int = 0, payments: int = 3000) -> Path:
    """Cards with text ids and shops that are known by their ids alone; a few shops are where frauds happen."""
    chance = random.Random(seed)
    cards = [f"c-{number:03}" for number in range(120)]
    rows = []
    for number in range(payments):
        paid = START + timedelta(seconds=chance.randrange(DAYS * 86_400))
        shop = chance.randrange(30)
        fraud = chance.random() < (0.5 if shop in (3, 7) and (paid - START).days % 60 > 40 else 0.03)
        amount = round(chance.lognormvariate(3, 0.5) * (2 if fraud else 1), 2)
        rows.append(
            {
                "payment": number,
                "card": chance.choice(cards),
                "shop": shop,
                "paid": paid,
                "amount": amount,
                "fraud": fraud,
            }
        )
    issued = [START - timedelta(days=chance.randrange(30, 900)) for _ in cards]
    kinds = [chance.choice(("debit", "credit")) for _ in cards]
    folder.mkdir(parents=True, exist_ok=True)
    pyarrow.csv.write_csv(pa.Table.from_pylist(rows), folder / "payments.csv")
    pyarrow.csv.write_csv(pa.table({"card": cards, "issued": issued, "kind": kinds}), folder / "cards.csv")
    return folder


def write_orders(folder: Path, seed: int = 0, customers: int = 150) -> Path:
    """Customers known by their ids alone, some of whom stop ordering."""
    chance = random.Random(seed)
    rows = []
    for customer in range(customers):
        day, pace, stops = chance.uniform(0, 20), chance.choice((3.0, 9.0)), chance.uniform(30, 300)
        while day < min(DAYS, stops):
            ordered = START + timedelta(seconds=int(day * 86_400))
            channel = chance.choice(("web", "shop", "phone"))
            rows.append(
                {
                    "customer": customer,
                    "ordered": ordered,
                    "amount": round(chance.uniform(5, 80), 2),
                    "channel": channel,
                }
            )
            day += chance.expovariate(1 / pace)
    folder.mkdir(parents=True, exist_ok=True)
    pyarrow.csv.write_csv(pa.Table.from_pylist(rows), folder / "orders.csv")
    return folder
