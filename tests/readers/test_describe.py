"""Formats of flow logs as EC2 describes them: asked of moto and of a stub that is as strict as AWS, or saved in a file."""

import json

import boto3
import pytest

import ec2stub
import s3
from conftest import plans, rows, run
from test_several import FORMATS, V3, ordered, stream, told


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """Naive reading knows one format an object: rows are compared here with the values that lines were made of."""


def text(fields):
    return " ".join(f"${{{name}}}" for name in fields.split())


@pytest.fixture
def ec2():
    with ec2stub.serve() as stub:
        logs = [{"FlowLogId": f"fl-{i}", "LogGroupName": f"group-{i % 2}", "LogFormat": text(f)} for i, f in enumerate([*FORMATS, V3])]
        stub.flow_logs = {"eu-west-1": logs[:3], "us-east-1": logs[3:]}
        yield stub


def environment(url, **more):
    keys = {"AWS_ACCESS_KEY_ID": ec2stub.KEY, "AWS_SECRET_ACCESS_KEY": ec2stub.SECRET, "AWS_SESSION_TOKEN": ec2stub.TOKEN}
    return {**s3.ENVIRONMENT, **keys, "AWS_ENDPOINT_URL_EC2": url, "AWS_REGION": "eu-west-1", **more}


def ask(url, logs, out, *args, check=0, where="", **more):
    process = run("convert", logs, "--out", out, "--quiet", "--report", "-", *args, f"--describe-flow-logs{where}", check=check, env=environment(url, **more))
    return json.loads(process.stdout) if check in (0, 4) else process.stderr


def test_all_pages_of_all_regions(tmp_path, ec2):
    lines, found = stream(2_000)
    (tmp_path / "log").write_text("\n".join(lines))
    # The first answers are busy, broken off in the midst of the XML, and no XML at all.
    faults = {1: (503, ec2stub.error("RequestLimitExceeded", "slow down")), 3: (200, "<DescribeFlowLogsResponse><flowLogSet>"), 4: (502, "<html>")}
    ec2.fault = faults.get
    report = ask(ec2.url, tmp_path / "log", tmp_path / "out", where="=aws:eu-west-1,us-east-1")
    assert (report["records"], report["rejects"]) == (len(found), len(lines) - len(found))
    assert told(tmp_path / "out") == ordered(found)
    assert [region for region, _ in ec2.calls] == ["eu-west-1"] * 5 + ["us-east-1"]
    options = plans(tmp_path / "out")[0]["options"]
    assert len(options["formats"]) == len(FORMATS) and options["flow_logs"]["fl-4"] == text(V3)
    # A run that finishes or repeats needs no EC2: everything is in the plan.
    assert ask(ec2.url, tmp_path / "log", tmp_path / "out", where="=aws:eu-west-1,us-east-1")["objects"]["known"] == 1


