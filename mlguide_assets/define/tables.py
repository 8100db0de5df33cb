"""The three source tables: column names, types and meanings, defined once.

Types are Ibis/DuckDB names. The loaders cast to them, the contracts speak of them, Dagster shows them.
"""

from dataclasses import dataclass
from typing import Literal

TableName = Literal["user_profiles", "email_content", "user_emails"]
ColumnType = Literal["int64", "string", "timestamp"]

ASSIGNMENTS = "experiment_assignments"
"""The units of experiments with the policies of their arms, a partition per day, which the plan of the day follows."""

SEND_PLAN = "send_plan"
"""The lake's table of plans, one partition per day. It is made late, and read early: by a world that follows it, and
by a training whose sends it chose. The stages that read it know its name and columns, not who made it."""


@dataclass(frozen=True)
class Column:
    type: ColumnType
    description: str


@dataclass(frozen=True)
class SourceTable:
    description: str
    columns: dict[str, Column]


TABLES: dict[TableName, SourceTable] = {
    "user_profiles": SourceTable(
        "One row per user.",
        {
            "id": Column("int64", "User id."),
            "date_joined": Column("timestamp", "When the user joined, UTC."),
            "gender": Column("string", "Gender as the user gave it."),
            "age": Column("int64", "Age in years."),
            "country": Column("string", "Country code."),
            "words_in_description": Column("int64", "Words in the user's own description."),
            "purchases": Column("int64", "Purchases so far."),
        },
    ),
    "email_content": SourceTable(
        "One row per marketing email.",
        {
            "id": Column("int64", "Email id."),
            "subject": Column("string", "Subject line."),
            "theme": Column("string", "What the email is about."),
            "category": Column("string", "What kind of email it is."),
            "number_of_buttons": Column("int64", "Buttons in the email."),
            "number_of_sections": Column("int64", "Sections in the email."),
            "number_of_items": Column("int64", "Items shown in the email."),
            "created_at": Column("timestamp", "When the email was created, UTC."),
        },
    ),
    "user_emails": SourceTable(
        "One row per send: one email delivered to one user.",
        {
            "user_id": Column("int64", "The user who received the email."),
            "email_id": Column("int64", "The email."),
            "unsubscribed": Column("string", "Whether this send lost the user; empty until that is known."),
            "delivered_at": Column("timestamp", "When the email was delivered, UTC."),
        },
    ),
}

KEYS: dict[TableName, tuple[str, ...]] = {
    "user_profiles": ("id",),
    "email_content": ("id",),
    "user_emails": ("user_id", "email_id", "delivered_at"),
}
