"""Run by machines: options from environment and file, an end within a grace, reports and metrics."""

import json
import os
import re
import signal
import subprocess
import time

import jsonschema
import pyarrow.parquet as pq
import pytest
import yaml

import conftest
import kills
import naive
import s3
from conftest import FLOWQUET, ROOT, convert, flowlogs, run

BARE = {name: value for name, value in os.environ.items() if not name.startswith("FLOWQUET_")}
LINE = "2 123456789012 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1705276800 1705276860 ACCEPT OK\n"


@pytest.fixture()
def logs(tmp_path):
    for name in ["a", "b", "c"]:
        folder = tmp_path / "logs" / name
        folder.mkdir(parents=True)
        (folder / "1.log").write_text(f"{naive.V2}\n{LINE}")
    return tmp_path / "logs"


def report_schema():
    return jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/report.schema.json").read_text()))


def test_a_job_of_a_file(logs, tmp_path):
    (tmp_path / "flowquet.toml").write_text(f"""
        report = "-"
        [jobs.nightly]
        source = ["{logs}/a", "{logs}/b"]
        out = "{tmp_path}/lake"
        quiet = true
        partition_by = "account,date"
        [jobs.other]
        source = "{logs}"
        out = "{tmp_path}/other"
    """)
    report = json.loads(run("convert", "@nightly", cwd=tmp_path, env=BARE).stdout)
    assert (report["records"], report["options"]["partition_by"]) == (2, "account,date")
    assert report["sources"] == [f"{logs}/a", f"{logs}/b"] and report["out"] == f"{tmp_path}/lake"
    # The environment goes before the file, the command line before both.
    env = BARE | {"FLOWQUET_OUT": f"{tmp_path}/by_env", "FLOWQUET_QUIET": "0"}
    process = run("convert", "@nightly", f"{logs}/c", cwd=tmp_path, env=env)
    assert json.loads(process.stdout)["sources"] == [f"{logs}/c"] and "done: " in process.stderr
    assert (tmp_path / "by_env").is_dir()
    # The same job for other commands, and from elsewhere.
    assert "complete: 2 objects in the table" in run("status", "@nightly", cwd=tmp_path, env=BARE).stdout
    run("compact", "@nightly", env=BARE | {"FLOWQUET_CONFIG": str(tmp_path / "flowquet.toml")})
    # A file that nobody names is nobody's.
    assert run("convert", f"{logs}/a", "--out", tmp_path / "plain", "-q", cwd=tmp_path, env=BARE).stdout == ""


def test_mistakes_in_a_file(logs, tmp_path):
    (tmp_path / "flowquet.toml").write_text("[jobs.a]\nthreads = 'many'\nout = 'x'\nsalvage = true\n")
    words = run("convert", "@a", logs, cwd=tmp_path, env=BARE, check=2).stderr
    assert "expected a number from 1 to 1,024, found `many`" in words
    assert words.strip().endswith("note: from `flowquet.toml`, job `a`: out, salvage, threads")
    words = run("convert", "@b", cwd=tmp_path, env=BARE, check=2).stderr
    assert words == "error: read `flowquet.toml`: expected a job `b`, found a\n"
    words = run("convert", "@a", cwd=logs, env=BARE, check=2).stderr
    assert "read `flowquet.toml`: No such file" in words and "hint: jobs are in flowquet.toml in this folder" in words


def test_lists_and_switches_of_the_environment(logs, tmp_path):
    env = BARE | {"FLOWQUET_SOURCE": f"{logs}/a\n{logs}/b\n", "FLOWQUET_OUT": str(tmp_path / "lake"), "FLOWQUET_REPORT": "-", "FLOWQUET_QUIET": "true"}
    assert json.loads(run("convert", env=env).stdout)["objects"]["listed"] == 2
    assert "complete: 2 objects in the table" in run("status", env=env).stdout
    env |= {"FLOWQUET_SOURCE": str(logs), "FLOWQUET_OUT": str(tmp_path / "other"), "FLOWQUET_EXCLUDE": "**/a/*\n**/b/*"}
    assert json.loads(run("convert", env=env).stdout)["objects"]["listed"] == 1
    # What is typed replaces the list.
    assert json.loads(run("convert", "--exclude", "**/c/*", env=env).stdout)["objects"]["listed"] == 2


def stopped(process, began):
    words = process.communicate(timeout=120)[1]
    assert process.returncode == 130, words
    return words, time.monotonic() - began


