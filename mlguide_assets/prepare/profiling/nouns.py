"""Words in the names of tables and columns: `CUSTOMER_ID` is of a customer, `user_profiles` holds users.

It knows English plurals and common ways to name columns. Words in other scripts than the Latin one are compared, and
a few that mean an id are known. It reads no data.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile

from mlguide_assets.define.schema import TAKEN_NOUNS
from mlguide_assets.define.values import ascii_name


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


PERSONS = word_set(
    "account borrower buyer card cardholder client contact contributor customer device donor driver employee guest "
    "household installation lead learner listener machine member merchant owner passenger patient payer person player "
    "policyholder seller shopper student subscriber tenant terminal user vehicle visitor viewer worker "
    "kunde kunden mitarbeiter mitglied patienten cliente usuario empleado paciente utilisateur"
)
"""Things about which companies decide, again and again."""

ENTITIES = PERSONS | word_set("store shop product item article station branch airport team club school hospital")
"""Columns that are called so hold ids, even where the name does not say `id`."""

_OUTCOME_WORDS = tuple(
    word_set(
        "label target outcome fraud churn default unsub cancel return refund conver click respon success fail late "
        "delay complain dropout lost won win attrit bounce spam dispute chargeback noshow readmi died death accept "
        "reject approv renew dnf retain purchased bought paid breach incident survived passed left exited overdue "
        "damag positiv infect relaps recurrence mortal injur storn kundig gekundig betrug annul resili impag moros "
        "reopen escalat"
    )
)
"""How the names of columns that are worth predicting begin."""
_LABELS = word_set("y label target outcome")
"""How those are called that somebody has made to be predicted."""
_EARLIER = word_set("previous prior prev earlier former")
"""Words of what had become of something before, such as `previous_cancellations`."""
_SET_UP = word_set("auto automatic")
"""Words of what somebody has set up, such as `is_auto_renew`: what comes of it is another matter."""

_PLAIN_IDS = word_set("id ids uuid guid key pk fk sk 编号 編號 编码 番号 コード 번호 아이디 код номер ид κωδικος")
_IDS = _PLAIN_IDS | word_set("upc ean isbn imei iban vin serial")
_NUMBERS = word_set("no nr nbr num number nummer")
"""Words beside the noun of an id, as in `customer_no`."""
_NUMBERED = ENTITIES | word_set("cust acct emp order invoice policy contract claim booking ticket loan application")
"""Things whose ids are called numbers, as those of houses and phones are not."""
_NUMBER_WORD = re.compile(r"(?P<noun>\w{3,})(nr|nummer)")
"""German writes one word, such as `Kundennr` and `Auftragsnummer`."""
_NUMBERS_OF_NO_THING = word_set("telefon haus handy mobil fax seiten zeilen")
_FILLERS = word_set(
    "profile profiles content contents detail details data dataset datasets dim dimension fact info list master record "
    "records table tbl stg raw history hist scd demographics attributes export dump log logs"
)
"""Words in the names of tables that do not say what a row is."""

_VERSION = re.compile(r"v\d+|part\d*|\d+")
"""At the end of a table's name: which version, part or year of it."""

_ID_AT_END = re.compile("(?<=.)(编号|編號|编码|番号|コード|번호|아이디)$")
"""Chinese, Japanese and Korean write no space before what means an id."""
_NOT_DECOMPOSED = str.maketrans({"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ı": "i"})
"""Letters of Latin alphabets that Unicode does not take for another one with a mark."""

_NAMELESS = re.compile(r"column\d+|Unnamed: \d+|__index_level_\d+__|row[._ ]?(names?|id|no|num|number|index)")
"""Names that CSV files here, pandas, Arrow and R give to columns that have none, or that number the rows."""

FEWEST_ALIKE, MOSTLY_ALIKE = 3, 2 / 3
"""The least number and share of the tables of a source whose names must begin alike to have a prefix."""

LONGEST = 32
"""Letters of a drafted noun: endings such as `_header` may follow."""

_IRREGULAR = {
    "people": "person", "children": "child", "men": "man", "women": "woman", "movies": "movie", "cookies": "cookie",
    "calories": "calorie", "analyses": "analysis", "indices": "index", "caches": "cache", "statuses": "status",
    "diagnoses": "diagnosis", "bonuses": "bonus", "buses": "bus", "campuses": "campus", "viruses": "virus",
    "lenses": "lens",
}  # fmt: skip
_SINGULAR_ALREADY = word_set("series news species data media sms status address process")


