"""The simulated tables: users, emails, sends, and the oracle that knows each send's true probability."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.instants import midnight
from mlguide_assets.prepare.simulator.calibration import Calibration, calibrate
from mlguide_assets.prepare.simulator.content import (
    CATEGORIES,
    THEMES,
    Emails,
    emails,
    emails_created_before,
    subjects,
)
from mlguide_assets.prepare.simulator.outcomes import NEVER, Outcomes, outcomes, probabilities
from mlguide_assets.prepare.simulator.plans import NO_PLANS, Plans
from mlguide_assets.prepare.simulator.population import COUNTRIES, GENDERS, Users, users, users_joined_before
from mlguide_assets.prepare.simulator.risk import logits
from mlguide_assets.prepare.simulator.schedule import Slots, is_scheduled, potential_sends
from mlguide_assets.prepare.simulator.sorting import TimeBuckets
from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Flags, Integers

SENDS_SCHEMA = pa.schema(
    {
        "user_id": pa.int64(),
        "email_id": pa.int64(),
        "unsubscribed": pa.string(),
        "delivered_at": pa.timestamp("us"),
        "probability": pa.float64(),
        "unsubscribed_at": pa.timestamp("us"),
    }
)
USER_EMAILS = ("user_id", "email_id", "unsubscribed", "delivered_at")
ORACLE = ("user_id", "email_id", "delivered_at", "probability", "unsubscribed_at")

_MICROSECONDS = 1_000_000
_BLOCK_SENDS = 1_000_000
# Users average this many potential sends a day, in a world without shifts.
_MEAN_RATE = 0.16
_ROWS_PER_BUCKET = 2_000_000
_BLOCK_USERS = 500_000


def user_profiles(world: World, through: date | None = None) -> pa.Table:
    """One row per user who joined before `through` (default: the world's end), ordered by id."""
    return pa.concat_tables(_profile_blocks(world, world.day(through or world.end)))


def email_content(world: World, through: date | None = None) -> pa.Table:
    """One row per email created before `through` (default: the world's end), ordered by id."""
    content = _content(world, world.day(through or world.end))
    return pa.table(
        {
            "id": content.id,
            "subject": pa.array(subjects(content), pa.string()),
            "theme": _names(THEMES, content.theme),
            "category": _names(CATEGORIES, content.category),
            "number_of_buttons": content.buttons,
            "number_of_sections": content.sections,
            "number_of_items": content.items,
            "created_at": _dates(world, content.created),
        }
    )


def sends(
    world: World,
    first: date | None = None,
    last_exclusive: date | None = None,
    as_of: datetime | None = None,
    *,
    plans: Plans = NO_PLANS,
) -> Iterator[pa.Table]:
    """The sends delivered in [first, last_exclusive), in blocks of users, each ordered by user and then time.

    Columns as in SENDS_SCHEMA; times are UTC without a zone. `first` defaults to the world's start,
    `last_exclusive` to its end, `as_of` to the first instant of `last_exclusive`. `unsubscribed` is what was
    on record at `as_of`, and sends from `as_of` on are left out; `probability` and `unsubscribed_at` are the
    truth, whenever it came out. `plans` choose the emails of their days and users; the company draws all others.

    Raises ValueError when the days are out of order or before the world's start, or when a plan names an email that
    does not exist on its day.
    """
    for _, table in _blocks(world, plans, _range(world, first, last_exclusive, as_of)):
        yield table


def write(
    world: World,
    out: Path,
    progress: Callable[[float], None] | None = None,
    *,
    until: datetime | None = None,
    plans: Plans = NO_PLANS,
) -> dict[str, int]:
    """Writes the world as it was known at `until` into the folder `out`: three tables and the oracle, as Parquet.

    These are the users who joined, the emails that were created and the sends that were delivered before
    `until`; an unsubscribe that took effect later still reads "no". A later `until` adds rows and turns such
    a "no" into "yes", within the longest delay of `outcomes`, and changes nothing else. `until` is UTC without
    a zone and defaults to the world's end, beyond which it may lie. The oracle holds the same sends, with the
    whole truth of each.

    `user_emails.parquet` and `oracle.parquet` are both ordered by delivered_at, user_id. A file appears
    complete or not at all. `progress` is called with the share of the work done. `plans` choose the emails of their
    days and users, as in `sends`. Returns rows per table.

    Raises ValueError when `until` is before the world's start, or when a plan names an email that does not exist on
    its day.
    """
    known = until or midnight(world.end)
    # A day that has begun is one whose users and emails are known.
    last = (known + timedelta(days=1, microseconds=-1)).date()
    days = _range(world, None, last, known)
    report = progress or (lambda _: None)
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".simulating-", dir=out) as work:
        folder = Path(work)
        rows = {"user_profiles": _write_profiles(world, folder, days.last_exclusive)}
        content = email_content(world, last)
        pq.write_table(content, folder / "email_content.parquet", compression="zstd")
        rows["email_content"] = content.num_rows
        rows["user_emails"] = rows["oracle"] = _write_sends(world, plans, folder, days, report)
        for name in rows:
            (folder / f"{name}.parquet").replace(out / f"{name}.parquet")
    report(1.0)
    return rows


@dataclass(frozen=True)
class _Range:
    """Days from the world's start; `as_of` in microseconds from it."""

    first: int
    last_exclusive: int
    as_of: int