def test_ends_within_its_grace_though_nothing_comes(tmp_path):
    """A pipe that nobody writes to looks at no flag."""
    for grace, signals, said in [(2, 1, "did not stop within 2 s; exiting now"), (3600, 2, "stopping; a second Ctrl-C or SIGTERM exits immediately")]:
        out = tmp_path / f"lake{grace}"
        command = [FLOWQUET, "convert", "-", "--out", out, "--stop-within", str(grace)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=BARE)
        kills.wait_for(1, lambda: len(list(out.glob("_flowquet/*"))), process)
        began = time.monotonic()
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            # Two at once are one.
            time.sleep(0.5)
        # The pipe stays open until the process has ended.
        process.wait(timeout=120)
        words, took = stopped(process, began)
        assert said in words, words
        assert took >= 2 if signals == 1 else took < 60


def test_ends_within_its_grace_with_a_slow_store(tmp_path):
    made = flowlogs(tmp_path / "made", "--objects", 40, "--records", 500)
    with s3.serve("--latency-ms", "2000", load=made) as server:
        command = s3.command(server, "convert", "s3://logs/", "--out", "s3://lake/t", "--report", tmp_path / "report.json")
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=s3.ENVIRONMENT)
        kills.wait_for(1, lambda: server.tally().get("GET", 0), process)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        words, took = stopped(process, began)
        assert took < 25 and "did not stop within" not in words, (took, words)
        report = json.loads((tmp_path / "report.json").read_text())
        report_schema().validate(report)
        assert (report["outcome"], report["exit_code"]) == ("interrupted", 130)


def test_a_report_says_when_what_and_how_often(tmp_path):
    made = flowlogs(tmp_path / "made", "--objects", 12, "--records", 500)
    with s3.serve("--slow-down", "0.2", "--internal-error", "0.1", load=made) as server:
        reports = [s3.convert(server, "s3://logs/AWSLogs/", "s3://lake/t", "--metrics", tmp_path / "m.prom") for _ in range(2)]
        metrics = parsed(tmp_path / "m.prom")
    for report in reports:
        report_schema().validate(report)
        assert report["started_at"] <= report["finished_at"] and report["sources"] == ["s3://logs/AWSLogs/"]
    first, second = reports
    assert first["run_id"] != second["run_id"] and len(first["run_id"]) == 32
    assert first["s3_requests"] > first["s3_retries"] > 0 and first["s3_throttles"] > 0
    newest = max(naive_times(made))
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(newest)) == first["newest_record_at"] and "newest_record_at" not in second
    # The second run found nothing new, and its metrics know of the first.
    assert metrics["flowquet_newest_record_timestamp_seconds"] == newest
    assert metrics['flowquet_objects{state="known"}'] == 12
    assert metrics["flowquet_s3_requests_total"] == second["s3_requests"]


def naive_times(made):
    import gzip

    for path in made.rglob("*.gz"):
        header, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        start = header.split().index("start")
        for line in lines:
            if (value := line.split()[start]).isdigit():
                yield int(value)


def parsed(path, command="convert"):
    """Metrics by name and labels beside those of all; each has a help, a type and a number."""
    found, kinds, name = {}, {}, None
    whose = re.compile(rf'\{{command="{command}",out="[^"]+",?')
    for line in path.read_text().splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
        elif line.startswith("# TYPE "):
            assert line.split()[2] == name and name not in kinds
            kinds[name] = line.split()[3]
        else:
            match = re.fullmatch(r'([a-z_0-9]+)((?:\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)+\})?) (-?[0-9]+)', line)
            assert match and match[1] == name, line
            labels, count = whose.subn("{", match[2])
            assert count == 1, line
            found[match[1] + labels.replace("{}", "")] = int(match[3])
    assert all((kind == "counter") == name.endswith("_total") for name, kind in kinds.items()), kinds
    return found


