"""What long work says while it goes on."""

from collections.abc import Callable

Report = Callable[[str], None]
"""Takes a line for the person who waits, such as a line of a run's log."""
