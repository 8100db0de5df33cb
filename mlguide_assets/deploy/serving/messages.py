"""The requests and answers of the API: types that follow from the problem, and the schema of OpenAPI.

Bodies are dictionaries of described types, since columns may have any names; the rest of the server sees
`PredictionRequest`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from mlguide_assets.define.decision import Decision, id_column
from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import ColumnKind
from mlguide_assets.define.values import canonical_text, without_spaces
from mlguide_assets.deploy.serving.instants import zone_of_events
from mlguide_assets.deploy.serving.request import PredictionRequest
from mlguide_assets.deploy.serving.types import list_of, record
from mlguide_assets.english import plural
from mlguide_assets.prepare.features.catalogue import Feature
from mlguide_assets.prepare.features.wording import CALENDAR

MOST_DAYS = 100_000
"""Of an age or a gap that is set by hand."""

ONE, MANY = "(one)", "(many)"
"""The two forms of a body about events; part of the location of an error in messages."""


_Number = Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]
_Text = Annotated[str, Field(strict=True, min_length=1, max_length=200), AfterValidator(without_spaces)]
_ANY_ID = _Number | _Text
"""Until a store was read: ids are whole numbers or texts, as the data have them."""


def _text(value: object) -> object:
    if not isinstance(value, str) or "-" not in value[1:]:
        raise ValueError("write a time as text, such as 2026-01-02T10:30:00Z")
    return value


Instant = Annotated[datetime, BeforeValidator(_text), Field(strict=False)]
"""JSON has no times: a text in ISO 8601, and no number, whose unit would be unknown."""

_KINDS: dict[ColumnKind, Any] = {
    "number": Annotated[float, Field(allow_inf_nan=False)],
    "integer": _Number,
    "flag": bool,
    "category": Annotated[str, Field(max_length=1000), AfterValidator(canonical_text)],
    "text": Annotated[str, Field(max_length=100_000), AfterValidator(canonical_text)],
}


def id_type(example: object) -> Any:
    """The type of an entity's ids.

    Args:
        example: one of them, or None where none is known.
    """
    if example is None:
        return _ANY_ID
    return _Text if isinstance(example, str) else _Number


def longest(type_: Any) -> int:
    """How many characters an id of a type may have."""
    return 20 if type_ is _Number else 200


@dataclass(frozen=True)
class Requests:
    """The bodies that a problem's API takes, as types, and what they mean.

    Attributes:
        predict: of POST /predict.
        recommend: of POST /recommend; None where nothing is chosen.
        decision: what they are about.
        flat: whether the fields of one event may be a body by themselves.
    """

    predict: Any
    recommend: Any
    decision: Decision
    flat: bool = False

    def parse(self, body: Mapping[str, Any], *, recommend: bool = False) -> PredictionRequest:
        """The request of a body, which is of one of the types."""
        decision = self.decision
        options = {name: body[name] for name in ("probability", "explain", "as_of", "on_unknown") if name in body}
        if given := body.get("what_if"):
            options["what_if"] = {name: value for name, value in given.items() if value is not None} or None
        if recommend:
            options["endpoint"] = "recommend"
        if decision.is_event and not decision.choose:
            return PredictionRequest(events=body.get(decision.plural) or [body], **options)
        units = body[_ids_of(decision.unit)]
        candidates = body.get(_ids_of(decision.choose)) if decision.choose else None
        return PredictionRequest(units=units, candidates=candidates, **options)


def requests_of(problem: Problem, ids: Mapping[str, Any], settable: Sequence[Feature] | None) -> Requests:
    """The bodies of a problem's API.

    Args:
        ids: noun → the type of its ids (`id_type`).
        settable: features of the instant, which can be set by hand; None while they are not known: any name is taken.
    """
    decision = problem.decision
    options = _options(problem, settable)
    if decision.is_event and not decision.choose:
        return _about_events(problem, ids, options)
    texts, about = purpose(problem), {_ids_of(decision.unit): _unit_ids(ids[decision.unit])}
    if not decision.choose:
        return Requests(record("PredictRequest", about | options, texts["/predict"], strict=True), None, decision)
    about[_ids_of(decision.choose)] = NotRequired[_unit_ids(ids[decision.choose], text=None) | None]
    without = {name: each for name, each in options.items() if name != "on_unknown"}
    predict = record("PredictRequest", about | options, texts["/predict"], strict=True)
    return Requests(predict, record("RecommendRequest", about | without, texts["/recommend"], strict=True), decision)


def purpose(problem: Problem) -> dict[str, str]:
    """What each path is for, in a sentence or two."""
    decision, unit = problem.decision, problem.decision.unit
    if not decision.choose:
        what = f"with these {decision.plural}" if decision.is_event else f"with each {unit}"
        return {"/predict": f"Say how likely it is to end badly {what}, and whether to act."}
    without = f"without `{_ids_of(decision.choose)}`"
    return {
        "/predict": f"Say how likely each {decision.choose} is to end badly with each {unit}; {without}, of the last "
        f"{decision.noun} that each had.",
        "/recommend": f"Rank candidates for each {unit}, and choose; {without}, among the newest ones.",
    }


def event_fields(problem: Problem, ids: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event that no policy chose: its entities, what is known of it, its time, and its own keys."""
    decision, predict = problem.decision, problem.predict
    assert isinstance(predict, PredictEvent)
    columns = problem.schema.event(predict.each).columns
    known = {
        name: Annotated[_KINDS[columns[name].kind] | None, Field(description=columns[name].description or None)]
        for name in predict.known
    }
    zone = zone_of_events(problem)
    time = Field(
        description=f"When the {decision.noun} happens, {zone} unless it says otherwise. {_default_time(problem)}"
    )
    return {
        **{id_column(noun): ids[noun] for noun in decision.nouns},
        **known,
        decision.time: NotRequired[Annotated[Instant | None, time]],
        **{
            name: NotRequired[Annotated[_ANY_ID | None, Field(description="Comes back with the answer.")]]
            for name in decision.own_keys
        },
    }


