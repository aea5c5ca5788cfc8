"""An order counts as renewed only by an order of its own customer: an import may have moved one of the two."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        create or replace view order_terms as
        select orders.*, least(term_end, (
            select min(renewal.term_start) - 1 from orders renewal
            where renewal.renews_order_id = orders.id and renewal.status = 'EFFECTIVE'
                  and renewal.customer_id = orders.customer_id
        )) as last_day
        from orders;
    """)
