"""Registration in the Glue Data Catalog: against moto, which knows its calls, and a stub that is as strict as AWS."""

import json

import boto3
import jsonschema
import pytest

import gluestub
import naive
import s3
from conftest import ROOT, flowlogs

TABLE = ["--database", "lake", "--table", "flows"]


@pytest.fixture(scope="module")
def moto():
    with s3.moto() as server:
        yield server


@pytest.fixture
def stub():
    with gluestub.serve() as stub:
        yield stub


@pytest.fixture
def server(tmp_path):
    flowlogs(tmp_path / "logs", "--objects", 4, "--records", 20)
    with s3.serve(load=tmp_path / "logs") as server:
        yield server


def line(day, i=0):
    start = 1_600_000_000 + day * 86_400 + i
    return f"2 123456789012 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 {i} {start} {start} ACCEPT OK"


def put_days(server, prefix, days):
    lines = [line(day) for day in days]
    server.client.put_object(Bucket="logs", Key=f"{prefix}/a.log", Body="\n".join([naive.V2, *lines]).encode())


def register(server, glue, *args, check=0):
    process = s3.run(server, "register", "s3://lake/t", *TABLE, "--glue-endpoint-url", glue.url, "--json", *args, check=check)
    if check != 0:
        return process.stderr
    done = json.loads(process.stdout)
    assert done.pop("version") == 1 and done.pop("flowquet").startswith("0.")
    return done


