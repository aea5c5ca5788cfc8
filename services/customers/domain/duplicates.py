"""Which contacts of a customer are likely one person."""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from uuid import UUID

import phonenumbers

REGION = "CN"
"""Where a telephone number without a country's code is from."""
MOST_ALIKE = 20
"""What more contacts of a customer than these share tells nothing: it is a switchboard, or the address of an office."""


@dataclass(frozen=True)
class Known:
    """What is known of a contact. `person`: the contact that is shown: itself, or the one that it was merged into."""

    person: UUID
    name: str
    phone: str = ""
    wechat_id: str = ""
    email: str = ""


@dataclass(frozen=True)
class Alike:
    """Contacts that are likely one person, in the order of their creation, and in what they are alike: "phone",
    "email", "wechat_id", "name"."""

    contact_ids: Sequence[UUID]
    alike_in: Sequence[str]


def likely_duplicates(known: Iterable[Known], apart: Collection[tuple[UUID, UUID]]) -> list[Alike]:
    """Groups of contacts of one customer, by the first of each. Who is like one of a group belongs to it.

    `apart`: pairs (the smaller id first) that somebody said are different persons; they are not joined directly.
    """
    sharing: dict[tuple[str, str], set[UUID]] = defaultdict(set)
    for each in known:
        for kind, key in _keys(each):
            sharing[kind, key].add(each.person)
    group_of: dict[UUID, set[UUID]] = {}
    alike_in: dict[UUID, set[str]] = defaultdict(set)
    for (kind, _), persons in sharing.items():
        if not 2 <= len(persons) <= MOST_ALIKE:
            continue
        for pair in combinations(sorted(persons), 2):
            if pair not in apart:
                joined = set().union(*(group_of.get(person, {person}) for person in pair))
                group_of |= dict.fromkeys(joined, joined)
                alike_in[pair[0]].add(kind)
    groups = {min(group): group for group in group_of.values()}
    return [
        Alike(sorted(group), sorted(set().union(*(alike_in[person] for person in group))))
        for _, group in sorted(groups.items())
    ]


def _keys(known: Known) -> Iterator[tuple[str, str]]:
    found = {
        "phone": telephone_key(known.phone),
        "email": known.email.strip().casefold(),
        "wechat_id": known.wechat_id.strip().casefold(),
        "name": "".join(unicodedata.normalize("NFKC", known.name).casefold().split()),
    }
    return ((kind, key) for kind, key in found.items() if key)


@lru_cache(maxsize=10_000)
def telephone_key(phone: str) -> str:
    """The number in international form (E.164), "" where it is none."""
    try:
        number = phonenumbers.parse(phone, REGION)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
