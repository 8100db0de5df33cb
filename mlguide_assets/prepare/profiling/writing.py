"""A draft as the text of a problem file, with the evidence for each guess as a comment."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlguide_assets.define.conversion import flow
from mlguide_assets.define.operations import Serving
from mlguide_assets.define.prediction import Limit
from mlguide_assets.instants import now_utc
from mlguide_assets.prepare.profiling.candidates import Candidate
from mlguide_assets.prepare.profiling.draft import Draft
from mlguide_assets.prepare.profiling.drafting import DraftTable, Line

MOST_LINE = 150
COMMENT_AT = 34
_HEAD = """\
# Drafted by 'mlguide init' from the tables themselves. What speaks for a line stands beside it. Check the lines with a
# '?', take or remove what is commented out, then: mlguide check {file}
"""


def write_draft(draft: Draft, *, name: str, source: dict[str, Any], file: str, remark: str = "") -> str:
    """The text of a problem file.

    Args:
        name: of the problem.
        source: its `source`, without any password.
        file: how the file will be called, for what to do next.
        remark: a comment on the source.
    """
    best = draft.candidates[0]
    lines = [
        *_HEAD.format(file=file).splitlines(),
        f"name: {name}",
        _line("", Line("statement", _statement(best), "? what goes wrong, and what it costs")),
        _line("", Line("hypothesis", "The past predicts which.", "? why it goes wrong")),
        _line("", Line("owner", "team:data", "? who answers for it: team:NAME or an email address")),
        _line("", Line("history_start", draft.first.date(), _span(draft))),
        _line("", Line("source", source, remark)),
        "",
        "tables:",
        *(line for table in draft.tables for line in _table(table)),
        *_unused(draft.unused),
        "",
        *_predict(draft),
        "",
        "features:",
        f"  automatic: {flow({'windows': _windows(draft), 'max': 200})}",
        "",
        "metric: {primary: roc_auc}",
        _line(
            "", Line("costs", {"missed": 10.0, "false_alarm": 1.0}, "? what a missed outcome and a false alarm cost")
        ),
        *_clock(draft),
        *_contracts(draft),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _statement(best: Candidate) -> str:
    label = best.predict["label"]
    if best.column is None:
        number = "no" if "at_most" in label else "at least one"
        return f"Which {best.predict['each']} will have {number} {label['count']} within {label['within']}?"
    positive = label["positive"]
    values = [positive] if isinstance(positive, str) else positive
    outcome = Limit(**positive).in_words[0] if isinstance(positive, Mapping) else f"= {' or '.join(values)}"
    return f"Which {best.predict['each']} will have {best.column} {outcome}?"


def _line(indent: str, line: Line) -> str:
    """A line of YAML, and its comment, above it where both are too long for one."""
    text = (
        f"{indent}{flow(line.key)}: {flow(line.value)}" if line.active else f"{indent}# {line.key}: {flow(line.value)}"
    )
    comment = _flat(line.comment)
    if not comment:
        return text
    beside = f"{text:<{COMMENT_AT}}  # {comment}"
    if len(beside) <= MOST_LINE or not line.active:
        return beside
    return f"{indent}# {comment}\n{text}"


def _flat(text: str) -> str:
    """One line without what YAML or a terminal could stumble over."""
    flat = "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
    return flat if len(flat) <= 400 else flat[:397] + "..."


def _table(table: DraftTable) -> Iterator[str]:
    where = table.profile.table.of_rows
    yield f"  {flow(table.name)}:{'':<{max(COMMENT_AT - len(table.name) - 3, 1)}}  # {where}"
    for line in table.lines:
        if line.key == "of":
            yield "    of:"
            yield from (_line("      ", each) for each in line.value)
        else:
            yield _line("    ", line)
    if table.columns:
        yield "    columns:"
        for line in table.columns:
            yield _line("      ", line)
    if table.left_out:
        yield from _wrapped("    # not read: ", (f"{name} ({why})" if why else name for name, why in table.left_out))


def _wrapped(head: str, parts: Iterable[str]) -> Iterator[str]:
    current = ""
    for part in map(_flat, parts):
        if current and len(head) + len(current) + len(part) > 118:
            yield f"{head}{current},"
            current = ""
        current = f"{current}, {part}" if current else part
    if current:
        yield f"{head}{current}"


def _unused(unused: dict[str, str]) -> Iterator[str]:
    for name, reason in unused.items():
        yield f"  # not used: {_flat(name)} ({_flat(reason)})"


def _span(draft: Draft) -> str:
    """Of the events that the label counts: others may have begun before."""
    noun = next(
        table.noun for table in draft.tables if table.name == draft.candidates[0].table and table.shape == "event"
    )
    return f"the first {noun}; the last is of {draft.last:%Y-%m-%d}"


def _predict(draft: Draft) -> Iterator[str]:
    best, *others = draft.candidates
    yield f"# {_flat(best.evidence)}"
    yield "predict:"
    yield from _mapping("  ", best)
    known = best.column is not None and draft.known
    if draft.choose:
        instead = "; then without known, since that is decided before" if known else ""
        yield f"  # choose: {draft.choose}  # ? if it is chosen for each decision among several{instead}"
    if known:
        where = "if nothing is chosen: " if draft.choose else ""
        columns = flow(list(draft.known))
        yield f"  # known: {columns}  # ? {where}those that are known when it happens; they become features"
    for each in others[:6]:
        yield f"# or, since {_flat(each.evidence)}:"
        yield f"# predict: {flow(each.predict)}"


def _mapping(indent: str, candidate: Candidate) -> Iterator[str]:
    for key, value in candidate.predict.items():
        doubt = (
            candidate.doubt if key == "label" and candidate.doubt else "? who is predicted" if key == "where" else ""
        )
        doubt = "? how often" if key == "every" else doubt
        yield _line(indent, Line(key, value, doubt))


def _clock(draft: Draft) -> Iterator[str]:
    """Of data that have ended, now is their end: the API refuses features that are old by the wall's clock."""
    if now_utc() - draft.last > Serving().refuse_after:
        yield _line("", Line("serving", {"clock": "data"}, "? now is when the data end; take it out once days go on"))


def _windows(draft: Draft) -> list[str]:
    days = (draft.last - draft.first).days
    if days > 5 * 365:
        return ["30d", "90d", "365d", "all"]
    return ["7d", "30d", "90d", "all"] if days >= 90 else ["1d", "7d", "30d", "all"]


def _contracts(draft: Draft) -> Iterator[str]:
    rules = [rule for table in draft.tables for rule in table.contracts]
    if rules:
        yield "contracts:                          # ? such rows are set aside, where else they would block"
        yield from (f"  - {rule}" for rule in rules)
