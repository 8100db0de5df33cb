"""Coupons that are offered to customers: a problem with texts as ids, of whose units no table tells."""

from datetime import datetime
from typing import Any

import pyarrow as pa

from mlguide_assets_tests.other_tables import PAYMENTS

COUPONS: dict[str, Any] = {
    **{key: PAYMENTS[key] for key in ("statement", "hypothesis", "history_start", "costs")},
    "name": "coupons",
    "tables": {
        "coupons": {"entity": "coupon", "key": "code", "static": True, "columns": {"kind": "category"}},
        "offers": {
            "event": "offer",
            "at": "offered_on",
            "of": {"coupon": "code", "customer": "client"},
            "columns": {"left": "flag"},
        },
    },
    "predict": {
        "each": "offer",
        "choose": "coupon",
        "label": {"column": "left", "positive": "true", "negative": "false", "window": "3d", "ends_unit": True},
    },
    "features": {"declared": {"offers_7d": {"count": "offer", "by": "customer", "within": "7d"}}},
}


def offers(*rows: tuple[str, str, datetime, bool | None]) -> pa.Table:
    names = ("client", "code", "offered_on", "left")
    types = [pa.string(), pa.string(), pa.timestamp("us"), pa.bool_()]
    columns = zip(names, zip(*rows, strict=True), types, strict=True)
    return pa.table({name: pa.array(column, kind) for name, column, kind in columns})
