"""Mapping files as people write them."""

from pathlib import Path

import pytest

from services.cli.failure import CommandFailed
from services.cli.mapping_file import read_mapping


def written(folder: Path, content: str) -> Path:
    path = folder / "mapping.yaml"
    path.write_text(content, "utf-8")
    return path


def test_a_column_is_a_heading_or_all_that_is_known_of_it(tmp_path: Path) -> None:
    start = read_mapping(
        written(
            tmp_path,
            """
            source: crm
            encoding: gb18030
            columns:
              external_id: 编号
              kind: {column: 类型, values: {企业: ENTERPRISE, 个人: INDIVIDUAL}, default: ENTERPRISE}
              first_sign_date: {column: 签约日, format: "%d.%m.%Y"}
            constants: {value_tier: ordinary}
            ignore: [备注]
            """,
        )
    )
    columns = start.mapping.columns
    assert (start.source, start.mapping.encoding, list(start.mapping.ignore)) == ("crm", "gb18030", ["备注"])
    assert columns["external_id"].column == "编号"
    assert (dict(columns["kind"].values)["个人"], columns["kind"].default) == ("INDIVIDUAL", "ENTERPRISE")
    assert columns["first_sign_date"].format == "%d.%m.%Y"
    assert dict(start.mapping.constants) == {"value_tier": "ordinary"}


def test_words_that_yaml_would_change_stay_words(tmp_path: Path) -> None:
    content = "source: 007\ncolumns: {kind: {column: no, values: {yes: ENTERPRISE, 1: INDIVIDUAL}}}\n"
    start = read_mapping(written(tmp_path, content))
    assert start.source == "007"
    assert start.mapping.columns["kind"].column == "no"
    assert dict(start.mapping.columns["kind"].values) == {"yes": "ENTERPRISE", "1": "INDIVIDUAL"}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "source"),
        ("just text", "source"),
        ("columns: {}", "source"),
        ("source: test\ncolumns: [\n", "YAML"),
        ("source: test\ncolumns: {external_id: key}\nextra: 1\n", "source"),
        ("source: test\ncolumns: {external_id: {heading: x}}\n", "heading"),
        ("source: test\ncolumns: {external_id: [a, b]}\n", "no mapping"),
        ("source: test\ncolumns: all\n", "no mapping"),
        ("source: test\nconstants: [a]\n", "no mapping"),
        ("source: [test]\ncolumns: {external_id: key}\n", "no mapping"),
    ],
    ids=range(10),
)
def test_what_is_no_mapping_is_refused_naming_why(tmp_path: Path, content: str, named: str) -> None:
    with pytest.raises(CommandFailed, match=named):
        read_mapping(written(tmp_path, content))
