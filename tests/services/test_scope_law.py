"""The law of scope: every list, get, count and metric of every service shows an employee exactly what is his."""

import importlib
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kejing.common.v1 import options_pb2
from tests.support.eyes import Eyes
from tests.support.make_organisation import make_organisation
from tests.support.organisation import OWNER_ROLES, READS, Organisation
from tests.support.scope_plans import Ownership, Plan, business_today
from tests.support.services import RunningServices

DEPARTMENTS, EMPLOYEES, CUSTOMERS = 4, 5, 6
# Without shrinking: an organisation takes seconds to arrange.
FEW = settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
FIRST, LAST = date.min, date.max
PROTOS = Path(__file__).parents[2] / "protos"

# What is about no customer: catalogues, rules and runs of all customers together.
OF_NO_CUSTOMER = {
    "ListThemes", "GetProcessDefinition", "ListProcessDefinitions", "GetRuleSet", "ListRuleSets", "ListMetrics",
    "GetEvaluation", "ListAlertSubscriptions", "GetSegment", "ListConditionFields",
    "ListAttributes", "ListCollectedFields",
}  # fmt: skip


@pytest.fixture(scope="module")
async def organisation(services: RunningServices) -> Organisation:
    return await make_organisation(services, DEPARTMENTS, EMPLOYEES, CUSTOMERS)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    today = business_today()
    near = st.sampled_from([FIRST, today - timedelta(days=40), today - timedelta(days=9), today + timedelta(days=9)])
    far = st.sampled_from([today - timedelta(days=9), today + timedelta(days=9), LAST])
    # One sees all, which is the simple case, and is shown what all other tests made.
    scopes = draw(st.lists(st.sampled_from(["OWN", "DEPARTMENT"]), min_size=EMPLOYEES - 1, max_size=EMPLOYEES - 1))
    scopes.insert(draw(st.integers(0, EMPLOYEES - 1)), "ALL")
    ownership = st.builds(Ownership, st.integers(0, EMPLOYEES - 1), near, far).filter(lambda o: o.first <= o.last)
    return Plan(
        parents=[draw(st.integers(-1, number - 1)) for number in range(DEPARTMENTS)],
        places=draw(st.lists(st.integers(0, DEPARTMENTS - 1), min_size=EMPLOYEES, max_size=EMPLOYEES)),
        scopes=scopes,
        owners={(customer, role): draw(ownership) for customer in range(CUSTOMERS) for role in OWNER_ROLES},
    )


@FEW
@given(plans())
async def test_everything_that_is_shown_is_exactly_what_is_in_scope(organisation: Organisation, plan: Plan) -> None:
    await organisation.arrange(plan)
    for employee in range(EMPLOYEES):
        # Whoever sees all sees what all other tests made: by large pages.
        eyes = Eyes(organisation, employee, 500 if plan.scopes[employee] == "ALL" else 4)
        mine = plan.in_scope(employee, CUSTOMERS, business_today())
        for rpc, seen in (await eyes.look()).items():
            # Whoever sees all sees other organisations' customers too, which other tests made.
            assert seen - ({-1} if plan.scopes[employee] == "ALL" else set()) == mine, (rpc, employee, plan)
        if plan.scopes[employee] != "ALL":
            for rpc, count in (await eyes.counts()).items():
                assert count == len(mine), (rpc, employee, plan)
        missing = customer_reads() - eyes.tried
        assert not missing or plan.scopes[employee] == "ALL", f"the law doesn't try {sorted(missing)}"


async def test_a_change_shows_nothing_beyond_what_was_and_what_will_be(organisation: Organisation) -> None:
    owners = {(customer, "CSM"): Ownership(customer % 2, FIRST, LAST) for customer in range(CUSTOMERS)}
    nobody = {(customer, role): Ownership(4, FIRST, LAST) for customer in range(CUSTOMERS) for role in OWNER_ROLES[1:]}
    scopes = ["OWN", "OWN", "DEPARTMENT", "OWN", "OWN"]
    before = Plan([-1, -1, -1, -1], [0, 1, 2, 3, 3], scopes, owners | nobody)
    after = Plan([2, -1, -1, -1], [0, 1, 2, 3, 3], scopes, owners | nobody)  # department 0 moves below 2, the manager's
    await organisation.arrange(before)
    await organisation.arrange(after)
    allowed = before.in_scope(2, CUSTOMERS, business_today()) | after.in_scope(2, CUSTOMERS, business_today())
    assert before.in_scope(2, CUSTOMERS, business_today()) != after.in_scope(2, CUSTOMERS, business_today())
    await organisation.arrange(before)
    moving = organisation.in_background(after)
    eyes = Eyes(organisation, 2)
    while not moving.done():
        for rpc, seen in (await eyes.look()).items():
            assert seen <= allowed, rpc
    await moving
    for rpc, seen in (await eyes.look()).items():
        assert seen == after.in_scope(2, CUSTOMERS, business_today()), rpc


def customer_reads() -> set[str]:
    """Every rpc by which people read what belongs to customers."""
    found = set()
    for path in sorted(PROTOS.glob("kejing/**/*_service.proto")):
        name = path.relative_to(PROTOS).with_suffix("").as_posix().replace("/", ".")
        for service in importlib.import_module(f"{name}_pb2").DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                access = method.GetOptions().Extensions[options_pb2.access]
                if (access.permission in READS or service.name == "InboxService") and not method.name.startswith(
                    ("Mark", "Deliver")
                ):
                    found.add(method.name)
    return found - OF_NO_CUSTOMER
