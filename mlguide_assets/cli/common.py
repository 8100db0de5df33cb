"""What every command shares: its options, and how it ends."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from mlguide_assets.errors import InputError, RunFailedError
from mlguide_assets.settings import Home

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Where everything is kept. Default: $MLGUIDE_HOME, else .mlguide here.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]


def home_with_emails(home: Path | None, command: str) -> Home:
    """The home of a command that knows users, emails and sends alone.

    Raises:
        InputError: its problem has other tables.
    """
    from mlguide_assets.define.loading import current_problem

    found = Home.locate(home)
    problem = current_problem(found)
    if not problem.has_email_tables:
        raise InputError(
            f"'mlguide {command}' knows users, emails and sends alone so far, and the problem of {found.root}, "
            f"{problem.name}, has other tables: run, check, status, history, promote, rollback, reproduce, export and "
            f"ui work on these."
        )
    return found


def handle_errors(command: Callable[..., None]) -> Callable[..., None]:
    """End with one sentence: exit code 2 for bad input or a machine that refuses, 1 for any other failed run."""

    @wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        from mlguide_assets.console.terminal import print_in_any_encoding, print_warnings_as_data

        # Before the command: what a run sets in the environment would make its home the default.
        home = Home.locate(kwargs.get("home"))
        print_in_any_encoding()
        print_warnings_as_data()
        try:
            command(*args, **kwargs)
        except InputError as error:
            _fail(home.commands(str(error)), 2)
        except RunFailedError as error:
            _fail(home.commands(str(error)), 1)
        except Exception as error:
            from mlguide_assets.console.machine import refusal

            if refused := refusal(error, home.root):
                _fail(refused, 2)
            raise

    return wrapper


def _fail(message: str, code: int) -> None:
    from mlguide_assets.console.terminal import console

    console.print(f"mlguide: {message}", style="red")
    raise typer.Exit(code)
