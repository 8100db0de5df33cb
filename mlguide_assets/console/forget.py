"""`mlguide forget`: one entity leaves everything that is kept here, after a confirmation."""

import sys
from collections.abc import Sequence

import typer

from mlguide_assets.console.forget_answer import as_values, lines, question
from mlguide_assets.console.forget_reach import find_reach
from mlguide_assets.console.terminal import console, print_json, screen
from mlguide_assets.define.loading import current_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.forgetting import forget
from mlguide_assets.deploy.online_store.store import StoreError
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home


def forget_one(home: Home, who: Sequence[str], *, yes: bool, as_json: bool, store: str | None) -> None:
    """Forget one entity in all problems of a home that have it, say what was removed, and which models learned from it.

    Args:
        who: as on the command line: the noun of the problem as an option, and the id, such as `--user 7`.

    Raises:
        InputError: there is no such home or entity, the id is not one, there is no terminal for the confirmation, or a
            file or a store cannot be written.
    """
    home.require_used()
    problem = current_problem(home)
    noun, given = noun_and_id(who, problem)
    reach = find_reach(home, problem, noun, given)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise InputError(
                "Forgetting cannot be undone, and there is no terminal to ask for confirmation: add --yes."
            )
        typer.confirm(question(reach, home), abort=True)
    try:
        done = forget(
            home, reach.targets, lambda text: console.print(f"  {text}"), store=store, apart=[*reach.untouched]
        )
    except StoreError as error:
        raise InputError(f"{error} What was begun is completed by running this again.") from error
    if as_json:
        print_json(as_values(reach, done))
    else:
        for line in lines(reach, done, home):
            screen.print(line)


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
