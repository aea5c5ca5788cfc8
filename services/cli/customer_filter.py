"""Options by which commands say which customers they are about, and in which order."""

from enum import StrEnum
from typing import Annotated, Any

import typer


class View(StrEnum):
    MINE = "mine"
    ALL = "all"
    CHURNED = "churned"


class Health(StrEnum):
    EXCELLENT = "excellent"
    FAIR = "fair"
    AT_RISK = "at-risk"
    INSUFFICIENT_DATA = "insufficient-data"
    NOT_COMPUTED = "not-computed"


class Sort(StrEnum):
    NAME = "name"
    NUMBER = "number"
    LAST_CONTRACT_END = "last-contract-end"
    CREATED_AT = "created-at"


ViewOption = Annotated[View, typer.Option(help="Those that I own, all, or those whose contract has ended.")]
SortOption = Annotated[Sort, typer.Option()]
Descending = Annotated[bool, typer.Option("--desc", help="The greatest first.")]
Prefix = Annotated[str, typer.Option(help="Only names that begin so.")]
OwnerOption = Annotated[str, typer.Option("--owner", metavar="ID", help="Only those that this employee owns.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help="Only those with this tag; several: with all.")
]
Without = Annotated[list[str] | None, typer.Option("--without-tag", metavar="TAG", help="Only those without this tag.")]
SegmentOption = Annotated[str, typer.Option("--segment", metavar="ID", help="Only those in this segment.")]
GroupOption = Annotated[str, typer.Option("--group", metavar="ID", help="Only those in this group.")]
HealthOption = Annotated[Health | None, typer.Option("--health", help="Only those with this health.")]


def filter_of(
    view: View,
    prefix: str,
    owner: str,
    tags: list[str] | None,
    without: list[str] | None,
    segment: str,
    group: str,
    health: Health | None,
) -> Any:
    """The CustomerFilter that the options say."""
    from kejing.customers.v1 import customers_service_pb2 as pb
    from kejing.health.v1 import health_pb2

    return pb.CustomerFilter(
        view=pb.CustomerView.Value(f"CUSTOMER_VIEW_{view.name}"),
        name_prefix=prefix,
        owner_id=owner,
        tags=tags,
        without_tags=without,
        segment_id=segment,
        group_id=group,
        health_status=(
            health_pb2.HealthStatus.Value(f"HEALTH_STATUS_{health.name}")
            if health
            else health_pb2.HEALTH_STATUS_UNSPECIFIED
        ),
    )
