"""docs/ATHENA.md as its reader follows it: each command runs, in order, and each query by an engine."""

import re
import shlex
import subprocess

import pytest
import sqlglot

import s3
import spark
from conftest import FLOWQUET, ROOT, convert, flowlogs

PAGE = (ROOT / "docs/ATHENA.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def commands():
    return [line for block in blocks("sh") for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The table that the page's commands leave, on the disk, and what each of them printed."""
    folder = tmp_path_factory.mktemp("athena")
    flowlogs(folder / "logs", "--objects", 48, "--records", 60, "--every-s", 3_600, "--format", "v5")
    with s3.moto() as server:
        server.put_folder(folder / "logs", "logs", ".")
        for key in server.keys("logs", "./"):
            server.client.copy_object(Bucket="logs", Key=key.removeprefix("./"), CopySource={"Bucket": "logs", "Key": key})
            server.client.delete_object(Bucket="logs", Key=key)
        env = {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}
        printed = {}
        for command in commands():
            program, *args = shlex.split(command)
            assert program == "flowquet"
            # Nobody queries meanwhile.
            args += ["--grace", "0"] if args[0] == "compact" else []
            done = subprocess.run([FLOWQUET, *args], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            assert done.returncode == 0, (command, done.stderr)
            printed[command] = done.stdout + done.stderr
        yield server.fetch("vpc_flow_logs", folder / "table"), printed


def test_commands_do_what_the_page_says(table):
    out, printed = table
    told = "\n".join(f"{command}\n{text}" for command, text in printed.items())
    assert "registered lake.vpc_flow_logs: table created; 3 partitions created" in told
    assert "registered lake.vpc_flow_logs: table as it was" in told and "done: nothing new" in told
    assert told.count("CREATE EXTERNAL TABLE IF NOT EXISTS `lake`.`vpc_flow_logs`") == 2 and "projection.date.range" in told
    assert re.search(r"done: 1 of 1 partition compacted", told) and "0 objects of 48 listed" in told


def test_queries_run(table, tmp_path):
    out, _ = table
    spark.session().sql("create database if not exists lake")
    schema = subprocess.run([FLOWQUET, "schema", out, "--as", "spark", "--database", "lake", "--table", "vpc_flow_logs"], capture_output=True, text=True)
    spark.create(schema.stdout)
    flowlogs(tmp_path / "logs", "--objects", 2, "--records", 3000)
    convert(tmp_path / "logs", tmp_path / "rich", "--types", "rich")
    schema = subprocess.run([FLOWQUET, "schema", tmp_path / "rich", "--as", "spark", "--database", "lake", "--table", "rich"], capture_output=True, text=True)
    spark.create(schema.stdout)
    assert len(blocks("sql")) == 4
    for text in blocks("sql"):
        (query,) = sqlglot.parse(text, read="athena", error_level=sqlglot.ErrorLevel.RAISE)
        rows = spark.session().sql(query.sql("spark").replace("FROM_HEX", "UNHEX")).collect()
        assert rows and rows[0][-1] > 0, text
    for name in ["vpc_flow_logs", "rich"]:
        spark.session().sql(f"drop table lake.{name}")
