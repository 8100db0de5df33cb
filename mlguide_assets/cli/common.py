"""What every command shares: its options, and how it ends."""

import atexit
import gc
import inspect
import os
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mlguide_assets.errors import AnsweredError, InputError, RunFailedError
from mlguide_assets.settings import (
    CHOSEN_VARIABLE,
    DATABASE_VARIABLE,
    LAKE_VARIABLE,
    Home,
    shared_address,
)

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Where everything is kept. Default: $MLGUIDE_HOME, else .mlguide here.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON value instead of text: {error: …} where it fails.")
]


OfHomeOption = Annotated[
    str | None,
    typer.Option(
        "--problem",
        metavar="NAME_OR_FILE",
        help="Which of the home's problems, by its name or its file. Default: the one of the last run.",
        show_default=False,
    ),
]


class Commands(TyperGroup):
    """A group of commands that says of an option which stands before its command where it belongs.

    What is wrong with a command line is JSON, too, where that was asked for.
    """

    def invoke(self, ctx: Any) -> Any:
        # The outermost group alone: what the others raise passes here.
        as_json = ctx.parent is None and "--json" in (*ctx._protected_args, *ctx.args)
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Raised by the copy of Click within Typer, which has no public name for it.
            if found := getattr(error.__cause__, "errors", None):
                error.message = _what_to_write(found()[0])  # type: ignore[attr-defined]
            if as_json and (explain := getattr(error, "format_message", None)):
                _print_error(explain())
            raise

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            option = getattr(error, "option_name", None)
            names = [
                name
                for name, command in self.commands.items()
                if any(option in each.opts and not getattr(each, "hidden", False) for each in command.params)
            ]
            if not names:
                raise
            # Raised by the copy of Click within Typer, which has no public name for it.
            error.message = f"{option} comes after the command, such as in '{ctx.command_path} {names[0]} {option} …'"  # type: ignore[attr-defined]
            error.possibilities = None  # type: ignore[attr-defined]
            raise


def _what_to_write(error: Mapping[str, Any]) -> str:
    """What is wrong with the value of an option, in our words: Pydantic's are about its own input."""
    from mlguide_assets.deploy.serving.invalid import in_words

    said = in_words(error)
    # What a choice says names the value.
    return said if error["type"] == "value_error" else f"{error['input']!r}; {said}"


def _with_problem(command: Callable[..., None]) -> inspect.Signature:
    """The parameters of a command that works on a home, with `--problem` where it has no such option of its own."""
    signature = inspect.signature(command)
    home = signature.parameters.get("home")
    if home is None or home.annotation is not HomeOption or "problem" in signature.parameters:
        return signature
    option = inspect.Parameter("problem", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=OfHomeOption)
    return signature.replace(parameters=[*signature.parameters.values(), option])


def handle_errors(
    command: Callable[..., None], *, join: Callable[[Home, Mapping[str, Any]], None] = lambda home, _: join_hosts(home)
) -> Callable[..., None]:
    """End with one sentence: exit code 2 for bad input or a machine that refuses, 1 for any other failed run. With
    `--json`, standard output is `{"error": sentence}`.

    A command that works on a home gets the option `--problem`, which says on which of its problems.

    Args:
        join: what is done before the command, given the home and the command's arguments.
    """
    takes_problem = "problem" in inspect.signature(command).parameters

    @wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        from mlguide_assets.console.terminal import print_in_any_encoding, print_warnings_as_data

        # When a process ends, Python looks for garbage in all that it has loaded once more: 2.5 s after a run.
        atexit.register(gc.freeze)
        home, as_json = Home.locate(kwargs.get("home")), bool(kwargs.get("as_json"))
        print_in_any_encoding()
        print_warnings_as_data()
        try:
            join(home, kwargs)
            if not takes_problem and (name := kwargs.pop("problem", None)) is not None:
                choose_problem_of_home(home, name)
            command(*args, **kwargs)
        except InputError as error:
            _fail(home.commands(str(error)), 2, as_json and not isinstance(error, AnsweredError))
        except RunFailedError as error:
            _fail(home.commands(str(error)), 1, as_json)
        except Exception as error:
            from mlguide_assets.console.machine import refusal

            if refused := refusal(error, home.root):
                _fail(home.commands(refused), 2, as_json)
            raise

    wrapper.__signature__ = _with_problem(command)  # type: ignore[attr-defined]
    wrapper.__doc__ = _one_line_per_paragraph(command.__doc__ or "")
    return wrapper


def _one_line_per_paragraph(text: str) -> str:
    """The help of a command without the line breaks of the source: Typer keeps those behind the first paragraph."""
    return "\n\n".join(" ".join(each.split()) for each in inspect.cleandoc(text).split("\n\n"))


def join_hosts(home: Home) -> None:
    """Where hosts share their files, let this process, and those that it starts, see what the others have.

    Raises:
        InputError: they would not share what a server needs, or the store does not answer.
    """
    if shared_address() is None:
        return
    from mlguide_assets.deploy.online_store.opening import STORE_VARIABLE
    from mlguide_assets.prepare.hosts.shared_problems import fetch_problems

    if not os.environ.get(STORE_VARIABLE):
        raise InputError(
            f"Hosts that share {LAKE_VARIABLE} and {DATABASE_VARIABLE} need an online store that all of them reach: "
            f"set {STORE_VARIABLE} to a Redis, such as redis://host:6379/0."
        )
    home.make_default()
    fetch_problems(home)


def choose_problem_of_home(home: Home, name: str) -> None:
    """Make this process, and those that it starts, work on one of the home's problems.

    Args:
        name: its name or its key, or the path of a file that has one of them.

    Raises:
        InputError: the home has none of this name.
    """
    from mlguide_assets.define.loading import PROBLEM_VARIABLE, problem_of_home

    problem = problem_of_home(home, name)
    os.environ[PROBLEM_VARIABLE] = os.environ[CHOSEN_VARIABLE] = name if name == problem.name else problem.key


def _fail(message: str, code: int, as_json: bool) -> None:
    """Say why on standard error; a program that reads JSON from standard output finds the sentence there, too."""
    from mlguide_assets.console.terminal import console

    console.print(f"mlguide: {message}", style="red")
    if as_json:
        _print_error(message)
    raise typer.Exit(code)


def _print_error(message: str) -> None:
    from mlguide_assets.console.terminal import print_json, shown

    print_json({"error": shown(message)})
