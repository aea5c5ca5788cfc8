"""Who did what: the audit of the story, and the proof that nobody has changed it."""

from kejing.identity.v1 import audit_service_pb2, audit_service_pb2_grpc
from kejing.operations.v1 import audit_pb2
from services.cli.audit import columns
from services.cli.demo.stage import Stage
from services.cli.output import cell

SHOWN = 4


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("Audit 审计: who did what")
    service = stage.stub(audit_service_pb2_grpc.AuditServiceStub)
    hers = next(each for each in stage.customers if each.owners["CSM"] == "csm.li")
    teller.step(f"What csm.smith did to customers, and what was done to {hers.short_name}, the latest first:")
    deputy = audit_pb2.AuditFilter(actor=stage.employees["csm.smith"], method_prefix="kejing.customers.")
    about = audit_pb2.AuditFilter(customer_id=stage.customer_ids[hers.external_id])
    found = [
        record
        for wanted in (deputy, about)
        for record in service.ListAudit(audit_service_pb2.ListAuditRequest(filter=wanted, page_size=SHOWN)).records
    ]
    if not any(each.acting_for == stage.employees["csm.li"] for each in found):
        raise teller.failed("the deputy's tag is not in the audit")
    every = columns({id_: login for login, id_ in stage.employees.items()})
    shown = {heading: every[heading] for heading in ("when", "who", "did", "by")}
    teller.table(list(shown), [[cell(record, column) for column in shown.values()] for record in found])

    teller.step("Each service chains the hashes of its records, so that a change behind its back shows:")

    def verified() -> audit_service_pb2.VerifyAuditResponse | None:
        answer = service.VerifyAudit(audit_service_pb2.VerifyAuditRequest())
        return answer if not answer.missing else None

    answer = teller.until("all services have verified their audit", verified)
    if broken := [chain.service for chain in answer.chains if not chain.whole]:
        raise teller.failed(f"the audit of {', '.join(broken)} was changed")
    counted = ", ".join(f"{chain.service} {chain.records}" for chain in answer.chains)
    teller.happened(f"all {len(answer.chains)} chains are whole: {counted} records")
