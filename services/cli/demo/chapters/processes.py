"""A business process is defined, published, and taken through its stages."""

from typing import Any

from kejing.processes.v1 import processes_service_pb2, processes_service_pb2_grpc
from kejing.tasks.v1 import (
    process_definitions_service_pb2,
    process_definitions_service_pb2_grpc,
    process_pb2,
    process_records_service_pb2,
    process_records_service_pb2_grpc,
    task_pb2,
    tasks_service_pb2,
    tasks_service_pb2_grpc,
)
from services.cli.demo.chapters.tasks import record_follow_up
from services.cli.demo.data.customers import Customer
from services.cli.demo.stage import Stage

KEY = "standard-delivery"
ORDER_SECONDS = 20.0


def _task(key: str, title: str, role: str, days: int, *, required: bool = True) -> process_pb2.StageTask:
    return process_pb2.StageTask(key=key, title=title, assignee_role=role, deadline_offset_days=days, required=required)


STAGES = (
    process_pb2.Stage(
        key="kickoff",
        name="启动 Kick-off",
        limit_days=5,
        tasks=[
            _task("plan", "制定实施计划 Agree on the plan", "CSM", 3),
            _task("goals", "确认业务目标 Agree on the goals", "ANALYST", 4),
        ],
    ),
    process_pb2.Stage(
        key="implementation",
        name="实施 Implementation",
        limit_days=20,
        tasks=[
            _task("setup", "账号与数据接入 Accounts and data", "ANALYST", 10),
            _task("review", "中期回顾 Half-time review", "CSM", 15, required=False),
        ],
    ),
    process_pb2.Stage(
        key="training",
        name="培训 Training",
        limit_days=10,
        advances_by_itself=True,
        tasks=[_task("train", "管理员培训 Train the administrators", "CSM", 7)],
    ),
    process_pb2.Stage(
        key="acceptance",
        name="验收 Acceptance",
        limit_days=7,
        tasks=[_task("sign", "签署验收单 Sign the acceptance", "SALES_MANAGER", 5)],
    ),
)


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("Processes 业务流程: standard delivery 标准交付, stage by stage")
    _publish(stage)
    companies = [c for c in stage.customers if len(c.owners) == 3 and c.plan != "churned" and not c.individual]
    customer = companies[int(stage.run, 16) % len(companies)]
    customer_id = stage.customer_ids[customer.external_id]
    orders = stage.stub(processes_service_pb2_grpc.ProcessesServiceStub, customer.owners["CSM"])

    teller.step(f"{customer.owners['CSM']} starts it for {customer.short_name}; entering a stage creates its tasks.")
    process = _start(stage, orders, customer_id)
    teller.happened(f"process {process.id}, workflow process/{process.id}, in stage {process.stage_key}")
    _tell_tasks(stage, process.id)

    teller.step("A stage can't be left while its required tasks are open:")
    advance = processes_service_pb2.AdvanceStageRequest(request_id=stage.request_id(), process_id=process.id)
    stage.refused(lambda: orders.AdvanceStage(advance, timeout=ORDER_SECONDS), "REQUIRED_TASKS_OPEN")

    while process.state == process_pb2.PROCESS_STATE_RUNNING:
        process = _finish_stage(stage, orders, process)
    teller.happened(f"the process is {process_pb2.ProcessState.Name(process.state).removeprefix('PROCESS_STATE_')}")
    _tell_history(stage, process.id)
    _leave_some_running(stage, companies[:6])


def _publish(stage: Stage) -> None:
    teller = stage.teller
    teller.step("A definition is a theme's ordered stages 流程阶段 with their tasks, roles and time limits.")
    service = stage.stub(process_definitions_service_pb2_grpc.ProcessDefinitionsServiceStub, "manager.east")
    listed = service.ListProcessDefinitions(process_definitions_service_pb2.ListProcessDefinitionsRequest(key=KEY))
    states = {definition.state: definition for definition in listed.definitions}
    published = states.get(process_pb2.DEFINITION_STATE_PUBLISHED)
    if published is None:
        draft = states.get(process_pb2.DEFINITION_STATE_DRAFT)
        if draft is None:
            wanted = process_definitions_service_pb2.CreateProcessDefinitionRequest(
                request_id=stage.request_id(),
                key=KEY,
                name="标准交付 Standard delivery",
                theme_key="delivery",
                stages=STAGES,
            )
            draft = service.CreateProcessDefinition(wanted).definition
        publish = process_definitions_service_pb2.PublishProcessDefinitionRequest(
            request_id=stage.request_id(), definition_id=draft.id
        )
        published = service.PublishProcessDefinition(publish).definition
    teller.happened(f"{published.name}, version {published.version}, is published")
    teller.table(
        ("stage", "days", "tasks (* required)"),
        [
            (each.name, each.limit_days, ", ".join(f"{t.title}{' *' if t.required else ''}" for t in each.tasks))
            for each in published.stages
        ],
        right=["days"],
    )


