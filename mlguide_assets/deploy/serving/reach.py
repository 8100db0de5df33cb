"""Who may reach a server of ours, and by which name: what every answer to a browser depends on.

A web page of somebody else can have a browser send requests to this machine, also to 127.0.0.1, and a name that is
resolved to 127.0.0.1 makes that page one of the server's own. So a request must name a host that is known (`Host`), and
where it comes from a page (`Origin`), one of the same host. See https://owasp.org/www-community/attacks/csrf.
"""

import os
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from mlguide_assets.errors import InputError
from mlguide_assets.settings import ALLOWED_HOSTS_VARIABLE

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True)
class AllowedHosts:
    """The names by which a server may be addressed.

    Args:
        names: without port, in lower case.
        configured: those of them that the user listed; a page of such a host may be on another port, as behind a proxy.
        any_address: whether any IP address will do, as where the server listens on all of its own. No name that
            somebody else controls is one.
        anything: whether the user has switched the check off.
    """

    names: frozenset[str]
    configured: frozenset[str] = frozenset()
    any_address: bool = False
    anything: bool = False

    @classmethod
    def of(cls, bound: str, configured: str | None = None) -> "AllowedHosts":
        """Those of a server: loopback, the host that it is bound to, and those that the user lists.

        Args:
            bound: the host that it listens on.
            configured: names, separated by commas, `*` for any; the environment's without it. The port or the scheme
                of an address that is listed does not count.

        Raises:
            InputError: what is listed is no name of a host.

        >>> sorted(AllowedHosts.of("10.0.0.7", "ml.example.com").names - LOOPBACK_NAMES)
        ['10.0.0.7', 'ml.example.com']
        """
        listed = os.environ.get(ALLOWED_HOSTS_VARIABLE, "") if configured is None else configured
        names = frozenset(_listed(name.strip()) for name in listed.split(",") if name.strip())
        everywhere = _is_unspecified(bound)
        own = socket.gethostname() if everywhere else bound
        return cls(LOOPBACK_NAMES | names | {_spelled(own)}, names, any_address=everywhere, anything="*" in names)

    def refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        """The HTTP status of a request that is not answered, and why, in one sentence; None where it may be answered.

        Args:
            headers: as ASGI gives them, names in lower case.
        """
        hosts, origins = [], []
        for name, value in headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origins.append(value)
        if len(hosts) != 1 or len(origins) > 1:
            return 400, "A request names one host, in its header 'Host', and at most one origin."
        if self.anything:
            return None
        refusal = _refusal(self, hosts[0].decode("latin-1"), origins[0].decode("latin-1") if origins else None)
        return (403, refusal) if refusal else None

    def allows(self, name: str) -> bool:
        return name in self.names or (self.any_address and _is_address(name))


# Most requests of a client are alike.
@lru_cache(maxsize=256)
def _refusal(allowed: AllowedHosts, host: str, origin: str | None) -> str | None:
    name, port = _place(f"//{host}")
    if not allowed.allows(name):
        return (
            f"This server is not known by the host of this request: address it as {_shown(allowed)}, or list its "
            f"other names in {ALLOWED_HOSTS_VARIABLE} where it is started."
        )
    if origin is None:
        return None
    scheme = urlsplit(origin).scheme if "://" in origin else ""
    from_name, from_port = _place(origin)
    same_port = (from_port or _DEFAULT_PORTS.get(scheme)) == (port or _DEFAULT_PORTS.get(scheme))
    if (from_name == name and same_port) or (from_name and from_name in allowed.configured):
        return None
    return (
        f"This request comes from a page of another server, which is not answered: open this server's own page, or "
        f"list the page's host in {ALLOWED_HOSTS_VARIABLE} where this server is started."
    )


def _place(url: str) -> tuple[str, int | None]:
    """Host name, in lower case, and port; an empty name where there is none that can be read."""
    try:
        parts = urlsplit(url)
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            return "", None
        return _spelled(parts.hostname or ""), parts.port
    except ValueError:
        return "", None


def _listed(text: str) -> str:
    """The host of an entry of the setting, which may be a name, an address, or a URL.

    Raises:
        InputError: it is none, or a pattern, which would match nothing.
    """
    if text == "*":
        return text
    address = f"[{text}]" if _is_address(text) and ":" in text else text
    name, _ = _place((address if "://" in address else f"//{address}").rstrip("/"))
    with suppress(UnicodeError):
        if _NAME.fullmatch(found := name if _is_address(name) else name.encode("idna").decode("ascii")):
            return found
    raise InputError(
        f"{ALLOWED_HOSTS_VARIABLE}: {text!r} is not the name of a host: write names such as ml.example.com, separated "
        "by commas, or * for any."
    )


_NAME = re.compile(r"[\w.:-]+")


def _spelled(name: str) -> str:
    """A host in its one spelling: in lower case, without a dot at the end; an address as short as it can be written."""
    name = name.lower().removesuffix(".")
    return ip_address(name).compressed if _is_address(name) else name


def _shown(allowed: AllowedHosts) -> str:
    return ", ".join(sorted(allowed.names))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_unspecified(host: str) -> bool:
    return not host or (_is_address(host) and ip_address(host).is_unspecified)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def bind(host: str, port: int) -> socket.socket:
    """A socket of one's own at an address; it does not listen yet.

    Raises:
        InputError: the address is taken, or none of this machine.
    """
    bound: socket.socket | None = None
    try:
        if not 0 <= port < 2**16:
            raise OSError(f"ports end at {2**16 - 1}")
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
    except OSError as error:
        if bound is not None:
            bound.close()
        reason = error.strerror or error
        raise InputError(
            f"{host}, port {port}, cannot be served on ({reason}): choose others with --host, --port."
        ) from error
    return bound
