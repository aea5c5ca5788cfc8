"""The department tree: who lies below whom, and who reports to whom by it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from services.shared.errors import FailedPrecondition

MOST_LEVELS = 20


@dataclass(frozen=True)
class Department:
    """`parent_id` is None for the root, `leader_id` while nobody leads it."""

    id: UUID
    parent_id: UUID | None
    leader_id: UUID | None


Tree = Mapping[UUID, Department]
"""Every department by its id."""


@dataclass(frozen=True)
class Managers:
    """Of a department: `leader` is who its people report to, `above` who that one himself reports to. None: nobody."""

    leader: UUID | None
    above: UUID | None

    def of(self, employee_id: UUID) -> UUID | None:
        return self.above if employee_id == self.leader else self.leader


def path_of(department_id: UUID, tree: Tree) -> tuple[UUID, ...]:
    """The ids from the root down to the department itself."""
    path, above = [], tree.get(department_id)
    while above is not None:
        path.append(above.id)
        above = tree[above.parent_id] if above.parent_id else None
    return tuple(reversed(path))


def below(department_id: UUID, tree: Tree) -> list[UUID]:
    """The department and all below it, each after the one above it."""
    children: dict[UUID | None, list[UUID]] = {}
    for department in tree.values():
        children.setdefault(department.parent_id, []).append(department.id)
    found = [department_id]
    for known in found:  # grows while it is walked
        found += children.get(known, [])
    return found


def managers_in(department_id: UUID, tree: Tree) -> Managers:
    """The two nearest leaders, other people, from the department upwards."""
    leader: UUID | None = None
    for above in reversed(path_of(department_id, tree)):
        candidate = tree[above].leader_id
        if candidate is not None and leader is not None and candidate != leader:
            return Managers(leader, candidate)
        leader = leader or candidate
    return Managers(leader, None)


def new_managers(before: Tree, after: Tree, departments: Iterable[UUID]) -> dict[UUID, Managers]:
    """Those of the departments whose people may report to somebody else than before, with whom they report to now."""
    now = {id_: managers_in(id_, after) for id_ in departments}
    return {id_: managers for id_, managers in now.items() if managers != managers_in(id_, before)}


def added(tree: Tree, department: Department) -> dict[UUID, Department]:
    """The tree with a department more. Raises FailedPrecondition: TREE_TOO_DEEP."""
    return _not_too_deep({**tree, department.id: department}, [department.id])


def led(tree: Tree, department_id: UUID, leader_id: UUID | None) -> dict[UUID, Department]:
    """The tree with another leader of the department."""
    return {**tree, department_id: replace(tree[department_id], leader_id=leader_id)}


def moved(tree: Tree, department_id: UUID, parent_id: UUID) -> dict[UUID, Department]:
    """The tree with the department, and all below it, under `parent_id`.

    Raises FailedPrecondition: ROOT_DEPARTMENT, DEPARTMENT_CYCLE, TREE_TOO_DEEP.
    """
    if tree[department_id].parent_id is None:
        raise FailedPrecondition("ROOT_DEPARTMENT", "the root of the tree stays where it is")
    moving = below(department_id, tree)
    if parent_id in moving:
        raise FailedPrecondition(
            "DEPARTMENT_CYCLE",
            f"the department {parent_id} lies below {department_id}, or is the same",
            parent_id=parent_id,
        )
    return _not_too_deep({**tree, department_id: replace(tree[department_id], parent_id=parent_id)}, moving)


def _not_too_deep(tree: dict[UUID, Department], departments: Iterable[UUID]) -> dict[UUID, Department]:
    deepest = max(len(path_of(id_, tree)) for id_ in departments)
    if deepest > MOST_LEVELS:
        raise FailedPrecondition(
            "TREE_TOO_DEEP", f"the tree would have {deepest} levels; {MOST_LEVELS} at most", levels=deepest
        )
    return tree
