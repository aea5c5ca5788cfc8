"""A customer is found by a few letters, and all that is known of it stands on one page."""

from typing import Any

from rich.padding import Padding

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1 import overview_service_pb2
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.overview_service_pb2_grpc import OverviewServiceStub
from services.cli.demo.stage import Stage
from services.cli.output import cell
from services.cli.overview import page_of


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("Overview 客户总览: one call, one page")
    customer = next(each for each in stage.customers if each.owners["CSM"] == "csm.li" and each.plan != "churned")
    customer_id = stage.customer_ids[customer.external_id]
    service = stage.stub(CustomersServiceStub, "csm.li")

    def found() -> Any:
        hits = service.SearchCustomers(pb.SearchCustomersRequest(text=customer.name[2:4])).hits
        return hits if customer_id in {hit.customer.id for hit in hits} else None

    hits = teller.until("the search knows all customers", found)
    teller.step(f"csm.li types {customer.name[2:4]}; pinyin, initials, numbers and contacts would do as well:")
    teller.table(
        ("number", "name", "matches by"),
        [(hit.customer.number, hit.customer.name, cell(hit, "match")) for hit in hits[:3]],
    )
    teller.step("All services are asked side by side, with her rights:")
    overview = stage.stub(OverviewServiceStub, "csm.li").GetOverview(
        overview_service_pb2.GetOverviewRequest(customer_id=customer_id)
    )
    for part in page_of(overview):
        teller.console.print(Padding(part, (0, 0, 0, 4)))
    teller.command("the same at any time", f"kejing customers overview {customer_id} --as csm.li")
