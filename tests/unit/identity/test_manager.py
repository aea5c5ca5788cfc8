"""Who reports to whom, by the department tree."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.identity.domain.departments import Department, manager_of

COMPANY, REGION, TEAM = uuid4(), uuid4(), uuid4()
HEAD, DIRECTOR, LEADER, SOMEBODY = uuid4(), uuid4(), uuid4(), uuid4()


def tree(head: UUID | None, director: UUID | None, leader: UUID | None) -> dict[UUID, Department]:
    return {
        COMPANY: Department(COMPANY, None, head),
        REGION: Department(REGION, COMPANY, director),
        TEAM: Department(TEAM, REGION, leader),
    }


def test_the_leader_of_the_department_is_the_manager() -> None:
    assert manager_of(SOMEBODY, TEAM, tree(HEAD, DIRECTOR, LEADER)) == LEADER


def test_a_leader_reports_to_the_leader_above() -> None:
    assert manager_of(LEADER, TEAM, tree(HEAD, DIRECTOR, LEADER)) == DIRECTOR


def test_a_department_without_leader_reports_to_the_nearest_one_above() -> None:
    assert manager_of(SOMEBODY, TEAM, tree(HEAD, None, None)) == HEAD


def test_the_head_of_the_company_reports_to_nobody() -> None:
    assert manager_of(HEAD, COMPANY, tree(HEAD, DIRECTOR, LEADER)) is None


def test_who_leads_two_levels_reports_above_both() -> None:
    assert manager_of(LEADER, TEAM, tree(HEAD, LEADER, LEADER)) == HEAD


people = st.sampled_from([None, HEAD, DIRECTOR, LEADER, SOMEBODY])


@given(people, people, people, st.sampled_from([COMPANY, REGION, TEAM]))
def test_nobody_reports_to_himself(
    head: UUID | None, director: UUID | None, leader: UUID | None, department: UUID
) -> None:
    assert manager_of(SOMEBODY, department, tree(head, director, leader)) != SOMEBODY
