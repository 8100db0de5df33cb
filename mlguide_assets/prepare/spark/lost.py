"""Spark that no longer answers, as one sentence: its driver was killed, or its server is gone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mlguide_assets.define.secrets import shown_address
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.spark.session import DEFAULT, VARIABLE

_GONE = ("Py4JNetworkError", "RetriesExceeded")
"""What py4j and Spark Connect raise once nobody answers, beside the errors of sockets."""
_STOPPED = ("stopped sparkcontext", "sparkcontext was shut down", "statuscode.unavailable", "does not exist in the jvm")
"""Words of errors that other failures share the type of."""


@contextmanager
def naming_lost_spark() -> Iterator[None]:
    """Turn errors of a Spark that is gone into one sentence; all others rise as they are. Also decorates functions.

    Raises:
        InputError: Spark no longer answers.
    """
    try:
        yield
    except Exception as error:
        if not _is_lost(error):
            raise
        where = shown_address(os.environ.get(VARIABLE) or DEFAULT)
        raise InputError(
            f"Spark at {where} ended or no longer answers ({type(error).__name__}): see its own "
            f"log for the reason, often a lack of memory, then run again; what was there before is untouched."
        ) from error


def _is_lost(error: BaseException) -> bool:
    if isinstance(error, ConnectionError) or type(error).__name__ in _GONE:
        return True
    return any(words in str(error).lower() for words in _STOPPED)
