"""What `mlguide forget` asks and answers, in words and as JSON."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from mlguide_assets.console.forget_reach import Reach
from mlguide_assets.deploy.forgetting import Forgetting, Removal
from mlguide_assets.english import counted, with_article
from mlguide_assets.prepare.forgetting.same_entities import SameEntity
from mlguide_assets.prepare.hosts.shared_files import shared_bucket
from mlguide_assets.prepare.sources.reading import describe
from mlguide_assets.settings import Home

MOST_SPELLINGS = 5
"""So many ids that may be the same are named."""


def question(reach: Reach, home: Home) -> str:
    """What is asked before anything is removed: it names the problems where the home has others."""
    is_only = len(reach.problems) == 1 and not reach.untouched
    where = f"{home.root}" if is_only else f"{_listed(reach.problems)} in {home.root}"
    return f"Remove {reach.name} from every table, snapshot, log and store of {where}, permanently?"


def as_values(reach: Reach, done: Forgetting) -> dict[str, Any]:
    """The answer as JSON has it."""
    return {
        "entity": reach.targets[0].erasure.entity.noun,
        "found": done.found,
        "resumed": done.resumed,
        "problems": [{**each.__dict__, "found": each.found} for each in done.problems],
        "other_files": done.other_files,
        "namesakes": [{"problem": each.problem.key, "entity": each.entity.noun} for each in reach.namesakes],
        "possible_roles": list(reach.roles),
        "other_spellings": list(reach.spellings),
        "untouched": list(reach.untouched),
    }


def lines(reach: Reach, done: Forgetting, home: Home) -> Iterator[str]:
    """The answer in words: per problem what was removed and which versions learned from it, then what was not reached.

    Args:
        reach: where it was looked for.
    """
    one = len(done.problems) == 1
    if not done.found:
        yield f"Nothing is kept of {reach.name}. It is on the list now: no ingest will bring it in."
    else:
        yield f"Forgot {reach.name}; no later ingest brings it back."
    for each in done.problems:
        if not one:
            yield f"In {each.problem}:"
        yield from _removed(each)
    if not one:
        yield "In files of the home:"
    yield f"  {counted(done.other_files, 'other file'):>14}: logs, reports, histories"
    for each in done.problems:
        yield from _learned(each, home, is_only=one and not reach.untouched)
    yield from _not_reached(reach, home)
    if shared_bucket() is not None:
        yield (
            "Servers of other hosts remove it from their own logs within seconds, those that are stopped when started; "
            "hosts that land these logs, at their next run. Other files of another home, such as reports, go when this "
            "runs there."
        )
    yield "Files that were exported or copied elsewhere, and backups, are not reached."


def _removed(removal: Removal) -> Iterator[str]:
    for table, rows in removal.tables.items():
        yield f"  {counted(rows, 'row'):>14} of {table}, and of its earlier snapshots"
    yield f"  {counted(removal.online_rows, 'row'):>14} of the online store"
    yield f"  {counted(removal.log_lines, 'request'):>14} in the servers' own files, landed or not"


def _learned(removal: Removal, home: Home, *, is_only: bool) -> Iterator[str]:
    if removal.learned:
        learned = ", ".join(f"{version} (snapshot {snapshot})" for version, snapshot in removal.learned.items())
        of, option = ("", "") if is_only else (f" of {removal.problem}", f" --problem {removal.problem}")
        yield f"Versions{of} that learned from it: {learned}."
        yield home.commands(f"They keep what they learned: 'mlguide run{option}' trains one without it.")


def _not_reached(reach: Reach, home: Home) -> Iterator[str]:
    for spelling in reach.spellings[:MOST_SPELLINGS]:
        yield _spelling(spelling, reach, home)
    for noun in reach.roles:
        yield _role(noun, reach, home)
    for each in reach.namesakes:
        yield _namesake(each, reach, home)
    named = {each.problem.key for each in reach.namesakes}
    if without := [key for key in reach.untouched if key not in named]:
        yield f"Untouched, since it is in none of their tables: {', '.join(without)}."


def _spelling(spelling: str, reach: Reach, home: Home) -> str:
    noun, key = reach.targets[0].erasure.entity.noun, reach.targets[0].problem.key
    return home.commands(
        f"Untouched: {noun} {spelling}, whose id is written otherwise. If it is the same, "
        f"'mlguide forget --problem {key} --{noun} {shlex.quote(spelling)}' removes it."
    )


def _role(noun: str, reach: Reach, home: Home) -> str:
    erasure, key = reach.targets[0].erasure, reach.targets[0].problem.key
    return home.commands(
        f"Untouched: {noun} {erasure.key}. All ids of {noun} are ids of {erasure.entity.noun}. If they are the same, "
        f"'mlguide forget --problem {key} --{noun} {shlex.quote(str(erasure.key))}' removes it there."
    )


def _namesake(same: SameEntity, reach: Reach, home: Home) -> str:
    noun, key = same.entity.noun, same.problem.key
    option = f"--{noun} {shlex.quote(str(reach.targets[0].erasure.key))}"
    return home.commands(
        f"Untouched: {key}. It has {with_article(noun)}, too, but of other tables ({describe(same.problem)}), so the "
        f"same id may be another {noun}. If it is the same, 'mlguide forget --problem {key} {option}' removes it there."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
