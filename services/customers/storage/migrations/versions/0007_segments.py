"""Segments, and labels: one table behind every list that is filtered.

The release before does not run on this schema: tags have one place from here on.
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("""
        alter table customer_tags rename to labels;
        alter table labels rename column tag to label;
        alter table labels add given_by text collate "C" not null default '', add given_at timestamptz;
        alter table labels alter given_by drop default;
        update labels set label = 't:' || label;
        alter index customer_tags_pkey rename to labels_pkey;
        alter index customer_tags_by_name rename to labels_by_name;
        alter index customer_tags_by_number rename to labels_by_number;
        alter index customer_tags_by_contract_end rename to labels_by_contract_end;
        alter index customer_tags_by_creation rename to labels_by_creation;
        insert into labels (customer_id, label, name, number_key, contract_end_key, created_at, given_by)
            select id, 'h:' || health_status, name, number_key, contract_end_key, created_at, ''
            from customers where health_status is not null;
        -- How many carry a label decides which one a list walks along: the frequent ones are to be known to statistics.
        alter table labels alter label set statistics 1000;
        -- Customers without health carry no label, so that an import writes none; where they are few, they begin here.
        create index customers_without_health on customers (id) where health_status is null;

        alter table owned_customers rename column tag to label;
        update owned_customers set label = 't:' || label where label <> '';

        create table segments (
            id uuid primary key,
            name text collate "C" not null,
            description text not null,
            condition jsonb not null,
            -- Up to which customer it was looked at for its condition as it stands; null: all of them were.
            found_until uuid,
            version bigint not null,
            created_by text not null,
            created_at timestamptz not null,
            updated_at timestamptz not null,
            -- Ended: it is gone for everybody, and its labels are taken off one part after the other.
            deleted_at timestamptz
        );
        create unique index segments_by_name on segments (name) where deleted_at is null;
    """)