def test_metrics(logs, tmp_path):
    (logs / "a" / "1.log").write_text(f"{naive.V2}\n{LINE}nonsense\n")
    file, out = tmp_path / "flowquet.prom", tmp_path / "lake"
    before = time.time()
    convert(logs, out, "--metrics", file)
    found = parsed(file)
    assert found['flowquet_objects{state="converted"}'] == 3 and found["flowquet_records_total"] == 3 and found["flowquet_lines_total"] == 7
    assert sum(n for name, n in found.items() if name.startswith("flowquet_rejects_total{")) == 1
    assert found["flowquet_newest_record_timestamp_seconds"] == 1705276800
    assert found["flowquet_lag_seconds"] == found["flowquet_updated_timestamp_seconds"] - 1705276800
    assert (found["flowquet_run_active"], found["flowquet_run_exit_code"]) == (0, 0)
    success = found["flowquet_last_success_timestamp_seconds"]
    assert before - 1 <= success <= time.time()
    # A run that fails does not forget when one last succeeded.
    (logs / "d.log.gz").write_bytes(b"\x1f\x8b damaged")
    convert(logs, out, "--metrics", file, check=4)
    found = parsed(file)
    assert (found["flowquet_run_exit_code"], found["flowquet_last_success_timestamp_seconds"]) == (4, success)
    assert found['flowquet_objects{state="failed"}'] == 1 and found["flowquet_newest_record_timestamp_seconds"] == 1705276800
    run("convert", logs, "--out", out, "--metrics", tmp_path / "none" / "m.prom", check=2)


def test_metrics_while_it_runs(tmp_path):
    """The file is whole at any time; what is written at intervals is read from a process that is stopped in the midst."""
    made = flowlogs(tmp_path / "made", "--objects", 6, "--records", 500)
    file = tmp_path / "m.prom"
    with s3.serve("--latency-ms", "4000", load=made) as server:
        command = s3.command(server, "convert", "s3://logs/", "--out", "s3://lake/t", "-q", "--metrics", file)
        process = subprocess.Popen(command, env=s3.ENVIRONMENT)
        kills.wait_for(1, file.exists, process)
        running = parsed(file)
        assert running["flowquet_run_active"] == 1 and "flowquet_run_exit_code" not in running
        updated = "flowquet_updated_timestamp_seconds"
        kills.wait_for(1, lambda: parsed(file)[updated] > running[updated], process)
        later = parsed(file)
        process.kill()
        process.wait()
    assert later["flowquet_run_active"] == 1 and later["flowquet_s3_requests_total"] > running["flowquet_s3_requests_total"]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S)


def told(path):
    """A file of metrics and a report that belong together, of a command that has both."""
    report = json.loads((path / "report.json").read_text())
    jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/run-report.schema.json").read_text())).validate(report)
    metrics = parsed(path / "m.prom", report["command"])
    assert metrics["flowquet_run_exit_code"] == report["exit_code"] and metrics["flowquet_run_active"] == 0
    assert metrics["flowquet_s3_requests_total"] == report["s3_requests"]
    assert f'out="{report["out"]}",version=' in (path / "m.prom").read_text() and report["run_id"] in (path / "m.prom").read_text()
    return report, metrics


