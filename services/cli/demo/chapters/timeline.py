"""All that happened at one customer, in one order."""

from collections.abc import Sequence

from kejing.customers.v1 import timeline_service_pb2 as pb
from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
from services.cli.demo.chapters.tasks import of_csm_li
from services.cli.demo.stage import Stage
from services.cli.output import cell
from services.cli.timeline import details_of, what_of

SHOWN = 8
AWAITED = {pb.TIMELINE_KIND_TASK, pb.TIMELINE_KIND_CONTRACT}


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("Timeline 生命周期记录: all services write one story of a customer")
    customer_id = of_csm_li(stage)[0]
    service = stage.stub(TimelineServiceStub, "csm.li")

    def told() -> Sequence[pb.TimelineEntry] | None:
        entries = service.ListTimeline(pb.ListTimelineRequest(customer_id=customer_id)).entries
        return entries if {entry.kind for entry in entries} >= AWAITED else None

    entries = teller.until("the timeline tells of tasks and orders", told)
    teller.step(f"What happened at {stage.name_of(customer_id)}, the newest first:")
    shown = entries[:SHOWN]
    teller.table(
        ("when", "kind", "what", "details"),
        [(cell(e, "occurred_at")[:19], cell(e, "kind"), what_of(e), details_of(e)[:80]) for e in shown],
    )
    teller.command("all of it; and what differs between two dates", f"kejing timeline {customer_id} --as csm.li",
                   f"kejing customers compare {customer_id} {stage.today} {stage.today} --as csm.li")  # fmt: skip
