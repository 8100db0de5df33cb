"""What every HTML file that this package writes has in common: browsers run its own scripts alone, and load nothing.

Data are escaped where they enter a page. The policy is the second line: what slips through does nothing.
"""

import base64
import hashlib
from collections.abc import Iterable

PLOTS = "/plots"
"""Where `mlguide ui` serves the pictures of a home."""

_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; font-src data:"


def policy_tag(scripts: Iterable[str] = ()) -> str:
    """The `<meta>` element that names what a page may do; it must come before what it is to bind.

    Styles may be inline: without a network they show or hide what is there, and do no more.

    Args:
        scripts: the text of each inline script, to the character.

    >>> "script-src" in policy_tag()
    False
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    policy = f"{_NOTHING}; style-src 'unsafe-inline'" + (f"; script-src {allowed}" if allowed else "")
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
