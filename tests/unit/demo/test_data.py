"""The demonstration's data are the same every time, and what the story needs them to be."""

import csv
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from services.cli.demo.data import files
from services.cli.demo.data.customers import COUNT, customers
from services.cli.demo.data.orders import PLANS, orders
from services.cli.demo.data.team import TEAM
from services.cli.demo.data.usage import DAYS, SHAPES, usage
from services.cli.mapping_file import read_mapping
from services.revenue.domain.order import OrderTerms, Status, check

MONTHS = [date(2026, 1, 1), date(2026, 11, 1), date(2028, 3, 1)]


def test_the_customers_are_the_same_every_time() -> None:
    assert customers() == customers()
    assert len({customer.external_id for customer in customers()}) == COUNT == 120
    assert len({customer.name for customer in customers()}) == COUNT
    assert sum(customer.individual for customer in customers()) == 12


def test_every_owner_works_here() -> None:
    logins = {employee.login for employee in TEAM}
    assert {login for customer in customers() for login in customer.owners.values()} <= logins
    everybody = Counter(customer.owners["CSM"] for customer in customers())
    assert set(everybody) == {"csm.li", "csm.wang", "csm.smith", "csm.zhao"}


@pytest.mark.parametrize("this_month", MONTHS)
def test_orders_are_right_and_of_every_kind(this_month: date) -> None:
    made = orders(customers(), this_month)
    assert {customer.plan for customer in customers()} == set(PLANS)
    before: dict[str, date] = {}
    for order in made:
        check(OrderTerms(order.number, order.product, order.currency, order.amount, order.monthly_price, order.signed,
                         order.start, order.end, order.counts_to_mrr, Status.EFFECTIVE))  # fmt: skip
        assert not order.renews or before[order.renews] < order.start
        before[order.number] = order.start
    assert len(before) == len(made)
    ends: dict[str, date] = {}
    for order in made:
        last = order.end or date.max
        ends[order.customer_external_id] = max(last, ends.get(order.customer_external_id, last))
    gone = {customer.external_id for customer in customers() if customer.plan == "churned"}
    assert {key for key, end in ends.items() if end < this_month} == gone


def test_usage_falls_in_the_last_week_that_ended() -> None:
    today = date(2026, 11, 22)
    assert {customer.shape for customer in customers()} == {*SHAPES, "silent"}
    days = list(usage(customers(), today))
    assert min(day.day for day in days) == today - timedelta(days=DAYS - 1)
    assert max(day.day for day in days) < today
    assert len({day.source_id for day in days}) == len(days)
    share = {
        (day.customer_external_id, day.day): day.active_users_14d
        for day in days
        if day.day in (date(2026, 11, 8), date(2026, 11, 15))
    }
    declining = [customer for customer in customers() if customer.shape == "declining" and not customer.individual]
    assert declining
    for customer in declining:
        assert share[customer.external_id, date(2026, 11, 8)] >= 0.8 * customer.seats
        assert share[customer.external_id, date(2026, 11, 15)] <= 0.5 * customer.seats


def test_files_hold_all_customers_and_two_wrong_rows(tmp_path: Path) -> None:
    everybody = customers()
    exports = files.write(tmp_path, everybody, orders(everybody, MONTHS[1]))
    with exports["customers"].file.open(encoding="gb18030", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == COUNT + 2
    for export in exports.values():
        mapping = read_mapping(export.mapping).mapping
        encoding = mapping.encoding or "utf-8-sig"
        heading = next(csv.reader(export.file.open(encoding=encoding)))
        assert {column.column for column in mapping.columns.values()} | set(mapping.ignore) == set(heading)
