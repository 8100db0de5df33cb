"""What was known of entities before given instants, where each event is written in its own time after it happened.

An event is seen from the instant at which both have passed, so events are not seen in the order in which they happened,
and no window over that order shows what was seen: every instant is joined with the events that it sees. That costs as
many rows as there are such pairs.
"""

from collections.abc import Mapping

import ibis

from mlguide_assets.prepare.features.aggregates import Part, Selection, reduced
from mlguide_assets.prepare.features.events import AT, KNOWN
from mlguide_assets.prepare.features.instants import INSTANT, OF
from mlguide_assets.prepare.features.windows import Events, both


def late_values_at(spine: ibis.Table, events: Events, parts: Mapping[Part, str]) -> ibis.Table:
    """The parts of one stream at given instants.

    Args:
        spine: `_of` and `_instant`, each pair once.
        parts: of the stream, with the names of their columns.

    Returns:
        `_of`, `_instant` and the parts; no row where there is no event.
    """
    has_last = any(part.measure.how == "last" for part in parts)
    rows = events.numbered(Selection()) if has_last else events.rows
    asked = spine.select(_asked_of=OF, _asked_at=INSTANT)
    latest = asked["_asked_at"] - min(part.frame.delay for part in parts)
    seen = [asked["_asked_of"] == rows[OF], rows[KNOWN] < asked["_asked_at"], rows[AT] <= latest]
    reaches = [part.frame.reach for part in parts if part.frame.reach is not None]
    if len(reaches) == len(parts):
        seen.append(rows[AT] >= asked["_asked_at"] - max(reaches))
    pairs = asked.inner_join(rows, seen)
    columns = {name: _reduced(part, pairs, events) for part, name in parts.items()}
    found = pairs.group_by("_asked_of", "_asked_at").aggregate(columns)
    found = found.rename({OF: "_asked_of", INSTANT: "_asked_at"})
    for part, name in parts.items():
        if part.measure.how == "last":
            found = _looked_up(found, events, rows, part, name)
    return found.select(OF, INSTANT, *parts.values())


def _reduced(part: Part, pairs: ibis.Table, events: Events) -> ibis.Value:
    """Of a last value: the place of its event."""
    measure, frame = part.measure, part.frame
    distance = pairs["_asked_at"] - pairs[AT]
    framed = distance >= frame.delay
    if frame.reach is not None:
        framed = framed & (distance <= frame.reach)
    chosen = both(events.chosen(measure.selection, pairs), framed)
    if measure.how == "distinct":
        return events.value(measure, pairs).nunique(where=chosen)
    if measure.how == "last":
        place = pairs["_place"]
        return place.collect(where=chosen, order_by=ibis.desc(place))[part.nth - 1]
    return reduced(measure, pairs, chosen, events.value(measure, pairs))


def _looked_up(found: ibis.Table, events: Events, numbered: ibis.Table, part: Part, name: str) -> ibis.Table:
    """The value of the event whose place is in the column `name`."""
    numbered = numbered.select(_numbered_of=OF, _place="_place", _last=events.value(part.measure, numbered))
    # By names, and as a table of its own: the same events are looked up once per part, which expressions would confuse.
    joined = found.left_join(numbered.view(), [(OF, "_numbered_of"), (name, "_place")])
    rest = [column for column in found.columns if column != name]
    return joined.select(*rest, joined["_last"].name(name))
