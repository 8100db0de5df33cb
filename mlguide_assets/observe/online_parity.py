"""Did the API see the features that training would have? Every logged vector is computed again offline.

As of the same instants, from the tables that the online state was published from: what arrived later, or was
corrected since, is no fault of the server.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.publishing import PUBLISHED_FROM, pinned_publications
from mlguide_assets.deploy.prediction_log import CHALLENGER, CHAMPION, FALLBACK, ROUTED
from mlguide_assets.observe.rows import column_of
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.prepare.features.comparing import differing
from mlguide_assets.prepare.features.tables import KEYS, features_at
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
    """Compare logged vectors with what the offline path computes for the same users, emails and instants.

    What-ifs are left out, since their features were set by hand, and so are answers by the base rate.
    """
    features = [feature for feature in features_of(problem) if feature.for_models]
    real = log.filter(log.variant.isin([CHAMPION, CHALLENGER, ROUTED, FALLBACK]) & log.features.notnull())
    logged = real.select(*_LOGGED).to_pyarrow()
    publications = pinned_publications(lake)
    counted = {feature.name: _Count() for feature in features}
    compared = 0
    for published in sorted(set(logged["published"].to_pylist())):
        if published not in publications:
            continue
        rows = _sample(logged.filter(pc.equal(logged["published"], published)), problem.evaluation.seed)
        expected = _offline(rows, lake, publications[published], problem, features)
        vectors = [json.loads(vector) for vector in rows["features"].to_pylist()]
        for feature in features:
            counted[feature.name].add(rows, pa.chunked_array([column_of(vectors, feature)]), expected[feature.name])
        compared += rows.num_rows
    table = [{"feature": name, **count.row()} for name, count in counted.items()]
    return OnlineParity(pa.Table.from_pylist(table, SCHEMA), compared, logged.num_rows - compared)


def judge_parity(parity: ibis.Table) -> ParityVerdict:
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
        f"{len(wrong)} of {len(rows)} features differ; {worst['feature']} does in {worst['mismatches']:,} of "
        f"{worst['rows']:,} logged vectors ({worst['example']}).",
    )


_LOGGED = ("request_id", "position", *KEYS, "feature_time", "published", "features")


@dataclass
class _Count:
    """How often a feature differed, and where first."""

    rows: int = 0
    mismatches: int = 0
    example: str | None = None

    def add(self, rows: pa.Table, online: pa.ChunkedArray, offline: pa.ChunkedArray) -> None:
        wrong = np.flatnonzero(differing(online, offline))
        self.rows += rows.num_rows
        self.mismatches += len(wrong)
        if len(wrong) and self.example is None:
            at = int(wrong[0])
            user, email, instant = (rows[name][at].as_py() for name in KEYS)
            self.example = (
                f"user {user}, email {email} at {instant.isoformat()}: {_shown(online[at])} online, "
                f"{_shown(offline[at])} offline"
            )

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


def _offline(
    rows: pa.Table, lake: Lake, snapshots: dict[str, str], problem: Problem, features: Sequence[Feature]
) -> pa.Table:
    """The features of the logged pairs, computed again, in the order of the rows; null where they cannot be."""
    asked = rows.select([*KEYS, "feature_time"]).rename_columns([*KEYS, "as_of"])
    distinct = asked.group_by([*KEYS, "as_of"]).aggregate([])
    core_users, user_profiles, email_content = (
        lake.read(table, snapshot_id=snapshots[table]) for table in PUBLISHED_FROM
    )
    computed = features_at(ibis.memtable(distinct), core_users, user_profiles, email_content, problem)
    found = lake.connection.to_pyarrow(computed)
    places = {key: place for place, key in enumerate(_keys(found))}
    wanted = [places.get(key) for key in _keys(asked)]
    return found.select([feature.name for feature in features]).take(pa.array(wanted, pa.int64()))


def _keys(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[name].to_pylist() for name in (*KEYS, "as_of")), strict=True)
