"""What the leakage alarms found, kept beside what they looked at, so that unchanged data are not examined twice.

It keeps the last answer only, and nothing of the rows.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlguide_assets.code_version import code_version
from mlguide_assets.define.loading import dump_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.lineage import LIBRARIES
from mlguide_assets.train.room import require_room_for_training

if TYPE_CHECKING:
    import ibis

    from mlguide_assets.train.leakage.results import Alarm


@dataclass(frozen=True)
class Finding:
    """What one alarm found: see `Alarm`, without its rows per feature."""

    check: str
    passed: bool
    feature: str | None
    value: float
    limit: float
    message: str


def look_for_leaks(
    path: Path,
    lake: Lake,
    problem: Problem,
    tables: "Mapping[str, ibis.Table]",
    features: "ibis.Table",
    *,
    known_only: bool,
) -> tuple[Finding, ...]:
    """What the alarms find, or found before in the same tables, with the same problem and code.

    Args:
        path: where the answer is kept.
        tables: what the features are compiled from, by their names in the problem file.
        known_only: do not look; the answer is empty where nothing is known of these tables.

    Raises:
        InputError: the history is too short to have a training window, there is too little memory to train next, or
            the disk is full.
    """
    subject = subject_of(lake, problem)
    known = kept_findings(path, subject)
    if known is not None or known_only:
        return known or ()
    # Not when the training begins, which is minutes later.
    require_room_for_training(lake.snapshot(problem.features_table).rows, problem)
    # The libraries that it needs are loaded only here.
    from mlguide_assets.train.leakage.suite import leakage_alarms

    # What other machines compute is not fetched whole.
    alarms = leakage_alarms(tables, features, problem, sampled=lake.engine.elsewhere)
    return keep_findings(path, subject, alarms)


def subject_of(lake: Lake, problem: Problem) -> str:
    """What the alarms look at: equal for equal tables, problem, code and libraries."""
    code = code_version("mlguide_assets.train.leakage.suite", libraries=LIBRARIES)
    tables = (lake.snapshot(name).content_hash for name in (*problem.tables, problem.features_table))
    return hashlib.sha256("\0".join((*tables, dump_problem(problem), code)).encode()).hexdigest()


def keep_findings(path: Path, subject: str, alarms: Sequence["Alarm"]) -> tuple[Finding, ...]:
    """Keep what the alarms found instead of what they found before.

    Raises:
        InputError: the disk is full, or the folder cannot be written to.
    """
    found = tuple(
        Finding(each.check, each.passed, each.feature, each.value, each.limit, each.message) for each in alarms
    )
    content = json.dumps({"subject": subject, "findings": [asdict(each) for each in found]}, indent=1)
    with writing("What the leakage alarms found", path.parent):
        replace_file(path, content.encode())
    return found


def kept_findings(path: Path, subject: str) -> tuple[Finding, ...] | None:
    """What the alarms found in this very subject; None where they have not looked at it, or looked at others since."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return tuple(Finding(**each) for each in kept["findings"]) if kept["subject"] == subject else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Damaged or of another version of this program: the alarms look again.
        return None