def _start(stage: Stage, orders: Any, customer_id: str) -> process_pb2.Process:
    request = processes_service_pb2.StartProcessRequest(
        request_id=stage.request_id(), customer_id=customer_id, definition_key=KEY
    )
    process: process_pb2.Process = stage.once_known(lambda: orders.StartProcess(request, timeout=ORDER_SECONDS)).process
    return process


def _finish_stage(stage: Stage, orders: Any, process: process_pb2.Process) -> process_pb2.Process:
    """Completes the required tasks of the present stage and leaves it; answers the process in the next one."""
    teller, left = stage.teller, process.stage_key
    name = next(each.name for each in process.stages if each.key == left)
    itself = next(each.advances_by_itself for each in process.stages if each.key == left)
    by = set()
    for task in _open_tasks(stage, process.id):
        if task.required:
            login = stage.login_of(task.assignee_id)
            by.add(login)
            record_follow_up(stage, login, process.customer_id, process.theme_key, task.id, f"{task.title} ✓")
            stage.stub(tasks_service_pb2_grpc.TasksServiceStub, login).CompleteTask(
                tasks_service_pb2.CompleteTaskRequest(request_id=stage.request_id(), task_id=task.id)
            )
    if itself:
        teller.step(
            f"{name}: the required tasks are done by {', '.join(sorted(by))}, and the process moves on by itself."
        )
        process = teller.until(f"the process has left {left}", lambda: _moved(stage, process.id, left))
    else:
        teller.step(
            f"{name}: the required tasks are done by {', '.join(sorted(by))}; the order to advance is taken now."
        )
        advance = processes_service_pb2.AdvanceStageRequest(request_id=stage.request_id(), process_id=process.id)
        process = orders.AdvanceStage(advance, timeout=ORDER_SECONDS).process
    if process.state == process_pb2.PROCESS_STATE_RUNNING:
        entered = next(each.name for each in process.stages if each.key == process.stage_key)
        teller.happened(f"in {entered}, with {len(_open_tasks(stage, process.id))} open tasks")
    return process


def _moved(stage: Stage, process_id: str, left: str) -> process_pb2.Process | None:
    records = stage.stub(process_records_service_pb2_grpc.ProcessRecordsServiceStub)
    asked = process_records_service_pb2.GetProcessRequest(process_id=process_id)
    process: process_pb2.Process = records.GetProcess(asked).process
    return process if process.stage_key != left else None


def _open_tasks(stage: Stage, process_id: str) -> list[task_pb2.Task]:
    request = tasks_service_pb2.ListTasksRequest(
        process_id=process_id, states=[task_pb2.TASK_STATE_TODO, task_pb2.TASK_STATE_IN_PROGRESS]
    )
    return list(stage.stub(tasks_service_pb2_grpc.TasksServiceStub).ListTasks(request).tasks)


def _tell_tasks(stage: Stage, process_id: str) -> None:
    rows = []
    for task in _open_tasks(stage, process_id):
        by = task.deadline.date
        rows.append((task.title, stage.login_of(task.assignee_id), f"{by.year}-{by.month:02}-{by.day:02}"))
    stage.teller.table(("task", "who", "by"), rows)


def _tell_history(stage: Stage, process_id: str) -> None:
    records = stage.stub(process_records_service_pb2_grpc.ProcessRecordsServiceStub)
    asked = process_records_service_pb2.ListTransitionsRequest(process_id=process_id)
    rows = []
    for each in records.ListTransitions(asked).transitions:
        action = process_pb2.ProcessAction.Name(each.action).removeprefix("PROCESS_ACTION_").lower()
        to = "end" if each.to_stage_key == each.from_stage_key else each.to_stage_key
        rows.append((each.revision, action, f"{each.from_stage_key or '—'} → {to}", stage.login_of(each.actor)))
    stage.teller.table(("#", "action", "stage", "by"), rows)


def _leave_some_running(stage: Stage, customers: list[Customer]) -> None:
    """Processes for an operator to look at, one of them paused; those that run already are enough."""
    teller = stage.teller
    records = stage.stub(process_records_service_pb2_grpc.ProcessRecordsServiceStub)
    wanted = process_records_service_pb2.ListProcessesRequest(
        definition_key=KEY, states=[process_pb2.PROCESS_STATE_RUNNING, process_pb2.PROCESS_STATE_PAUSED]
    )
    running = {process.customer_id for process in records.ListProcesses(wanted).processes}
    teller.step("Some more are started and left running, one of them paused, for a look at them in Temporal UI.")
    new = []
    for customer in customers:
        if (customer_id := stage.customer_ids[customer.external_id]) not in running:
            orders = stage.stub(processes_service_pb2_grpc.ProcessesServiceStub, customer.owners["CSM"])
            new.append(_start(stage, orders, customer_id))
    for process in new[-1:]:
        pause = processes_service_pb2.PauseProcessRequest(
            request_id=stage.request_id(), process_id=process.id, reason="客户内部调整 The customer reorganises"
        )
        orders.PauseProcess(pause, timeout=ORDER_SECONDS)
    teller.happened(f"{len(running) + len(new)} processes are open")
