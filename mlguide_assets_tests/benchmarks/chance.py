"""Sources in which an outcome is pure chance, while much of what is written down afterwards follows from it.

They have the shapes that companies keep: outcomes in a column, in a status, in a table of their own; times and amounts
that are filled in later; what things have today. Whoever predicts the outcome has looked ahead.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

ROWS, DAYS = 6000, 500
START = pd.Timestamp("2023-01-01")

Tables = dict[str, pd.DataFrame]


class Chance:
    """Draws the columns of a source."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def times(self) -> pd.DatetimeIndex:
        return START + pd.to_timedelta(np.sort(self.random.integers(0, 86_400 * DAYS, ROWS)), unit="s")

    def later(self, times: pd.DatetimeIndex, days: np.ndarray | float) -> pd.Series:
        return pd.Series(times + pd.to_timedelta(np.broadcast_to(days, len(times)), unit="D")).dt.floor("s")

    def ids(self, number: int, rows: int = ROWS) -> np.ndarray:
        return self.random.integers(0, number, rows)

    def happens(self, share: float, rows: int = ROWS) -> np.ndarray:
        return self.random.random(rows) < share

    def amounts(self, rows: int = ROWS) -> np.ndarray:
        return self.random.gamma(2, 50, rows).round(2)

    def one_of(self, *values: str, rows: int = ROWS) -> np.ndarray:
        return self.random.choice(values, rows)

    def counted(self, outcome: np.ndarray, ids: np.ndarray, number: int) -> np.ndarray:
        """How often the outcome was each thing's, until today."""
        return np.bincount(ids, outcome, minlength=number).astype(int)


def clinic(draw: Chance) -> Tables:
    booked, missed, patient = draw.times(), draw.happens(0.2), draw.ids(900)
    visit = draw.later(booked, draw.random.integers(1, 40, ROWS))
    appointments = {
        "appointment_id": range(ROWS), "patient_id": patient, "doctor_id": draw.ids(40), "scheduled_at": booked,
        "appointment_at": visit, "no_show": np.where(missed, "Yes", "No"), "checked_in_at": visit.where(~missed),
        "duration_minutes": np.where(missed, 0, draw.random.integers(5, 60, ROWS)), "sms_received": draw.ids(2),
    }  # fmt: skip
    patients = {
        "patient_id": range(900), "born": START - pd.Timedelta(days=9000),
        "no_shows": draw.counted(missed, patient, 900),
    }  # fmt: skip
    return {"appointments": pd.DataFrame(appointments), "patients": pd.DataFrame(patients)}


def loans(draw: Chance) -> Tables:
    """A status; amounts recovered of what failed; payments that end where a loan fails."""
    issued, failed, who = draw.times(), draw.happens(0.2), draw.ids(1500)
    loan = draw.ids(ROWS, 2 * ROWS)
    after = draw.random.integers(1, 300, 2 * ROWS)
    paid = ~failed[loan] | (after < 60)
    return {
        "loans": pd.DataFrame({
            "loan_id": range(ROWS), "customer_id": who, "issued_at": issued, "amount": draw.amounts(),
            "status": np.where(failed, "defaulted", "repaid"), "days_past_due": np.where(failed, 90, 0),
            "recovered_amount": np.where(failed, draw.amounts(), 0),
            "closed_at": draw.later(issued, draw.random.integers(60, 200, ROWS)),
        }),
        "payments": pd.DataFrame({
            "payment_id": range(paid.sum()), "loan_id": loan[paid], "amount": draw.amounts(paid.sum()),
            "paid_at": draw.later(issued[loan[paid]], after[paid]),
        }),
        "customers": pd.DataFrame({
            "customer_id": range(1500), "income": draw.amounts(1500), "n_defaults": draw.counted(failed, who, 1500),
        }),
    }  # fmt: skip


