"""What a cell of a file may hold that people open as a spreadsheet."""

FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A program for spreadsheets takes a text that begins so for a formula, or cuts the text until one begins."""


def guarded(text: str) -> str:
    """`text` as a cell that no program runs: with an apostrophe before it where it would be taken for a formula."""
    return f"'{text}" if text.startswith(FORMULA_BEGINS) else text


def unguarded(text: str) -> str:
    """What `guarded` was given: so a file of ours comes in as it was."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_BEGINS) else text
