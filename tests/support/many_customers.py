"""A customers database of any size, filled by SQL: a tree of departments, owners, tags, and the lists that follow.

Departments of five levels, each with five of the next below it; employees belong to those of the lowest. The newest
fifth of the customers belongs to the employees of the last department of the second level, and no others do: that
department's lists begin where everybody else's end.
"""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

LEVELS = 5
TAGS = {"rare": 0.001, "some": 0.05, "often": 0.33}
GROUP, SEGMENT = UUID(int=1), UUID(int=2)
LABELS = {**{f"t:{tag}": share for tag, share in TAGS.items()}, f"g:{GROUP.hex}": 0.002, f"s:{SEGMENT.hex}": 0.1}
BRANCHES = 5
TABLES = ("customers", "labels", "customer_links", "owned_customers", "kit.customer_access")

_DEPARTMENTS = """
    insert into kit.departments
    select md5('department ' || level || ' ' || n)::uuid,
           (select string_agg(replace(md5('department ' || above || ' ' || n / (5 ^ (level - above))::int), '-', ''),
                              '.' order by above) from generate_series(1, level) above)::ltree, false, 1
    from generate_series(1, {levels}) level, generate_series(0, (5 ^ (level - 1))::int - 1) n
"""
# The n-th employee belongs to a department of the lowest level such that those of a department are neighbours.
_EMPLOYEES = """
    insert into kit.employees
    select md5('employee ' || n)::uuid, 'e' || n, 'Employee ' || n,
           md5('department {levels} ' || n * {departments} / {employees})::uuid, null,
           case when n % 4 = 0 then 'OWN' else 'DEPARTMENT' end, true, null, 1
    from generate_series(0, {employees} - 1) n;
    insert into kit.employees
    select md5('head ' || level || ' ' || n)::uuid, 'head-' || level || '-' || n, 'Head',
           md5('department ' || level || ' ' || n)::uuid, null, 'DEPARTMENT', true, null, 1
    from generate_series(1, {levels} - 1) level, generate_series(0, (5 ^ (level - 1))::int - 1) n
    where n in (0, 1, 4 * 5 ^ (level - 2));
    insert into kit.employees values
        (md5('everything')::uuid, 'all', 'All', md5('department 1 0')::uuid, null, 'ALL', true, null, 1);
    insert into kit.roles
    select scope, array[{permissions}]::integer[], scope, false, 1 from unnest(array['OWN', 'DEPARTMENT', 'ALL']) scope;
    update kit.directory set revision = revision + 1, synced_at = now()
"""
_CUSTOMERS = """
    insert into customers (id, number, number_key, external_id, source, name, kind, last_contract_end,
                           health_status, version, created_at, updated_at)
    select uuidv7(make_interval(secs => (n - {customers}) * 60.0)), 'CUS' || n, n, 'E' || n, 'test',
           substr(md5('name ' || n), 1, 12) || ' Ltd', 'ENTERPRISE',
           case when n % 10 > 0 then date '2026-11-22' + (hashint4(n) % 600 + 500)::int end,
           case when n % 100 < 5 then 'AT_RISK' when n % 100 < 75 then 'FAIR' when n % 100 < 98 then 'EXCELLENT'
                when n % 1000 > 980 then 'INSUFFICIENT_DATA' end, 1,
           timestamptz '2026-11-22' + (n - {customers}) * interval '1 minute', now()
    from generate_series(1, {customers}) n
"""
_OWNERS = """
    insert into kit.customer_access
    select id, role, md5('employee ' || case when place > 0.8
               then {employees} * 4 / 5 + abs(hashtext(role || id)) % ({employees} / 5)
               else abs(hashtext(role || id)) % ({employees} * 4 / 5) end)::uuid,
           date '0001-01-01', date '9999-12-31'
    from (select id, row_number() over (order by created_at) / {customers}::float as place from customers) c,
         unnest(array['CSM', 'ANALYST', 'SALES_MANAGER']) role
"""
_LABELS = """
    insert into labels
    select id, label, name, number_key, contract_end_key, created_at, '', null::timestamptz
    from customers, unnest(%(labels)s::text[], %(shares)s::float[]) as labels (label, share)
    where abs(hashtext(label || id)) %% 100000 < share * 100000
    union all
    select id, 'h:' || health_status, name, number_key, contract_end_key, created_at, '', null::timestamptz
    from customers where health_status is not null
"""
_LINKS = """
    insert into customer_links
    select 'other', external_id, id, created_at from customers where number_key % 20 = 0
"""
_LISTS = """
    insert into owned_customers
    select c.id, a.employee_id, t.label, a.valid_from, a.valid_to, c.name, c.number_key, c.contract_end_key,
           c.created_at
    from (select distinct customer_id, employee_id, valid_from, valid_to from kit.customer_access) a
    join customers c on c.id = a.customer_id
    join (select id as customer_id, '' as label from customers
          union all select customer_id, label from labels where left(label, 2) in ('t:', 'g:')) t
        on t.customer_id = c.id
"""


