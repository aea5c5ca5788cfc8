"""The ready-made roles, and what is within somebody's powers."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kejing.common.v1 import permission_pb2
from services.identity.domain.roles import (
    READY_MADE,
    SCOPES,
    Powers,
    require_another_administrator,
    require_changeable,
    require_unused,
    require_within,
)
from services.shared.errors import FailedPrecondition, PermissionDenied

powers = st.builds(Powers, st.frozensets(st.integers(2, 6)), st.sampled_from(SCOPES))


@pytest.mark.parametrize("role", READY_MADE, ids=lambda role: role.key)
def test_a_ready_made_role_names_permissions_of_the_catalogue_once(role) -> None:  # type: ignore[no-untyped-def]
    numbers = [permission_pb2.Permission.Value(f"PERMISSION_{name}") for name in role.permissions]
    assert len(set(numbers)) == len(numbers)
    assert role.scope in SCOPES


def test_nobody_but_the_administrator_begins_with_the_power_over_others() -> None:
    for role, name in product(READY_MADE, ("EMPLOYEES_MANAGE", "ROLES_MANAGE", "AUDIT_READ", "OPERATE")):
        assert name not in role.permissions


def test_the_data_analyst_sees_everything_and_changes_no_customers_data() -> None:
    [analyst] = [role for role in READY_MADE if role.key == "DATA_ANALYST"]
    assert analyst.scope == "ALL"
    assert {name for name in analyst.permissions if not name.endswith("_READ")} == {
        "HEALTH_MANAGE", "USAGE_INGEST", "SEGMENTS_MANAGE", "CUSTOMERS_EXPORT",
    }  # fmt: skip


@given(powers, powers)
def test_within_means_that_there_is_nothing_more(some: Powers, own: Powers) -> None:
    more = some.permissions - own.permissions or SCOPES.index(some.scope) > SCOPES.index(own.scope)
    if more:
        with pytest.raises(PermissionDenied) as refusal:
            require_within(some, own)
        assert refusal.value.reason == "BEYOND_YOUR_OWN"
    else:
        require_within(some, own)


@given(powers, powers, powers)
def test_by_whatever_detour_nobody_gets_more(first: Powers, second: Powers, third: Powers) -> None:
    if third.within(second) and second.within(first):
        assert third.within(first)


def test_the_administrators_role_a_used_role_and_the_last_administrator_are_kept() -> None:
    for rule, reason in (
        (lambda: require_changeable("ADMINISTRATOR"), "ROLE_PROTECTED"),
        (lambda: require_unused("CSM", 3), "ROLE_IN_USE"),
        (lambda: require_another_administrator(0), "LAST_ADMINISTRATOR"),
    ):
        with pytest.raises(FailedPrecondition) as refusal:
            rule()
        assert refusal.value.reason == reason
    require_changeable("CSM")
    require_unused("CSM", 0)
    require_another_administrator(1)
