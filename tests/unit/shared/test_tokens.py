"""Access tokens are believed only when signed by identity, for us, and in time."""

import time
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.shared.errors import Unauthenticated
from services.shared.rpc.tokens import AUDIENCE, ISSUER, TokenVerifier

KEY = Ed25519PrivateKey.generate()
Sign = Callable[..., str]


def token(*, key: Ed25519PrivateKey = KEY, kid: str = "k1", **changes: object) -> str:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "machine:test",
        "sid": "s1",
        "exp": int(time.time()) + 86_400,
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid})


class Keys:
    """identity's keys; counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PublicKey] = {"k1": KEY.public_key()}
        self.asked = 0

    async def __call__(self) -> dict[str, Ed25519PublicKey]:
        self.asked += 1
        return dict(self.keys)


async def test_a_good_token_names_its_caller() -> None:
    caller = await TokenVerifier(Keys()).verify(token(sub="machine:workers"))
    assert caller.subject == "machine:workers"
    assert caller.is_machine


async def test_a_token_is_checked_once_and_remembered() -> None:
    keys = Keys()
    verifier = TokenVerifier(keys)
    good = token()
    assert await verifier.verify(good) is await verifier.verify(good)
    assert keys.asked == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (token(exp=int(time.time()) - 1), "TOKEN_EXPIRED"),
        (token(key=Ed25519PrivateKey.generate()), "TOKEN_INVALID"),
        (token(kid="unknown"), "TOKEN_INVALID"),
        (token(aud="somebody else"), "TOKEN_INVALID"),
        (token(iss="somebody else"), "TOKEN_INVALID"),
        (token(sub=None), "TOKEN_INVALID"),
        (token(exp=None), "TOKEN_INVALID"),
        (jwt.encode({"sub": "admin"}, "x" * 32, algorithm="HS256", headers={"kid": "k1"}), "TOKEN_INVALID"),
        (jwt.encode({"sub": "admin"}, "", algorithm="none"), "TOKEN_INVALID"),
        ("nonsense", "TOKEN_INVALID"),
        ("", "TOKEN_INVALID"),
    ],
)
async def test_a_bad_token_is_refused(bad: str, reason: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await TokenVerifier(Keys()).verify(bad)
    assert refusal.value.reason == reason


async def test_a_remembered_token_is_refused_once_it_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = TokenVerifier(Keys())
    short = token(exp=int(time.time()) + 30)
    await verifier.verify(short)
    later = time.time() + 31
    monkeypatch.setattr("services.shared.rpc.tokens.time.time", lambda: later)
    with pytest.raises(Unauthenticated) as refusal:
        await verifier.verify(short)
    assert refusal.value.reason == "TOKEN_EXPIRED"


async def test_forged_key_ids_do_not_make_identity_be_asked_each_time() -> None:
    keys = Keys()
    verifier = TokenVerifier(keys)
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(kid=f"forged{number}"))
    assert keys.asked == 1


async def test_a_new_key_is_fetched_when_a_token_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys()
    verifier = TokenVerifier(keys)
    await verifier.verify(token())
    new = Ed25519PrivateKey.generate()
    keys.keys["k2"] = new.public_key()
    later = time.monotonic() + 2
    monkeypatch.setattr("services.shared.rpc.tokens.time.monotonic", lambda: later)
    assert await verifier.verify(token(key=new, kid="k2"))
