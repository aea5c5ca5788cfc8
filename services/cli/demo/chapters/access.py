"""Who sees what: a sign-in, three people's lists of customers, and a deputy."""

import secrets
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import grpc
from google.type.date_pb2 import Date

from kejing.customers.v1 import customers_service_pb2 as customers_pb
from kejing.customers.v1 import customers_service_pb2_grpc, tags_service_pb2, tags_service_pb2_grpc
from kejing.identity.v1 import (
    deputies_service_pb2,
    deputies_service_pb2_grpc,
    employees_service_pb2,
    employees_service_pb2_grpc,
    sessions_service_pb2,
    sessions_service_pb2_grpc,
)
from services.cli.client import channel
from services.cli.demo.data.team import EAST, SHANGHAI, TEAM
from services.cli.demo.stage import Stage
from services.cli.failure import reason_of

TAG = "重点客户 Key account"
SECONDS = 10.0


def play(stage: Stage) -> None:
    stage.teller.chapter("Access 权限与范围: everybody sees exactly what is his")
    _sign_in(stage)
    _three_lists(stage)
    _look_outside(stage)
    _stand_in(stage)


def _sign_in(stage: Stage) -> None:
    teller = stage.teller
    teller.step("The administrator gives csm.li a first password 初始密码. It opens nothing but its own change:")
    wanted = employees_service_pb2.ResetPasswordRequest(employee_id=stage.employees["csm.li"])
    first = stage.stub(employees_service_pb2_grpc.EmployeesServiceStub).ResetPassword(wanted).password
    proof = sessions_service_pb2.Password(login="csm.li", password=first)
    with channel("identity") as to_identity:
        service = sessions_service_pb2_grpc.SessionsServiceStub(to_identity)
        attempt = sessions_service_pb2.SignInRequest(password=proof)
        stage.refused(lambda: service.SignIn(attempt, timeout=SECONDS), "PASSWORD_MUST_BE_CHANGED")
        own = f"Kj-{secrets.token_urlsafe(12)}-1a"
        change = sessions_service_pb2.ChangePasswordRequest(password=proof, new_password=own)
        answer = service.ChangePassword(change, timeout=SECONDS)
    stage.signed_in("csm.li", answer.access_token)
    until = answer.expires_at.ToDatetime(stage.zone)
    teller.happened(f"with a password of her own she is signed in; the token says who she is, until {until:%H:%M}")


def _three_lists(stage: Stage) -> None:
    teller = stage.teller
    teller.step("Three people ask for all customers 全部客户, with the same call:")
    east = {each.login for each in TEAM if each.department in (EAST, SHANGHAI)}
    looks = [
        ("csm.li", "CSM", "OWN 本人", {"csm.li"}),
        ("manager.east", "MANAGER", "DEPARTMENT 本部门及下级", east),
        ("admin", "ADMINISTRATOR", "ALL 全部", set[str]()),
    ]
    rows = []
    for login, role, scope, owners in looks:
        expected = {
            stage.customer_ids[each.external_id]
            for each in stage.customers
            if login == "admin" or owners & set(each.owners.values())
        }

        def seen(login: str = login, expected: set[str] = expected) -> list[Any] | None:
            found = _customers(stage, login)
            return found if {each.id for each in found} >= expected else None

        found = teller.until(f"{login} sees what is his", seen)
        if login != "admin" and {each.id for each in found} != expected:
            raise teller.failed(f"{login} sees customers that are not his")
        names = ", ".join(each.short_name or each.name for each in found[:3])
        rows.append((login, role.lower(), scope, len(found), f"{names} …"))
    teller.table(("who", "role", "scope", "customers", "the first ones"), rows, right=["customers"])
    teller.happened("every list, number and metric of every service is cut to the same customers")


def _look_outside(stage: Stage) -> None:
    teller = stage.teller
    other = next(each for each in stage.customers if each.owners["CSM"] == "csm.smith")
    teller.step(f"csm.li asks for {other.short_name}, which is none of hers, and for a customer that never was:")
    service = stage.stub(customers_service_pb2_grpc.CustomersServiceStub, "csm.li")
    for id_ in (stage.customer_ids[other.external_id], str(UUID(int=secrets.randbits(128), version=4))):
        request = customers_pb.GetCustomerRequest(customer_id=id_)
        stage.refused(lambda request=request: service.GetCustomer(request), "CUSTOMER_NOT_FOUND")  # type: ignore[misc]
    teller.happened("the two answers tell nothing apart")


def _stand_in(stage: Stage) -> None:
    teller = stage.teller
    teller.step("csm.li goes on leave and names csm.smith, of the other region, as her deputy 代理人.")
    deputies = stage.stub(deputies_service_pb2_grpc.DeputiesServiceStub, "csm.li")
    request = deputies_service_pb2.CreateDeputyRequest(
        request_id=stage.request_id(),
        deputy_id=stage.employees["csm.smith"],
        until=_date(stage.today + timedelta(days=7)),
        **{"from": _date(stage.today)},  # type: ignore[arg-type]
    )
    deputyship = deputies.CreateDeputy(request).deputy
    hers = next(each for each in stage.customers if each.owners["CSM"] == "csm.li")
    customer_id = stage.customer_ids[hers.external_id]
    own = len(_customers(stage, "csm.smith"))
    standing_in = stage.deputy("csm.smith", "csm.li")
    try:
        service = standing_in.stub(tags_service_pb2_grpc.TagsServiceStub)

        def tagged() -> bool:
            wanted = tags_service_pb2.TagCustomersRequest(
                request_id=stage.request_id(), tag=TAG, customer_ids=[customer_id]
            )
            try:
                service.TagCustomers(wanted)
            except grpc.RpcError as error:
                if reason_of(error) != "NOT_A_DEPUTY":  # the event is still on its way
                    raise
                return False
            return True

        teller.until("the deputy is known as one", tagged)
        count = len(_all(standing_in.stub(customers_service_pb2_grpc.CustomersServiceStub)))
    finally:
        standing_in.close()
    teller.happened(f"for herself csm.smith sees {own} customers, for csm.li her {count}; she tags {hers.short_name}")
    teller.note(f"kejing --for csm.li customer tag '{TAG}' {customer_id} --as csm.smith")
    deputies.EndDeputy(deputies_service_pb2.EndDeputyRequest(request_id=stage.request_id(), deputy_id=deputyship.id))
    teller.happened("csm.li is back early, and ends it")


def _customers(stage: Stage, login: str) -> list[Any]:
    """All customers that an employee sees, the churned ones too."""
    return _all(stage.stub(customers_service_pb2_grpc.CustomersServiceStub, login))


def _all(service: customers_service_pb2_grpc.CustomersServiceStub) -> list[Any]:
    found: list[Any] = []
    for view in (customers_pb.CUSTOMER_VIEW_ALL, customers_pb.CUSTOMER_VIEW_CHURNED):
        found += service.ListCustomers(
            customers_pb.ListCustomersRequest(page_size=500, filter=customers_pb.CustomerFilter(view=view))
        ).customers
    return found


def _date(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)
