"""Progress of a command that takes longer than an instant."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.text import Text

from mlguide_assets.console.terminal import console


@contextmanager
def reporting() -> Iterator[Callable[[str], None]]:
    """A function to call with each step: a line that is replaced by the next, or, where no terminal is, a line each."""
    if not console.is_terminal:
        yield lambda text: console.print(f"  {text}")
        return
    with console.status("") as status:
        yield lambda text: status.update(Text(text))
