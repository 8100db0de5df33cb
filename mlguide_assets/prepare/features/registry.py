"""Every feature, once: its name, kind, meaning, and whether a model may use it.

The functions that compute them are `history.py` (what happened before) and `moment.py` (what follows
from the instant itself); profile and content columns are taken as they are.
"""

from dataclasses import dataclass
from typing import Literal

from mlguide_assets.define.values import slug

Kind = Literal["number", "category", "text"]
Origin = Literal["profile", "content", "user_history", "email_history", "moment"]


@dataclass(frozen=True)
class Feature:
    """One column of `send_features`.

    `text` is never given to a model: a subject is as good as an id.
    """

    name: str
    kind: Kind
    origin: Origin
    description: str

    @property
    def for_models(self) -> bool:
        return self.kind != "text"


PROFILE = ("age", "gender", "country", "words_in_description", "purchases")
CONTENT = ("theme", "category", "subject", "number_of_buttons", "number_of_sections", "number_of_items")

USER_HISTORY = {
    "number_of_emails": "Earlier sends to the user.",
    "number_of_unsubscribes": "Earlier sends that the user unsubscribed from, matured by then.",
    "emails_last_7_days": "Sends to the user in the 7 days before.",
    "emails_last_30_days": "Sends to the user in the 30 days before.",
}
EMAIL_HISTORY = {
    "email_matured_sends": "Sends of this email whose outcome had matured by the start of the day, UTC.",
    "email_unsubscribe_rate": "Share of these that lost the user; null where there are none.",
}
MOMENT = {
    "tenure_days": "Days since the user joined.",
    "email_age_days": "Days since the email was created.",
    "days_since_last_email": "Days since the previous send to the user; null where there is none.",
    "day_of_week": "Monday is 0, UTC.",
    "hour_of_day": "Hour of the day, UTC.",
}


def theme_count(theme: str) -> str:
    return f"number_of_email_theme_{slug(theme)}"


def category_count(category: str) -> str:
    return f"number_of_email_category_{slug(category)}"
