"""The one condition language: ALL, ANY and NOT over "field operator value".

tree: what a condition is, and its answer for given values · check: what is refused when one is saved · sql: the same
answer inside Postgres · wire: kejing.common.v1.Condition.
"""
