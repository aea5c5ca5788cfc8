"""What the turn of a business day does to customers: each day once, a missed one for itself."""

from workflows.customers_day.activities import CustomersDayActivities
from workflows.customers_day.workflow import CustomersDay, CustomersDayTick

WORKFLOWS = [CustomersDay, CustomersDayTick]
ACTIVITIES = [CustomersDayActivities]
