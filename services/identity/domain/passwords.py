"""What a password must be like, and how guessing slows down."""

import secrets
import string
import unicodedata
from datetime import timedelta

SHORTEST = 10
SHORTEST_LOGIN = 3
"""A shorter login may be part of a password: it gives nothing away."""
GENERATED = 16
FREE_FAILURES = 3
LONGEST_DELAY = timedelta(minutes=15)
_SYMBOLS = "!#%+-=?@_"
# Without what is taken for something else when it is read from paper.
_ALPHABET = "".join(sorted(set(string.ascii_letters + string.digits) - set("0O1lI"))) + _SYMBOLS


def normalised(text: str) -> str:
    """The form (NFKC) in which passwords and logins are compared, by whatever keyboard they were typed."""
    return unicodedata.normalize("NFKC", text)


def normalised_login(login: str) -> str:
    """Logins are compared without upper and lower case."""
    return normalised(login).strip().casefold()


def vouched_login(login: str) -> str:
    """A login that a provider names, as it is compared. What only resembles an employee's (ａdmin, "admin ") may be
    somebody else's account there, whose password nobody asks for here.
    """
    return login.lower() if login.isascii() else login


def weaknesses(password: str, login: str) -> list[str]:
    """What a new password lacks, as conditions for people; empty where it is good. Takes it normalised.

    Letters without upper and lower case (Chinese ones) add to the length and count for neither.
    """
    kinds = {unicodedata.category(character) for character in password}
    checks = {
        f"at least {SHORTEST} characters": len(password) >= SHORTEST,
        "an upper-case letter": "Lu" in kinds,
        "a lower-case letter": "Ll" in kinds,
        "a digit": "Nd" in kinds,
        "a symbol, such as ! or -": any(kind[0] in "PS" for kind in kinds),
        "not the login in it": len(login) < SHORTEST_LOGIN or normalised_login(login) not in password.casefold(),
        "no control characters": "Cc" not in kinds,
    }
    return [condition for condition, holds in checks.items() if not holds]


def generated(login: str) -> str:
    """A new random password that is good for this login."""
    while True:
        password = "".join(secrets.choice(_ALPHABET) for _ in range(GENERATED))
        if not weaknesses(password, login):
            return password


def delay_after(failures: int) -> timedelta:
    """So long no password is looked at after so many wrong ones in a row: none, then 1, 2, 4 … s, 15 min at most."""
    beyond = failures - FREE_FAILURES
    return min(timedelta(seconds=2 ** min(beyond - 1, 20)), LONGEST_DELAY) if beyond > 0 else timedelta()
