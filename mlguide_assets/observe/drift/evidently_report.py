"""Evidently's report on a window: what people read once the verdict calls for it. It decides nothing.

Its own verdict is no alarm: it sees a sample, corrects for no number of columns, and drops nulls before it looks.
"""

import html
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.pages import policy_tag
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.train.reference.bins import MOST_CATEGORIES, Kind

if TYPE_CHECKING:
    import pandas as pd

NUMBER_METHOD, NUMBER_THRESHOLD = "ks", 0.001
"""Kolmogorov-Smirnov sees ranks only, so one outlier, a heavy tail or a constant does not mislead it as they do
Wasserstein's distance (which divides by the reference's deviation) and PSI or Jensen-Shannon over Evidently's bins of
equal width. Its p-value is of independent rows: the threshold is low because there are many columns and rows."""

CATEGORY_METHOD, CATEGORY_THRESHOLD = "jensenshannon", 0.1
"""The Jensen-Shannon distance has a bound and needs no made-up share for a category that one side lacks, as PSI does;
Evidently's chi-square takes the reference for the truth, not for a sample."""

OTHER = "(other)"

_HARMLESS = {ord(mark): other for mark, other in zip("<>&\"'`\\", "‹›＆”’´＼", strict=True)} | dict.fromkeys(
    range(32), " "
)
"""Evidently writes names and values into a script as they are, and reads them as HTML in places."""

_SCRIPTS = 4
"""Of Evidently's own, in a report: the data, a line before the library, the library, the call that draws."""


