"""Invented people, companies and figures: the same ones every time."""
