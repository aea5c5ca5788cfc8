"""Contract orders and the recurring revenue that follows from them."""
