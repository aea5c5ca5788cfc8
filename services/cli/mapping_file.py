"""Mapping files: what the columns of another system's export mean, as people write it down."""

from pathlib import Path
from typing import Any

from services.cli.failure import CommandFailed

LISTS = ("ignore", "ours")
TEXTS = ("encoding", "link_by", "sheet", "delimiter")
ALLOWED = ("source", "columns", "constants", *LISTS, *TEXTS)
DELIMITERS = {"tab": "\t"}


def read_mapping(path: Path) -> Any:
    """The ImportStart that a mapping file describes, without request_id, kind and file name.

    The file is YAML: `source`; `columns`, by field either the column's heading or a map with `column` and what else
    ColumnMapping of the contract knows (format, other_formats, values, default, thousands, decimal, prefix);
    `constants` by field; `ignore`, the columns that are left out; `ours`, the fields that people change here;
    `link_by`, `encoding`, `sheet`, `delimiter` ("tab" is one too).

    Raises:
        CommandFailed: it is no such file; names what is wrong.
    """
    import yaml

    from kejing.customers.v1 import imports_service_pb2

    try:
        # Everything stays text: YAML would make a truth value of "no" and a number of "007".
        content = yaml.load(path.read_text("utf-8-sig"), yaml.BaseLoader)  # noqa: S506 - BaseLoader makes text only
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} is no YAML file: {error}") from error
    if not isinstance(content, dict) or not content.keys() <= set(ALLOWED) or not content.get("source"):
        raise CommandFailed(f"{path} must hold `source` and `columns`, and may hold {', '.join(ALLOWED[2:])}")
    try:
        mapping = imports_service_pb2.Mapping(
            columns={field: _column(said) for field, said in (content.get("columns") or {}).items()},
            constants=content.get("constants") or {},
            **{name: _list(name, content.get(name) or []) for name in LISTS},
            **{name: content.get(name) or "" for name in TEXTS},
        )
        mapping.delimiter = DELIMITERS.get(mapping.delimiter, mapping.delimiter)
        return imports_service_pb2.ImportStart(source=content["source"], mapping=mapping)
    except (TypeError, ValueError, AttributeError) as error:
        raise CommandFailed(f"{path} is no mapping: {error}") from error


def _column(said: Any) -> Any:
    from kejing.customers.v1 import imports_service_pb2

    if isinstance(said, str):
        return imports_service_pb2.ColumnMapping(column=said)
    _list("other_formats", said.get("other_formats", []))
    return imports_service_pb2.ColumnMapping(**said)


def _list(name: str, said: Any) -> Any:
    """`said`, unless it is a text, which protobuf would take for a list of letters."""
    if not isinstance(said, list):
        raise TypeError(f"{name} must be a list, such as [{said}]")
    return said
