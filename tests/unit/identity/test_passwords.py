"""What a password must be like, and how guessing slows down."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.domain.passwords import delay_after, generated, normalised, normalised_login, weaknesses


@pytest.mark.parametrize(
    ("password", "lacking"),
    [
        ("Aa1!Aa1!Aa", []),
        ("密码密码密码Aa1!", []),
        ("Пароль-надёжный-1", []),
        ("Aa1!Aa1!A", ["at least 10 characters"]),
        ("aaaaaaaa1!", ["an upper-case letter"]),
        ("AAAAAAAA1!", ["a lower-case letter"]),
        ("Aaaaaaaaa!", ["a digit"]),
        ("Aaaaaaaaa1", ["a symbol, such as ! or -"]),
        ("密码密码密码密码1!", ["an upper-case letter", "a lower-case letter"]),
        ("Aa1!Aa1!Aa\x07", ["no control characters"]),
        ("My-zhang.wei-1", ["not the login in it"]),
        ("My-ZHANG.Wei-1", ["not the login in it"]),
    ],
)
def test_a_weak_password_is_told_what_it_lacks(password: str, lacking: list[str]) -> None:
    assert weaknesses(password, "Zhang.Wei") == lacking


def test_a_login_of_a_letter_or_two_may_be_part_of_a_password() -> None:
    assert weaknesses("Aa1!Aa1!Aa", "a") == []


def test_a_password_is_the_same_however_it_was_typed() -> None:
    assert normalised("Ａbc１２３") == "Abc123"
    assert normalised("Cafe\u0301") == normalised("Caf\u00e9")


def test_a_login_is_the_same_in_upper_and_lower_case() -> None:
    assert normalised_login(" Zhang.WEI ") == "zhang.wei"


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True))
def test_a_generated_password_is_good_for_its_login(login: str) -> None:
    assert weaknesses(generated(login), login) == []


def test_no_two_generated_passwords_are_alike() -> None:
    assert len({generated("admin") for _ in range(100)}) == 100


def test_the_first_three_failures_cost_nothing_then_the_delay_doubles_up_to_a_quarter_of_an_hour() -> None:
    seconds = [delay_after(failures).total_seconds() for failures in range(16)]
    assert seconds == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert delay_after(10_000) == timedelta(minutes=15)