@dataclass(frozen=True)
class Size:
    customers: int = 1_000_000
    employees: int = 2_000


def employee(number: int) -> UUID:
    """Each fourth sees what he owns, the others what their department does."""
    return _id(f"employee {number}")


def head(level: int, number: int) -> UUID:
    """An employee without customers of his own, who sees a department: the n-th of a level (1: the root).

    There are such ones for the first two of each level but the lowest, and for the first of the newest customers.
    """
    return _id(f"head {level} {number}")


def newest(level: int) -> int:
    """The number of the first department of a level that owns the newest customers."""
    return int(4 * BRANCHES ** (level - 2))


def sees_all() -> UUID:
    return _id("everything")


def department(level: int, number: int) -> UUID:
    return _id(f"department {level} {number}")


def members(level: int, number: int, size: Size) -> list[int]:
    """The numbers of the employees of a department and of those below it."""
    lowest, below = BRANCHES ** (LEVELS - 1), BRANCHES ** (LEVELS - level)
    return [n for n in range(size.employees) if n * lowest // size.employees // below == number]


def fill(connection: psycopg.Connection[Any], size: Size, permissions: list[int]) -> None:
    """Fills an empty, migrated customers database. The indexes are made after the rows."""
    values = {"customers": size.customers, "employees": size.employees, "levels": LEVELS,
              "departments": BRANCHES ** (LEVELS - 1), "permissions": ", ".join(map(str, permissions))}  # fmt: skip
    # Vacuum takes no row for visible to all before its commit is written, which tests' servers do some time later.
    connection.execute("set maintenance_work_mem = '700MB'; set work_mem = '300MB'; set synchronous_commit = on")
    connection.execute("set max_parallel_maintenance_workers = 2")
    for statement in (_DEPARTMENTS, _EMPLOYEES):
        connection.execute(statement.format(**values))
    for table, statement in zip(TABLES, (_CUSTOMERS, _LABELS, _LINKS, _LISTS, _OWNERS), strict=True):
        if table == "owned_customers":
            continue
        _fill_table(connection, table, statement.format(**values))
    _fill_table(connection, "owned_customers", _LISTS)


def _fill_table(connection: psycopg.Connection[Any], table: str, statement: str) -> None:
    found = connection.execute(
        """select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as made, con.conname,
                  pg_get_constraintdef(con.oid) as constraint_made
           from pg_index left join pg_constraint con on con.conindid = indexrelid and con.contype in ('p', 'u')
           where indrelid = %s::regclass and not exists (
               select from pg_constraint f where f.contype = 'f' and f.confrelid = indrelid and f.conindid = indexrelid)
        """,
        [table],
    ).fetchall()
    for name, _, constraint, _ in found:
        drop = f"alter table {table} drop constraint {constraint}" if constraint else f"drop index {name}"
        connection.execute(drop)
    parameters = {"labels": list(LABELS), "shares": list(LABELS.values())} if table == "labels" else None
    connection.execute(statement, parameters)
    for _, made, constraint, constraint_made in found:
        made = f"alter table {table} add constraint {constraint} {constraint_made}" if constraint else made
        connection.execute(made)
    connection.execute(f"vacuum (analyze) {table}")


def _id(words: str) -> UUID:
    return UUID(hashlib.md5(words.encode(), usedforsecurity=False).hexdigest())
