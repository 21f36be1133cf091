"""The command line: help, errors, exit codes, schema and inspect."""

import json
import os
import pty
import re
import signal
import subprocess

import pytest

import naive
from conftest import FLOWQUET, ROOT, convert, files, flowlogs, run

GOOD = "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1566328660 1566328661 ACCEPT OK\n"


def test_help_and_version():
    assert "Exit codes: 0 done" in run("--help").stdout
    # The commit where it is built from a clone.
    assert re.fullmatch(r"flowquet 0\.\d+\.\d+( \([0-9a-f]{9} \d{4}-\d\d-\d\d\))?\n", run("--version").stdout)


@pytest.mark.parametrize(
    "args, words",
    [
        (["convert"], "required arguments were not provided"),
        (["convert", "x", "--out", "y", "--format", "${version} ${srcadr"], "  ${version} ${srcadr\n             ^^^^^^^^\nhint: write `${srcaddr}`"),
        (["convert", "x", "--out", "y", "--format", "v12"], "expected a log format, found `v12`"),
        (["convert", "x", "--out", "y", "--partition-by", "day"], "found `day`"),
        (["convert", "x", "--out", "y", "--partition-by", "hour"], "expected `date` beside `hour`"),
        (["convert", "x", "--out", "y", "--compression", "lz4"], "expected zstd, zstd:N (N from 1 to 22), snappy, gzip or none, found `lz4`"),
        (["convert", "x", "--out", "y", "--memory", "12M"], "at least 208M is needed"),
        (["convert", "x", "--out", "y", "--memory", "lots"], "expected bytes such as 512M or 2G, found `lots`"),
        (["convert", "x", "--out", "y", "--max-rejects", "half"], "expected a number of lines or a percentage such as `1%`"),
        (["convert", "x", "--out", "y", "--fields", "/nowhere.toml"], "read `/nowhere.toml`: No such file"),
        (["convert", "-", "--out", "y", "--dry-run"], "--dry-run reads files, folders or S3 prefixes, not standard input"),
        (["schema", "--as", "ddl"], "possible values: table, arrow, athena, cloudformation, duckdb, glue-json, json, jsonschema, pandas, parquet, polars, pyspark, spark, terraform, trino"),
    ],
)
def test_wrong_usage(args, words):
    process = run(*args, check=2)
    assert words in process.stderr and process.stdout == ""


def test_wrong_input(logs, out):
    assert "error: list `file:///no/such`: no such file or folder\nhint: check the path" in run("convert", "/no/such/place", "--out", out, check=1).stderr.replace("/place", "")
    assert "found no files" in run("convert", logs, "--out", out, check=1).stderr
    assert not out.exists(), "nothing is made for a run that cannot begin"
    (logs / "a.log").write_text(GOOD)
    words = run("convert", logs, "--out", out, check=4).stderr
    assert "expected a header line of field names, found `2 1 eni-1" in words and "hint: give the log format: --format v2" in words


def test_pipes_are_no_files(logs, out):
    os.mkfifo(logs / "pipe")
    assert "neither a file nor a folder\nhint: pipes are read from standard input: `-`" in run("convert", logs / "pipe", "--out", out, check=1).stderr
    (logs / "a.log").write_text(f"{naive.V2}\n{GOOD}")
    assert convert(logs, out)["objects"]["listed"] == 1


def test_a_wrong_format_is_noticed(logs, out):
    (logs / "a.log").write_text(GOOD * 3)
    report = convert(logs, out, "--format", "v3", check=4)
    assert (report["records"], report["rejects"], report["objects"]["failed"]) == (0, 0, 1)
    failed = report["failed_objects"][0]
    assert failed["cause"] == "no-line-fits" and "none of its 3 lines fits" in failed["reason"] and "line 1" in failed["reason"]
    # The right format gives what it would have given at once.
    assert convert(logs, out, "--format", "v2")["records"] == 3
    assert run("status", out).stdout.splitlines()[-1].startswith("complete: 1 object")


