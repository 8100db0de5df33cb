"""Ids that are like the one that is looked for: 'AB 12' begins with 'AB', and 'ab-12' may be another spelling of it."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlguide_assets.prepare.contracts.contract_tables import QUARANTINED
from mlguide_assets.prepare.forgetting.forget_list import Entity, Key
from mlguide_assets.prepare.lake.lake import Lake

if TYPE_CHECKING:
    from ibis.expr.types import StringColumn


def ids_around(lake: Lake, entity: Entity, key: Key) -> frozenset[str]:
    """The ids of others that contain an id, such as 'AB 12' of 'AB'; none of a number, which only digits continue."""
    if isinstance(key, int):
        return frozenset()
    found = set[str]()
    for ids in _ids_in(lake, entity):
        texts = ids.name("id").as_table()
        found.update(texts.filter(texts.id.contains(key)).distinct().to_pyarrow()["id"].to_pylist())
    return frozenset(found - {key})


def other_spellings(lake: Lake, entity: Entity, key: Key) -> tuple[str, ...]:
    """The ids that differ from an id in case, spaces or punctuation only, such as a UUID in capital letters."""
    own = "".join(filter(str.isalnum, str(key))).lower()
    if isinstance(key, int) or not own:
        return ()
    found = set[str]()
    for ids in _ids_in(lake, entity):
        texts = ids.name("id").as_table()
        alike = texts.id.re_replace(r"[^\p{L}\p{N}]", "").lower() == own
        found.update(texts.filter(alike).distinct().to_pyarrow()["id"].to_pylist())
    return tuple(sorted(found - {key}))


def _ids_in(lake: Lake, entity: Entity) -> Iterator["StringColumn"]:
    """The ids of an entity in the tables of the source: of the rows that were read, and of those that were rejected."""
    for table, key in entity.places:
        if lake.exists(table) and key in (rows := lake.read(table)).columns:
            yield rows[key].cast("string")
        if lake.exists(QUARANTINED):
            rows = lake.read(QUARANTINED)
            rejected = rows.filter(rows["table"] == table)
            yield rejected["row"].re_extract(rf"(?:^|; ){re.escape(key)}=([^;]*)", 1)