def _range(world: World, first: date | None, last_exclusive: date | None, as_of: datetime | None) -> _Range:
    first, last_exclusive = first or world.start, last_exclusive or world.end
    if not world.start <= first <= last_exclusive:
        raise ValueError(f"sends from {first} to {last_exclusive}: days must be in order, from {world.start}")
    known = as_of or midnight(last_exclusive)
    elapsed = known - midnight(world.start)
    return _Range(world.day(first), world.day(last_exclusive), elapsed // timedelta(microseconds=1))


def _profile_blocks(world: World, day: int) -> Iterator[pa.Table]:
    joins_per_day = calibrate(world).joins_per_day
    count = users_joined_before(joins_per_day, day)
    for at in range(0, max(count, 1), _BLOCK_USERS):
        who = users(world, joins_per_day, np.arange(at, min(at + _BLOCK_USERS, count)) + 1)
        yield pa.table(
            {
                "id": who.id,
                "date_joined": _dates(world, who.joined),
                "gender": _names(GENDERS, who.gender),
                "age": who.age,
                "country": _names(COUNTRIES, who.country),
                "words_in_description": who.words,
                "purchases": who.purchases,
            }
        )


def _blocks(world: World, plans: Plans, days: _Range) -> Iterator[tuple[float, pa.Table]]:
    """Share of the users done, and their sends."""
    calibration = calibrate(world)
    content = _content(world, days.last_exclusive)
    count = users_joined_before(calibration.joins_per_day, days.last_exclusive)
    step = max(int(_BLOCK_SENDS / _MEAN_RATE / max(days.last_exclusive, 1)), 256)
    for at in range(0, max(count, 1), step):
        ids = np.arange(at, min(at + step, count)) + 1
        who = users(world, calibration.joins_per_day, ids)
        if days.first > 0:
            # Only those with a potential send in the range need a history at all.
            ids = ids[is_scheduled(world, who, days.first, days.last_exclusive)]
            who = users(world, calibration.joins_per_day, ids)
        yield min(at + step, count) / max(count, 1), _sends_to(world, plans, calibration, content, who, days)


def _sends_to(
    world: World, plans: Plans, calibration: Calibration, content: Emails, who: Users, days: _Range
) -> pa.Table:
    slots = plans.applied(world, who, potential_sends(world, who, days.last_exclusive))
    probability = probabilities(logits(world, who, content, slots), calibration.intercept)
    came = outcomes(world, who, slots, probability)
    kept = came.delivered & (slots.day >= days.first) & (slots.second * _MICROSECONDS < days.as_of)
    return _table(world, who, slots, came, kept, days.as_of)


def _table(world: World, who: Users, slots: Slots, came: Outcomes, kept: Flags, as_of: int) -> pa.Table:
    effect = came.effect[kept]
    never = effect == NEVER
    micro = np.where(never, 0, effect) * _MICROSECONDS
    return pa.table(
        [
            who.id[slots.user[kept]],
            slots.email[kept],
            _names(("no", "yes"), (~never & (micro <= as_of)).astype(np.int64)),
            pa.array(_timestamps(world, slots.second[kept] * _MICROSECONDS)),
            came.probability[kept],
            pa.array(_timestamps(world, micro), mask=never),
        ],
        schema=SENDS_SCHEMA,
    )


def _write_profiles(world: World, folder: Path, day: int) -> int:
    """Writes user_profiles.parquet into `folder`; returns its number of rows."""
    rows = 0
    blocks = _profile_blocks(world, day)
    first = next(blocks)
    with pq.ParquetWriter(folder / "user_profiles.parquet", first.schema, compression="zstd") as file:
        for block in chain([first], blocks):
            file.write_table(block)
            rows += block.num_rows
    return rows


def _write_sends(world: World, plans: Plans, folder: Path, days: _Range, report: Callable[[float], None]) -> int:
    """Writes user_emails.parquet and oracle.parquet into `folder`; returns their number of rows."""
    start = np.datetime64(world.start, "us")
    expected = world.sends * days.last_exclusive / world.days
    buckets = TimeBuckets(
        folder,
        SENDS_SCHEMA,
        by="delivered_at",
        span=(start, start + np.timedelta64(days.last_exclusive, "D")),
        count=max(ceil(expected / _ROWS_PER_BUCKET), 1),
    )
    with buckets:
        for done, block in _blocks(world, plans, days):
            buckets.add(block)
            report(0.6 * done)
    rows = 0
    with (
        _writer(folder, "user_emails", USER_EMAILS) as emails_file,
        _writer(folder, "oracle", ORACLE) as oracle,
    ):
        for number, table in enumerate(buckets.sorted(), start=1):
            emails_file.write_table(table.select(USER_EMAILS))
            oracle.write_table(table.select(ORACLE))
            rows += table.num_rows
            report(0.6 + 0.4 * number / buckets.count)
    return rows


def _writer(folder: Path, name: str, columns: tuple[str, ...]) -> pq.ParquetWriter:
    schema = pa.schema([SENDS_SCHEMA.field(column) for column in columns])
    # Nearly all values of the other columns differ, so a dictionary of them would cost time and save nothing.
    repeated = [column for column in ("email_id", "unsubscribed") if column in columns]
    return pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd", use_dictionary=repeated)


def _content(world: World, day: int) -> Emails:
    return emails(world, np.arange(1, int(emails_created_before(day)) + 1))


def _names(names: tuple[str, ...], index: Integers) -> pa.Array:
    return pa.DictionaryArray.from_arrays(index, list(names)).cast(pa.string())


def _dates(world: World, days: Integers) -> pa.Array:
    return pa.array(np.datetime64(world.start, "D") + days)


def _timestamps(world: World, microseconds: Integers) -> npt.NDArray[np.datetime64]:
    return np.datetime64(world.start, "us") + microseconds
