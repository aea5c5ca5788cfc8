"""Customers as a call sees them: those in its scope, and nobody else."""

from uuid import UUID

from services.health.storage import customers
from services.shared.access.known_customers import Ensure
from services.shared.db import Database
from services.shared.errors import NotFound
from services.shared.rpc.caller import caller


class CustomersInScope:
    """`ensure` asks the customers service for customers that no event told of yet."""

    def __init__(self, db: Database, ensure: Ensure) -> None:
        self._db = db
        self._ensure = ensure

    async def require(self, customer_id: UUID) -> None:
        """Raises NotFound where there is no such customer or he is out of the caller's scope, in the same words;
        Unavailable (CUSTOMER_UNCONFIRMED) where only the customers service, which is away, could tell.
        """
        known = await self._sees(customer_id) or (await self._ensure([customer_id]) and await self._sees(customer_id))
        if not known:
            raise NotFound("customer", customer_id)

    async def _sees(self, customer_id: UUID) -> bool:
        async with self._db.read() as read:
            return await customers.is_in_scope(read, caller().scope, customer_id)
