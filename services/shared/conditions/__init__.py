"""The one condition language: ALL, ANY and NOT over "field operator value".

values: types of fields, operators, values as texts · tree: what a condition is, its answer for given values, and why ·
check: what is refused when one is saved · sql: the same answer inside Postgres · wire: kejing.common.v1.Condition.
"""
