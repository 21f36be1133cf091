"""`flowquet doctor`: on a disk, against moto (S3, STS and Glue), and against a server that denies."""

import contextlib
import email.utils
import http.server
import json
import threading
import time

import boto3
import jsonschema
import pytest

import gluestub
import s3
from conftest import ROOT, flowlogs, run

SCHEMA = json.loads((ROOT / "schemas/doctor.schema.json").read_text())


def doctor(*args, check=0, env=None):
    process = run("doctor", "--json", *args, check=check, env=env)
    found = json.loads(process.stdout)
    jsonschema.validate(found, SCHEMA)
    assert found["exit"] == check
    return {line["check"]: line for line in found["lines"]}


def states(lines):
    return {check: line["state"] for check, line in lines.items()}


def everything_in(folder):
    return sorted((str(p.relative_to(folder)), p.stat().st_mtime_ns if p.is_file() else 0) for p in folder.rglob("*"))


def test_a_disk(tmp_path):
    logs = flowlogs(tmp_path / "logs", "--objects", 1, "--records", 5)
    before = everything_in(tmp_path)
    lines = doctor(logs, "--out", tmp_path / "a" / "b")
    assert set(states(lines).values()) == {"good"}, lines
    assert {"list source", "read source", "put", "put once", "get", "delete", "disk", "memory", "processors"} <= lines.keys()
    assert "none yet" in lines["table"]["what"] and "credentials" not in lines
    assert everything_in(tmp_path) == before
    run("convert", logs, "--out", tmp_path / "lake", "--quiet")
    before = everything_in(tmp_path)
    assert "exists: " in doctor("--out", tmp_path / "lake")["table"]["what"]
    assert everything_in(tmp_path) == before


def test_a_source_without_anything(tmp_path):
    (tmp_path / "AWSLogz").mkdir()
    line = doctor(tmp_path / "AWSLogz", check=1)["read source"]
    assert line["state"] == "bad" and f"nothing is below {tmp_path / 'AWSLogz'}" in line["what"]


def test_a_table_above_its_source(tmp_path):
    logs = flowlogs(tmp_path / "logs", "--objects", 1, "--records", 5)
    for out, how in [(tmp_path, "lies within"), (logs, "is")]:
        line = doctor(logs, "--out", out, check=1)["places"]
        assert line["state"] == "bad" and f"{logs} {how} the table {out}" in line["what"]


def test_a_disk_that_does_not_let_us(tmp_path):
    lines = doctor(tmp_path / "none", "--out", "/proc/x", check=1)
    assert lines["list source"]["state"] == lines["put"]["state"] == "bad"
    assert "delete" not in lines and "read source" not in lines
    words = run("doctor", tmp_path / "none", check=1).stdout
    assert "BAD    list source" in words and words.endswith("1 check failed\n")


def test_a_store_that_is_not_aws(tmp_path):
    """A variable says that all services are there, and only S3 is; and not all of that."""
    logs = flowlogs(tmp_path / "logs", "--objects", 1, "--records", 5)
    with s3.serve(load=logs) as server:
        env = {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}
        places = ["s3://logs/", "--out", "s3://lake/t/"]
        lines = doctor(*places, env=env)
        assert states(lines)["credentials"] == states(lines)["lifecycle"] == "unknown"
        assert "has no STS" in lines["credentials"]["what"] and "does not have lifecycle rules" in lines["lifecycle"]["what"]
        lines = doctor(*places, "--database", "d", "--table", "t", check=1, env=env)
        assert states(lines)["database"] == "bad" and "give --glue-endpoint-url" in lines["database"]["what"]
        # No scheduler is told to try for ever what nobody has, and what is no place.
        for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"]:
            begun = time.monotonic()
            words = run("convert", *places, check=2, env={**env, variable: "127.0.0.1:9000"}).stderr
            assert "the endpoint is not a URL" in words and "hint: an endpoint is http://HOST" in words
            assert time.monotonic() - begun < 10