def write_report(
    reference: pa.Table,
    current: pa.Table,
    columns: Mapping[str, Kind],
    path: Path,
    *,
    title: str = "",
    seed: int,
    max_rows: int = 20_000,
    keep: int = 10,
    drawn_from: tuple[int, int] | None = None,
) -> Path:
    """Write Evidently's drift report as one HTML file that needs no network, and forget the oldest ones beside it.

    Columns that cannot be compared are left out; the report names them first. A reader sees a whole report or none.

    Args:
        columns: what to compare; types are never guessed.
        title: what the window is, for the reader.
        path: ends in .html. Of the folder's reports the `keep` last by name stay, and this one.
        seed: of the sample of at most `max_rows` rows that is taken of either side.
        drawn_from: how many rows the two sides are a sample of themselves; default: they are all.

    Raises:
        ValueError: `path` does not end in .html.
        InputError: the disk is full, or the folder cannot be written to.
    """
    if path.suffix != ".html":
        raise ValueError(f"a report is a file that ends in .html, which {path.name!r} does not")
    sides = _sample(reference, max_rows, [seed, 0]), _sample(current, max_rows, [seed, 1])
    left_out = incomparable(*sides, columns)
    compared = {name: kind for name, kind in columns.items() if name not in left_out}
    every = drawn_from or (reference.num_rows, current.num_rows)
    banner = _banner(title, tuple(side.num_rows for side in sides), every, left_out)
    with writing(f"The report {path.name}", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        try:
            if compared:
                _save(*sides, compared, temporary)
            else:
                temporary.write_text(_EMPTY, encoding="utf-8")
            _finish(temporary, banner, scripts=_SCRIPTS if compared else 0)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _forget_oldest(path, keep)
    return path


def incomparable(reference: pa.Table, current: pa.Table, columns: Mapping[str, Kind]) -> dict[str, str]:
    """Columns that Evidently fails on or has nothing to say about, with the reason in words."""
    reasons = {name: _reason(reference, current, name, kind) for name, kind in columns.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def _reason(reference: pa.Table, current: pa.Table, name: str, kind: Kind) -> str | None:
    chunks: list[pa.Array] = []
    for table, side in ((reference, "reference"), (current, "window")):
        if name not in table.column_names:
            return f"absent from the {side}"
        if kind == "number" and not _is_number(table[name].type):
            return f"stored as {table[name].type} in the {side}, and declared as a number"
        values = _values(table[name], kind).drop_null()
        if not len(values):
            return f"without any value in the {side}"
        chunks += values.chunks
    return "the same value everywhere" if len(pa.chunked_array(chunks).unique()) == 1 else None


def _is_number(type_: pa.DataType) -> bool:
    tests = pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null
    return any(test(type_) for test in tests)


def _values(column: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    """Float64, null where not finite, or text."""
    if kind == "category":
        return column.cast(pa.string())
    numbers = column.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_finite(numbers), numbers, None)


def _sample(rows: pa.Table, most: int, seed: list[int]) -> pa.Table:
    if rows.num_rows <= most:
        return rows
    return rows.take(np.sort(np.random.default_rng(seed).choice(rows.num_rows, most, replace=False)))


def _save(reference: pa.Table, current: pa.Table, columns: Mapping[str, Kind], path: Path) -> None:
    # Evidently sends usage data to its makers unless it is switched off.
    os.environ["DO_NOT_TRACK"] = "1"
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    named = {harmless(name): kind for name, kind in columns.items()}
    definition = DataDefinition(
        numerical_columns=[name for name, kind in named.items() if kind == "number"],
        categorical_columns=[name for name, kind in named.items() if kind == "category"],
    )
    preset = DataDriftPreset(
        columns=list(named),
        num_method=NUMBER_METHOD,
        num_threshold=NUMBER_THRESHOLD,
        cat_method=CATEGORY_METHOD,
        cat_threshold=CATEGORY_THRESHOLD,
    )
    frames = _frames(reference, current, columns)
    before, now = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
    snapshot = Report([preset], include_tests=False).run(now, before)
    # Given anything but a str, it writes nothing and says nothing.
    snapshot.save_html(str(path))
    if not path.exists():
        raise RuntimeError(f"Evidently wrote no report to {path}")


def _frames(
    reference: pa.Table, current: pa.Table, columns: Mapping[str, Kind]
) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Both sides as pandas; of categories the reference's commonest, since each is drawn."""
    before, now = (
        pa.table({name: _values(side[name], kind) for name, kind in columns.items()}).to_pandas()
        for side in (reference, current)
    )
    for name, kind in columns.items():
        if kind == "category":
            common = before[name].value_counts().index[:MOST_CATEGORIES]
            for side in (before, now):
                side[name] = side[name].where(side[name].isin(common) | side[name].isna(), OTHER)
                side[name] = side[name].map(harmless, na_action="ignore")
    return before.rename(columns=harmless), now.rename(columns=harmless)


def harmless(text: str) -> str:
    """A name or value with look-alikes in place of what HTML and scripts give a meaning.

    >>> harmless("</script><img src=x onerror=alert(1)>")
    '‹/script›‹img src=x onerror=alert(1)›'
    """
    return text.translate(_HARMLESS)


def _banner(title: str, sampled: tuple[int, ...], rows: tuple[int, int], left_out: Mapping[str, str]) -> str:
    """What a reader must know before the figures, as HTML."""
    counts = [
        f"{some:,} of {all_:,}" if some < all_ else f"all {all_:,}" for some, all_ in zip(sampled, rows, strict=True)
    ]
    window = f"{title}: " if title else ""
    text = (
        f"{window}Evidently on {counts[0]} rows of the reference and {counts[1]} of the window, nulls "
        "left out. "
        "A picture: Evidently tests each column alone, and does not allow for what varies from day to day or only "
        "grows. The verdict of data_drift does, and decides."
    )
    missing = "".join(f"<li>{html.escape(name)}: {html.escape(why)}</li>" for name, why in left_out.items())
    listed = f"<p>Columns left out:</p><ul>{missing}</ul>" if missing else ""
    return f'<div style="margin:1em 2em;font-family:sans-serif"><p>{html.escape(text)}</p>{listed}</div>'


def _finish(path: Path, banner: str, *, scripts: int) -> None:
    """Put the banner first, and let browsers run the scripts that are there now, and load nothing."""
    text = path.read_text(encoding="utf-8")
    found = _SCRIPT.findall(text)
    head, opened, rest = text.partition("<head>")
    styles, body, after = rest.partition("<body>")
    if len(found) != scripts or not opened or not body:
        raise RuntimeError(f"Evidently's report is not as known: it has {len(found)} scripts instead of {scripts}")
    path.write_text(f"{head}{opened}{policy_tag(found)}{styles}{body}{banner}{after}", encoding="utf-8")


_SCRIPT = re.compile(r"<script\b[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_EMPTY = '<!DOCTYPE html>\n<html lang="en"><head><meta charset="UTF-8"></head><body></body></html>\n'


def _forget_oldest(written: Path, keep: int) -> None:
    reports = sorted(written.parent.glob("[!.]*.html"))
    for path in reports[: max(len(reports) - keep, 0)]:
        if path != written:
            with suppress(FileNotFoundError):
                path.unlink()
