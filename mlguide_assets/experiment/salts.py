"""The salts of the draws that every experiment shares, and which salts a file may not use, so that none says anything
of another."""

HOLDOUT_SALT = "holdout"
"""The same for every experiment, which is what makes the hold-out permanent."""

GROUP_SALT = "exclusion/"
"""What the salt of an exclusion group starts with."""

CANARY_SALT = "canary/"
"""What the salt of a canary starts with."""


def is_reserved(salt: str) -> bool:
    """Whether a draw that is not the file's own may have this salt: one salt for two draws would skew the arms.

    >>> [is_reserved(salt) for salt in ("holdout", "exclusion/experiments", "mine/holdout")]
    [True, True, False]
    """
    return salt == HOLDOUT_SALT or salt.startswith((GROUP_SALT, CANARY_SALT))
