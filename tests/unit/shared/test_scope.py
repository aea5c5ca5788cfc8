"""What counts as naming a table that is bound to a customer."""

import pytest

from services.shared.access.scope import finder, unscoped

FIND = finder({"customers", "owners", "kit.customer_access"})


@pytest.mark.parametrize(
    "sql",
    [
        "select customers.id from customers",
        "select * from public.customers",
        "select * from public . customers",
        "select * from CUSTOMERS",
        'select * from "customers"',
        'select * from "public"."customers" as c',
        "select * from kit.stream, customers",
        "select * from kit.stream where exists (select from customers c where c.id = stream.id)",
        "with theirs as (select * from customers) select * from theirs",
        "insert into customers (id) values (%(id)s)",
        "update customers set name = %(name)s",
        "delete from only customers",
        "delete from stream using customers",
        "truncate customers",
        "copy customers from stdin",
        "select E'\\'' from customers",
        'select "it\'s" from customers',
        "select $$it's$$ from customers",
        "do $$ begin delete from customers; end $$",
    ],
)
def test_a_statement_on_a_bound_table_is_found(sql: str) -> None:
    assert FIND(sql) == {"customers"}


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "select * from kit.customers",
        'select * from "kit".customers',
        "select * from customers_old, my_customers",
        'select * from "Customers"',
        "select 'customers', 'it''s of customers'",
        "select E'\\' customers'",
        "select 1 -- customers",
        "select 1 /* customers\n owners */",
        "select %(customers)s::text, %(owners)s",
        "select count(*) as owners from kit.customers as customers",
        "select s.owners, customers.id from kit.stream s join kit.customers on true",
    ],
)
def test_what_only_looks_like_a_bound_table_is_not_found(sql: str) -> None:
    assert FIND(sql) == frozenset()


def test_a_bound_table_of_the_kit_is_found_with_and_without_its_schema() -> None:
    assert FIND("select * from kit.customer_access a") == {"customer_access"}
    assert FIND("select * from customer_access") == {"customer_access"}


def test_who_takes_a_statement_out_of_the_scope_must_say_why() -> None:
    from sqlalchemy import select

    with pytest.raises(ValueError, match="why"):
        unscoped(select(1), "")
