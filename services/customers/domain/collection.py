"""The collection standard: what is kept of customers and contacts, and what for. Nothing else is taken in."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Collected:
    """A standard field. `label` and `purpose` are in Chinese and in English.

    `personal`: it is personal data; a customer's name, its short name and its credit code are so where it is a person.
    """

    label: tuple[str, str]
    purpose: tuple[str, str]
    personal: bool = False


CUSTOMER: Mapping[str, Collected] = {
    "external_id": Collected(("外部编号", "external id"), ("与来源系统对应", "to find it in the system it comes from")),
    "name": Collected(("客户名称", "name"), ("称呼和查找客户", "to address and to find it"), personal=True),
    "short_name": Collected(("客户简称", "short name"), ("日常沟通", "what colleagues call it"), personal=True),
    "industry": Collected(("行业", "industry"), ("按行业安排服务", "to serve branches in their own way")),
    "region": Collected(("地区", "region"), ("按地区分配负责人", "to find an owner nearby")),
    "kind": Collected(("客户类型", "kind"), ("区分企业与个人", "to tell enterprises from individuals")),
    "size": Collected(("规模", "size"), ("评估服务投入", "to judge the effort that it needs")),
    "value_tier": Collected(("价值分层", "value tier"), ("确定服务优先级", "to decide who is served first")),
    "seats": Collected(("开通席位", "seats"), ("衡量使用率", "what its use is measured against")),
    "first_sign_date": Collected(("首次签约日期", "first contract"), ("了解合作时长", "how long it has been with us")),
    "last_contract_end": Collected(
        ("最后合同到期日", "end of the last contract"), ("续约与流失判断", "renewals, and to know who has left")
    ),
    "credit_code": Collected(
        ("统一社会信用代码", "unified social credit code"),
        ("核实企业身份和开票", "to prove who it is, and for invoices"),
        personal=True,
    ),
    "parent_external_id": Collected(("上级客户", "parent customer"), ("了解集团关系", "the group it belongs to")),
}
CONTACT: Mapping[str, Collected] = {
    "customer_external_id": Collected(("所属客户", "customer"), ("联系人归属", "to know for whom the person speaks")),
    "external_id": Collected(("外部编号", "external id"), ("与来源系统对应", "to find it in the system it comes from")),
    "name": Collected(("姓名", "name"), ("称呼联系人", "to address the person"), personal=True),
    "phone": Collected(("电话", "phone"), ("电话沟通", "to call"), personal=True),
    "wechat_id": Collected(("微信号", "WeChat id"), ("微信沟通", "to write by WeChat"), personal=True),
    "post": Collected(("职务", "post"), ("了解决策角色", "to know what the person decides"), personal=True),
    "email": Collected(("邮箱", "e-mail"), ("邮件沟通", "to write"), personal=True),
}
STANDARD: Mapping[str, Mapping[str, Collected]] = {"customer": CUSTOMER, "contact": CONTACT}

PERSONAL_OF_INDIVIDUALS = ("name", "short_name", "credit_code")
"""Standard fields of a customer that are personal data where it is a person."""

TAKEN = {
    *CUSTOMER,
    "id",
    "number",
    "source",
    "owners",
    "tags",
    "groups",
    "segments",
    "health_status",
    "links",
    "parent_id",
}
"""Keys that no custom attribute may have: those of the standard fields, and what else stands beside them in files."""
