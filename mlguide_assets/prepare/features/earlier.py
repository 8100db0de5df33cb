"""Features that the data decided before stay: what was learned from them must be computable as long as it serves.

The champion, the version before it and one that waits know the features of their own training. What the data of a
later day would decide may be others, though nobody changed the problem.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlguide_assets.define.features import Automatic, Declaration, Features
from mlguide_assets.define.references import check_references
from mlguide_assets.prepare.features.catalogue import Declared, nouns_of

_OVER_WINDOWS = ("count", "sum", "mean", "min", "max", "distinct", "rate", "share")


@dataclass(frozen=True)
class Earlier:
    """What was decided last, by name: the values of declared features, and the automatic ones."""

    declared: Mapping[str, Declaration] = field(default_factory=dict)
    automatic: Mapping[str, Declaration] = field(default_factory=dict)

    def values_of(self, name: str, declaration: Declaration) -> tuple[str, ...]:
        """The values that a `split` had, if the file still declares it so."""
        before = self.declared.get(name)
        return before.values if before and _asked(before) == _asked(declaration) else ()

    def staying(self, problem: Declared, automatic: Automatic) -> dict[str, Declaration]:
        """The automatic features that the file still allows: its windows, entities and columns, and `max` of them."""
        kept: dict[str, Declaration] = {}
        made = 0
        for name, declaration in self.automatic.items():
            if name in problem.features.declared or not _is_allowed(name, declaration, problem, automatic):
                continue
            made += declaration.number_of_features
            if made > automatic.max:
                break
            kept[name] = declaration
        return kept


NOTHING = Earlier()


def _asked(declaration: Declaration) -> Declaration:
    """What the file asks for, without what the data answered."""
    return declaration.model_copy(update={"values": (), "description": ""})


def _is_allowed(name: str, declaration: Declaration, problem: Declared, automatic: Automatic) -> bool:
    whose = declaration.by or str(declaration.age or "").partition(".")[0]
    if whose and whose not in (*nouns_of(problem), *automatic.parents):
        return False
    if declaration.operator in _OVER_WINDOWS and declaration.within not in automatic.spans:
        return False
    try:
        check_references(problem.schema, problem.predict, Features(automatic=False, declared={name: declaration}))
    except ValueError:
        return False
    return True
