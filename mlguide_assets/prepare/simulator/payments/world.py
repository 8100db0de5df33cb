"""The one value that simulated card payments follow from. No table is made here."""

from dataclasses import dataclass
from datetime import date, timedelta

MEAN_RATE = 0.8
"""Payments of a customer per day, on average."""
CUSTOMERS_PER_TERMINAL = 3


@dataclass(frozen=True)
class PaymentWorld:
    """Customers who pay at terminals; equal worlds give equal tables, byte for byte.

    `payments` is how many the history [start, start + days) holds, give or take a few per cent. It sizes the number of
    customers and terminals.

    Raises ValueError when a size is out of range.
    """

    seed: int = 7
    payments: int = 150_000
    start: date = date(2018, 4, 1)
    days: int = 122

    def __post_init__(self) -> None:
        for name, value in (("payments", self.payments), ("days", self.days)):
            if value < 1:
                raise ValueError(f"PaymentWorld.{name} is {value}; it must be at least 1")

    @property
    def end(self) -> date:
        """The first day after the history."""
        return self.start + timedelta(days=self.days)

    @property
    def customers(self) -> int:
        return max(round(self.payments / (MEAN_RATE * self.days)), 2)

    @property
    def terminals(self) -> int:
        return max(self.customers // CUSTOMERS_PER_TERMINAL, 2)
