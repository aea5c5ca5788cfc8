"""`kejing health …`: how healthy customers are, by which rules, and evaluations on demand."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ADMIN, As, Json

app = typer.Typer()
health = typer.Typer(no_args_is_help=True)
app.add_typer(health, name="health", help="Health of customers.")

SIGNS = {1: "<", 2: "≤", 3: "=", 4: "≠", 5: "≥", 6: ">"}
POLL_SECONDS = 0.2

Week = Annotated[str, typer.Option(metavar="YYYY-Wnn", help="ISO week; the last one without.")]


@health.command("show")
def show_health(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER_ID")],
    login: As = ADMIN,
    as_json: Json = False,
) -> None:
    """Show a customer's health and why it is what it is."""
    from kejing.health.v1 import health_service_pb2, health_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show, show_one

    with connect(login) as kejing:
        stub = kejing.stub(health_service_pb2_grpc.HealthServiceStub)
        answer = stub.GetHealth(health_service_pb2.GetHealthRequest(customer_id=customer))
    fields: dict[str, Any] = {"status": "status", "before": "previous_status", "week": "week",
              "data until": "data_until", "rules": _rules_version, "computed": "computed_at"}  # fmt: skip
    show_one(answer, answer.health, fields, as_json=as_json)
    if not as_json and answer.reasons:
        columns: dict[str, Any] = {"level": "level", "condition": lambda row: text_of(row.comparison),
                   "value": "value", "holds": "holds"}  # fmt: skip
        show(answer, answer.reasons, columns, as_json=False)


@health.command("history")
def list_history(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER_ID")],
    size: Annotated[int, typer.Option("-n", min=1, max=500, help="At most so many weeks.")] = 12,
    login: As = ADMIN,
    as_json: Json = False,
) -> None:
    """List a customer's health week by week, newest first."""
    from kejing.health.v1 import health_service_pb2, health_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show

    asked = health_service_pb2.ListHealthHistoryRequest(customer_id=customer, page_size=size)
    with connect(login) as kejing:
        answer = kejing.stub(health_service_pb2_grpc.HealthServiceStub).ListHealthHistory(asked)
    columns: dict[str, Any] = {"week": "week", "status": "status", "before": "previous_status", "inputs": _inputs}
    show(answer, answer.weeks, columns, as_json=as_json)


@health.command("rules")
def show_rules(login: As = ADMIN, as_json: Json = False) -> None:
    """Show the rule set that is in force."""
    from kejing.health.v1 import health_service_pb2, health_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show_one

    with connect(login) as kejing:
        stub = kejing.stub(health_service_pb2_grpc.HealthServiceStub)
        answer = stub.GetRuleSet(health_service_pb2.GetRuleSetRequest())
    fields: dict[str, Any] = {
        "name": "name",
        "version": "version",
        "in force since": "published_at",
        "at risk if": lambda row: condition_text(row.at_risk),
        "excellent if": lambda row: condition_text(row.excellent),
        "data needed": lambda row: f"{float(row.minimum_data_share.value):.0%} of the conditions",
    }
    show_one(answer, answer.rule_set, fields, as_json=as_json)


@health.command("metrics")
def list_metrics(login: As = ADMIN, as_json: Json = False) -> None:
    """List what rules may ask for."""
    from kejing.health.v1 import metrics_service_pb2, metrics_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show

    with connect(login) as kejing:
        stub = kejing.stub(metrics_service_pb2_grpc.MetricsServiceStub)
        answer = stub.ListMetrics(metrics_service_pb2.ListMetricsRequest())
    columns = {"metric": "key", "unit": "unit", "from": "minimum", "to": "maximum", "means": "description"}
    show(answer, answer.metrics, columns, as_json=as_json)


@health.command("distribution")
def show_distribution(week: Week = "", login: As = ADMIN, as_json: Json = False) -> None:
    """Show how many customers are in each status."""
    from kejing.health.v1 import health_service_pb2, health_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show

    asked = health_service_pb2.GetHealthDistributionRequest(week=week)
    with connect(login) as kejing:
        answer = kejing.stub(health_service_pb2_grpc.HealthServiceStub).GetHealthDistribution(asked)
    found = answer.distribution
    columns: dict[str, Any] = {"week": lambda _: found.week, "status": "status", "customers": "customers"}
    show(answer, found.counts, columns, as_json=as_json)


@health.command("evaluate")
def evaluate(
    week: Week = "",
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait for its end; 0: not at all.")] = 60,
    login: As = ADMIN,
    as_json: Json = False,
) -> None:
    """Evaluate a week that has ended, now."""
    from kejing.health.v1 import health_service_pb2, health_service_pb2_grpc
    from services.cli.client import connect, new_request_id
    from services.cli.output import show_one

    asked = health_service_pb2.RequestEvaluationRequest(request_id=new_request_id(), week=week)
    with connect(login) as kejing:
        stub = kejing.stub(health_service_pb2_grpc.HealthServiceStub)
        answer: Any = stub.RequestEvaluation(asked)
        run_id, deadline = answer.evaluation.run_id, time.monotonic() + wait
        while wait and not answer.evaluation.HasField("finished_at"):
            if time.monotonic() > deadline:
                raise CommandFailed(f"run {run_id} has not ended within {wait:g} s; it goes on")
            time.sleep(POLL_SECONDS)
            answer = stub.GetEvaluation(health_service_pb2.GetEvaluationRequest(run_id=run_id))
    fields = {"week": "week", "run": "number", "rules": "rule_set_version", "customers": "customers",
              "changed": "transitions", "finished": "finished_at", "id": "run_id"}  # fmt: skip
    show_one(answer, answer.evaluation, fields, as_json=as_json)


def condition_text(condition: Any) -> str:
    """A condition as people read it: "a ≥ 1 or (b < 2 and not c = 3)"."""
    kind = condition.WhichOneof("kind")
    match kind:
        case "comparison":
            return text_of(condition.comparison)
        case "negated":
            return f"not ({condition_text(condition.negated)})"
    word = " and " if kind == "all" else " or "
    return word.join(_parts(getattr(condition, kind).conditions))


def _parts(conditions: Any) -> Iterator[str]:
    for part in conditions:
        text = condition_text(part)
        yield f"({text})" if part.WhichOneof("kind") in ("all", "any") else text


def text_of(comparison: Any) -> str:
    return f"{comparison.field} {SIGNS[comparison.operator]} {comparison.value}"


def _rules_version(row: Any) -> str:
    return f"version {row.rule_set_version}" if row.rule_set_version else ""


def _inputs(row: Any) -> str:
    return ", ".join(f"{one.metric} {one.value.value or '—'}" for one in row.inputs)