def words(name: str) -> list[str]:
    """The words of a name, in lower case.

    >>> words("CUSTOMER_ID"), words("driverStandingsId"), words("created at"), words("größe")
    (['customer', 'id'], ['driver', 'standings', 'id'], ['created', 'at'], ['grosse'])
    >>> words("用户编号"), words("クライアントID"), words("код_клиента")
    (['用户', '编号'], ['クライアント', 'id'], ['код', 'клиента'])
    """
    marked = unicodedata.normalize("NFKD", name.translate(_NOT_DECOMPOSED))
    # Composed again, since some scripts write with marks what are other letters: コ and ゴ.
    letters = unicodedata.normalize("NFC", re.sub(r"(?<=[A-Za-z\u0370-\u03ff])[\u0300-\u036f]+", "", marked))
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", letters))
    parted = re.sub(r"(?<=[^\W\d_a-zA-Z])(?=[a-zA-Z])|(?<=[a-zA-Z])(?=[^\W\d_a-zA-Z])", "_", parted)
    return [word for word in re.split(r"[\W_]+", _ID_AT_END.sub(r"_\1", parted).lower()) if word]


def singular(word: str) -> str:
    """An English word in the singular.

    >>> [singular(word) for word in ("drivers", "categories", "branches", "purchases", "status", "qualifying")]
    ['driver', 'category', 'branch', 'purchase', 'status', 'qualifying']
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _SINGULAR_ALREADY or len(word) < 4 or word.endswith(("ss", "us", "is")) or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "zzes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


def noun(parts: Iterable[str], otherwise: str) -> str:
    """Words as a noun of a problem file: lower case, in the singular.

    >>> noun(["loyalty", "members"], "thing"), noun(["runs"], "thing"), noun(["用户"], "thing")
    ('loyalty_member', 'run_case', 'u7528_u6237')
    """
    parts = list(parts)
    given = "_".join([*parts[:-1], singular(parts[-1])]) if parts else ""
    joined = ascii_name(given).lstrip("0123456789_")
    if len(joined) > LONGEST and not given.isascii():
        # Five letters would fill it, and clients and companies of clients begin with the same.
        joined = f"{joined[: LONGEST - 9].strip('_')}_{hashlib.sha256(given.encode()).hexdigest()[:8]}"
    joined = joined[:LONGEST].strip("_")
    if joined in TAKEN_NOUNS:
        return f"{joined}_case"
    return joined if re.fullmatch(r"[a-z][a-z0-9_]*", joined) else otherwise


def shared_prefix(tables: Iterable[str], things: Collection[str] = ()) -> tuple[str, ...]:
    """The words with which the names of most tables begin, such as that of a company; () where there are none.

    Args:
        things: what columns of the tables hold ids of: an `order` says what `order_items` are about.

    >>> shared_prefix(["PdM_errors", "PdM_failures", "PdM_machines"])
    ('pd', 'm')
    >>> shared_prefix(["order_items", "order_payments", "order_reviews", "customers"], things={"order"})
    ()
    """
    named = [words(name.rpartition(".")[2]) for name in tables]
    first = Counter(parts[0] for parts in named if parts).most_common(1)
    if not first or first[0][1] < max(FEWEST_ALIKE, MOSTLY_ALIKE * len(named)):
        return ()
    alike = [parts for parts in named if parts[:1] == [first[0][0]]]
    shared = takewhile(lambda each: len(set(each)) == 1, zip(*alike, strict=False))
    prefix = tuple(each[0] for each in shared)
    says_more = (
        singular(prefix[0]) in things or prefix[0] in _FILLERS or any(len(parts) == len(prefix) for parts in alike)
    )
    return () if says_more else prefix


def noun_of_table(name: str, prefix: Sequence[str] = ()) -> str:
    """What one row of a table is, by its name.

    Args:
        prefix: words at the beginning of the name that say nothing of it, see `shared_prefix`.

    >>> [noun_of_table(name) for name in ("user_profiles", "orders_dataset", "crm.dim_customer", "members_v3")]
    ['user', 'order', 'customer', 'member']
    """
    parts = words(name.rpartition(".")[2])
    if parts[: len(prefix)] == list(prefix):
        parts = parts[len(prefix) :]
    while len(parts) > 1 and _VERSION.fullmatch(parts[-1]):
        parts = parts[:-1]
    kept = [part for part in parts if part not in _FILLERS]
    return noun(kept or parts, "thing")


def is_id_name(name: str) -> bool:
    """Whether a column is called as ids are: `id`, `userId`, `customer_key`, `fk_order`, `customerid`, `order_no`.

    >>> [is_id_name(name) for name in ("customerNumber", "cust_no", "Kundennr", "house_no", "用户编号", "цена")]
    [True, True, True, False, True, False]
    """
    parts = words(name)
    if not parts:
        return False
    alone = len(parts) == 1 and parts[0].endswith("id") and parts[0][:-2] in PERSONS | {"order", "product", "item"}
    numbered = len(parts) > 1 and parts[-1] in _NUMBERS and singular(parts[-2]) in _NUMBERED
    return parts[-1] in _IDS or parts[0] in _IDS or alone or numbered or bool(_noun_of_number(parts))


def ends_as_id(name: str) -> bool:
    """Whether a name ends as those of ids do, whatever it is the id of: `pat_nr`, `seat_no`, `customer_id`."""
    return is_id_name(name) or bool(set(words(name)[-1:]) & _NUMBERS)


def _noun_of_number(parts: list[str]) -> str:
    """Of what a column holds the numbers, if its name is one word that ends so: `kundennr`; else ''."""
    found = _NUMBER_WORD.fullmatch(parts[0]) if len(parts) == 1 else None
    return "" if found is None or found["noun"] in _NUMBERS_OF_NO_THING else found["noun"]


def is_short_for(short: str, noun: str) -> bool:
    """Whether a word has three letters or more of another, from its first on, in their order.

    >>> is_short_for("cust", "customer"), is_short_for("acct", "account"), is_short_for("id", "identity")
    (True, True, False)
    """
    if not 3 <= len(short) < len(noun) or short[0] != noun[0]:
        return False
    letters = iter(noun)
    return all(letter in letters for letter in short)


def is_plain_id(name: str) -> bool:
    """Whether a name says that a column holds ids, and not whose: `id`, `key`, and not `vin` or `customer_id`."""
    return is_id_name(name) and not noun_of_id(name) and not is_telling_id(name)


def is_nameless(name: str) -> bool:
    """Whether a column got its name because it has none, as the index of a table written by pandas has none.

    >>> [is_nameless(name) for name in ("column0", "Unnamed: 0", "__index_level_0__", "rownames", "column", "index_id")]
    [True, True, True, True, False, False]
    """
    return bool(_NAMELESS.fullmatch(name) or _NAMELESS.fullmatch(name.lower()))


def is_telling_id(name: str) -> bool:
    """Whether a name says which kind of id a column holds, though not whose: `vin`, `serial`, and not `id` or `key`."""
    parts = set(words(name))
    return bool(parts) and parts <= _IDS and not parts <= _PLAIN_IDS


def noun_of_id(name: str, known: Iterable[str] = ()) -> str:
    """Whose id a column holds; '' where the name says nothing but `id`.

    Args:
        known: nouns of tables, which a name without any mark may contain (`productid`).

    >>> [noun_of_id(name) for name in ("CUSTOMER_ID", "driverId", "id", "fk_order", "idNum", "Kundennr")]
    ['customer', 'driver', '', 'order', '', 'kunden']
    """
    parts = words(name)
    if len(parts) == 1 and parts[0].endswith("id") and parts[0][:-2] in {*PERSONS, "order", "product", "item", *known}:
        return parts[0][:-2]
    if number := _noun_of_number(parts):
        return number
    parts = [part for part in parts if part not in _IDS | _NUMBERS]
    return noun(parts, "") if parts else ""


def is_thing(name: str) -> bool:
    """Whether a column is called as what it holds ids of: `subscriber`, `home_team`."""
    return bool(ENTITIES & set(words(name)[-1:]))


def is_person(name: str) -> bool:
    """Whether a noun is one about which companies decide, such as customer or loyalty_member."""
    return name.rpartition("_")[2] in PERSONS


def names_outcome(name: str) -> bool:
    """Whether a column or an event is called as outcomes are.

    >>> [names_outcome(name) for name in ("defaulted", "no_show", "y", "year", "cancellation", "previous_cancellation")]
    [True, True, True, False, True, False]
    >>> names_outcome("renewed"), names_outcome("is_auto_renew")
    (True, False)
    """
    parts = words(name)
    outcome = names_label(name) or any(part.startswith(_OUTCOME_WORDS) for part in (*parts, "".join(parts)))
    return outcome and not (_EARLIER | _SET_UP) & set(parts)


def names_label(name: str) -> bool:
    """Whether a column is called as those are that somebody has made to be predicted: `y`, `target`."""
    return bool(_LABELS & set(words(name)))
