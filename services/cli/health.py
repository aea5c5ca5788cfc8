"""`kejing health …`: how healthy customers are, by which rules, and evaluations on demand."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.conditions import condition_of, condition_text, text_of
from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json

app = typer.Typer()
health = typer.Typer(no_args_is_help=True)
app.add_typer(health, name="health", help="Health of customers.")

POLL_SECONDS = 0.2

Week = Annotated[str, typer.Option(metavar="YYYY-Wnn", help="ISO week; the last one without.")]


@health.command("show")
def show_health(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER_ID")],
    login: As = ME,
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
    login: As = ME,
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
def show_rules(
    rule_set: Annotated[str, typer.Argument(metavar="[ID]", help="The rule set; the one in force without.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Show a rule set."""
    from kejing.health.v1.health_service_pb2 import GetRuleSetRequest

    _show_rules(_health(login, "GetRuleSet", GetRuleSetRequest(rule_set_id=rule_set)), as_json=as_json)


@health.command("rules-list")
def list_rules(
    size: Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")] = 50,
    page: Annotated[str, typer.Option(metavar="TOKEN", help="The next_page_token of the page before.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List rule sets, newest version first; the one published last is in force."""
    from kejing.health.v1.health_service_pb2 import ListRuleSetsRequest
    from services.cli.output import show

    answer = _health(login, "ListRuleSets", ListRuleSetsRequest(page_size=size, page_token=page))
    columns = {name: RULES[name] for name in ("version", "name", "at risk if", "excellent if", "published", "id")}
    show(answer, answer.rule_sets, columns, as_json=as_json)


@health.command("rules-create")
def create_rules(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.yaml",
            exists=True,
            dir_okay=False,
            help="name, at_risk, excellent and, if wanted, minimum_data_share. A level is a comparison such as "
            "tickets_14d >= 5, or `all:` or `any:` with a list of levels, or `not:` with one.",
        ),
    ],
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Save a rule set under the next version; it is not in force before it is published."""
    from kejing.health.v1.health_service_pb2 import CreateRuleSetRequest
    from services.cli.client import new_request_id

    asked = CreateRuleSetRequest(request_id=new_request_id(), rule_set=read_rules(file))
    _show_rules(_health(login, "CreateRuleSet", asked), as_json=as_json)


@health.command("rules-publish")
def publish_rules(
    rule_set: Annotated[str, typer.Argument(metavar="ID", help="The rule set.")],
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Put a rule set in force for the evaluations that are planned from now on."""
    from kejing.health.v1.health_service_pb2 import PublishRuleSetRequest
    from services.cli.client import new_request_id

    asked = PublishRuleSetRequest(request_id=new_request_id(), rule_set_id=rule_set)
    _show_rules(_health(login, "PublishRuleSet", asked), as_json=as_json)


@health.command("metrics")
def list_metrics(login: As = ME, as_json: Json = False) -> None:
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
def show_distribution(week: Week = "", login: As = ME, as_json: Json = False) -> None:
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
    login: As = ME,
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


def read_rules(path: Path) -> Any:
    """The NewRuleSet that a YAML file describes.

    Raises:
        CommandFailed: it is no such file; names what is wrong.
    """
    import yaml
    from google.protobuf.message import DecodeError
    from google.type.decimal_pb2 import Decimal

    from kejing.health.v1.health_pb2 import NewRuleSet

    try:
        # Everything stays text: YAML would make a rounded number of 0.50.
        content = yaml.load(path.read_text("utf-8-sig"), yaml.BaseLoader)  # noqa: S506 - BaseLoader makes text only
        if not isinstance(content, dict) or content.keys() - {"minimum_data_share"} != {"name", "at_risk", "excellent"}:
            raise CommandFailed(f"{path} must hold name, at_risk and excellent, and may hold minimum_data_share")
        rules = NewRuleSet(
            name=content["name"],
            at_risk=condition_of(content["at_risk"], "at_risk"),
            excellent=condition_of(content["excellent"], "excellent"),
        )
        if share := content.get("minimum_data_share"):
            rules.minimum_data_share.CopyFrom(Decimal(value=share))
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, DecodeError, RecursionError) as error:
        raise CommandFailed(f"{path} is no rule set: {error}") from error
    return rules


def _health(login: str, method: str, request: Any) -> Any:
    from kejing.health.v1.health_service_pb2_grpc import HealthServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(HealthServiceStub), method)(request)


def _show_rules(answer: Any, *, as_json: bool) -> None:
    from services.cli.output import show_one

    show_one(answer, answer.rule_set, RULES, as_json=as_json)


RULES: dict[str, Any] = {
    "name": "name",
    "version": "version",
    "at risk if": lambda row: condition_text(row.at_risk),
    "excellent if": lambda row: condition_text(row.excellent),
    "data needed": lambda row: f"{float(row.minimum_data_share.value):.0%} of the conditions",
    "published": "published_at",
    "id": "id",
}


def _rules_version(row: Any) -> str:
    return f"version {row.rule_set_version}" if row.rule_set_version else ""


def _inputs(row: Any) -> str:
    return ", ".join(f"{one.metric} {one.value.value or '—'}" for one in row.inputs)
