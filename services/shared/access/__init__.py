"""Who may do what, and which customers he sees: grants from a projection of identity, scope as part of every query."""

from services.shared.access.scope import EVERYTHING, Grant, Scope, unscoped

__all__ = ["EVERYTHING", "Grant", "Scope", "unscoped"]
