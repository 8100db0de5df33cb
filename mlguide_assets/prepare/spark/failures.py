"""What fails on Spark for want of Spark, as one sentence: it is gone, or the Python of its workers lacks a package."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from mlguide_assets.define.secrets import shown_address
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.spark.session import DEFAULT, VARIABLE

_GONE = ("Py4JNetworkError", "RetriesExceeded")
"""What py4j and Spark Connect raise once nobody answers, beside the errors of sockets."""
_STOPPED = ("stopped sparkcontext", "sparkcontext was shut down", "statuscode.unavailable", "does not exist in the jvm")
"""Words of errors that other failures share the type of."""
_LACKS = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_OTHER_PYTHON = ("python_version_mismatch", "in worker has different version")


@contextmanager
def naming_failures() -> Iterator[None]:
    """Turn errors of a Spark that cannot do its work into one sentence; all others rise as they are.

    Also decorates functions.

    Raises:
        InputError: Spark no longer answers, or its workers have another Python or other packages.
    """
    try:
        yield
    except Exception as error:
        where = shown_address(os.environ.get(VARIABLE) or DEFAULT)
        if _is_lost(error):
            raise InputError(
                f"Spark at {where} ended or no longer answers ({type(error).__name__}): see its own "
                f"log for the reason, often a lack of memory, then run again; what was there before is untouched."
            ) from error
        if lacks := _of_workers(error):
            raise InputError(
                f"The Python of Spark's workers at {where} {lacks}: install mlguide on the machines of Spark as it is "
                f"here, and set PYSPARK_PYTHON to its Python, for Spark Connect where the server starts; what was "
                f"there before is untouched."
            ) from error
        raise


def _is_lost(error: BaseException) -> bool:
    if isinstance(error, ConnectionError) or type(error).__name__ in _GONE:
        return True
    return any(words in str(error).lower() for words in _STOPPED)


def _of_workers(error: BaseException) -> str:
    """What is amiss with their Python; "" where that is not why something failed."""
    if type(error).__name__ != "PythonException":
        return ""
    if found := _LACKS.search(str(error)):
        return f"has no package {found[1]!r}"
    return "is of another version" if any(words in str(error).lower() for words in _OTHER_PYTHON) else ""
