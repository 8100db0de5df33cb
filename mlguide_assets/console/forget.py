"""`mlguide forget`: one entity leaves everything that is kept here, after a confirmation."""

import json
import re
import sys
from collections.abc import Sequence

import pyarrow as pa
import typer

from mlguide_assets.console.terminal import console, screen
from mlguide_assets.define.decision import counted, with_article
from mlguide_assets.define.loading import current_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.forgetting import Forgetting, forget
from mlguide_assets.deploy.online_store.store import StoreError
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.erasing import Erasure
from mlguide_assets.prepare.forgetting import Entity, Key, entity_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.similar_ids import ids_around
from mlguide_assets.settings import Home


def forget_one(home: Home, who: Sequence[str], *, yes: bool, as_json: bool, store: str | None) -> None:
    """Forget one entity, and say what was removed and which models learned from it.

    Args:
        who: as on the command line: the noun of the problem as an option, and the id, such as `--user 7`.

    Raises:
        InputError: there is no such home or entity, the id is not one, there is no terminal for the confirmation, or a
            file or a store cannot be written.
    """
    home.require_used()
    problem = current_problem(home)
    noun, given = noun_and_id(who, problem)
    entity = entity_of(problem, noun)
    lake = Lake(home.lake(problem.key))
    key = _key(lake, entity, given)
    erasure = Erasure(entity, key, ids_around(lake, entity, key))
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise InputError(
                "Forgetting cannot be undone, and there is no terminal to ask for confirmation: add --yes."
            )
        typer.confirm(
            f"Remove {noun} {erasure.key} from every table, snapshot, log and store of {home.root}, permanently?",
            abort=True,
        )
    try:
        done = forget(home, problem, erasure, lambda text: console.print(f"  {text}"), store=store)
    except StoreError as error:
        raise InputError(f"{error} What was begun is completed by running this again.") from error
    if as_json:
        sys.stdout.write(json.dumps({**done.__dict__, "entity": noun, "found": done.found}, indent=2) + "\n")
    else:
        _print(erasure, done, home)


def noun_and_id(who: Sequence[str], problem: Problem) -> tuple[str, str]:
    """The noun and the id of `--NOUN ID`.

    Raises:
        InputError: it is anything else.
    """
    words = [part for word in who for part in (word.split("=", 1) if word.startswith("--") else [word])]
    nouns = problem.schema.entities
    if len(words) != 2 or not words[0].startswith("--"):
        options = ", ".join(f"--{noun} ID" for noun in nouns)
        raise InputError(f"Say whom to forget, by the noun of the problem and one id: {options}.")
    return words[0].removeprefix("--"), words[1]


def _key(lake: Lake, entity: Entity, given: str) -> Key:
    """An id as the tables have it."""
    if not given.strip():
        raise InputError(
            f"--{entity.noun} is the id of one {entity.noun}; given: {given!r}, which is none: name the {entity.noun} "
            f"to forget."
        )
    tables = [(entity.table, entity.key), *entity.named.items()]
    kinds = [lake.read(name).schema()[key].to_pyarrow() for name, key in tables if name and key and lake.exists(name)]
    if not any(pa.types.is_integer(kind) for kind in kinds):
        return given
    # Not all that Python takes for a number: 1_0 is no way to write 10.
    if not re.fullmatch("-?[0-9]+", given):
        raise InputError(f"--{entity.noun} is the id of {with_article(entity.noun)}, a whole number; given: {given!r}.")
    return int(given)


def _print(erasure: Erasure, done: Forgetting, home: Home) -> None:
    name = f"{erasure.entity.noun} {erasure.key}"
    if not done.found:
        screen.print(f"Nothing is kept of {name}. It is on the list now: no ingest will bring it in.")
    else:
        screen.print(f"Forgot {name}; no later ingest brings it back.")
    for table, rows in done.tables.items():
        screen.print(f"  {counted(rows, 'row'):>14} of {table}, and of its earlier snapshots")
    screen.print(f"  {counted(done.online_rows, 'row'):>14} of the online store")
    screen.print(f"  {counted(done.log_lines, 'request'):>14} in the servers' own files, landed or not")
    screen.print(f"  {counted(done.other_files, 'other file'):>14}: logs, reports, histories")
    if done.learned:
        learned = ", ".join(f"{version} (snapshot {snapshot})" for version, snapshot in done.learned.items())
        screen.print(f"Versions that learned from it: {learned}.")
        screen.print(home.commands("They keep what they learned: 'mlguide run' trains one without it."))
    screen.print("Files that were exported or copied elsewhere, and backups, are not reached.")