def test_a_table_is_made_kept_and_extended(moto):
    glue = boto3.client("glue", endpoint_url=moto.url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    put_days(moto, "one", range(3))
    report = s3.convert(moto, "s3://logs/one/", "s3://lake/t", check=1, *["--register", *TABLE, "--glue-endpoint-url", moto.url])
    assert "Database" in report["error"] or "EntityNotFound" in report["error"], "what was converted is reported even if it cannot be registered"
    assert report["records"] == 3
    done = register(moto, moto, "--create-database")
    assert done == {"table": "created", "columns_added": [], "partitions_created": 3, "partitions_updated": 0, "partitions_unchanged": 0}
    done = register(moto, moto, "--create-database")
    assert done == {"table": "unchanged", "columns_added": [], "partitions_created": 0, "partitions_updated": 0, "partitions_unchanged": 3}
    table = glue.get_table(DatabaseName="lake", Name="flows")["Table"]
    assert table["StorageDescriptor"]["Location"] == "s3://lake/t/" and table["PartitionKeys"][0]["Name"] == "date"
    kinds = {c["Name"]: c["Type"] for c in table["StorageDescriptor"]["Columns"]}
    assert len(kinds) == 14 and (kinds["protocol"], kinds["bytes"], kinds["end"]) == ("int", "bigint", "bigint")
    assert all(c["Comment"] for c in table["StorageDescriptor"]["Columns"])
    # New columns go to the table and to all partitions; what others set stays.
    glue.update_table(DatabaseName="lake", TableInput={**{k: table[k] for k in ["Name", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters"]}, "Owner": "somebody"})
    body = "start pkt-srcaddr hop-of-tomorrow\n1600864000 10.0.0.9 x\n"
    moto.client.put_object(Bucket="logs", Key="two/b.log", Body=body.encode())
    report = s3.convert(moto, "s3://logs/two/", "s3://lake/t", *["--register", *TABLE, "--glue-endpoint-url", moto.url])
    assert report["registered"] == {
        "table": "updated", "columns_added": ["pkt_srcaddr", "hop_of_tomorrow"], "partitions_created": 1, "partitions_updated": 3, "partitions_unchanged": 1,
    }  # fmt: skip
    jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/report.schema.json").read_text())).validate(report)
    table = glue.get_table(DatabaseName="lake", Name="flows")["Table"]
    assert table["Owner"] == "somebody" and [c["Name"] for c in table["StorageDescriptor"]["Columns"]][-2:] == ["pkt_srcaddr", "hop_of_tomorrow"]
    partitions = glue.get_partitions(DatabaseName="lake", TableName="flows")["Partitions"]
    folders = {key.split("/")[1] for key in moto.keys("lake", "t/date=")}
    assert {p["StorageDescriptor"]["Location"] for p in partitions} == {f"s3://lake/t/{folder}/" for folder in folders}
    assert all(len(p["StorageDescriptor"]["Columns"]) == 16 for p in partitions)
    # What the catalog tells leads to the rows that the records tell.
    rows = 0
    for partition in partitions:
        prefix = partition["StorageDescriptor"]["Location"].removeprefix("s3://lake/")
        rows += sum(1 for _ in moto.keys("lake", prefix))
    assert rows == 4
    # A table of other types is another table.
    column = {"Name": "protocol", "Type": "bigint"}
    storage = {**table["StorageDescriptor"], "Columns": [column, *[c for c in table["StorageDescriptor"]["Columns"] if c["Name"] != "protocol"]]}
    glue.update_table(DatabaseName="lake", TableInput={"Name": "flows", "StorageDescriptor": storage, "PartitionKeys": table["PartitionKeys"]})
    words = register(moto, moto, check=1)
    assert "column `protocol`: Glue has `bigint`, the table has `int`\nhint: columns are never removed or retyped" in words
    assert glue.get_table(DatabaseName="lake", Name="flows")["Table"]["StorageDescriptor"]["Columns"][0]["Type"] == "bigint"


def test_batches_of_a_hundred_and_what_is_refused(server, stub):
    put_days(server, "many", range(250))
    s3.convert(server, "s3://logs/many/", "s3://lake/t")
    # Two that pass on a second look, and one that another has made meanwhile.
    days = sorted(key.split("=")[1].split("/")[0] for key in server.keys("lake", "t/date="))
    assert len(days) == 250
    stub.refused = {(days[3],): ("InternalServiceException", 2), (days[200],): ("ThrottlingException", 1), (days[120],): ("AlreadyExistsException", 1)}
    done = register(server, stub)
    assert done["table"] == "created" and done["partitions_created"] == 249 and done["partitions_unchanged"] == 1
    assert len(stub.partitions) == 249 and stub.count("BatchCreatePartition") == 3 + 2
    done = register(server, stub)
    assert (done["table"], done["partitions_created"], done["partitions_unchanged"]) == ("unchanged", 1, 249)
    assert stub.count("UpdateTable") == 0
    # One that is refused for good is told; all others are made.
    stub.partitions.clear()
    stub.refused = {(days[7],): ("AccessDeniedException", 99)}
    words = register(server, stub, check=1)
    assert f"1 were refused\n  {days[7]}: AccessDeniedException of the stub" in words.replace("AccessDeniedException: ", "") and "hint: run the same command again" in words
    assert len(stub.partitions) == 249
    # A partition that points elsewhere is put right.
    stub.refused = {}
    register(server, stub)
    stub.partitions[(days[0],)]["StorageDescriptor"]["Location"] = "s3://lake/elsewhere/"
    assert register(server, stub)["partitions_updated"] == 1 and stub.location(days[0]) == f"s3://lake/t/date={days[0]}/"
    # So is one that a compaction left pointing aside which was then finished without the catalog.
    stub.partitions[(days[0],)]["StorageDescriptor"]["Location"] = "s3://lake/t/_flowquet/compacted/0123456789abcdef/"
    assert register(server, stub)["partitions_updated"] == 1 and stub.location(days[0]) == f"s3://lake/t/date={days[0]}/"


def test_a_table_that_is_registered_later_gets_all_its_partitions(server, stub):
    put_days(server, "one", range(3))
    s3.convert(server, "s3://logs/one/", "s3://lake/t")
    put_days(server, "two", [9])
    to_glue = ["--register", *TABLE, "--glue-endpoint-url", stub.url]
    assert s3.convert(server, "s3://logs/two/", "s3://lake/t", *to_glue)["registered"]["partitions_created"] == 4
    # From then on those of the run.
    put_days(server, "three", [11])
    assert s3.convert(server, "s3://logs/three/", "s3://lake/t", *to_glue)["registered"]["partitions_unchanged"] == 0
    assert len(stub.partitions) == 5


def test_a_registration_that_failed_is_made_good_by_the_next_run(server, stub):
    put_days(server, "one", range(3))
    to_glue = ["--register", *TABLE, "--glue-endpoint-url", stub.url]

    def denied(name, body):
        if name == "BatchCreatePartition":
            raise gluestub.Refuse("AccessDeniedException")

    stub.fault = denied
    words = s3.run(server, "convert", "s3://logs/one/", "--out", "s3://lake/t", *to_glue, check=1).stderr
    assert not stub.partitions
    # The conversion itself is done, and said to be.
    assert "done: 4 lines read, 3 records written" in words and "stopped" not in words
    assert "hint: the table is written; run `flowquet register s3://lake/t` to register it" in words
    stub.fault = lambda name, body: None
    # Nothing is new, and yet the partitions are.
    assert s3.convert(server, "s3://logs/one/", "s3://lake/t", *to_glue)["registered"]["partitions_created"] == 3


def test_a_run_that_names_another_table_of_the_catalog_is_refused(server, stub):
    put_days(server, "one", range(3))
    s3.convert(server, "s3://logs/one/", "s3://lake/t", *["--register", *TABLE, "--glue-endpoint-url", stub.url])
    other = ["--database", "lake", "--table", "other", "--glue-endpoint-url", stub.url]
    hint = "`flowquet register s3://lake/t/ --database lake --table other` registers it as lake.other from now on"
    for args in [["convert", "s3://logs/one/", "--out", "s3://lake/t", "--register"], ["compact", "s3://lake/t"]]:
        words = s3.run(server, *args, *other, check=2).stderr
        assert "the table is registered as lake.flows, and this run names lake.other" in words and hint in words
    assert s3.run(server, "register", "s3://lake/t", *other).returncode == 0
    s3.run(server, "convert", "s3://logs/one/", "--out", "s3://lake/t", "--register", *other)


def test_throttling_and_races(server, stub):
    put_days(server, "few", range(2))
    s3.convert(server, "s3://logs/few/", "s3://lake/t")
    left = {"GetTable": 3, "CreateTable": 2, "BatchCreatePartition": 2}

    def throttled(name, body):
        if left.get(name, 0) > 0:
            left[name] -= 1
            raise gluestub.Refuse("ThrottlingException")

    stub.fault = throttled
    assert register(server, stub)["partitions_created"] == 2
    # Another one adds a column between our look and our update.
    put_days(server, "more", range(3))
    server.client.put_object(Bucket="logs", Key="more/b.log", Body=b"start az-id\n1600000000 x\n")
    s3.convert(server, "s3://logs/more/", "s3://lake/t")
    raced = []

    def race(name, body):
        if name == "UpdateTable" and not raced:
            raced.append(name)
            table = stub.tables["flows"]
            columns = [*table["StorageDescriptor"]["Columns"], {"Name": "theirs", "Type": "string"}]
            stub.tables["flows"] = {**table, "VersionId": "9", "StorageDescriptor": {**table["StorageDescriptor"], "Columns": columns}}

    stub.fault = race
    done = register(server, stub)
    assert done["columns_added"] == ["az_id"] and raced
    assert [c["Name"] for c in stub.tables["flows"]["StorageDescriptor"]["Columns"]][-2:] == ["theirs", "az_id"]
    # Partitions that are left for the next call each time.
    stub.fault = lambda name, body: None
    stub.idle_rounds = 2
    assert register(server, stub)["partitions_unchanged"] == 3 and stub.idle_rounds == 0
    stub.idle_rounds = 100
    assert "Glue left 3 of 3 partitions unread 5 times\nhint: run the same command again" in register(server, stub, check=75)
    stub.fault = lambda name, body: (_ for _ in ()).throw(gluestub.Refuse("AccessDeniedException"))
    words = register(server, stub, check=1)
    assert "AccessDeniedException of the stub\nhint: the credentials need glue:GetTable" in words


def test_where_glue_is_asked_and_by_whom(server, stub, tmp_path):
    s3.convert(server, "s3://logs/AWSLogs/", "s3://lake/t")

    def ask(check=0, **more):
        env = {name: value for name, value in (s3.ENVIRONMENT | more).items() if value is not None}
        return s3.run(server, "register", "s3://lake/t", *TABLE, check=check, env=env).stderr

    # Answers that are none of Glue's, and then the right ones.
    left = [(502, "<html>Bad gateway</html>"), (200, '{"Table": {'), (503, "")]

    def broken(name, body):
        if left:
            raise gluestub.Broken(*left.pop())

    stub.fault = broken
    stub.credentials = s3.KEY, s3.SECRET
    ask(AWS_ENDPOINT_URL_GLUE=stub.url + "/", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_REGION="eu-west-1")
    assert not left and stub.regions == {"eu-west-1"} and stub.partitions
    # A profile whose session's token is signed too, and which names the endpoint.
    stub.credentials = s3.KEY, s3.SECRET, "a/session+token="
    (tmp_path / "config").write_text(f"[profile one]\nregion = sa-east-1\nservices = mine\naws_session_token = a/session+token=\naws_access_key_id = {s3.KEY}\naws_secret_access_key = {s3.SECRET}\n[services mine]\nglue =\n  endpoint_url = {stub.url}\n")
    env = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "one", "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    ask(**env)
    assert stub.regions == {"eu-west-1", "sa-east-1"}
    # A clock that is off is set by the first refusal.
    stub.ahead_s = -3600
    ask(**env)
    stub.ahead_s = 0
    # What is wrong is told, and not tried again.
    calls = len(stub.calls)
    stub.credentials = s3.KEY, "another", "a/session+token="
    words = ask(**env, check=1)
    assert "read `lake.flows` in Glue: InvalidSignatureException" in words and "aws sts get-caller-identity" in words
    stub.credentials = None
    stub.fault = lambda name, body: (_ for _ in ()).throw(gluestub.Broken(404, "<html>\n  Not found"))
    assert f"{stub.url}/ answered 404: `<html> Not found`" in ask(**env, check=1)
    assert len(stub.calls) == calls + 1


def test_projection(server, stub):
    flowlogs_args = ["--partition-by", "account,region,date,hour"]
    s3.convert(server, "s3://logs/AWSLogs/", "s3://lake/t", *flowlogs_args)
    done = register(server, stub, "--partitions", "projected")
    assert done["partitions_created"] == 0 and not stub.partitions
    parameters = stub.tables["flows"]["Parameters"]
    expected = {
        "projection.enabled": "true",
        "projection.account.type": "enum",
        "projection.account.values": "111111111111",
        "projection.region.values": "us-east-1",
        "projection.date.type": "date",
        "projection.date.format": "yyyy-MM-dd",
        "projection.date.range": "2024-01-14,NOW",
        "projection.hour.type": "integer",
        "projection.hour.digits": "2",
        "storage.location.template": "s3://lake/t/account=${account}/region=${region}/date=${date}/hour=${hour}/",
    }
    assert expected.items() <= parameters.items()
    # Each partition that is there is one that Athena computes.
    for key in server.keys("lake", "t/account="):
        values = dict(part.split("=") for part in key.split("/")[1:-1])
        computed = parameters["storage.location.template"]
        for name, value in values.items():
            computed = computed.replace(f"${{{name}}}", value)
        assert f"s3://lake/{key}".startswith(computed) and len(values["hour"]) == 2
    # Another account is added to the values; what is there stays.
    server.client.put_object(Bucket="logs", Key="AWSLogs/222222222222/vpcflowlogs/eu-west-1/2023/12/31/x.log", Body=f"{naive.V2}\n{line(1202)}\n".encode())
    s3.convert(server, "s3://logs/AWSLogs/", "s3://lake/t", *flowlogs_args)
    assert register(server, stub, "--partitions", "projected")["table"] == "updated"
    parameters = stub.tables["flows"]["Parameters"]
    assert parameters["projection.account.values"] == "111111111111,222222222222" and parameters["projection.region.values"] == "us-east-1,eu-west-1"
    assert parameters["projection.date.range"].startswith("2023-12-2")


def test_wrong_usage(server, stub, tmp_path):
    assert "needs a table in S3" in s3.run(server, "register", tmp_path / "x", *TABLE, check=2).stderr
    assert "--database and --table are required" in s3.run(server, "register", "s3://lake/t", check=2).stderr
    assert "no flowquet table in `s3://lake/" in s3.run(server, "register", "s3://lake/nothing", *TABLE, check=1).stderr
    assert "--database and --table are required" in s3.run(server, "convert", "s3://logs/AWSLogs/", "--out", "s3://lake/t", "--register", check=2).stderr
    words = s3.run(server, "convert", "s3://logs/AWSLogs/", "--out", tmp_path / "out", "--register", *TABLE, check=2).stderr
    assert "the Glue Data Catalog needs a table in S3" in words and not (tmp_path / "out").exists()
