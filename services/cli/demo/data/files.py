"""The demonstration's customers, contacts and owners as another system would export them: CSV files and their mappings.

The customers' file is in GB18030 with Chinese headings and slashes in its dates, and two of its rows are wrong.
"""

import csv
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from services.cli.demo.data.customers import Customer
from services.cli.demo.data.orders import Order

CUSTOMER_MAPPING = """\
# What the columns of customers.csv mean.
source: crm
encoding: gb18030
columns:
  external_id: 客户编号
  name: 客户名称
  short_name: 简称
  industry: 行业
  region: 地区
  kind: {column: 类型, values: {企业: ENTERPRISE, 个人: INDIVIDUAL}}
  size: 规模
  value_tier: {column: 价值分层, values: {战略: strategic, 成长: growth, 普通: ordinary}}
  seats: 开通席位
  first_sign_date: {column: 首签日期, format: "%Y/%m/%d"}
ignore: [备注]
"""
CONTACT_MAPPING = """\
# What the columns of contacts.csv mean.
source: crm
columns:
  customer_external_id: customer
  external_id: id
  name: name
  phone: phone
  wechat_id: wechat
  post: position
  email: e-mail
"""
OWNER_MAPPING = """\
# What the columns of owners.csv mean.
source: crm
columns:
  customer_external_id: customer
  role: {column: role, values: {CSM: CSM, analyst: ANALYST, sales: SALES_MANAGER}}
  login: employee
"""
_TIERS = {"strategic": "战略", "growth": "成长", "ordinary": "普通"}
_ROLES = {"CSM": "CSM", "ANALYST": "analyst", "SALES_MANAGER": "sales"}
_WRONG_ROWS = (
    ("CRM-20001", "上海示例贸易有限公司", "示例贸易", "零售", "华东", "企业", "", "普通", "约五十", "2025/03/01", ""),
    (
        "CRM-20002",
        "Placeholder Trading Ltd",
        "Placeholder",
        "Retail",
        "Overseas",
        "企业",
        "",
        "普通",
        "50",
        "2025/02/30",
        "",
    ),
)
"""One says "about fifty" seats, the other was signed on a 30 February."""


class Export(NamedTuple):
    """A file and what its columns mean."""

    file: Path
    mapping: Path


def write(folder: Path, customers: Sequence[Customer], orders: Sequence[Order]) -> dict[str, Export]:
    """Writes customers, contacts and owners into the folder; answers the files by these names."""
    signed: dict[str, date] = {}
    for order in orders:
        first = signed.get(order.customer_external_id, order.signed)
        signed[order.customer_external_id] = min(first, order.signed)
    heading = (
        "客户编号",
        "客户名称",
        "简称",
        "行业",
        "地区",
        "类型",
        "规模",
        "价值分层",
        "开通席位",
        "首签日期",
        "备注",
    )
    rows: list[Sequence[object]] = [
        (c.external_id, c.name, c.short_name, c.industry, c.region, "个人" if c.individual else "企业", c.size,
         _TIERS[c.tier], c.seats, f"{signed[c.external_id]:%Y/%m/%d}", "")
        for c in customers
    ]  # fmt: skip
    middle = len(rows) // 2
    contacts = [
        (c.external_id, p.external_id, p.name, p.phone, p.wechat_id, p.post, p.email)
        for c in customers
        for p in c.contacts
    ]
    owners = [(c.external_id, _ROLES[role], login) for c in customers for role, login in c.owners.items()]
    contact_heading = ("customer", "id", "name", "phone", "wechat", "position", "e-mail")
    rows = [*rows[:middle], _WRONG_ROWS[0], *rows[middle:], _WRONG_ROWS[1]]
    return {
        "customers": _export(folder / "customers.csv", heading, rows, CUSTOMER_MAPPING, "gb18030"),
        "contacts": _export(folder / "contacts.csv", contact_heading, contacts, CONTACT_MAPPING, "utf-8-sig"),
        "owners": _export(folder / "owners.csv", ("customer", "role", "employee"), owners, OWNER_MAPPING, "utf-8"),
    }


def _export(
    file: Path, heading: Sequence[str], rows: Sequence[Sequence[object]], mapping: str, encoding: str
) -> Export:
    with file.open("w", encoding=encoding, newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(heading)
        writer.writerows(rows)
    mapping_file = file.with_suffix(".mapping.yaml")
    mapping_file.write_text(mapping, encoding="utf-8")
    return Export(file, mapping_file)
