"""Events on the wire: a payload message wrapped in kejing.common.v1.Event."""

from datetime import datetime

from google.protobuf.message import Message

from kejing.common.v1 import options_pb2
from kejing.common.v1.events_pb2 import Event
from services.shared.ids import new_id


def type_of(payload: Message | type[Message]) -> str:
    """The event's name, e.g. "tasks.task.changed". Raises TypeError for a message that is no event."""
    name: str = payload.DESCRIPTOR.GetOptions().Extensions[options_pb2.event_type]
    if not name:
        raise TypeError(f"{payload.DESCRIPTOR.full_name} declares no event_type")
    return name


def subject_of(payload: Message | type[Message]) -> str:
    """The NATS subject on which the event travels."""
    return f"kejing.{type_of(payload)}"


def to_envelope(payload: Message, *, occurred_at: datetime, actor: str, request_id: str) -> Event:
    event = Event(id=str(new_id()), type=type_of(payload), actor=actor, request_id=request_id)
    event.occurred_at.FromDatetime(occurred_at)
    event.payload.Pack(payload)
    return event
