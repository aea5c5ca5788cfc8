"""Access tokens are believed only when signed by identity, for us, and in time."""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.shared.errors import Unauthenticated
from services.shared.ids import new_id
from services.shared.rpc.tokens import AUDIENCE, ISSUER, TokenVerifier

KEY = Ed25519PrivateKey.generate()
KID = str(new_id())
Sign = Callable[..., str]


def token(*, key: Ed25519PrivateKey = KEY, kid: str = KID, **changes: object) -> str:
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
        self.keys: dict[str, Ed25519PublicKey] = {KID: KEY.public_key()}
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
        (jwt.encode({"sub": "admin"}, "x" * 32, algorithm="HS256", headers={"kid": KID}), "TOKEN_INVALID"),
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
    await verifier.verify(token())
    forged = [*(f"forged{number}" for number in range(50)), str(UUID(int=7)), *(str(new_id()) for _ in range(50))]
    tried = await asyncio.gather(*(verifier.verify(token(kid=kid)) for kid in forged), return_exceptions=True)
    assert all(isinstance(refusal, Unauthenticated) for refusal in tried)
    assert keys.asked == 2


async def test_a_token_of_a_key_that_was_made_just_now_is_good_at_once() -> None:
    keys = Keys()
    verifier = TokenVerifier(keys)
    await verifier.verify(token())
    new, kid = Ed25519PrivateKey.generate(), str(new_id())
    keys.keys[kid] = new.public_key()
    assert await verifier.verify(token(key=new, kid=kid))


async def test_a_new_key_is_fetched_when_a_token_names_it() -> None:
    keys = Keys()
    verifier = TokenVerifier(keys)
    await verifier.verify(token())
    new, new_kid = Ed25519PrivateKey.generate(), str(new_id())
    keys.keys[new_kid] = new.public_key()
    assert await verifier.verify(token(key=new, kid=new_kid))


async def test_tokens_that_come_at_once_make_identity_be_asked_once() -> None:
    keys = Keys()
    verifier = TokenVerifier(keys)
    await asyncio.gather(*(verifier.verify(token(sid=str(number))) for number in range(50)))
    assert keys.asked == 1


@pytest.mark.parametrize("noticed", ["by and by", "by a token of the new key"])
async def test_a_token_whose_key_was_withdrawn_is_remembered_no_longer(noticed: str) -> None:
    keys = Keys()
    verifier = TokenVerifier(keys)
    good, new, new_kid = token(), Ed25519PrivateKey.generate(), str(new_id())
    await verifier.verify(good)
    keys.keys = {new_kid: new.public_key()}
    if noticed == "by and by":
        await verifier.refresh()
    else:
        await verifier.verify(token(key=new, kid=new_kid))
    with pytest.raises(Unauthenticated) as refusal:
        await verifier.verify(good)
    assert refusal.value.reason == "TOKEN_INVALID"


async def test_clocks_may_differ_a_little() -> None:
    assert await TokenVerifier(Keys()).verify(token(iat=int(time.time()) + 3))
