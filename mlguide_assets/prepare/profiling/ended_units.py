"""Does a positive outcome end the unit, as an unsubscribe does? What the rows of an event say of it.

It says yes only where the rows show it: where others usually come again, and those with the outcome hardly ever do.
"""

import ibis
from pydantic import TypeAdapter

from mlguide_assets.define.values import Duration
from mlguide_assets.english import agreeing, counted, with_article
from mlguide_assets.prepare.profiling.candidates import FEWEST, Candidate, instants
from mlguide_assets.prepare.profiling.columns import file_name
from mlguide_assets.prepare.profiling.drafting import DraftTable
from mlguide_assets.prepare.profiling.roles import Source

MOST_AGAIN = 0.02
"""Of the units with a positive outcome, so many may be met again at most: some actions were under way."""
LEAST_AGAIN = 0.5
"""Of the other rows, so many must be followed by another of their unit: else nothing follows from none that is."""


def why_ended(source: Source, table: DraftTable, candidate: Candidate, unit: str) -> str:
    """The evidence that a positive outcome ends a unit; empty where the rows do not show it.

    What comes within the label's window does not count: the outcome may have come after it.
    """
    if candidate.column is None or unit not in table.of:
        return ""
    window = TypeAdapter(Duration).validate_python(candidate.predict["label"]["window"])
    rows = instants(source, table)
    key = next(name for name in table.profile.columns if file_name(name) == table.of[unit])
    known = rows.filter(rows[candidate.column].notnull(), rows[key].notnull(), rows.happened.notnull())
    known = known.select(unit=known[key], happened="happened", positive=candidate.is_positive(known, table))
    last = known.group_by("unit").agg(last=known.happened.max())
    own = known.join(last, "unit")
    own = own.mutate(again=own["last"] > own.happened + ibis.interval(seconds=int(window.total_seconds())))
    unlike = ~own.positive
    units = own.group_by("unit").agg(
        again=own.again.max(where=own.positive), others=unlike.sum(), others_again=own.again.sum(where=unlike)
    )
    ended = units.agg(
        units=units.again.count(), again=units.again.sum(), share=units.others_again.sum() / units.others.sum()
    )
    found = ended.to_pyarrow().to_pylist()[0]
    met_again, others = found["again"] or 0, found["share"] or 0.0
    if found["units"] < FEWEST or met_again > MOST_AGAIN * found["units"] or others < LEAST_AGAIN:
        return ""
    return (
        f"ends_unit, since {met_again:,} of the {counted(found['units'], unit)} with that outcome "
        f"{agreeing(met_again, 'has')} {with_article(table.noun)} after it"
    )
