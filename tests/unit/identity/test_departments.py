"""The department tree: who lies below whom, and who reports to whom by it."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.domain.departments import (
    MOST_LEVELS,
    Department,
    Tree,
    added,
    below,
    led,
    managers_in,
    moved,
    new_managers,
    path_of,
)
from services.shared.errors import FailedPrecondition

COMPANY, REGION, TEAM = uuid4(), uuid4(), uuid4()
HEAD, DIRECTOR, LEADER, SOMEBODY = uuid4(), uuid4(), uuid4(), uuid4()


def line(head: UUID | None, director: UUID | None, leader: UUID | None) -> Tree:
    """A company with a region with a team."""
    return {
        COMPANY: Department(COMPANY, None, head),
        REGION: Department(REGION, COMPANY, director),
        TEAM: Department(TEAM, REGION, leader),
    }


def manager_of(employee_id: UUID, department_id: UUID, tree: Tree) -> UUID | None:
    """By the words of the rule: the nearest leader from the department upwards who is somebody else."""
    above: UUID | None = department_id
    while above is not None:
        department = tree[above]
        if department.leader_id not in (None, employee_id):
            return department.leader_id
        above = department.parent_id
    return None


@st.composite
def trees(draw: st.DrawFn) -> dict[UUID, Department]:
    """Any tree of up to 12 departments, led by any of five people or nobody."""
    people = st.sampled_from([None, HEAD, DIRECTOR, LEADER, SOMEBODY])
    ids = [uuid4() for _ in range(draw(st.integers(2, 12)))]
    parents = [None, *(ids[draw(st.integers(0, number))] for number in range(len(ids) - 1))]
    return {id_: Department(id_, parent, draw(people)) for id_, parent in zip(ids, parents, strict=True)}


def test_the_leader_of_the_department_is_the_manager() -> None:
    assert managers_in(TEAM, line(HEAD, DIRECTOR, LEADER)).of(SOMEBODY) == LEADER


def test_a_leader_reports_to_the_leader_above() -> None:
    assert managers_in(TEAM, line(HEAD, DIRECTOR, LEADER)).of(LEADER) == DIRECTOR


def test_a_department_without_leader_reports_to_the_nearest_one_above() -> None:
    assert managers_in(TEAM, line(HEAD, None, None)).of(SOMEBODY) == HEAD


def test_the_head_of_the_company_reports_to_nobody() -> None:
    assert managers_in(COMPANY, line(HEAD, DIRECTOR, LEADER)).of(HEAD) is None


def test_who_leads_two_levels_reports_above_both() -> None:
    assert managers_in(TEAM, line(HEAD, LEADER, LEADER)).of(LEADER) == HEAD


def test_a_path_leads_from_the_root_to_the_department() -> None:
    tree = line(None, None, None)
    assert path_of(TEAM, tree) == (COMPANY, REGION, TEAM)
    assert path_of(COMPANY, tree) == (COMPANY,)
    assert path_of(uuid4(), tree) == ()


def test_below_a_department_lies_its_whole_branch() -> None:
    assert below(REGION, line(None, None, None)) == [REGION, TEAM]
    assert below(COMPANY, line(None, None, None))[0] == COMPANY


@given(trees(), st.data())
def test_managers_follow_the_rule_in_any_tree(tree: Tree, data: st.DataObject) -> None:
    department = data.draw(st.sampled_from(list(tree)))
    managers = managers_in(department, tree)
    for employee in (HEAD, DIRECTOR, LEADER, SOMEBODY):
        assert managers.of(employee) == manager_of(employee, department, tree)
        assert managers.of(employee) != employee


@given(trees(), st.data())
def test_a_move_is_refused_or_leaves_a_tree(tree: Tree, data: st.DataObject) -> None:
    what, where = data.draw(st.sampled_from(list(tree))), data.draw(st.sampled_from(list(tree)))
    if tree[what].parent_id is None or what in path_of(where, tree):
        with pytest.raises(FailedPrecondition) as refusal:
            moved(tree, what, where)
        assert refusal.value.reason in ("ROOT_DEPARTMENT", "DEPARTMENT_CYCLE")
        return
    after = moved(tree, what, where)
    [root] = [each.id for each in after.values() if each.parent_id is None]
    assert sorted(below(root, after)) == sorted(tree)  # nothing hangs in a ring, nothing is lost
    assert path_of(what, after) == (*path_of(where, after), what)
    for each in tree:
        if each not in below(what, tree):
            assert path_of(each, after) == path_of(each, tree)


@given(trees(), st.data())
def test_what_a_change_does_not_name_keeps_its_managers(tree: Tree, data: st.DataObject) -> None:
    """new_managers, asked of the changed branch alone, finds everything that computing all anew would find."""
    what = data.draw(st.sampled_from(list(tree)))
    after = led(tree, what, data.draw(st.sampled_from([None, HEAD, LEADER])))
    if (parent := tree[what].parent_id) and (free := [each for each in tree if what not in path_of(each, after)]):
        after = moved(after, what, data.draw(st.sampled_from([parent, *free])))
    changed = new_managers(tree, after, below(what, after))
    for each in tree:
        assert changed.get(each, managers_in(each, tree)) == managers_in(each, after)


def test_twenty_levels_are_the_most() -> None:
    ids = [uuid4() for _ in range(MOST_LEVELS)]
    parents = [None, *ids]
    tree = {id_: Department(id_, parent, None) for id_, parent in zip(ids, parents, strict=False)}
    side, deeper = uuid4(), uuid4()
    tree = added(tree, Department(side, ids[0], None))
    with pytest.raises(FailedPrecondition) as refusal:
        added(tree, Department(deeper, ids[-1], None))
    assert refusal.value.reason == "TREE_TOO_DEEP"
    with pytest.raises(FailedPrecondition) as refusal:
        moved(tree, ids[1], side)  # its branch comes to lie one level lower
    assert refusal.value.reason == "TREE_TOO_DEEP"
