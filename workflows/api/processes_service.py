"""kejing.processes.v1.ProcessesService: orders to running processes.

Repeats. A process's id is derived from who asked and the request_id; an action's from these, the rpc and the process.
So a repeat finds what was done, however long ago: the workflow remembers its latest actions, the row's owner all of
them. Another body under the same request_id is refused with REQUEST_ID_REUSED: for a start by comparing the row with
the request, for other orders by the fingerprint that the workflow keeps with the action.
"""

import asyncio
import hashlib
from uuid import UUID

import grpc
from google.protobuf.message import Message
from temporalio.client import Client

from kejing.customers.v1 import customer_pb2, customers_service_pb2
from kejing.processes.v1 import processes_service_pb2 as api
from kejing.processes.v1 import processes_service_pb2_grpc
from kejing.tasks.v1 import process_definitions_service_pb2, process_pb2, process_records_service_pb2
from services.shared.clock import Clock
from services.shared.errors import AlreadyExists
from services.shared.ids import derived_id
from services.shared.rpc.caller import caller, current_method
from services.shared.rpc.client import on_behalf_of
from workflows.api.orders import Orders
from workflows.business_process.display import summary
from workflows.business_process.records import to_process
from workflows.business_process.types import Action, Order, StartOrder
from workflows.clients import Clients, refusals
from workflows.policies import ORDER_LIFE

NAMESPACE = UUID("5f0c0d3e-64b7-5c1c-9d0b-6d2f0a8c7a11")


class ProcessesServicer(processes_service_pb2_grpc.ProcessesServiceServicer):
    def __init__(self, temporal: Client, clients: Clients, zone: str, clock: Clock) -> None:
        self._orders = Orders(temporal, clients, zone)
        self._clients = clients
        self._clock = clock

    async def StartProcess(
        self, request: api.StartProcessRequest, context: grpc.aio.ServicerContext
    ) -> api.StartProcessResponse:
        process_id = str(derived_id(NAMESPACE, f"{caller().actor}/StartProcess/{request.request_id}"))
        order = StartOrder(
            customer_id=request.customer_id,
            definition_key=request.definition_key,
            owner_id=request.owner_id or str(caller().employee_id),
            actor=caller().actor,
            expires_at=self._clock() + ORDER_LIFE,
            acting_for=caller().acting_for,
        )
        record = await self._orders.start(process_id, order, await self._summary(order), context)
        asked = (order.customer_id, order.definition_key, order.owner_id)
        if (record.customer_id, record.definition_key, record.first_owner_id or record.owner_id) != asked:
            raise AlreadyExists("REQUEST_ID_REUSED", "the request_id was used to start another process")
        return api.StartProcessResponse(process=to_process(record))

    async def AdvanceStage(
        self, request: api.AdvanceStageRequest, context: grpc.aio.ServicerContext
    ) -> api.AdvanceStageResponse:
        order = self._order(request, request.process_id, request.to_stage_key)
        record = await self._orders.give(request.process_id, Action.ADVANCE, order, context)
        return api.AdvanceStageResponse(process=to_process(record))

    async def ReturnToStage(
        self, request: api.ReturnToStageRequest, context: grpc.aio.ServicerContext
    ) -> api.ReturnToStageResponse:
        order = self._order(request, request.process_id, request.to_stage_key)
        await self._keep_reason(order, request.reason)
        record = await self._orders.give(request.process_id, Action.RETURN, order, context)
        return api.ReturnToStageResponse(process=to_process(record))

    async def PauseProcess(
        self, request: api.PauseProcessRequest, context: grpc.aio.ServicerContext
    ) -> api.PauseProcessResponse:
        order = self._order(request, request.process_id)
        await self._keep_reason(order, request.reason)
        record = await self._orders.give(request.process_id, Action.PAUSE, order, context)
        return api.PauseProcessResponse(process=to_process(record))

    async def ResumeProcess(
        self, request: api.ResumeProcessRequest, context: grpc.aio.ServicerContext
    ) -> api.ResumeProcessResponse:
        order = self._order(request, request.process_id)
        record = await self._orders.give(request.process_id, Action.RESUME, order, context)
        return api.ResumeProcessResponse(process=to_process(record))

    async def TerminateProcess(
        self, request: api.TerminateProcessRequest, context: grpc.aio.ServicerContext
    ) -> api.TerminateProcessResponse:
        order = self._order(request, request.process_id)
        await self._keep_reason(order, request.reason)
        record = await self._orders.give(request.process_id, Action.TERMINATE, order, context)
        return api.TerminateProcessResponse(process=to_process(record))

    def _order(self, request: Message, process_id: str, to_stage_key: str = "") -> Order:
        request_id: str = request.request_id  # type: ignore[attr-defined]
        return Order(
            action_id=str(derived_id(NAMESPACE, f"{caller().actor}/{current_method()}/{process_id}/{request_id}")),
            fingerprint=hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest(),
            actor=caller().actor,
            expires_at=self._clock() + ORDER_LIFE,
            to_stage_key=to_stage_key,
            acting_for=caller().acting_for,
        )

    async def _keep_reason(self, order: Order, reason: str) -> None:
        """What people write goes straight to the row's owner, before the order: it never passes through Temporal."""
        request = process_records_service_pb2.KeepReasonRequest(action_id=order.action_id, reason=reason)
        with refusals():
            person = on_behalf_of(order.actor, order.acting_for)
            await self._clients.process_records.KeepReason(request, metadata=person)

    async def _summary(self, order: StartOrder) -> str:
        """The line by which operators will know the process. Only text: where a service doesn't answer, keys do."""
        definitions = process_definitions_service_pb2.ListProcessDefinitionsRequest(
            key=order.definition_key, states=[process_pb2.DEFINITION_STATE_PUBLISHED], page_size=1
        )
        customer = customers_service_pb2.GetCustomerRequest(customer_id=order.customer_id)
        found, known = await asyncio.gather(
            self._clients.process_definitions.ListProcessDefinitions(definitions, timeout=1),
            self._clients.customers.GetCustomer(customer, timeout=1),
            return_exceptions=True,
        )
        name, label = order.definition_key, ""
        if not isinstance(found, BaseException) and found.definitions:
            name = found.definitions[0].name
        if not isinstance(known, BaseException):
            individual = known.customer.kind == customer_pb2.CUSTOMER_KIND_INDIVIDUAL
            label = known.customer.number if individual else known.customer.short_name or known.customer.name
        return summary(name, label)
