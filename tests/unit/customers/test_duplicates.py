"""Who is likely one person, and who isn't."""

from uuid import UUID

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from services.customers.domain.duplicates import MOST_ALIKE, Known, likely_duplicates, telephone_key

A, B, C, D = (UUID(int=number) for number in range(1, 5))
KINDS = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)


@pytest.mark.parametrize("region", ["CN", "DE", "US", "IT", "JP"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_number_is_the_same_in_whatever_form_it_is_written(region: str, kind: int) -> None:
    number = phonenumbers.example_number_for_type(region, kind)
    assert number
    forms = {PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL}
    forms |= {PhoneNumberFormat.NATIONAL} if region == "CN" else set()
    keys = {telephone_key(phonenumbers.format_number(number, form)) for form in forms}
    assert keys == {phonenumbers.format_number(number, PhoneNumberFormat.E164)}


@pytest.mark.parametrize("text", ["", "110", "call me", "+", "1"])
def test_what_is_no_number_makes_nobody_alike(text: str) -> None:
    assert telephone_key(text) == ""


def test_who_is_like_one_of_a_group_belongs_to_it() -> None:
    known = [
        Known(B, "李", phone="13800138000"), Known(A, "张", phone="+86 138 0013 8000", email="A@b.cn"),
        Known(C, "王", email="a@b.cn "), Known(D, "赵"),
    ]  # fmt: skip
    [group] = likely_duplicates(known, set())
    assert (group.contact_ids, group.alike_in) == ([A, B, C], ["email", "phone"])


def test_names_are_alike_whatever_their_case_width_and_blanks() -> None:
    [group] = likely_duplicates([Known(A, "Zhou Wei"), Known(B, " ｚｈｏｕ　ｗｅｉ")], set())
    assert (group.contact_ids, group.alike_in) == ([A, B], ["name"])


def test_who_is_kept_apart_is_not_joined_directly() -> None:
    known = [Known(each, "same") for each in (A, B, C)]
    assert likely_duplicates(known[:2], {(A, B)}) == []
    [group] = likely_duplicates(known, {(A, B)})
    assert group.contact_ids == [A, B, C]


def test_what_a_whole_office_shares_tells_nothing() -> None:
    office = [Known(UUID(int=number), str(number), phone="010 6552 9988") for number in range(1, MOST_ALIKE + 2)]
    assert likely_duplicates(office, set()) == []
    [group] = likely_duplicates(office[1:], set())
    assert len(group.contact_ids) == MOST_ALIKE


@given(st.lists(st.builds(Known, st.sampled_from([A, B, C, D]), st.sampled_from("abc"), email=st.sampled_from(" xy"))))
def test_groups_hold_nobody_twice_and_never_one_alone(known: list[Known]) -> None:
    groups = likely_duplicates(known, set())
    ids = [id_ for group in groups for id_ in group.contact_ids]
    assert len(ids) == len(set(ids))
    assert all(len(group.contact_ids) > 1 and group.alike_in for group in groups)
    assert groups == likely_duplicates(reversed(known), set())
