"""Who did what: a record beside every write, sealed by a hash chain."""
