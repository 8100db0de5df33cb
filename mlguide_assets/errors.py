"""Exceptions whose text is meant for the user, as opposed to faults of the code; and what is quoted of other errors."""

import textwrap


class InputError(Exception):
    """Bad input. Its text is one sentence for the user: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


class AnsweredError(InputError):
    """Bad input of which all that could be said was printed already, as JSON where that was asked for."""


class AwayError(InputError):
    """A service does not answer now, and may do so later, without anybody changing what was asked of it."""


class RunFailedError(Exception):
    """A run failed for a reason that is not the user's; its text says where to look."""


def not_permitted(error: OSError) -> InputError:
    """For a file that is there and that this user may not read: nothing is known of what is in it."""
    return InputError(
        f"{error.filename} cannot be read by this user (permission denied): run as the user who owns it, or change its "
        f"owner or mode."
    )


def first_line(error: BaseException | str) -> str:
    """The beginning of what an engine says, up to a whole word. What is secret in it must be masked before.

    >>> first_line("no route to host\\nTry again later.")
    'no route to host'
    """
    name = type(error).__name__ if isinstance(error, BaseException) else "no reason given"
    line = (str(error).strip().splitlines() or [name])[0]
    return textwrap.shorten(line, 200, placeholder=" …") if len(line) > 200 else line