def tickets(draw: Chance) -> Tables:
    opened, escalated = draw.times(), draw.happens(0.15)
    ticket = np.repeat(np.arange(ROWS), np.where(escalated, 6, 2))
    rows = len(ticket)
    return {
        "tickets": pd.DataFrame({
            "ticket_id": range(ROWS), "user_id": draw.ids(800), "created_at": opened, "escalated": escalated,
            "closed_at": draw.later(opened, draw.random.integers(1, 6, ROWS)), "n_replies": np.where(escalated, 6, 2),
            "csat": np.where(escalated, 2, 5), "channel": draw.one_of("mail", "chat"),
        }),
        "messages": pd.DataFrame({
            "message_id": range(rows), "ticket_id": ticket, "author": draw.one_of("user", "agent", rows=rows),
            "sent_at": draw.later(opened[ticket], draw.random.random(rows) * 5),
            "sentiment": (np.where(escalated[ticket], -0.5, 0.3) + draw.random.normal(0, 0.1, rows)).round(3),
        }),
    }  # fmt: skip


def deliveries(draw: Chance) -> Tables:
    ordered, late, courier = draw.times(), draw.happens(0.25), draw.ids(120)
    orders = {
        "order_id": range(ROWS), "customer_id": draw.ids(900), "courier_id": courier, "ordered_at": ordered,
        "promised_at": draw.later(ordered, 0.05), "delivered_at": draw.later(ordered, np.where(late, 0.08, 0.03)),
        "late": late, "rating": np.where(late, 2, 5), "tip": np.where(late, 0, draw.amounts()),
    }  # fmt: skip
    couriers = {
        "courier_id": range(120), "vehicle": draw.one_of("bike", "car", rows=120),
        "late_total": draw.counted(late, courier, 120),
    }  # fmt: skip
    return {"orders": pd.DataFrame(orders), "couriers": pd.DataFrame(couriers)}


def claims(draw: Chance) -> Tables:
    """Months pass until a fraud is confirmed; policies are ended afterwards."""
    opened, fraud, policy = draw.times(), draw.happens(0.08), draw.ids(1500)
    return {
        "claims": pd.DataFrame({
            "claim_id": range(ROWS), "policy_no": policy, "opened_on": opened.floor("D"),
            "closed_on": draw.later(opened, np.where(fraud, 120, 20)), "claimed_amount": draw.amounts(),
            "paid_amount": np.where(fraud, 0, draw.amounts()), "fraud_confirmed": fraud.astype(int),
            "investigator": np.where(fraud, "Kim", None),
        }),
        "policies": pd.DataFrame({
            "policy_no": range(1500), "product": draw.one_of("car", "home", rows=1500),
            "status": np.where(draw.counted(fraud, policy, 1500) > 0, "terminated", "active"),
        }),
    }  # fmt: skip


def bookings(draw: Chance) -> Tables:
    booked, canceled = draw.times(), draw.happens(0.35)
    arrival = draw.later(booked, draw.random.integers(1, 120, ROWS))
    rows = {
        "booking_id": range(ROWS), "guest_id": draw.ids(2000), "booked_at": booked, "arrival_date": arrival,
        "is_canceled": canceled.astype(int), "reservation_status": np.where(canceled, "Canceled", "Check-Out"),
        "reservation_status_date": arrival.where(~canceled, draw.later(booked, 1)),
        "assigned_room": np.where(canceled, None, draw.one_of("A", "B", "C")), "adr": draw.amounts(),
    }  # fmt: skip
    return {"bookings": pd.DataFrame(rows)}


def mails(draw: Chance) -> Tables:
    """Who unsubscribes has clicked, some minutes after the mail was sent."""
    sent, lost = draw.times(), draw.happens(0.06)
    clicked = np.repeat(np.flatnonzero(lost), 3)
    return {
        "sends": pd.DataFrame({
            "send_id": range(ROWS), "contact_id": draw.ids(1000), "campaign_id": draw.ids(60), "sent_at": sent,
            "opens": np.where(lost, 3, draw.random.binomial(3, 0.3, ROWS)), "unsubscribed": lost,
        }),
        "clicks": pd.DataFrame({
            "click_id": range(len(clicked)), "send_id": clicked, "clicked_at": draw.later(sent[clicked], 0.003),
            "url": draw.one_of("/a", "/unsubscribe", rows=len(clicked)),
        }),
        "campaigns": pd.DataFrame({"campaign_id": range(60), "theme": draw.one_of("sale", "news", rows=60)}),
    }  # fmt: skip


