"""The core table: the three sources side by side."""

import ibis


def join_core_users(user_profiles: ibis.Table, user_emails: ibis.Table, email_content: ibis.Table) -> ibis.Table:
    """Profiles, left-joined to their sends, left-joined to the content of these.

    One row per send, and one row with null send columns per user who was never sent anything.
    """
    profiles = user_profiles.rename(user_id="id")
    content = email_content.rename(content_id="id")
    sends = user_emails.rename(receiver_id="user_id")
    joined = profiles.left_join(sends, profiles.user_id == sends.receiver_id)
    joined = joined.left_join(content, joined.email_id == content.content_id)
    columns = [name for name in joined.columns if name not in ("receiver_id", "content_id")]
    keys = ["user_id", "email_id", "delivered_at", "unsubscribed"]
    ordered = joined.select(*keys, *[name for name in columns if name not in keys])
    return ordered.order_by("delivered_at", "user_id", "email_id")
