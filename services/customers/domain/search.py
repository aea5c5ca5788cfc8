"""By what a name is found: its text, its pinyin, the initials of the pinyin.

What a text holds is found by tokens, numbers that stand for pieces of it: a piece of two characters, a single Chinese
character, the beginning of a syllable, two initials in a row. A query's tokens are among those of every text that holds
it; a text that has them all most likely does, and is looked at then. So a query of one or two characters costs no more
than a longer one, which an index of three characters in a row can't offer.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

from pypinyin import Style, pinyin

LONGEST = 200
"""Characters of a name that are looked at."""
MOST_READINGS = 3
STARTS = (2, 3, 6)
"""Letters from the beginning of a syllable on that are a token; of a query, as many as it has."""


@dataclass(frozen=True)
class Findable:
    """What is kept of a text that can be found; all of it folded. `pinyin`: its readings, the likeliest first, each
    without spaces; "" for a text without Chinese characters. `initials`: theirs.
    """

    text: str
    pinyin: str
    initials: str
    tokens: frozenset[int]


def fold(text: str) -> str:
    """Full and half width, upper and lower case alike; spaces in a row are one."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def findable(text: str) -> Findable:
    """What a name, a number or an id is found by."""
    folded = fold(text)[:LONGEST]
    tokens = {_token(piece) for piece in _pieces(folded)}
    readings = _readings(folded) if any(map(_is_chinese, folded)) else []
    joined, initials = [], []
    for syllables in readings:
        joined.append("".join(syllables))
        initials.append("".join(syllable[0] for syllable in syllables))
        starts = ("".join(syllables[start:]) for start in range(len(syllables)))
        tokens |= {_token("p" + start[:length]) for start in starts for length in STARTS if len(start) >= length}
        tokens |= {_token("i" + first + second) for first, second in pairwise(initials[-1])}
    return Findable(folded, " ".join(joined), " ".join(initials), frozenset(tokens))


def text_tokens(query: str) -> list[int]:
    """Tokens of every text that holds the folded query; none where it is a single letter or digit."""
    if len(query) == 1:
        return [_token(query)] if _is_chinese(query) else []
    return sorted({_token(first + second) for first, second in pairwise(query)})


def pinyin_tokens(query: str) -> list[int]:
    """Tokens of every text with a syllable at which the query, letters without spaces, begins; none for one letter."""
    return [_token("p" + query[: max(length for length in STARTS if length <= len(query))])] if len(query) > 1 else []


def initials_tokens(query: str) -> list[int]:
    """Tokens of every text whose initials hold the query, letters without spaces; none for one letter."""
    return sorted({_token("i" + first + second) for first, second in pairwise(query)})


def _pieces(text: str) -> Iterator[str]:
    yield from (character for character in text if _is_chinese(character))
    for first, second in pairwise(text):
        yield first + second


def _readings(text: str) -> list[list[str]]:
    """Syllables, as the phrases that the text holds are read. Where no phrase says how its first character is read, its
    other readings count too: surnames are read in their own way.
    """
    read = [each for each in pinyin(text, style=Style.NORMAL, heteronym=True) if each[0].strip()]
    usual = ["".join(each[0].split()) for each in read]
    return [[first, *usual[1:]] for first in dict.fromkeys([usual[0], *read[0][:MOST_READINGS]])]


def _is_chinese(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff" or character >= "\U00020000"


def _token(piece: str) -> int:
    return crc32(piece.encode()) - (1 << 31)
