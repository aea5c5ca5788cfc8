"""The department tree, and who reports to whom by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Department:
    """`parent_id` is None for the root, `leader_id` while nobody leads it."""

    id: UUID
    parent_id: UUID | None
    leader_id: UUID | None


def manager_of(employee_id: UUID, department_id: UUID, tree: Mapping[UUID, Department]) -> UUID | None:
    """The leader of the employee's department, or of the nearest one above that somebody else leads.

    None for the head of the company. `tree` holds every department by id.
    """
    above: UUID | None = department_id
    while above is not None:
        department = tree[above]
        if department.leader_id is not None and department.leader_id != employee_id:
            return department.leader_id
        above = department.parent_id
    return None
