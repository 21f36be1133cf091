"""README and docs as their reader follows them: each command runs, and each query by an engine."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess

import duckdb
import pytest
import sqlglot

import s3
import spark
from conftest import FLOWQUET, ROOT, convert, flowlogs, run

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
    assert "registered lake.vpc_flow_logs: table up to date" in told and "done: nothing new" in told
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


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
def test_systemd_takes_the_units(tmp_path):
    page = (ROOT / "docs/OPERATING.md").read_text()
    block = re.search(r"### systemd\n\n```ini\n(.*?)```", page, re.S)[1]
    units = re.findall(r"# /etc/systemd/system/(flowquet\.\w+)\n(.*?)(?=# /etc/systemd|\Z)", block, re.S)
    assert [name for name, _ in units] == ["flowquet.service", "flowquet.timer"]
    for name, text in units:
        (tmp_path / name).write_text(text.replace("ExecStart=flowquet ", "ExecStart=/bin/true "))
    subprocess.run(["systemd-analyze", "verify", *(tmp_path / name for name, _ in units)], check=True)


def test_quick_start_prints_what_the_readme_shows(tmp_path):
    section = (ROOT / "README.md").read_text().split("## Quick start")[1].split("\n## ")[0]
    (_, command), (_, shown), (_, query), (_, answer) = re.findall(r"^```(\w*)\n(.*?)^```", section, re.S | re.M)
    os.symlink(ROOT / "tests", tmp_path / "tests")
    args = shlex.split(command.removeprefix("cargo run --release -- "))

    def steady(text):
        """Without what differs between runs: seconds, rates, and the name of the task, which depends on where the sample lies."""
        return re.sub(r"in \d+\.\d s|[\d,]+ records/s|[0-9a-f]{16}\.jsonl", "…", text)

    assert steady(run(*args, cwd=tmp_path).stderr) == steady(shown)
    os.chdir(tmp_path)
    try:
        assert str(duckdb.sql(query)).strip() == answer.strip()
    finally:
        os.chdir(ROOT)


def test_verification_prints_what_the_readme_shows(tmp_path):
    section = (ROOT / "README.md").read_text().split("## Before you delete the raw logs")[1].split("\n## ")[0]
    (_, command), (_, shown) = re.findall(r"^```(\w*)\n(.*?)^```", section, re.S | re.M)
    # Several of everything that the page has several of.
    logs = flowlogs(tmp_path / "logs", "--objects", 24, "--records", 60, "--every-s", 7_200)
    objects = sorted(logs.rglob("*.gz"))
    for cut in objects[::8]:
        cut.write_bytes(cut.read_bytes()[:200])
    convert([str(path) for path in objects[:12]], tmp_path / "lake", check=4)
    convert(logs, tmp_path / "lake", check=4)
    run("compact", tmp_path / "lake")
    _, *args = shlex.split(command.replace("s3://lake/flow_logs/", "lake").replace("s3://logs/AWSLogs/", "logs"))
    done = run(*args, cwd=tmp_path, check=4)

    def steady(text):
        """Each kind of line once, without numbers and places."""
        lines = re.sub(r"\d[\d,.]*", "N", re.sub(r"[KM]iB", "B", re.sub(r"\S+\.log\.gz", "OBJECT", text))).splitlines()
        return [line for line in dict.fromkeys(lines) if line.strip() != "…"]

    assert steady(done.stderr + done.stdout) == steady(shown)


@pytest.mark.parametrize("page", ["README.md", "docs/INPUT.md", "docs/OPERATING.md", "docs/PERFORMANCE.md", "docs/READING.md", "docs/S3.md", "docs/COMPARISON.md", "docs/TROUBLESHOOTING.md"])
def test_commands_of_other_pages_are_understood(page, tmp_path):
    """What a page shows may need what is not here, a bucket or a folder: but no command line of it is wrong usage."""
    (tmp_path / "main.tf").write_text('resource "aws_flow_log" "a" {\n  log_format = "$${version} $${bytes}"\n}\n')
    (tmp_path / "plan.json").write_text("{}")
    (tmp_path / "flow-logs.json").write_text('{"FlowLogs": [{"FlowLogId": "fl-1", "LogFormat": "${version} ${bytes}"}]}')
    env = {**s3.ENVIRONMENT, "AWS_BATCH_JOB_ARRAY_INDEX": "3", "PATH": f"{FLOWQUET.parent}:{os.environ['PATH']}"}
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.S):
        for line in filter(lambda line: re.match(r"(zcat .*\| )?flowquet ", line), block.splitlines()):
            command = re.sub(r"^zcat [^|]*\|", "", line)
            # No store is here: folders stand for buckets. A registered table cannot be a folder.
            if "--location" not in command:
                command = command.split("  #")[0].replace("s3://", f"{tmp_path}/")
            # In a bucket an object needs no folder.
            for place in re.findall(r"--(?:save|report|metrics) (/\S+)", command):
                pathlib.Path(place).parent.mkdir(parents=True, exist_ok=True)
            if "flowquet register" not in command:
                done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
                assert done.returncode != 2, (line, done.stderr)
