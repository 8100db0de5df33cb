"""Addresses of sources as libraries take them: with the values of the environment that they name."""

import os
import re
from urllib.parse import quote

from mlguide_assets.define.secrets import credential_spans
from mlguide_assets.define.sources import FILE_DATABASES
from mlguide_assets.errors import InputError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def expand_variables(uri: str) -> str:
    """A URI with the values of the environment that it names.

    A value is what it is, not how a URL writes it: where a user or a password stands, it is percent-encoded. What is
    written in the URI itself, and a value anywhere else, stays as it is.

    Raises:
        InputError: a variable is not set.
    """
    # A file's path may have an @, and is no URL.
    spans = [] if uri.partition("://")[0] in FILE_DATABASES else credential_spans(uri)

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise InputError(f"The source URI names ${{{match[1]}}}, but that environment variable is not set: set it.")
        given = os.environ[match[1]]
        around = next((uri[start:end] for start, end in spans if start <= match.start() < end), None)
        # One that stands alone before the host may be both, with a colon between.
        return given if around is None else quote(given, safe=":" if around == match[0] else "")

    return _VARIABLE.sub(value, uri)
