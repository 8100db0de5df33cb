"""Following the pointers: promotion and rollback reach the running server within half a second, on other hosts two.

The next model is verified, loaded and tried beside the one that serves, which is then exchanged in one assignment:
no request waits or fails. A bundle that cannot be used is not taken, and what served before goes on.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from mlguide_assets.deploy.bundle import Bundle, Role, pointed, pointer_path
from mlguide_assets.deploy.routing import ROUTING, Route, read_routes
from mlguide_assets.deploy.serving.model import ServedModel, load_served
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.hosts.shared_files import mark, shared_bucket

POLL_SECONDS = 0.2
SHARED_POLL_SECONDS = 0.7
"""Where each look asks object storage."""
RETRY_SECONDS = 5.0
"""What was refused may have been repaired under the same name, or could not be read for a moment."""

DUE_SECONDS = 5.0
STOP_SECONDS = 5.0
"""How long a stopping server waits for its thread: a request to an unreachable store takes half a minute."""

_log = logging.getLogger(__name__)


class Follower:
    """Keeps one role, champion or challenger, loaded as its pointer says.

    Args:
        take: called with the model that the pointer names, or None where it names none.
    """

    def __init__(self, bundles: Path, role: Role, take: Callable[[ServedModel | None], None]) -> None:
        self.fault: str | None = None
        """Why the version that the pointer names does not serve."""
        self._bundles = bundles
        self._role = role
        self._take = take
        self._seen: object = "never"
        self._retry_at = 0.0

    def look(self) -> None:
        """Load what the pointer names, if it moved since the last look."""
        try:
            seen = mark(pointer_path(self._bundles, self._role))
        except InputError as error:
            self._refuse(error)
            return
        if seen == self._seen and not (self.fault and monotonic() >= self._retry_at):
            return
        try:
            bundle = pointed(self._bundles, self._role)
            model = load_served(bundle) if bundle else None
        except Exception as error:
            self._refuse(error)
        else:
            self._accept(bundle, model)
        self._seen = seen

    def _accept(self, bundle: Bundle | None, model: ServedModel | None) -> None:
        self._take(model)
        self.fault = None
        _log.info("%s is %s", self._role, f"version {bundle.version}" if bundle else "none")

    def _refuse(self, error: Exception) -> None:
        self._retry_at = monotonic() + RETRY_SECONDS
        # What XGBoost says of a file that it cannot read has many lines; other errors say nothing at all.
        first = next(iter(str(error).splitlines()), "")
        fault = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {first}"
        if fault != self.fault:
            _log.error("the %s pointed to is not taken, what served before goes on: %s", self._role, fault)
        self.fault = fault


class RoutesFollower:
    """Keeps the routes of the experiments as their file says; a damaged one is no route.

    Args:
        take: called with the routes.
    """

    def __init__(self, bundles: Path, take: Callable[[tuple[Route, ...]], None]) -> None:
        self.fault: str | None = None
        self._bundles = bundles
        self._take = take
        self._seen: object = "never"
        self._retry_at = 0.0

    def look(self) -> None:
        """Read the file, if it was replaced since the last look; again where it could not be read."""
        try:
            seen = mark(self._bundles / ROUTING)
        except InputError as error:
            # Of a store that does not answer: the routes that are known go on.
            self._refuse(error)
            self._seen = "unknown"
            return
        if seen == self._seen and not (self.fault and monotonic() >= self._retry_at):
            return
        try:
            routes, self.fault = read_routes(self._bundles), None
        except InputError as error:
            routes = ()
            self._refuse(error)
        self._take(routes)
        self._seen = seen

    def _refuse(self, error: InputError) -> None:
        self._retry_at = monotonic() + RETRY_SECONDS
        if str(error) != self.fault:
            _log.error("%s", error)
        self.fault = str(error)


class Watcher:
    """A thread that has its followers look, several times a second, and does what is due now and then.

    Args:
        now_and_then: called every `DUE_SECONDS`.
    """

    def __init__(self, followers: Sequence[Follower | RoutesFollower], now_and_then: Callable[[], None]) -> None:
        self._followers = followers
        self._now_and_then = now_and_then
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pointers", daemon=True)

    def start(self) -> None:
        """Look once, so that a server which starts has what it can have, and then on and on."""
        for follower in self._followers:
            follower.look()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        due = monotonic() + DUE_SECONDS
        while not self._ended.wait(POLL_SECONDS if shared_bucket() is None else SHARED_POLL_SECONDS):
            for follower in self._followers:
                follower.look()
            if monotonic() >= due:
                self._now_and_then()
                due = monotonic() + DUE_SECONDS
