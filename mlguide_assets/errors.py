"""The one exception for what the user gave us, as opposed to what we got wrong."""


class InputError(Exception):
    """Bad input. Its text is one sentence for the user: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


class RunFailedError(Exception):
    """A run failed for a reason that is not the user's; its text says where to look."""
