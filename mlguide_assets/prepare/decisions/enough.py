"""How many of each outcome a model needs: training refuses fewer, and a check of a problem file says so before."""

from mlguide_assets.define.decision import Decision
from mlguide_assets.english import agreeing

LEAST_OF_EACH_OUTCOME = 3
"""With fewer, a model would learn those rows, and no figure would mean anything."""


def too_few(window: str, rows: int, positives: int, decision: Decision) -> str | None:
    """Why nothing is trained where a window has too few of either outcome; None where it has enough.

    Args:
        window: such as `The test window`.
        rows: its decisions whose outcome is known.
    """
    if min(positives, rows - positives) >= LEAST_OF_EACH_OUTCOME:
        return None
    return (
        f"{window} has {decision.counted(rows)} with a known outcome, of which {positives:,} "
        f"{agreeing(positives, 'is')} positive: a model needs at least {LEAST_OF_EACH_OUTCOME} of each outcome in "
        f"every window; add history, or check predict.label."
    )