def test_moto():
    with s3.moto() as server:
        env = {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-west-1"}
        server.client.put_object(Bucket="logs", Key="AWSLogs/a.log", Body=b"x")
        server.client.put_object(Bucket="lake", Key="t/there", Body=b"before")
        places = ["s3://logs/AWSLogs/", "--out", "s3://lake/t/"]
        lines = doctor(*places, "--database", "lake", "--table", "flows", env=env)
        found = states(lines)
        assert found["lifecycle"] == found["database"] == found["catalog table"] == "note"
        assert "AbortIncompleteMultipartUpload" in lines["lifecycle"]["what"] or "docs/S3.md" in lines["lifecycle"]["what"]
        assert "--create-database" in lines["database"]["what"]
        assert all(found[check] == "good" for check in ["credentials", "region", "clock", "list source", "read source", "list table", "put", "put once", "get", "delete", "abort upload"])
        assert "123456789012" in lines["credentials"]["what"] and "eu-west-1" in lines["region"]["what"]
        assert found["catalog writes"] == "good" and "policy" not in lines["catalog writes"]
        # What was there is as it was, and nothing is left.
        assert server.uploads() == []
        assert server.keys("lake", "") == ["t/there"]
        assert server.client.get_object(Bucket="lake", Key="t/there")["Body"].read() == b"before"
        rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "t/"}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
        server.client.put_bucket_lifecycle_configuration(Bucket="lake", LifecycleConfiguration={"Rules": [rule]})
        assert doctor(*places, env=env)["lifecycle"]["state"] == "good"
        assert doctor("--out", "s3://lake/other/", env=env)["lifecycle"]["state"] == "note"
        lines = doctor("s3://nobody/", "--out", "s3://nowhere/t", env=env, check=1)
        assert "no such bucket" in lines["list source"]["what"] and "put" not in lines


