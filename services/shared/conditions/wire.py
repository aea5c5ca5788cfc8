"""kejing.common.v1.Condition to and from the tree."""

from decimal import Decimal

from kejing.common.v1 import condition_pb2 as pb
from services.shared.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not, Operator

_OPERATORS = {
    pb.OPERATOR_LESS: Operator.LESS,
    pb.OPERATOR_LESS_OR_EQUAL: Operator.LESS_OR_EQUAL,
    pb.OPERATOR_EQUAL: Operator.EQUAL,
    pb.OPERATOR_NOT_EQUAL: Operator.NOT_EQUAL,
    pb.OPERATOR_GREATER_OR_EQUAL: Operator.GREATER_OR_EQUAL,
    pb.OPERATOR_GREATER: Operator.GREATER,
}
_NUMBERS = {operator: number for number, operator in _OPERATORS.items()}


def from_proto(message: pb.Condition) -> Condition:
    """The tree of a message that was validated by the contract's rules."""
    match message.WhichOneof("kind"):
        case "all":
            return AllOf(tuple(from_proto(part) for part in message.all.conditions))
        case "any":
            return AnyOf(tuple(from_proto(part) for part in message.any.conditions))
        case "negated":
            return Not(from_proto(message.negated))
    asked = message.comparison
    return Comparison(asked.field, _OPERATORS[asked.operator], Decimal(asked.value))


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
        field=comparison.field, operator=_NUMBERS[comparison.operator], value=f"{comparison.value.normalize():f}"
    )
