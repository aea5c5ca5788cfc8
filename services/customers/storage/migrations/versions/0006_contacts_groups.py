"""Contacts that were merged; groups; descriptions of tags."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("""
        -- A merged contact keeps its row, which its source goes on to write; `merged_into` is the one that is shown.
        alter table contacts
            add source text collate "C" not null default '',
            add version bigint not null default 1,
            add merged_into uuid references contacts (id);
        update contacts t set source = c.source from customers c where c.id = t.customer_id;
        create index contacts_merged on contacts (merged_into) where merged_into is not null;

        create table contact_merges (
            id uuid primary key,
            customer_id uuid not null,
            into_id uuid not null references contacts (id),
            merged_by text not null,
            merged_at timestamptz not null,
            undone_at timestamptz
        );
        create index contact_merges_by_customer on contact_merges (customer_id, id);
        -- `merged_into`: where the contact was merged into before, null where it was shown.
        create table merged_contacts (
            merge_id uuid references contact_merges (id),
            contact_id uuid references contacts (id),
            customer_id uuid not null,
            merged_into uuid,
            primary key (merge_id, contact_id)
        );

        create table contacts_apart (
            customer_id uuid,
            contact_id uuid references contacts (id),
            other_id uuid references contacts (id),
            said_by text not null,
            said_at timestamptz not null,
            primary key (customer_id, contact_id, other_id)
        );
        -- Found by whoever changes contacts, so that a page of duplicates reads no others.
        create table customers_with_duplicates (customer_id uuid primary key);
        insert into customers_with_duplicates
            select distinct customer_id from contacts c cross join lateral (
                values ('name', lower(name)), ('phone', phone), ('email', lower(email)), ('wechat', lower(wechat_id))
            ) known (kind, key)
            where key <> '' group by customer_id, kind, key having count(*) > 1;

        create table tags (
            tag text collate "C" primary key,
            category text not null,
            weight integer not null,
            meaning text not null,
            updated_at timestamptz not null
        );
        create table groups (
            id uuid primary key,
            name text collate "C" not null unique,
            description text not null,
            created_by text not null,
            created_at timestamptz not null,
            version bigint not null
        );
    """)