def test_dry_run_writes_nothing(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--objects", 4, "--records", 20, "--every-s", 86400)
    process = run("convert", logs, "--out", out, "--dry-run")
    lines = process.stdout.splitlines()
    assert lines[-1].startswith("would convert 4 objects") and lines[-1].endswith("nothing was written") and "date=2024-01-17" in process.stdout
    assert not out.exists()
    convert(logs, out)
    assert "would convert 0 objects" in run("convert", logs, "--out", out, "--dry-run").stdout


def test_summary_and_plain_lines(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--objects", 3, "--records", 20)
    (logs / "b.log").write_text(f"{naive.V2}\n{GOOD}\nbad\n")
    process = run("convert", logs, "--out", out)
    assert process.stdout == "" and "\x1b" not in process.stderr
    lines = process.stderr.splitlines()
    assert lines[0].startswith("converting 4 objects")
    assert re.search(r"lines +67 = 61 records \+ 1 reject \+ 4 headers \+ 1 blank", process.stderr)
    assert re.search(r"rejects +1 too-few-fields\n +kept in .*/_flowquet/rejects/[0-9a-f]{16}.jsonl", process.stderr)
    assert re.fullmatch(r"done: 67 lines read, 61 records written, 1 rejected, [0-9,]+ records/s", lines[-1])


def test_progress_bar_on_a_terminal(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--format", "v5", "--objects", 30, "--records", 20000)
    leader, follower = pty.openpty()
    process = subprocess.Popen([FLOWQUET, "convert", logs, "--out", out, "--threads", "1"], stderr=follower)
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 65536)
        except OSError:
            break
    assert process.wait() == 0
    text = shown.decode()
    assert "records/s" in text and "of 30 objects" in text and "600,000 records written" in text


def test_report_in_a_file(logs, out, tmp_path):
    (logs / "a.log").write_text(f"{naive.V2}\n{GOOD}")
    run("convert", logs, "--out", out, "--report", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["outcome"], report["records"]) == ("success", 1) and not list(tmp_path.glob(".*"))
    run("convert", "/no/such", "--out", out, "--report", tmp_path / "report.json", check=1)
    told = run("convert", logs, "--out", out, "--report", tmp_path / "no/folder/report.json", check=2)
    assert "its folder does not exist" in told.stderr and not (tmp_path / "no").exists()
    assert json.loads((tmp_path / "report.json").read_text())["outcome"] == "failed"


def test_schema():
    assert len(run("schema").stdout.splitlines()) == 73
    assert run("schema", "--format", "bytes srcaddr", "--as", "arrow").stdout == "bytes: Int64\nsrcaddr: Utf8\n"
    assert run("schema", "--format", "v2", "--columns", "srcaddr,end", "--as", "parquet").stdout == "message schema {\n  OPTIONAL BYTE_ARRAY srcaddr (STRING);\n  OPTIONAL INT64 end;\n}\n"
    process = run("schema", "--format", "${version} ${srcadr}", "--as", "json")
    assert "warning: field `srcadr` is not in the field list: kept as text column `srcadr`; did you mean `srcaddr`?" in process.stderr
    columns = json.loads(process.stdout)["columns"]
    assert [(c["column"], c["type"], c["known"]) for c in columns] == [("version", "INT32", True), ("srcadr", "STRING", False)]


def test_the_schema_is_that_of_the_files(tmp_path, out):
    import pyarrow.parquet

    logs = flowlogs(tmp_path / "logs", "--format", "v5", "--objects", 1, "--records", 10)
    convert(logs, out)
    shown = [line.split(": ") for line in run("schema", "--format", "v5", "--as", "arrow").stdout.splitlines()]
    names = {"Utf8": "string", "Int32": "int32", "Int64": "int64"}
    written = pyarrow.parquet.read_schema(next(iter(files(out).values())))
    assert [(n, names[t]) for n, t in shown] == [(f.name, str(f.type)) for f in written]


def test_inspect(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--objects", 1, "--records", 30)
    path = next(logs.rglob("*.gz"))
    words = run("inspect", path, "--rows", 2).stdout
    for part in ["flow log, gzip", "account      111111111111", "region       us-east-1", "delivered    2024-01-15T00:00:00Z", "14 fields, from its header line", "v2 (a default)", "RECORD 2", "eni-0"]:
        assert part in words
    assert "RECORD 3" not in words
    convert(logs, out)
    words = run("inspect", next(iter(files(out).values()))).stdout
    for part in ["Parquet, ", "30 in 1 row group", "flowquet.log_format = ${version}", "srcaddr", "RLE_DICTIONARY", "pages"]:
        assert part in words
    (tmp_path / "plain").write_text(GOOD)
    assert "a guess by the kinds of values, no header line" in run("inspect", tmp_path / "plain").stdout
    (tmp_path / "x.json").write_text("{}")
    words = run("inspect", tmp_path / "x.json", path, check=4).stdout
    assert "expected JSON with `message`" in words and "flow log, gzip" in words


def test_a_closed_pipe_is_no_failure():
    process = subprocess.Popen([FLOWQUET, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait() == 0 and process.stderr.read() == b""


def test_ctrl_c_clears_the_bar_and_says_what_comes_again(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--format", "v5", "--objects", 60, "--records", 20000)
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen([FLOWQUET, "convert", logs, "--out", out, "--threads", "1"], stderr=follower, env=environment)
    os.close(follower)
    shown, is_asked = b"", False
    while True:
        try:
            shown += os.read(leader, 65536)
        except OSError:
            break
        if not is_asked and re.search(rb"[1-9] of 60 objects", shown):
            process.send_signal(signal.SIGINT)
            is_asked = True
    code = process.wait()
    text = shown.decode()
    if code == 0:
        assert "1,200,000 records written" in text, "it was done before the signal came"
        return
    assert code == 130 and "stopping; a second Ctrl-C or SIGTERM exits immediately" in text
    last = text.split("\x1b[2K")[-1]
    assert "records/s" not in last, "the bar is cleared"
    assert re.search(r"stopped: \d+ of \d+ tasks finished, [\d,]+ records? written; ([\d,]+ records? of the unfinished ones will be read again|the next run reads)", last)
    assert "\x1b[1m\x1b[36mhint:\x1b[0m run the same command again to finish" in last
    assert convert(logs, out)["objects"]["converted"] == 60


def test_every_flag_and_exit_code_is_documented():
    """Of the tables of options crates/cli/tests/options_page.rs makes sure."""
    page = (ROOT / "docs/OPTIONS.md").read_text()
    commands = re.findall(r"^  ([a-z]+) ", run("--help").stdout, re.M)
    assert {"convert", "plan", "status", "compact", "inspect", "schema"} <= set(commands)
    for command in set(commands) - {"help"}:
        section = page.split(f"## flowquet {command}\n")[1].split("\n## ")[0] + page.split("## Options for S3")[1]
        for flag in set(re.findall(r"^(?:  -[a-z], |      )(--[a-z-]+)", run(command, "--help").stdout, re.M)) - {"--help"}:
            assert f"`{flag}" in section, (command, flag)
    for code in ["0", "1", "2", "3", "4", "5", "75", "130"]:
        assert f"| {code} |" in page


def test_options_from_the_environment(logs, out):
    """A container's job: no command line but the command. The command line goes before."""
    (logs / "a.log").write_text(f"{naive.V2}\n{GOOD}")
    (logs / "b.log").write_text(f"{naive.V2}\n{GOOD}{GOOD}")
    env = os.environ | {"FLOWQUET_OUT": str(out), "FLOWQUET_REPORT": "-", "FLOWQUET_QUIET": "1", "FLOWQUET_EXCLUDE": "**/b.log", "FLOWQUET_SALVAGE": "0"}
    report = json.loads(run("convert", logs, env=env).stdout)
    assert (report["records"], report["options"].get("salvage", False)) == (1, False)
    report = json.loads(run("convert", logs, "--exclude", "**/a.log", "--salvage", env=env).stdout)
    assert (report["records"], report["options"]["salvage"]) == (2, True)
    words = run("convert", logs, env=env | {"FLOWQUET_THREADS": "many"}, check=2).stderr
    assert "expected a number from 1 to 1,024, found `many`" in words
    assert "[env: FLOWQUET_MAX_REJECTS]" in run("convert", "--help").stdout


def test_messages_as_lines_of_json(logs, out):
    (logs / "a.log").write_text("version srcaddr start end\n2 10.0.0.1 1566328660 1566328661\n")
    words = run("convert", logs, "--out", out, "--log-format", "json").stderr
    lines = [json.loads(line) for line in words.splitlines()]
    assert all(line["level"] == "INFO" and line["timestamp"].endswith("Z") for line in lines)
    assert "1 record written" in lines[-1]["message"]
    process = run("convert", logs / "no", "--out", out, check=1, env={**os.environ, "FLOWQUET_LOG_FORMAT": "json"})
    error = json.loads(process.stderr)
    assert (error["level"], error["exit"]) == ("ERROR", 1) and "check the path" in error["hint"]
    assert error["message"].startswith("list `")
    words = run("convert", logs, "--out", out, "--log-format", "${version}", check=2).stderr
    assert "the format of flow logs is given by --format" in words


def test_more_is_said_with_v(logs, out):
    (logs / "a.log").write_text("version srcaddr start end\n2 10.0.0.1 1566328660 1566328661\n")
    assert "committed a task" not in run("convert", logs, "--out", out).stderr
    (logs / "b.log").write_text("version srcaddr start end\n2 10.0.0.1 1566328660 1566328661\n")
    words = run("-v", "convert", logs, "--out", out).stderr
    told = [line for line in words.splitlines() if "committed a task" in line]
    assert len(told) == 1 and "records=1" in told[0] and "flowquet_table::log" in told[0], words


def test_standard_input_that_is_empty_is_a_warning(tmp_path):
    (tmp_path / "nothing").touch()
    with (tmp_path / "nothing").open() as nothing:
        words = run("convert", "-", "--out", tmp_path / "lake", stdin=nothing).stderr
    assert "warning: standard input was empty: check that the command before the pipe succeeded" in words


def test_no_table_is_made_above_another(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_text(f"{naive.V2}\n")
    convert(tmp_path / "logs", tmp_path / "lake" / "flow_logs")
    words = run("convert", tmp_path / "logs", "--out", tmp_path / "lake", check=2).stderr
    assert f"the table `file://{tmp_path}/lake/flow_logs/` lies below it" in words and not (tmp_path / "lake" / "_flowquet").exists()
    words = run("convert", tmp_path / "logs", "--out", tmp_path / "lake", "--dry-run", check=2).stderr
    assert "lies below it" in words
    within = tmp_path / "lake" / "flow_logs" / "date=2026-11-24"
    for more in ([], ["--dry-run"]):
        words = run("convert", tmp_path / "logs", "--out", within, *more, check=2).stderr
        assert f"no table is made in `file://{within}`: it lies within the table `file://{tmp_path}/lake/flow_logs/`" in words, words
        assert f"hint: use --out {tmp_path}/lake/flow_logs/, or" in words and not within.exists()
    convert(tmp_path / "logs", tmp_path / "lake" / "other")