def test_other_commands_tell_too(logs, tmp_path):
    """Counts against the table's own footers and files; what failed is told as well."""
    out, hourly = tmp_path / "lake", tmp_path / "hourly"
    # The same name for each: nothing of another command is taken over.
    files = ["--metrics", tmp_path / "m.prom", "--report", tmp_path / "report.json", "-q"]
    for name in ["a", "b"]:
        convert(logs / name, out, "--max-rejects", 9)
    rows = sum(pq.read_metadata(path).num_rows for path in conftest.files(out).values())

    run("compact", out, "--in", logs, *files)
    report, metrics = told(tmp_path)
    assert report["done"]["rows"] == 3 == metrics["flowquet_rows_read_total"] and report["done"]["files_in"] == 3
    assert metrics['flowquet_partitions{state="compacted"}'] == 1 and metrics["flowquet_replaced_files_total"] == 3
    # One that the conversion wrote, and one of the three.
    assert (metrics["flowquet_written_files_total"], metrics['flowquet_objects{state="known"}']) == (2, 2)
    assert (rows, metrics["flowquet_records_total"], metrics["flowquet_newest_record_timestamp_seconds"]) == (2, 1, 1705276800)
    assert "flowquet_findings" not in metrics and "flowquet_duplicate_rows_total" not in metrics

    run("compact", out, "--dedup", "exact", "--sort", "bytes", *files)
    report, metrics = told(tmp_path)
    assert (metrics["flowquet_duplicate_rows_total"], metrics["flowquet_rows_written_total"]) == (2, 1), metrics
    # Nothing was converted, and what was newest is known from the run before.
    assert "flowquet_records_total" not in metrics and metrics["flowquet_newest_record_timestamp_seconds"] == 1705276800

    run("rollup", out, "--by", "hour,srcaddr", "--out", hourly, *files)
    report, metrics = told(tmp_path)
    assert (report["command"], metrics['flowquet_partitions{state="rolled_up"}'], metrics["flowquet_written_files_total"]) == ("rollup", 1, 1)
    assert metrics["flowquet_rows_written_total"] == report["done"]["rows"] == 1

    other = tmp_path / "other"
    convert(logs, other)
    (logs / "c" / "1.log").write_text(f"{naive.V2}\n{LINE}{LINE}nonsense\n")
    run("reconvert", other, "--object", "**/c/*", *files)
    report, metrics = told(tmp_path)
    assert report["done"]["objects"] == 1 and metrics['flowquet_objects{state="converted"}'] == 3
    assert metrics["flowquet_records_total"] == 4 and sum(n for name, n in metrics.items() if name.startswith("flowquet_rejects_total{")) == 1
    assert (metrics["flowquet_replaced_files_total"], metrics["flowquet_written_files_total"]) == (1, 1)

    run("verify", other, "--read-data", "--source", logs, "--list-safe", tmp_path / "safe.txt", *files)
    report, metrics = told(tmp_path)
    assert {name: n for name, n in metrics.items() if "findings" in name} == {f'flowquet_findings{{level="{level}"}}': 0 for level in ["records", "listing", "footers", "data", "source"]}
    assert (metrics['flowquet_checked_files{level="data"}'], metrics["flowquet_rows_read_total"], metrics["flowquet_safe_objects"]) == (1, 4, 3)
    success = metrics["flowquet_last_success_timestamp_seconds"]
    [file] = conftest.files(other).values()
    file.unlink()
    run("verify", other, *files, check=5)
    report, metrics = told(tmp_path)
    assert (report["outcome"], report["error"], len(report["done"]["findings"])) == ("files-damaged", None, 1)
    assert metrics['flowquet_findings{level="listing"}'] == 1 and metrics["flowquet_last_success_timestamp_seconds"] == success

    # What fails before it came to anything.
    run("verify", tmp_path / "none", *files, check=1)
    report, metrics = told(tmp_path)
    assert report["done"] is None and report["error_kind"] == "no-table" and "hint" not in report["error"]
    assert "flowquet_last_success_timestamp_seconds" not in metrics and "flowquet_findings" not in str(metrics)
    # What would be done is no success that an alarm waits for.
    for command in [("compact", other), ("reconvert", other, "--object", "**"), ("rollup", other, "--by", "hour", "--out", tmp_path / "sums")]:
        assert "cannot be used with" in run(*command, "--dry-run", "--metrics", tmp_path / "m.prom", check=2).stderr
    run("verify", other, "--report", tmp_path / "none" / "r.json", check=2)


def test_what_the_pages_show(logs, tmp_path):
    """Metrics that exist, documents that can be read, options that the program has."""
    convert(logs, tmp_path / "lake", "--metrics", tmp_path / "m.prom")
    page = (ROOT / "docs/OPERATING.md").read_text()
    # The list of all is held to the program by a test of its own (crates/cli/src/metrics/list.rs).
    listed = {name: of for name, of in re.findall(r"^\| `(flowquet_[a-z0-9_]+)(?:\{[^`]*\})?` \| ([a-z, ]+) \|", page, re.M)}
    of_convert = {name for name, of in listed.items() if of == "all" or "convert" in of.split(", ")}
    told = set(re.findall(r"^# TYPE (\S+)", (tmp_path / "m.prom").read_text(), re.M))
    # Told where there is something to tell.
    assert told == of_convert - {"flowquet_rejects_total", "flowquet_restores"}
    [rules] = [block for block in blocks("OPERATING.md", "yaml") if "alert" in block]
    rules = yaml.safe_load(rules)["groups"][0]["rules"]
    named = {name for rule in rules for name in re.findall(r"flowquet_[a-z0-9_]+", rule["expr"])}
    assert len(rules) == 5 and named <= set(listed)
    [job] = [yaml.safe_load(block) for block in blocks("OPERATING.md", "yaml") if "CronJob" in block]
    [task] = [json.loads(block) for block in blocks("OPERATING.md", "json")]
    container = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    codes = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"]
    table = {}
    for line in (ROOT / "docs/OPERATING.md").read_text().splitlines():
        if match := re.match(r"\| (\d+) \| .* \| (\w*)[^|]*\|$", line):
            table[int(match[1])] = match[2]
    assert sorted(codes) == sorted(code for code, again in table.items() if again == "no") and {75, 130, 137} == {code for code, again in table.items() if again == "yes"}
    # What is wrong is the thread count, and nothing before it.
    for args in [container["args"], task["containerDefinitions"][0]["command"]]:
        assert "found `many`" in run(*args, "--threads", "many", env=BARE, check=2).stderr
    [file] = blocks("OPTIONS.md", "toml")
    (tmp_path / "flowquet.toml").write_text(file)
    words = run("convert", "@nightly", "--threads", "many", cwd=tmp_path, env=BARE, check=2).stderr
    assert "found `many`" in words and words.strip().endswith("job `nightly`: account, database, out, region, register, source, table")


