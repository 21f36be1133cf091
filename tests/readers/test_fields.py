"""Every field of the list, from text to the values that readers see which we did not write; made from the list, so that a new field is tested too."""

import collections
import datetime
import ipaddress
import tomllib

import duckdb
import pyarrow
import pyarrow.dataset
import pytest

from conftest import ROOT, convert

FIELDS = {f["name"]: f for f in tomllib.loads((ROOT / "schemas/fields.toml").read_text())["field"]}
START = 1_704_067_200

# Texts of each kind, as AWS writes them and at the edges of the type; `-` is a null in all of them.
TEXTS = {
    "address": ["10.0.0.1", "2001:db8::1", "0.0.0.0", "255.255.255.255", "::", "::ffff:10.0.0.1"],
    "code": ["0", "7", "255", "1", "2", "3"],
    "count": ["0", "1", "4294967296", "9223372036854775807", "840", "40"],
    "flags": ["0", "2", "18", "19", "255", "63"],
    "id": ["unknown", "x", "0123456789ab", "arn:aws:ecs:eu-west-1:111122223333:cluster/c", "eni-0a", "a" * 300],
    "name": ["OK", "name", "Ümlaut", "a_b", "日本", "é"],
    "number": ["2", "11", "0", "2147483647", "5", "8"],
    "port": ["0", "443", "65535", "22", "1", "8080"],
    "text": ["a%20b", "%C3%A4", "plain", "a=b", "x/y", "\"quoted\""],
    "time": [str(START + i) for i in range(6)],
}  # fmt: skip
ARROW = {"INT32": pyarrow.int32(), "INT64": pyarrow.int64(), "STRING": pyarrow.string()}
DUCKDB = {"INT32": "INTEGER", "INT64": "BIGINT", "STRING": "VARCHAR"}


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """It is what these tests do, column by column."""


def texts(field):
    """The field's texts in the order of lines, with a null before, between and behind them."""
    if field["name"] == "start":
        # Which partition a record is in does not matter here, but that it is one does.
        return TEXTS["time"] + [str(START)] * 3
    values = TEXTS[field["kind"]]
    if field["parquet"] == "STRING" and field["kind"] == "code":
        values = ["ACCEPT", "OK", "egress", "IPv6", "AMAZON", "BPA"]
    return ["-", *values[:3], "-", *values[3:], "-"]


@pytest.fixture(scope="module", params=["aws", "rich"])
def table(request, tmp_path_factory):
    """All fields in one log format, the last first, and a line for each text."""
    folder = tmp_path_factory.mktemp(request.param)
    names = list(reversed(FIELDS))
    columns = [texts(FIELDS[name]) for name in names]
    (folder / "log").write_text("\n".join([" ".join(names), *(" ".join(line) for line in zip(*columns, strict=True))]))
    report = convert(folder / "log", folder / "out", "--types", request.param)
    assert (report["records"], report["rejects"]) == (9, 0)
    return request.param, pyarrow.dataset.dataset(folder / "out", format="parquet"), f"read_parquet('{folder}/out/*/*.parquet', hive_partitioning=false)"


def value(field, text, types):
    if text == "-":
        return None
    if field["parquet"] == "STRING":
        return text
    if field["kind"] == "time" and types == "rich":
        return datetime.datetime.fromtimestamp(int(text), datetime.timezone.utc)
    return int(text)


def aware(found):
    return [v.replace(tzinfo=datetime.timezone.utc) if isinstance(v, datetime.datetime) and v.tzinfo is None else v for v in found]


@pytest.mark.parametrize("name", FIELDS)
def test_from_text_to_a_readers_value(table, name):
    types, dataset, parquet = table
    field, column = FIELDS[name], name.replace("-", "_")
    want = collections.Counter(value(field, text, types) for text in texts(field))
    is_time = field["kind"] == "time" and types == "rich"
    assert dataset.schema.field(column).type == (pyarrow.timestamp("ms", "UTC") if is_time else ARROW[field["parquet"]])
    found = dataset.to_table(columns=[column]).column(column)
    assert collections.Counter(found.to_pylist()) == want
    assert found.null_count == texts(field).count("-")
    relation = duckdb.sql(f'set timezone = \'UTC\'; select "{column}" from {parquet}')
    assert str(relation.types[0]) == ("TIMESTAMP WITH TIME ZONE" if is_time else DUCKDB[field["parquet"]])
    assert collections.Counter(aware(v for (v,) in relation.fetchall())) == want
    if field["kind"] == "address" and types == "rich":
        def as_bytes(text):
            address = ipaddress.ip_address(text)
            return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed

        twins = collections.Counter(None if t == "-" else as_bytes(t) for t in texts(field))
        assert collections.Counter(dataset.to_table(columns=[f"{column}_bin"]).column(0).to_pylist()) == twins


def test_a_tag_that_no_record_has_is_told(tmp_path):
    """The role of the flow log may lack ec2:DescribeTags; one value anywhere in the run says that it does not."""
    line = "nat-0a - - 10.0.0.1 10.0.0.2 {start} {tag} -\n"
    text = "resource-id interface-id subnet-id srcaddr dstaddr start instance-tag asg-tag-2\n" + "".join(line.format(start=START + i, tag="-") for i in range(120))
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "empty").write_text(text)
    report = convert(logs, tmp_path / "out")
    told = "has no value in all 120 records: no resource has the tag, or the role of the flow log lacks ec2:DescribeTags"
    assert report["warnings"] == [f"column `asg_tag_2` {told}", f"column `instance_tag` {told}"]
    # A Regional NAT gateway has a resource and no interface.
    found = pyarrow.dataset.dataset(tmp_path / "out", format="parquet").to_table(["resource_id", "interface_id", "subnet_id"]).to_pylist()
    assert found == [{"resource_id": "nat-0a", "interface_id": None, "subnet_id": None}] * 120
    (logs / "tagged").write_text(text + line.format(start=START, tag="my%20team"))
    assert convert(logs, tmp_path / "again")["warnings"] == [f"column `asg_tag_2` {told.replace('120', '241')}"]


def test_the_list_is_whole():
    """As AWS's pages count them: 54 fields of VPC flow logs, 36 of Transit Gateways, 18 of both."""
    kinds = collections.Counter(tuple(sorted(f["logs"])) for f in FIELDS.values())
    assert kinds == {("vpc",): 36, ("tgw",): 18, ("tgw", "vpc"): 18}
