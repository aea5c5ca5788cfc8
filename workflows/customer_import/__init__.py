"""A file of another system goes in, step by step, whatever dies meanwhile."""

from workflows.customer_import.activities import CustomerImportActivities
from workflows.customer_import.workflow import CustomerImport

WORKFLOWS = [CustomerImport]
ACTIVITIES = [CustomerImportActivities]