def test_moto(tmp_path):
    with s3.moto() as server:
        ec2 = boto3.client("ec2", endpoint_url=server.url, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
        boto3.client("logs", endpoint_url=server.url, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x").create_log_group(logGroupName="flow")
        for fields in FORMATS:
            vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
            made = ec2.create_flow_logs(
                ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogGroupName="flow", LogFormat=text(fields), DeliverLogsPermissionArn="arn:aws:iam::1:role/r"
            )
            assert not made["Unsuccessful"], made
        lines, found = stream(500)
        (tmp_path / "log").write_text("\n".join(lines))
        # By the endpoint of all services too.
        report = ask("", tmp_path / "log", tmp_path / "out", AWS_ENDPOINT_URL_EC2=server.url + "/")
        assert (report["records"], told(tmp_path / "out")) == (len(found), ordered(found))
        saved = tmp_path / "saved.json"
        saved.write_text(json.dumps(ec2.describe_flow_logs(), default=str))
        run("convert", tmp_path / "log", "--out", tmp_path / "again", "--describe-flow-logs", saved)
        assert told(tmp_path / "again") == ordered(found)


def test_the_key_of_an_object_tells_its_format(tmp_path, ec2):
    """Lines that fit two formats differently are rejects, unless the object's key names the flow log."""
    there, back = "srcaddr dstaddr bytes start", "dstaddr srcaddr bytes start"
    ec2.flow_logs = {"eu-west-1": [{"FlowLogId": "fl-0a", "LogFormat": text(there)}, {"FlowLogId": "fl-0b", "LogFormat": text(back)}]}
    line = "10.0.0.1 10.0.0.2 5 1704067200\n"
    folder = tmp_path / "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2024/01/01"
    folder.mkdir(parents=True)
    for id in ("fl-0a", "fl-0b", "fl-0c"):
        (folder / f"111122223333_vpcflowlogs_eu-west-1_{id}_20240101T0000Z_0a1b2c3d.log").write_text(line)
    report = ask(ec2.url, tmp_path / "AWSLogs", tmp_path / "out", check=4)
    assert report["records"] == 2 and [f["cause"] for f in report["failed_objects"]] == ["no-line-fits"]
    assert ordered([row["srcaddr"] for _, row in rows(tmp_path / "out")]) == ordered(["10.0.0.1", "10.0.0.2"])
    said = run("inspect", *folder.glob("*fl-0b*"), "--describe-flow-logs", "--json", env=environment(ec2.url)).stdout
    assert text(back) in said and text(there) not in said
    # A plan that another process finishes has it too.
    saved = tmp_path / "plan.json"
    saved.write_text(run("plan", tmp_path / "AWSLogs", "--out", tmp_path / "two", "--json", "--describe-flow-logs", env=environment(ec2.url)).stdout)
    for shard in range(2):
        run("convert", "--plan", saved, "--shard", f"{shard}/2", "--out", tmp_path / "two", check=None)
    assert len(rows(tmp_path / "two")) == 2


def test_flow_logs_of_one_group(tmp_path, ec2):
    (tmp_path / "log").write_text("2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1704067200 1704067260 ACCEPT OK\n")
    ask(ec2.url, tmp_path / "log", tmp_path / "out", "--log-group", "group-1", check=4)
    ask(ec2.url, tmp_path / "log", tmp_path / "out", "--log-group", "group-0")
    assert len(plans(tmp_path / "out")[-1]["options"].get("formats", [])) == 2
    said = ask(ec2.url, tmp_path / "log", tmp_path / "out", "--log-group", "other", check=2)
    assert "none of 3 flow logs is chosen" in said and "group-0, group-1" in said


@pytest.mark.parametrize(
    "fault, exit, words",
    [
        ((403, ec2stub.error("UnauthorizedOperation", "You are not authorized to perform this operation.")), 1, ["You are not authorized", "ec2:DescribeFlowLogs"]),
        ((401, ec2stub.error("AuthFailure", "not able to validate")), 1, ["AuthFailure", "aws sts get-caller-identity"]),
        ((503, ec2stub.error("Unavailable", "overloaded")), 75, ["after 6 attempts", "overloaded"]),
        ((200, "<html>Sign in</html>"), 75, ["expected a DescribeFlowLogsResponse, found `<html>Sign in</html>`"]),
        ((400, "x" * 500), 1, ["answered 400"]),
    ],
)
def test_what_ec2_refuses(tmp_path, ec2, fault, exit, words):
    (tmp_path / "log").write_text("1 2\n")
    ec2.fault = lambda number: fault
    said = ask(ec2.url, tmp_path / "log", tmp_path / "out", check=exit)
    assert all(word in said for word in words) and "ask EC2 in eu-west-1" in said, said
    assert not (tmp_path / "out").exists()


def test_nobody_there(tmp_path):
    said = ask("http://127.0.0.1:9", tmp_path, tmp_path / "out", check=75)
    assert "cannot reach http://127.0.0.1:9/: connection refused, after 6 attempts" in said
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""}
    said = ask("http://127.0.0.1:9", tmp_path, tmp_path / "out", check=1, **none)
    assert "no AWS credentials were found" in said and "environment:" in said
    with ec2stub.serve() as stub:
        said = ask(stub.url, tmp_path, tmp_path / "out", check=2)
        assert "found none" in said and "aws:REGION,REGION" in said
