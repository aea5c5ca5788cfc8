"""kejing.common.v1.Condition to and from the tree."""

from collections.abc import Mapping

from kejing.common.v1 import condition_pb2 as pb
from services.shared.conditions.check import Field
from services.shared.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not
from services.shared.conditions.values import MEANT, FieldType, Operator, operand, written
from services.shared.errors import InvalidArgument

_OPERATORS = {getattr(pb, f"OPERATOR_{each.name}"): each for each in Operator}
_NUMBERS = {each: number for number, each in _OPERATORS.items()}


def from_proto(message: pb.Condition, fields: Mapping[str, Field], path: str) -> Condition:
    """The tree of a message that was validated by the contract's rules.

    Args:
        fields: the catalogue, by which values are read; whether a field is in it, `check` says.
        path: where the condition stands in the request, for the message.

    Raises:
        InvalidArgument: CONDITION_VALUE_WRONG, naming the part.
    """
    match message.WhichOneof("kind"):
        case "all":
            return AllOf(tuple(_each(message.all, fields, f"{path}.all")))
        case "any":
            return AnyOf(tuple(_each(message.any, fields, f"{path}.any")))
        case "negated":
            return Not(from_proto(message.negated, fields, f"{path}.negated"))
    return _comparison(message.comparison, fields, f"{path}.comparison")


def _each(parts: pb.Conditions, fields: Mapping[str, Field], path: str) -> list[Condition]:
    return [from_proto(part, fields, f"{path}.conditions[{number}]") for number, part in enumerate(parts.conditions)]


def _comparison(asked: pb.Comparison, fields: Mapping[str, Field], path: str) -> Comparison:
    operator = _OPERATORS[asked.operator]
    type_ = fields[asked.field].type if asked.field in fields else FieldType.TEXT
    if operator is Operator.KNOWN:
        wrong = "value" if asked.value else "values" if asked.values else ""
        needed = "KNOWN takes none"
    elif operator is Operator.ONE_OF:
        wrong, needed = ("value" if asked.value else "" if asked.values else "values"), "ONE_OF takes values"
    else:
        wrong, needed = ("values" if asked.values else "" if asked.value else "value"), f"{operator.name} takes a value"
    if wrong:
        raise InvalidArgument(f"{path}.{wrong}", asked.value or ", ".join(asked.values), needed,
                              "CONDITION_VALUE_WRONG")  # fmt: skip

    def read(text: str, place: str) -> object:
        try:
            return operand(type_, text)
        except ValueError:
            raise InvalidArgument(f"{path}.{place}", text, f"{asked.field} is compared with {MEANT[type_]}",
                                  "CONDITION_VALUE_WRONG") from None  # fmt: skip

    value = read(asked.value, "value") if asked.value else None
    values = tuple(read(text, f"values[{number}]") for number, text in enumerate(asked.values))
    return Comparison(asked.field, operator, value, values, type_)  # type: ignore[arg-type]


def to_proto(condition: Condition) -> pb.Condition:
    match condition:
        case Comparison():
            return pb.Condition(comparison=comparison_to_proto(condition))
        case Not(part):
            return pb.Condition(negated=to_proto(part))
        case AllOf(parts):
            return pb.Condition(all=pb.Conditions(conditions=[to_proto(part) for part in parts]))
        case AnyOf(parts):
            return pb.Condition(any=pb.Conditions(conditions=[to_proto(part) for part in parts]))


def comparison_to_proto(comparison: Comparison) -> pb.Comparison:
    return pb.Comparison(
        field=comparison.field,
        operator=_NUMBERS[comparison.operator],
        value="" if comparison.value is None else written(comparison.value),
        values=map(written, comparison.values),
    )


def field_type(type_: FieldType) -> pb.FieldType.ValueType:
    return pb.FieldType.Value(f"FIELD_TYPE_{type_.value}")


def operator_number(operator: Operator) -> pb.Operator.ValueType:
    return _NUMBERS[operator]
