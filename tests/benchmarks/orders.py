"""AdvanceStage, from the caller's side, beside a bare Temporal update that runs one activity."""

from uuid import uuid4

from temporalio.worker import Worker

from kejing.processes.v1 import processes_service_pb2, processes_service_pb2_grpc
from kejing.tasks.v1 import process_definitions_service_pb2 as definitions
from kejing.tasks.v1 import process_definitions_service_pb2_grpc as definitions_grpc
from kejing.tasks.v1 import process_pb2
from tests.benchmarks.bare_workflows import BareOrders, nothing
from tests.benchmarks.measure import latency_rows, print_table, timed
from tests.benchmarks.world import World

STAGES = 50
PROCESSES = 4


async def run(world: World) -> None:
    stub = world.client.stub(processes_service_pb2_grpc.ProcessesServiceStub)
    await publish(world)
    bare, ours = [], []
    async with Worker(world.temporal, task_queue="bench", workflows=[BareOrders], activities=[nothing]):
        for _ in range(PROCESSES):
            start = processes_service_pb2.StartProcessRequest(
                request_id=str(uuid4()), customer_id=world.customer_id, definition_key="bench"
            )
            process_id = (await world.client.ask(stub.StartProcess, start)).process.id
            handle = await world.temporal.start_workflow(BareOrders.run, id=f"bench/{uuid4()}", task_queue="bench")
            for _ in range(STAGES - 1):
                advance = processes_service_pb2.AdvanceStageRequest(request_id=str(uuid4()), process_id=process_id)
                ours.append(await timed(lambda request=advance: stub.AdvanceStage(request)))  # type: ignore[misc]
                bare.append(await timed(lambda running=handle: running.execute_update(BareOrders.order)))  # type: ignore[misc]
            await handle.terminate()
    rows = latency_rows(ours, bare, ("AdvanceStage", "bare update + activity"))
    print_table("AdvanceStage round trip, one after the other (ratio at most 3)", rows[0], rows[1:])


async def publish(world: World) -> None:
    stub = world.client.stub(definitions_grpc.ProcessDefinitionsServiceStub)
    stages = [process_pb2.Stage(key=f"stage-{number}", name=f"Stage {number}") for number in range(STAGES)]
    draft = definitions.CreateProcessDefinitionRequest(
        request_id=str(uuid4()), key="bench", name="Bench", theme_key="delivery", stages=stages
    )
    made = (await stub.CreateProcessDefinition(draft)).definition
    publishing = definitions.PublishProcessDefinitionRequest(request_id=str(uuid4()), definition_id=made.id)
    await stub.PublishProcessDefinition(publishing)
