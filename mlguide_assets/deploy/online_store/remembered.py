"""A state of the online store whose rows are read once, for whichever models need them."""

from collections.abc import Sequence

from mlguide_assets.deploy.online_store.store import Id, Row, Snapshot


class Remembered(Snapshot):
    """Remembers what was looked up. For one batch of requests: nothing is ever forgotten."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.publication = snapshot.publication
        self._snapshot = snapshot
        self._known: dict[tuple[str, tuple[Id, ...]], dict[Id, Row]] = {}

    def look_up(self, table: str, keys: Sequence[Id]) -> dict[Id, Row]:
        asked = (table, tuple(keys))
        if asked not in self._known:
            self._known[asked] = self._snapshot.look_up(table, keys)
        return self._known[asked]

    def search(self, table: str, text: str, limit: int) -> list[Row]:
        return self._snapshot.search(table, text, limit)