def test_writes_to_a_catalog_leave_nothing_behind():
    """moto takes what AWS refuses: a table with an index of nothing, a version that there is not."""
    with s3.moto() as server:
        env = {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-west-1"}
        glue = boto3.client("glue", endpoint_url=server.url, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
        glue.create_database(DatabaseInput={"Name": "lake"})
        assert states(doctor("--database", "lake", "--table", "flows", env=env))["catalog writes"] == "good"
        assert glue.get_tables(DatabaseName="lake")["TableList"] == []
        storage = {"Columns": [{"Name": "bytes", "Type": "bigint"}], "Location": "s3://lake/t/"}
        glue.create_table(DatabaseName="lake", TableInput={"Name": "flows", "StorageDescriptor": storage, "PartitionKeys": [{"Name": "date", "Type": "date"}], "Parameters": {"a": "b"}})
        glue.create_partition(DatabaseName="lake", TableName="flows", PartitionInput={"Values": ["2024-01-15"], "StorageDescriptor": storage})

        def there():
            [table] = glue.get_tables(DatabaseName="lake")["TableList"]
            return {key: table[key] for key in table if key not in ("VersionId", "UpdateTime")}, glue.get_partitions(DatabaseName="lake", TableName="flows")["Partitions"]

        before = there()
        lines = doctor("--database", "lake", "--table", "flows", env=env)
        assert states(lines)["catalog writes"] == states(lines)["catalog table"] == "good" and there() == before


@contextlib.contextmanager
def catalog_that_denies(*names, code="AccessDeniedException"):
    """A catalog that refuses calls before it looks at what they ask, and who asks."""
    with gluestub.serve() as stub, denying() as env:

        def fault(name, _):
            if name in names:
                raise gluestub.Refuse(code)

        stub.fault = fault
        yield stub, env, ["--database", "lake", "--table", "flows", "--glue-endpoint-url", stub.url]


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("denied", [[], ["CreateTable"], ["UpdateTable"], ["BatchGetPartition"], ["BatchCreatePartition"], ["BatchUpdatePartition"], ["CreateTable", "BatchUpdatePartition"]])
def test_what_a_catalog_denies(denied, is_there):
    with catalog_that_denies(*denied) as (stub, env, args):
        if is_there:
            stub.tables["flows"] = {"Name": "flows", "VersionId": "7", "Parameters": {"a": "b"}}
        tables = json.dumps(stub.tables)
        line = doctor(*args, check=1 if denied else 0, env=env)["catalog writes"]
        assert (line["state"], line.get("policy", {}).get("Action", [])) == ("bad" if denied else "good", [f"glue:{name}" for name in denied])
        if denied:
            assert line["policy"]["Resource"][2] == "arn:aws:glue:eu-west-1:111122223333:table/lake/flows"
        assert (json.dumps(stub.tables), stub.partitions) == (tables, {})
        assert {name for name, _ in stub.calls} == {"GetDatabase", "GetTable", "CreateTable", "UpdateTable", "BatchGetPartition", "BatchCreatePartition", "BatchUpdatePartition"}


def test_a_table_that_cannot_be_taken_back_is_told():
    with catalog_that_denies("DeleteTable") as (stub, env, args):
        stub.minds_indexes = False
        line = doctor(*args, check=1, env=env)["catalog writes"]
        assert "delete table `lake.flows`" in line["what"] and line["policy"]["Action"] == ["glue:DeleteTable"]


def test_no_credentials():
    env = {name: value for name, value in s3.ENVIRONMENT.items() if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    lines = doctor("--out", "s3://lake/t", check=1, env=env)
    assert lines["credentials"]["state"] == "bad" and "no AWS credentials were found" in lines["credentials"]["what"]


class Denying(http.server.BaseHTTPRequestHandler):
    """Lets nobody do anything but ask who they are; its clock is as many seconds ahead."""

    protocol_version = "HTTP/1.1"
    ahead_s = 0
    message = "Access Denied"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if b"GetCallerIdentity" in body:
            status, answer = 200, "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/x</Arn><UserId>A</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        elif self.headers.get("x-amz-target"):
            status, answer = 400, json.dumps({"__type": "AccessDeniedException", "Message": "not authorized"})
        else:
            status, answer = 403, "<Error><Code>AccessDenied</Code><Message>" + self.message + "</Message></Error>"
        data = answer.encode() if self.command != "HEAD" else b""
        self.send_response_only(status)
        self.send_header("date", email.utils.formatdate(time.time() + self.ahead_s, usegmt=True))
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def denying(ahead_s=0, message=Denying.message):
    handler = type("Handler", (Denying,), {"ahead_s": ahead_s, "message": message})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_REGION": "eu-west-1"}
    finally:
        server.shutdown()
        server.server_close()


def test_what_is_denied_is_told_as_a_policy():
    with denying() as env:
        lines = doctor("s3://logs/AWSLogs/", "--out", "s3://lake/t/", "--database", "d", "--table", "n", check=1, env=env)
        policies = {check: line["policy"] for check, line in lines.items() if "policy" in line}
        assert policies["list source"] == {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::logs",
            "Condition": {"StringLike": {"s3:prefix": "AWSLogs/*"}},
        }
        # What no policy of the reader helps with.
        assert "a Requester Pays bucket needs --requester-pays" in lines["list source"]["what"] and "--requester-pays" not in lines["put"]["what"]
        words = run("inspect", "s3://logs/AWSLogs/", check=1, env=env).stderr
        assert "hint: the credentials need s3:ListBucket on the bucket; a Requester Pays bucket needs --requester-pays, too" in words
        assert policies["put"] == {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::lake/t/*"}
        assert policies["lifecycle"] == {"Effect": "Allow", "Action": "s3:GetLifecycleConfiguration", "Resource": "arn:aws:s3:::lake"}
        assert policies["database"]["Action"] == ["glue:GetDatabase"]
        assert policies["catalog table"]["Resource"] == [f"arn:aws:glue:eu-west-1:111122223333:{what}" for what in ["catalog", "database/d", "table/d/n"]]
        assert lines["lifecycle"]["state"] == "unknown" and lines["credentials"]["state"] == "good"
        words = run("doctor", "--out", "s3://lake/t/", check=1, env=env).stdout
        assert '"Action":"s3:PutObject"' in words


def test_a_key_that_is_denied_is_told_as_such():
    key = "arn:aws:kms:eu-west-1:111122223333:key/1a2b"
    told = f"User: arn:aws:iam::111122223333:user/x is not authorized to perform: kms:GenerateDataKey on resource: {key} because no identity-based policy allows it"
    with denying(message=told) as env:
        line = doctor("--out", "s3://lake/t/", check=1, env=env)["put"]
        assert line["policy"] == {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": key}


def test_archived_sources():
    with s3.serve() as server:
        server.client.put_object(Bucket="logs", Key="AWSLogs/a.log", Body=b"x", StorageClass="GLACIER")
        process = run("doctor", "--json", "s3://logs/AWSLogs/", "--out", "s3://lake/t/", "--endpoint-url", server.url, env=s3.ENVIRONMENT)
        found = json.loads(process.stdout)
        jsonschema.validate(found, SCHEMA)
        lines = {line["check"]: line for line in found["lines"]}
        assert lines["read source"]["state"] == "note" and lines["restore source"]["state"] == "unknown"
        assert lines["restore source"]["policy"] == {"Effect": "Allow", "Action": "s3:RestoreObject", "Resource": "arn:aws:s3:::logs/AWSLogs/*"}
        assert lines["abort upload"]["state"] == "good" and server.uploads() == [] and server.tally().get("RESTORE", 0) == 0


@pytest.mark.parametrize("ahead_s, state", [(0, "good"), (-300, "note"), (3_600, "bad")])
def test_a_clock_that_is_off(ahead_s, state):
    with denying(ahead_s) as env:
        line = doctor("--out", "s3://lake/t/", check=1, env=env)["clock"]
        assert line["state"] == state, line
        assert ("behind" if ahead_s > 0 else "ahead") in line["what"]


def test_nobody_answers():
    env = {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1"}
    lines = doctor("--out", "s3://lake/t/", "--request-timeout", 1, check=75, env=env)
    assert lines["credentials"]["state"] == "unknown" and lines["list table"]["state"] == "later"
