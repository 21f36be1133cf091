"""Columns of tags: called by the keys of their tags, percent-decoded on request, in every way that keys are told."""

import json
import urllib.parse

import duckdb
import pytest

from conftest import run

HEADER = "version interface-id srcaddr dstaddr bytes packets start end instance-tag instance-tag-2 asg-tag"
TAGS = [("Платформа team", "a/b", "-"), ("x", "50% off", "web 1"), ("x", "-", "web 1"), ("%", "a%20b", "+")]


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """Naive reading does not know what columns are called: rows are compared here with the values that lines were made of."""


def encoded(value):
    return value if value == "-" else urllib.parse.quote(value, safe="")


def log(path, rows=range(400)):
    values = [[encoded(tag) for tag in TAGS[i % len(TAGS)]] for i in rows]
    lines = [f"2 eni-{i % 7} 10.0.0.{i % 250} 10.0.1.1 {i} 1 {1_700_000_000 + i} {1_700_000_060 + i} {' '.join(v)}" for i, v in zip(rows, values)]
    path.write_text("\n".join([HEADER, *lines]) + "\n")


def told(table, columns):
    query = f"SELECT {columns} FROM read_parquet('{table}/date=*/*.parquet') ORDER BY bytes"
    return duckdb.sql(query).fetchall()


def expected(rows=range(400), how=lambda value: value):
    return [tuple(None if tag == "-" else how(tag) for tag in TAGS[i % len(TAGS)]) for i in rows]


def columns_of(table):
    return [name for name, *_ in duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{table}/date=*/*.parquet', hive_partitioning=false)").fetchall()]


def test_keys_and_values(tmp_path):
    log(tmp_path / "log")
    args = ["--tag-key", "instance-tag=Team", "--tag-key", "instance_tag_2=cost center", "--tag-key", "asg-tag=aws:autoscaling:groupName"]
    names = "instance_tag_team, instance_tag_cost_center, asg_tag_aws_autoscaling_groupname"
    run("convert", tmp_path / "log", "--out", tmp_path / "kept", *args)
    assert told(tmp_path / "kept", names) == expected(how=encoded)
    run("convert", tmp_path / "log", "--out", tmp_path / "decoded", *args, "--decode-tags", "--columns", "instance-tag,asg_tag,instance-tag-cost-center,bytes")
    assert told(tmp_path / "decoded", names) == expected()
    assert "instance_tag" not in columns_of(tmp_path / "decoded") and "srcaddr" not in columns_of(tmp_path / "decoded")
    # Statements say what the columns hold, and values that are decoded are compacted as they are.
    statement = run("schema", tmp_path / "decoded", "--as", "athena", "--location", "s3://lake/flow/").stdout
    assert "`instance_tag_team` string COMMENT 'Value of the tag Team of the instance, percent-decoded.'" in statement
    run("compact", tmp_path / "decoded")
    assert told(tmp_path / "decoded", names) == expected()


def test_values_alone(tmp_path):
    log(tmp_path / "log")
    run("convert", tmp_path / "log", "--out", tmp_path / "out", "--decode-tags")
    assert told(tmp_path / "out", "instance_tag, instance_tag_2, asg_tag") == expected()


def test_a_table_of_several_keys(tmp_path):
    """What was converted before keys were known stays as it is, and stands beside what came later; compacted, too."""
    logs, out = tmp_path / "logs", tmp_path / "out"
    logs.mkdir()
    parts = [range(0, 100), range(100, 200), range(200, 300)]
    for part, args in zip(parts, ([], ["--tag-key=instance-tag=Team"], ["--tag-key=instance-tag=Env", "--decode-tags"])):
        log(logs / str(part.start), part)
        run("convert", logs, "--out", out, "--quiet", *args)
    def first(part, how=lambda value: value):
        return [tag[0] for tag in expected(part, how)]
    rows = [(tag, None, None) for tag in first(parts[0], encoded)] + [(None, tag, None) for tag in first(parts[1], encoded)] + [(None, None, tag) for tag in first(parts[2])]
    query = "SELECT instance_tag, instance_tag_team, instance_tag_env FROM read_parquet('{}/date=*/*.parquet', union_by_name=true) ORDER BY bytes"
    assert duckdb.sql(query.format(out)).fetchall() == rows
    run("compact", out)
    assert told(out, "instance_tag, instance_tag_team, instance_tag_env") == rows
    # Everything read anew, as the last run did.
    run("reconvert", out, "--object", "**", "--tag-key=instance-tag=Env", "--decode-tags")
    assert told(out, "instance_tag_env") == [(tag,) for tag in first(range(300))]


def described(path, *keys):
    text = " ".join(f"${{{name}}}" for name in HEADER.split())
    def log(i, keys):
        return {"FlowLogId": f"fl-{i}", "LogFormat": text, "TagFieldSpecifications": [{"ResourceType": "instance", "TagKeys": keys}]}
    path.write_text(json.dumps({"FlowLogs": [log(i, keys) for i, keys in enumerate(keys)]}))
    return path


def test_keys_that_are_described(tmp_path):
    log(tmp_path / "log")
    saved = described(tmp_path / "saved.json", ["Team", "Env"], ["Team"])
    run("convert", tmp_path / "log", "--out", tmp_path / "out", "--describe-flow-logs", saved)
    assert told(tmp_path / "out", "instance_tag_team, instance_tag_env, asg_tag") == expected(how=encoded)
    saved = described(tmp_path / "other.json", ["Team", "Env"], ["Team", "Stage"])
    failed = run("convert", tmp_path / "log", "--out", tmp_path / "not", "--describe-flow-logs", saved, check=2).stderr
    assert "instance-tag-2 holds the tag `Env` in fl-0 and `Stage` in fl-1: a column cannot be called by both" in failed
    run("convert", tmp_path / "log", "--out", tmp_path / "plain", "--describe-flow-logs", saved, "--tag-key", "instance-tag-2=")
    assert told(tmp_path / "plain", "instance_tag_team, instance_tag_2, asg_tag") == expected(how=encoded)


@pytest.mark.parametrize(
    "args, message",
    [
        (["instance-tag"], "expected FIELD=KEY in --tag-key, found `instance-tag`"),
        (["srcaddr=Team"], "expected a field that holds a tag (instance-tag, instance-tag-2, "),
        (["instance-tag=a", "instance-tag=b"], "expected one key of instance-tag, found `a` and `b`"),
        (["instance-tag=部門"], "expected a key with a letter or digit that a column's name can have, found `部門`"),
        (["instance-tag=a", "instance-tag-2=A"], "instance-tag=a and instance-tag-2=A are the same column"),
    ],
)
def test_what_is_no_key(tmp_path, args, message):
    log(tmp_path / "log")
    failed = run("convert", tmp_path / "log", "--out", tmp_path / "out", *(f"--tag-key={arg}" for arg in args), check=2)
    assert message in failed.stderr
