"""A part of a text that says which entity something is about."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from mlguide_assets.prepare.forgetting.escapes import View


@dataclass(frozen=True)
class Mention:
    """A part of a text.

    Attributes:
        is_row: it is a cell of a row that is about the entity; else it is the id.
        in_words: nothing reads it but people.
    """

    start: int
    end: int
    is_row: bool = False
    in_words: bool = False

    def moved(self, by: int) -> "Mention":
        """The same where the text that was looked at is a part of another one, from some place on."""
        return replace(self, start=self.start + by, end=self.end + by)

    def within(self, view: View, offset: int) -> "Mention":
        """The same where the text that was looked at is a part of another one, written with escapes."""
        return replace(self, start=offset + view.place(self.start), end=offset + view.place(self.end))


Find = Callable[[str], Iterable[Mention]]
"""How the mentions in a text are found that is a part of another one, such as a string of JSON."""
