"""What operators read of a day. Pure."""

from workflows.customers_day.types import DayOrder, Part

DOING = {
    Part.CHURN: "noticing who churned",
    Part.SEGMENTS: "looking at segments again",
    Part.FINISH: "done but for saying so",
}


def summary(day: str) -> str:
    """One line that names the day."""
    return f"Customers on {day}"


def details(order: DayOrder) -> str:
    """How far the day is, as Markdown."""
    return (
        f"**{summary(order.day)}**: {DOING[order.part]}\n\n"
        f"- churned: {order.noticed:,}\n"
        f"- came into a segment or left one: {order.changed:,}\n"
    )
