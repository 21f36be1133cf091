"""Several log formats in one stream without headers, as CloudWatch interleaves the flow logs of a log group."""

import gzip
import json
import random

import pytest

import naive
from conftest import content, convert, plans, rejects, rows, run
from test_deliveries import DELIVERIES, ordered

V3 = f"{naive.V2} vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr"
# As many fields as version 2, two of them in each other's place, and one that version 2 has not.
OTHER = "version account-id srcaddr interface-id dstaddr srcport dstport protocol packets bytes start end flow-direction log-status"
TGW = "version resource-type account-id tgw-id tgw-attachment-id srcaddr dstaddr srcport dstport protocol start end log-status"
FORMATS = [naive.V2, V3, OTHER, TGW]
INTEGERS = {"version", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "tcp-flags"}


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """Naive reading knows one format an object: rows are compared here with the values that lines were made of."""


def values(i, random_):
    """All that a record may say; its fields are those of its format."""
    addresses = [f"10.0.{random_.randrange(9)}.{random_.randrange(250)}", f"2001:db8::{random_.randrange(1, 99):x}"]
    random_.shuffle(addresses)
    start = 1_704_067_200 + i * 7
    return {
        "version": "5", "account-id": "111122223333", "interface-id": f"eni-0aa{i % 5}", "srcaddr": addresses[0], "dstaddr": addresses[1],
        "srcport": str(random_.randrange(65_536)), "dstport": "-" if i % 13 == 0 else "443", "protocol": "6", "packets": str(i), "bytes": str(i * 40),
        "start": str(start), "end": str(start + 60), "action": random_.choice(["ACCEPT", "REJECT"]), "log-status": "OK",
        "vpc-id": "vpc-1", "subnet-id": "subnet-1", "instance-id": "-", "tcp-flags": "19", "type": "IPv4", "pkt-srcaddr": addresses[0], "pkt-dstaddr": "-",
        "flow-direction": "egress", "resource-type": "TransitGateway", "tgw-id": "tgw-1", "tgw-attachment-id": f"tgw-attach-{i % 3}",
    }  # fmt: skip


def row(fields, record):
    """What a reader gets of a record's line."""
    return {f: int(record[f]) if f in INTEGERS else record[f] for f in fields if record[f] != "-"}


def stream(count, seed=0):
    """Lines of all formats, and the rows that they are; every eleventh line is a record of none."""
    random_ = random.Random(seed)
    lines, found = [], []
    for i in range(count):
        fields, record = random_.choice(FORMATS).split(), values(i, random_)
        if i % 11 == 5:
            record["srcaddr"] = record["interface-id"] = "eni-1" if i % 2 else "10.0.0.1"
            record["tgw-id"] = "vpc-1"
        else:
            found.append(row(fields, record))
        lines.append(" ".join(record[f] for f in fields))
    return lines, found


def told(out):
    return ordered([{name.replace("_", "-"): value for name, value in row.items() if value is not None} for _, row in rows(out)])


GIVEN = [argument for fields in FORMATS for argument in ("--format", " ".join(f"${{{name}}}" for name in fields.split()))]


def described(path):
    """What `aws ec2 describe-flow-logs` prints; one format stands twice."""
    logs = [{"FlowLogId": f"fl-{i}", "LogGroupName": "flow", "LogFormat": " ".join(f"${{{n}}}" for n in fields.split())} for i, fields in enumerate([*FORMATS, V3])]
    path.write_text(json.dumps({"FlowLogs": logs}, indent=4))
    return path


@pytest.mark.parametrize("delivery", ["lines", "export, ISO", "subscription, concatenated", "direct put", "console, CSV"])
def test_each_line_goes_to_the_columns_of_its_format(tmp_path, delivery):
    lines, found = stream(2_000)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "object.gz").write_bytes(gzip.compress(DELIVERIES[delivery](lines).encode(), mtime=0))
    report = convert(logs, tmp_path / "out", *GIVEN)
    assert (report["records"], report["rejects"]) == (len(found), len(lines) - len(found))
    assert told(tmp_path / "out") == ordered(found)
    assert report["rejects_by_reason"] == {"fits-no-format": len(lines) - len(found)}
    assert all(lines[r["line"] - 1] == r["raw"] for r in rejects(tmp_path / "out"))


def test_formats_of_all_flow_logs_of_an_account(tmp_path):
    """Also through little memory, where texts are streamed; and the same bytes."""
    lines, found = stream(60_000)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "object").write_text("\n".join(lines))
    flow_logs = described(tmp_path / "flow-logs.json")
    report = convert(logs, tmp_path / "out", "--describe-flow-logs", flow_logs)
    assert (report["records"], report["rejects"]) == (len(found), len(lines) - len(found))
    assert told(tmp_path / "out") == ordered(found)
    convert(logs, tmp_path / "small", "--describe-flow-logs", flow_logs, "--memory", "240M", "--threads", "1")
    assert content(tmp_path / "small") == content(tmp_path / "out")
    # The formats are remembered with the plan; a later run that gives one only reads otherwise, and loses nothing.
    assert len(plans(tmp_path / "out")[0]["options"]["formats"]) == len(FORMATS)
    assert convert(logs, tmp_path / "out", "--format", "v2")["objects"]["known"] == 1


def test_what_fits_two_formats_is_never_guessed(tmp_path):
    there, back = "srcaddr dstaddr bytes start", "dstaddr srcaddr bytes start"
    (tmp_path / "log").write_text("10.0.0.1 10.0.0.2 5 1704067200\n10.0.0.3 10.0.0.3 6 1704067200\n- - 7 1704067200\n")
    report = convert(tmp_path / "log", tmp_path / "out", "--format", there, "--format", back)
    assert (report["records"], report["rejects_by_reason"]) == (2, {"fits-several-formats": 1})
    (reject,) = rejects(tmp_path / "out")
    assert (reject["line"], reject["field"]) == (1, "srcaddr") and "10.0.0.2" in reject["detail"]


def test_lines_behind_a_header_have_its_format(tmp_path):
    (tmp_path / "log").write_text("bytes srcaddr start\n5 10.0.0.1 1704067200\n")
    convert(tmp_path / "log", tmp_path / "out", *GIVEN)
    assert [row["srcaddr"] for _, row in rows(tmp_path / "out")] == ["10.0.0.1"]


def test_no_line_fits(tmp_path):
    """Formats that were forgotten are given by the next run."""
    lines, found = stream(10)
    (tmp_path / "log").write_text("\n".join(lines))
    report = convert(tmp_path / "log", tmp_path / "out", "--format", "srcaddr bytes", "--format", "bytes packets start", check=4)
    assert report["failed_objects"][0]["cause"] == "no-line-fits"
    convert(tmp_path / "log", tmp_path / "out", *GIVEN)
    assert told(tmp_path / "out") == ordered(found)


def test_wrong_use(tmp_path):
    (tmp_path / "none.json").write_text("{}")
    said = run("convert", tmp_path, "--out", tmp_path / "out", "--describe-flow-logs", tmp_path / "none.json", check=2).stderr
    assert "found none" in said and "aws ec2 describe-flow-logs" in said
    many = [a for i in range(65) for a in ("--format", f"${{srcaddr}} ${{x-{i}}}")]
    assert "at most 64 log formats" in run("convert", tmp_path, "--out", tmp_path / "out", *many, check=2).stderr


def test_the_schema_of_several_formats(tmp_path):
    said = run("schema", *GIVEN, "--as", "json").stdout
    columns = {c["field"] for c in json.loads(said)["columns"]}
    assert columns == set(" ".join(FORMATS).split())
