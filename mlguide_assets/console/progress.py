"""Progress of a command that takes longer than an instant; that of a run comes from the events that Dagster logs."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.status import Status
from rich.text import Text

from mlguide_assets.console.terminal import console
from mlguide_assets.progress import Report


@contextmanager
def reporting() -> Iterator[Report]:
    """A function to call with each step: a line that is replaced by the next, or, where no terminal is, a line each."""
    if not console.is_terminal:
        yield lambda text: console.print(f"  {text}")
        return
    with console.status("") as status:
        yield lambda text: status.update(Text(text))


class ProgressHandler(logging.Handler):
    """Prints what a person wants to see of Dagster's log records: a line per asset, and what it is doing meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._started: dict[str, float] = {}
        self._status: Status | None = None

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        step, event = meta.get("step_key") or "", meta.get("dagster_event")
        if event is None:
            # Only what assets report themselves: Dagster's own lines about skipped steps are errors.
            if step and record.levelno == logging.INFO:
                self._working(step, str(meta.get("orig_message", record.getMessage())))
            return
        kind = event.event_type_value
        if kind == "STEP_START":
            self._started[step] = time.monotonic()
            self._working(step, "")
        elif kind == "ASSET_MATERIALIZATION":
            self._materialised(event, step)
        elif kind == "STEP_FAILURE":
            self._line(Text.assemble(("✗", "red"), f" {step}"))
        if kind in ("STEP_SUCCESS", "STEP_FAILURE") and self._status:
            self._status.stop()
            self._status = None

    def _materialised(self, event: object, step: str) -> None:
        materialization = event.step_materialization_data.materialization  # type: ignore[attr-defined]
        rows = materialization.metadata.get("dagster/partition_row_count") or materialization.metadata.get(
            "dagster/row_count"
        )
        name = materialization.asset_key.path[-1]
        count = f"{rows.value:>12,} rows" if rows else " " * 17
        seconds = time.monotonic() - self._started.get(step, time.monotonic())
        self._line(Text.assemble(("✓", "green"), f" {name:<22}{count} {seconds:6.1f} s"))

    def _working(self, step: str, message: str) -> None:
        text = f"{step}  {message}".strip()
        if not console.is_terminal:
            if message:
                self._line(f"  {text}")
            return
        if self._status is None:
            self._status = console.status(Text(text))
            self._status.start()
        self._status.update(Text(text))

    def _line(self, text: str | Text) -> None:
        console.print(text)
        sys.stderr.flush()


def progress_logger(_: object) -> logging.Logger:
    """A Dagster logger that shows progress instead of Dagster's own lines."""
    logger = logging.Logger("mlguide.progress", logging.DEBUG)
    logger.addHandler(ProgressHandler())
    return logger