def readings(draw: Chance) -> Tables:
    """Work follows an alarm; the machine knows how many it had."""
    read, alarm, asset = draw.times(), draw.happens(0.05), draw.ids(80)
    return {
        "readings": pd.DataFrame({
            "asset_id": asset, "read_at": read, "temp": draw.random.normal(60, 5, ROWS).round(2),
            "alarm": alarm.astype(int),
        }),
        "work_orders": pd.DataFrame({
            "wo_id": range(alarm.sum()), "asset_id": asset[alarm], "created_at": draw.later(read[alarm], 0.1),
            "cost": draw.amounts(alarm.sum()),
        }),
        "assets": pd.DataFrame({
            "asset_id": range(80), "site": draw.one_of("A", "B", rows=80),
            "alarms_total": draw.counted(alarm, asset, 80),
        }),
    }  # fmt: skip


def enrolments(draw: Chance) -> Tables:
    enrolled, result = draw.times(), draw.random.choice(["Pass", "Fail", "Withdrawn"], ROWS, p=[0.6, 0.25, 0.15])
    each = np.repeat(np.arange(ROWS), 2)
    kept = (result[each] != "Withdrawn") | draw.happens(0.2, len(each))
    rows, of = int(kept.sum()), each[kept]
    return {
        "enrolments": pd.DataFrame({
            "enrolment_id": range(ROWS), "student_id": draw.ids(1500), "module": draw.one_of("AAA", "BBB", "CCC"),
            "enrolled_on": enrolled.floor("D"), "final_result": result,
            "unregistered_on": draw.later(enrolled, 50).where(result == "Withdrawn"),
        }),
        "assessments": pd.DataFrame({
            "enrolment_id": of, "submitted_at": draw.later(enrolled[of], 1 + draw.random.random(rows) * 60),
            "score": (np.where(result[of] == "Fail", 35, 70) + draw.random.normal(0, 5, rows)).round(1),
        }),
    }  # fmt: skip


def auctions(draw: Chance) -> Tables:
    opened, sold = draw.times(), draw.happens(0.5)
    auction = np.repeat(np.arange(ROWS), np.where(sold, 4, 1))
    rows = len(auction)
    return {
        "auctions": pd.DataFrame({
            "auction_id": range(ROWS), "seller_id": draw.ids(600), "opened_at": opened, "sold": sold,
            "closes_at": draw.later(opened, 5), "start_price": draw.amounts(),
            "final_price": np.where(sold, draw.amounts(), np.nan), "winner_id": np.where(sold, draw.ids(900), np.nan),
        }),
        "bids": pd.DataFrame({
            "bid_id": range(rows), "auction_id": auction, "bidder_id": draw.ids(900, rows),
            "amount": draw.amounts(rows), "placed_at": draw.later(opened[auction], draw.random.random(rows) * 5),
        }),
    }  # fmt: skip


WORLDS: dict[str, tuple[Callable[[Chance], Tables], str]] = {
    "clinic": (clinic, "no_show"),
    "loans": (loans, "status"),
    "tickets": (tickets, "escalated"),
    "deliveries": (deliveries, "late"),
    "claims": (claims, "fraud_confirmed"),
    "bookings": (bookings, "is_canceled"),
    "mails": (mails, "unsubscribed"),
    "readings": (readings, "alarm"),
    "enrolments": (enrolments, "final_result"),
    "auctions": (auctions, "sold"),
}
"""Name → how it is drawn, and the column of the outcome."""


def write_world(name: str, folder: Path, seed: int = 1) -> str:
    """Write the tables of a world as CSV files.

    Returns:
        The column of its outcome.
    """
    drawn, outcome = WORLDS[name]
    folder.mkdir(parents=True)
    for table, rows in drawn(Chance(seed)).items():
        rows.to_csv(folder / f"{table}.csv", index=False)
    return outcome


def about(outcome: str, draft: str) -> str:
    """A drafted problem file about a column, which may not be the first that it offers."""
    head, rest = draft.split("\npredict:", 1)
    offered, tail = rest.split("\nfeatures:", 1)
    named = f"column: {outcome},"
    if named not in offered.split("# or")[0]:
        line = next(line for line in offered.splitlines() if line.startswith("# predict:") and named in line)
        offered = line.removeprefix("# predict:")
    return f"{head}\npredict:{offered}\nfeatures:{tail}"
