"""TagsService: how people sort customers."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.customers.v1 import tags_service_pb2 as pb
from kejing.customers.v1 import tags_service_pb2_grpc
from services.customers.api.labelling import locked_customers, relabel
from services.customers.storage import bulk, customers, labelled, labels, tags
from services.customers.storage.timeline import PUT_ON, TAKEN_OFF
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, NotFound
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import to_timestamp


class TagsServicer(tags_service_pb2_grpc.TagsServiceServicer):
    def __init__(self, db: Database) -> None:
        self._db = db

    async def TagCustomers(self, request: pb.TagCustomersRequest, context: Any) -> pb.TagCustomersResponse:
        async with self._db.write(request) as write:
            if not write.first:
                return pb.TagCustomersResponse(changed=await bulk.remembered(write))
            ids = await locked_customers(write, request.customer_ids)
            if write.doing:
                write.doing.object_id = write.doing.customer_id
            what = TAKEN_OFF if request.remove else PUT_ON
            label = labels.tag(request.tag)
            changed = await relabel(write, label, ids, "TAG", what, request.tag, remove=request.remove)
            if not request.remove and (overfull := await tags.overfull(write, changed)):
                raise FailedPrecondition(
                    "TOO_MANY_TAGS", f"customer {overfull} carries {tags.MOST_TAGS} tags already, which is the most",
                    customer_id=overfull,
                )  # fmt: skip
            await bulk.remember(write, len(changed))
        return pb.TagCustomersResponse(changed=len(changed))

    async def ListCustomerTags(self, request: pb.ListCustomerTagsRequest, context: Any) -> pb.ListCustomerTagsResponse:
        customer_id = UUID(request.customer_id)
        async with self._db.read() as read:
            if not await customers.exists(read, caller().scope, customer_id):
                raise NotFound("customer", request.customer_id)
            rows = await tags.of_customer(read, caller().scope, customer_id)
        return pb.ListCustomerTagsResponse(
            tags=[
                pb.CustomerTag(tag=row.tag, category=row.category, weight=row.weight, given_by=row.given_by,
                               given_at=to_timestamp(row.given_at))
                for row in rows
            ]
        )  # fmt: skip

    async def ListTags(self, request: pb.ListTagsRequest, context: Any) -> pb.ListTagsResponse:
        after, size, scope = page_start(request), page_size(request.page_size), caller().scope
        async with self._db.read() as read:
            rows = await tags.page(read, scope, request.category, request.prefix, after[0] if after else "", size + 1)
            page, more = rows[:size], len(rows) > size
            counted = await labelled.counts(read, scope, [labels.tag(row.tag) for row in page])
        return pb.ListTagsResponse(
            tags=[_tag(row, counted[labels.tag(row.tag)]) for row in page],
            next_page_token=next_page_token(request, [page[-1].tag]) if more else "",
        )

    async def ListRelatedTags(self, request: pb.ListRelatedTagsRequest, context: Any) -> pb.ListRelatedTagsResponse:
        async with self._db.read() as read:
            rows = await tags.related(read, caller().scope, request.tag)
        return pb.ListRelatedTagsResponse(tags=[pb.RelatedTag(tag=row.tag, customers=row.customers) for row in rows])

    async def DescribeTag(self, request: pb.DescribeTagRequest, context: Any) -> pb.DescribeTagResponse:
        async with self._db.write(request) as write:
            if write.first:
                if write.doing:
                    write.doing.object_id = request.tag
                await tags.describe(write, request.tag, request.category, request.weight, request.meaning)
            row = await tags.described(write.connection, request.tag)
        return pb.DescribeTagResponse(tag=_tag(row) if row else pb.Tag(tag=request.tag))


def _tag(row: Row[Any], carried: int = 0) -> pb.Tag:
    return pb.Tag(tag=row.tag, category=row.category, weight=row.weight, meaning=row.meaning, customers=carried)