def setting(feature: Feature) -> Any:
    """The type of a feature that is set by hand."""
    declaration = feature.declaration
    assert declaration is not None
    text = feature.description
    if declaration.operator != "calendar":
        return Annotated[float | None, Field(ge=0, le=MOST_DAYS, description=text)]
    part = CALENDAR[declaration.operand]
    return Annotated[int | None, Field(ge=part.first, le=part.last, description=text)]


def _default_time(problem: Problem) -> str:
    return f"Default: {'now' if problem.clock == 'wall' else 'the instant that the features know'}."


def _about_events(problem: Problem, ids: Mapping[str, Any], options: dict[str, Any]) -> Requests:
    """One event, or a list of them; a list alone where a column has the name of an option."""
    decision = problem.decision
    fields = event_fields(problem, ids)
    options = {name: each for name, each in options.items() if name != "as_of"}
    event = record(decision.noun.capitalize(), fields, f"One {decision.noun}.", strict=True)
    several = {decision.plural: Annotated[list_of(event), Field(min_length=1, description=_IN_ORDER)]}
    many = record("PredictManyRequest", several | options, f"How will these {decision.plural} end?", strict=True)
    if fields.keys() & {decision.plural, *options}:
        return Requests(many, None, decision)
    one = record("PredictRequest", fields | options, f"How will this {decision.noun} end?", strict=True)

    def form_of(body: object) -> str:
        return MANY if isinstance(body, dict) and decision.plural in body else ONE

    either: Any = Annotated[Annotated[one, Tag(ONE)] | Annotated[many, Tag(MANY)], Discriminator(form_of)]
    return Requests(either, None, decision, flat=True)


_IN_ORDER = "In the order of the answer; duplicates stay."


def _options(problem: Problem, settable: Sequence[Feature] | None) -> dict[str, Any]:
    decision = problem.decision
    what = f"When the {decision.noun} would be made" if decision.choose else "When it is decided"
    as_of = Field(description=f"{what}, UTC unless it says otherwise. {_default_time(problem)}")
    options = {
        "probability": _flag(True, "Whether to give probabilities beside the classes."),
        "explain": _flag(False, "Whether to give reasons: exact SHAP contributions."),
        "as_of": NotRequired[Annotated[Instant | None, as_of]],
    }
    if settable is None:
        options["what_if"] = NotRequired[dict[str, Annotated[float, Field(ge=0, le=MOST_DAYS)]] | None]
    elif settable:
        text = "Features of the instant, set by hand. The answer is hypothetical, and logged as such."
        what_if = record("WhatIf", {each.name: NotRequired[setting(each)] for each in settable}, text, strict=True)
        options["what_if"] = NotRequired[what_if | None]
    if not decision.is_event or any(problem.schema.entity(noun) for noun in decision.nouns):
        whom = plural(decision.unit) if decision.choose or not decision.is_event else "Entities"
        described = Field(
            description=f"{whom.capitalize()} without features are listed, or get the rate of the training data too.",
            json_schema_extra={"default": "list"},
        )
        options["on_unknown"] = NotRequired[Annotated[Literal["list", "base_rate"], described]]
    return options


def _flag(default: bool, text: str) -> Any:
    return NotRequired[Annotated[bool, Field(description=text, json_schema_extra={"default": default})]]


def _unit_ids(type_: Any, text: str | None = _IN_ORDER) -> Any:
    return Annotated[list_of(type_), Field(min_length=1, description=text)]


def _ids_of(noun: str) -> str:
    return f"{noun}_ids"
