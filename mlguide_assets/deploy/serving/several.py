"""The problems on one address: each below `/problems/<name>/`, and the home's last one, or the only one, also without.

Each has an application, models, store, log and limits of its own. What has to be one is one: process, address, key and
metrics, whose label `problem` tells them apart.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from mlguide_assets.deploy.serving.guarding import Guard, Receive, Scope, Send

BELOW = "/problems/"


class Several:
    """Hands every request to the application of its problem.

    Args:
        applications: by the name of the problem.
        default: the name of the one that paths without a problem belong to.
    """

    def __init__(self, applications: Mapping[str, Guard], default: str) -> None:
        self._applications = applications
        self._default = applications[default]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        name, slash, _ = scope["path"].removeprefix(BELOW).partition("/")
        application = self._applications.get(name) if scope["path"].startswith(BELOW) else None
        if application is None:
            await self._default(scope, receive, send)
        elif not slash:
            # The links of a page are relative to the last slash of its address.
            await _redirect(f"{scope['path']}/", send)
        else:
            # As ASGI has it, the path goes on to have what it is below.
            await application({**scope, "root_path": f"{BELOW}{name}"}, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start all applications, and stop them in the end."""
        await receive()
        async with AsyncExitStack() as stack:
            for application in self._applications.values():
                await stack.enter_async_context(application.lifespan())
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def _redirect(to: str, send: Send) -> None:
    location = (b"location", to.encode())
    await send({"type": "http.response.start", "status": 308, "headers": [location]})
    await send({"type": "http.response.body", "body": b""})
