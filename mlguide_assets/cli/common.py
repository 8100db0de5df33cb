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
