"""The one value that a simulated company follows from. No table is made here."""

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class World:
    """A simulated company; equal worlds give equal tables, byte for byte.

    `sends` and `days` size the number of users who join per day: the history [start, start + days) then holds
    at least `sends` sends, and little more. The world does not stop there: any later day can be generated
    too, and changes no earlier one. Without a date, a shift never happens.

    `base_rate` is the share of delivered sends that make their user unsubscribe, in a world without shifts.
    `unobserved_sd` is the standard deviation, in logit units, of the part of the risk that no feature sees.

    Raises ValueError when a size or a rate is out of range.
    """

    seed: int = 7
    sends: int = 300_000
    start: date = date(2025, 1, 1)
    days: int = 365
    base_rate: float = 0.02
    unobserved_sd: float = 0.2
    covariate_shift: date | None = None
    concept_shift: date | None = None

    def __post_init__(self) -> None:
        for name, value in (("sends", self.sends), ("days", self.days)):
            if value < 1:
                raise ValueError(f"World.{name} is {value}; it must be at least 1")
        if not 0.001 <= self.base_rate <= 0.2:
            raise ValueError(f"World.base_rate is {self.base_rate}; it must lie between 0.001 and 0.2")
        if not 0 <= self.unobserved_sd <= 3:
            raise ValueError(f"World.unobserved_sd is {self.unobserved_sd}; it must lie between 0 and 3")

    @property
    def end(self) -> date:
        """The first day after the history."""
        return self.start + timedelta(days=self.days)

    def day(self, when: date) -> int:
        """Days from `start` to `when`; negative before it."""
        return (when - self.start).days