def test_what_a_collector_is_told_to_read(logs, tmp_path):
    """The configuration for OpenTelemetry's collector names what messages have, in the form that they have it."""
    [config] = [yaml.safe_load(block) for block in blocks("OPERATING.md", "yaml") if "otlp" in block]
    process = run("convert", logs, "--out", tmp_path / "lake", "--log-format", "json", "-v", env=BARE)
    messages = [json.loads(line) for line in process.stderr.splitlines()]
    [parser] = config["receivers"]["filelog/messages"]["operators"]
    timestamp, severity = parser["timestamp"], parser["severity"]["parse_from"]
    assert (parser["type"], timestamp["layout_type"], timestamp["parse_from"], severity) == ("json_parser", "gotime", "attributes.timestamp", "attributes.level")
    # Go's layouts are an example time; a fraction of nines takes any number of digits.
    assert timestamp["layout"] == "2006-01-02T15:04:05.999999999Z"
    assert messages and all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", message["timestamp"]) for message in messages)
    assert {message["level"].lower() for message in messages} <= {"trace", "debug", "info", "warn", "error"}
    [keep] = config["receivers"]["prometheus"]["config"]["scrape_configs"][0]["metric_relabel_configs"]
    assert re.fullmatch(keep["regex"], "flowquet_run_info") and keep["action"] == "keep"
    used = {name for pipeline in config["service"]["pipelines"].values() for name in pipeline["receivers"]}
    assert used == set(config["receivers"]) and {"otlp"} == set(config["exporters"])


def test_a_report_has_the_hint_of_what_stopped_the_run(tmp_path, logs):
    (logs / "a.log").write_text(f"{naive.V2}\nno record\n")
    report = convert(logs, tmp_path / "t", "--max-rejects", 0, check=3)
    assert len(report["hints"]) == 1 and "--max-rejects" in report["hints"][0]


def test_what_stopped_a_run_is_told_though_its_report_cannot_be_written(tmp_path, logs):
    (logs / "a.log").write_text(f"{naive.V2}\nno record\n")
    with s3.serve() as server:
        report = ["--report", "s3://no-such-bucket/report.json"]
        stopped = s3.run(server, "convert", logs, "--out", tmp_path / "t", "--max-rejects", 0, *report, check=3)
        assert "stopped: 0 of 1 tasks finished" in stopped.stderr and "and --max-rejects allows 0" in stopped.stderr
        # Where nothing did, the summary comes first, and the report is what failed.
        done = s3.run(server, "convert", logs, "--out", tmp_path / "t", *report, check=1)
        assert "done: " in done.stderr and "no-such-bucket" in done.stderr


def test_an_error_of_usage_names_variables_that_are_set(tmp_path, logs):
    plan = tmp_path / "plan.json"
    run("plan", logs, "--out", tmp_path / "lake", "--save", plan)
    env = {**BARE, "FLOWQUET_SOURCE": str(logs), "FLOWQUET_THREADS": "1"}
    words = run("convert", "--plan", plan, "--shard", "0/1", env=env, check=2).stderr
    assert "cannot be used with '[SOURCE]...'" in words and "note: from the environment: FLOWQUET_SOURCE, FLOWQUET_THREADS\n" in words
    env.pop("FLOWQUET_SOURCE")
    assert "from the environment" not in run("convert", "--plan", plan, "--shard", "0/1", env=env).stderr


def test_a_report_into_a_pipe_leaves_the_pipe(logs, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen([FLOWQUET, "convert", logs, "--out", tmp_path / "out", "--quiet", "--report", pipe])
    assert json.loads(pipe.read_text())["outcome"] == "success"
    assert process.wait() == 0 and pipe.is_fifo()
