"""Did the API see the features that training would have? Every logged vector is computed again offline.

As of the same instants, from the tables that the online state was published from: what arrived later, or was
corrected since, is no fault of the server.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.log.prediction_log import CHALLENGER, CHAMPION, FALLBACK, ROUTED
from mlguide_assets.deploy.online_store.publishing import pinned_publications, published_from
from mlguide_assets.english import agreeing, counted
from mlguide_assets.observe.rows import column_of
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.comparing import differing
from mlguide_assets.prepare.features.compiling import with_features
from mlguide_assets.prepare.features.instants import FEW
from mlguide_assets.prepare.lake.lake import Lake

MOST_ROWS = 50_000
"""Per publication; a seeded sample of more."""

SCHEMA = pa.schema(
    [
        ("feature", pa.string()),
        ("rows", pa.int64()),
        ("mismatches", pa.int64()),
        ("share", pa.float64()),
        ("example", pa.string()),
    ]
)

COLUMNS = {
    "feature": "The feature.",
    "rows": "Logged values that were compared.",
    "mismatches": "Logged values that differ from what is computed offline.",
    "share": "Mismatches as a share of the values compared.",
    "example": "One that differs, as JSON; null where there is none.",
}
"""Column → meaning."""


@dataclass(frozen=True)
class OnlineParity:
    """One row per feature, as `SCHEMA`; how many logged vectors were compared, and how many no longer can be."""

    table: pa.Table
    rows: int
    beyond: int


@dataclass(frozen=True)
class ParityVerdict:
    """The features that differ anywhere, the worst first, and what to say of them."""

    differing: tuple[str, ...]
    sentence: str


def online_parity(log: ibis.Table, lake: Lake, problem: Problem) -> OnlineParity:
    """Compare logged vectors with what the offline path computes for the same entities and instants.

    Each feature of those vectors that have it: models that answer side by side may have learned from others. What-ifs
    are left out, since their features were set by hand, and so are answers by the base rate.
    """
    real = log.filter(log.variant.isin([CHAMPION, CHALLENGER, ROUTED, FALLBACK]) & log.features.notnull())
    decision = problem.decision
    keys = (*decision.ids, decision.time)
    logged = real.select("request_id", "position", *keys, "feature_time", "published", "features").to_pyarrow()
    if not logged.num_rows:
        # Before the first run, what the features are may not be decided yet.
        return OnlineParity(SCHEMA.empty_table(), 0, 0)
    features = [feature for feature in features_of(problem) if feature.for_models]
    publications = pinned_publications(lake, published_from(problem))
    counts = {feature.name: _Count(keys) for feature in features}
    compared = 0
    for published in sorted(set(logged["published"].to_pylist())):
        if published not in publications:
            continue
        rows = _sample(logged.filter(pc.equal(logged["published"], published)), problem.evaluation.seed)
        vectors = [json.loads(vector) for vector in rows["features"].to_pylist()]
        online = {each.name: pa.chunked_array([column_of(vectors, each)]) for each in features}
        known = {each.name: online[each.name] for each in features if each.origin == "known"}
        expected = _offline(rows, known, lake, publications[published], problem)
        for name, values in online.items():
            # A model that has not learned from a feature is not given it.
            given = np.flatnonzero([name in vector for vector in vectors])
            counts[name].add(rows.take(given), values.take(given), expected[name].take(given))
        compared += rows.num_rows
    table = [{"feature": name, **count.row()} for name, count in counts.items()]
    return OnlineParity(pa.Table.from_pylist(table, SCHEMA), compared, logged.num_rows - compared)


def parity_verdict(parity: ibis.Table) -> ParityVerdict:
    """What the table of `online_parity` says: nothing may differ.

    Args:
        parity: rows of `SCHEMA`.
    """
    rows = parity.to_pyarrow().to_pylist()
    vectors = max((row["rows"] for row in rows), default=0)
    wrong = sorted((row for row in rows if row["mismatches"]), key=lambda row: -row["mismatches"])
    if not wrong:
        return ParityVerdict((), f"All features of {vectors:,} logged vectors equal what is computed offline.")
    worst = wrong[0]
    return ParityVerdict(
        tuple(row["feature"] for row in wrong),
        f"{len(wrong)} of {counted(len(rows), 'feature')} {agreeing(len(wrong), 'differ')}; {worst['feature']} does "
        f"in {worst['mismatches']:,} of "
        f"{worst['rows']:,} logged vectors ({worst['example']}).",
    )


@dataclass
class _Count:
    """How often a feature differed, and where first.

    Args:
        keys: the columns of ids, and the time.
    """

    keys: tuple[str, ...]
    rows: int = 0
    mismatches: int = 0
    example: str | None = None

    def add(self, rows: pa.Table, online: pa.ChunkedArray, offline: pa.ChunkedArray) -> None:
        wrong = np.flatnonzero(differing(online, offline))
        self.rows += rows.num_rows
        self.mismatches += len(wrong)
        if len(wrong) and self.example is None:
            at = int(wrong[0])
            *ids, instant = (rows[name][at].as_py() for name in self.keys)
            nouns = (name.removesuffix("_id") for name in self.keys)
            who = ", ".join(f"{noun} {each}" for noun, each in zip(nouns, ids, strict=False))
            self.example = f"{who} at {instant.isoformat()}: {_shown(online[at])} online, {_shown(offline[at])} offline"

    def row(self) -> dict[str, Any]:
        share = self.mismatches / self.rows if self.rows else 0.0
        return {"rows": self.rows, "mismatches": self.mismatches, "share": share, "example": self.example}


def _shown(value: pa.Scalar) -> str:
    """With as many digits as a difference may need to be seen."""
    plain = value.as_py()
    return f"{plain:.12g}" if isinstance(plain, int | float) else str(plain)


def _sample(rows: pa.Table, seed: int) -> pa.Table:
    if rows.num_rows <= MOST_ROWS:
        return rows
    return rows.take(np.sort(np.random.default_rng(seed).choice(rows.num_rows, MOST_ROWS, replace=False)))


_KNOWN_UNTIL, _PLACE = "_known_until", "_place"


def _offline(
    rows: pa.Table, known: Mapping[str, pa.ChunkedArray], lake: Lake, snapshots: Mapping[str, str], problem: Problem
) -> pa.Table:
    """The features of the logged cases, computed again, in the order of the rows.

    Args:
        known: columns of the events as they were logged: no table has these events yet.
    """
    decision = problem.decision
    spine = {name: rows[name] for name in (*decision.ids, decision.time)}
    # Texts that are known of an event are carried along, but no model sees them, so no log has them.
    spine |= {
        each.name: pa.nulls(rows.num_rows, pa.string()) for each in features_of(problem) if each.origin == "known"
    }
    spine |= {_KNOWN_UNTIL: rows["feature_time"], _PLACE: pa.array(range(rows.num_rows), pa.int64()), **known}
    tables = {table: lake.read(table, snapshot_id=snapshot) for table, snapshot in snapshots.items()}
    rows_asked = ibis.memtable(pa.table(spine))
    computed = with_features(rows_asked, tables, problem, instants=FEW, known_until=_KNOWN_UNTIL)
    return lake.connection.to_pyarrow(computed.order_by(_PLACE))
