"""A plan that a cluster performs, whatever dies meanwhile: the table is the one that one machine makes, byte for byte."""

import json
import os
import shlex
import shutil
import signal
import subprocess

import pytest

import gluestub
import s3
import spark
from conftest import FLOWQUET, ROOT, TASKS, content, difference, end, named, run, tree, wait_for

#: Environments that `./test cluster` makes, beside the tests' own.
OTHERS = {"sail": ".venv-sail", "spark 3.5": ".venv-spark35"}


def other(name):
    """The Python of one of them; `./test` has no time for them."""
    if "FLOWQUET_CLUSTER" not in os.environ:
        pytest.skip("run by ./test cluster")
    python = spark.interpreter(OTHERS[name])
    assert python.exists(), f"{python} is made by ./test cluster"
    return python


def commits(out):
    return len(list(out.glob("_flowquet/commits/**/*.json")))


def converting(process):
    """Processes of flowquet that convert below `process`."""
    return named(tree(process.pid), "flowquet")


def finish(job, log, code=0):
    assert job.wait(timeout=240) == code, log.read_text(errors="replace")[-4000:]
    return log.read_text(errors="replace")


def check(out, report, one_machine):
    assert difference(content(out), one_machine) == []
    told = json.loads(report.read_text())
    assert told["unbalanced"] == [] and told["exit_code"] == 0
    assert sorted(row["shard"] for row in told["summaries"]) == list(range(told["planned"]["tasks"]))
    assert told["sums"]["objects_listed"] == told["planned"]["objects"] == 24
    assert run("status", out, check=None).returncode == 0
    return told


def test_a_worker_dies_in_the_middle(logs, one_machine, tmp_path):
    out, report, log = tmp_path / "table", tmp_path / "report.json", tmp_path / "driver.log"
    # What is shipped fails once on one of the shards, as where a store does not answer.
    shipped = tmp_path / "shipped" / "flowquet"
    shipped.parent.mkdir()
    shipped.write_text(f'#!/bin/sh\ncase "$*" in *"--shard 5/"*) mkdir {tmp_path}/once && {{ echo made up >&2; exit 75; }};; esac\nexec {FLOWQUET} "$@"\n')
    shipped.chmod(0o755)
    with spark.cluster(spark.OWN, tmp_path) as (master, workers):
        job = spark.driver(
            spark.OWN, log, "--master", master, "--ship", shipped, logs, "--out", out, "--report", report, *TASKS, settings=spark.SETTINGS
        )
        try:
            wait_for("tasks that are committed", lambda: job.poll() is not None or commits(out) >= 3, 120)
            # The machine goes: Spark's worker, its executor, Python and the program, while that converts.
            wait_for("work on the first worker", lambda: job.poll() is not None or converting(workers[0]))
            assert job.poll() is None and commits(out) < 24, log.read_text(errors="replace")[-4000:]
            end(workers[0])
            said = finish(job, log)
        finally:
            end(job)
    told = check(out, report, one_machine)
    assert "by 24 shards on Spark 4" in said and "done: 24 of 24 shards" in said
    # The one that failed and the one that died were performed again, by the engine.
    again = [row for row in told["summaries"] if row["attempt"] > 0]
    assert 5 in [row["shard"] for row in again] and len(again) >= 2
    # A job that is run again finds nothing to do.
    done = subprocess.run(
        [spark.OWN, "-m", "flowquet_spark", "--master", "local[1]", "--binary", FLOWQUET, logs, "--out", out, *TASKS],
        capture_output=True,
        text=True,
        env=spark.environment(spark.OWN),
        timeout=120,
    )
    assert done.returncode == 0 and "done: nothing new" in done.stderr


def test_sail_performs_it_though_a_process_dies(logs, one_machine, tmp_path):
    python = other("sail")
    out, report, log = tmp_path / "table", tmp_path / "report.json", tmp_path / "driver.log"
    with spark.sail(python, tmp_path) as (remote, server):
        job = spark.driver(python, log, "--remote", remote, "--binary", FLOWQUET, logs, "--out", out, "--report", report, *TASKS)
        try:
            wait_for("tasks that are committed", lambda: job.poll() is not None or commits(out) >= 3)
            (victim, *_) = wait_for("a process that converts", lambda: converting(server))
            os.kill(victim, signal.SIGKILL)
            said = finish(job, log)
        finally:
            end(job)
        told = check(out, report, one_machine)
        assert "over Connect" in said
        assert any(row["attempt"] > 0 for row in told["summaries"])
        # It ships no files.
        job = spark.driver(python, log, "--remote", remote, "--ship", FLOWQUET, logs, "--out", out, *TASKS)
        assert "hint: put the program on all machines and name its path by --binary" in finish(job, log, 1)


def test_a_server_that_dies_leaves_a_table_that_the_next_run_completes(logs, one_machine, tmp_path):
    python = other("sail")
    out, report, log = tmp_path / "table", tmp_path / "report.json", tmp_path / "driver.log"
    arguments = ["--binary", FLOWQUET, logs, "--out", out, "--report", report, *TASKS]
    with spark.sail(python, tmp_path) as (remote, server):
        job = spark.driver(python, log, "--remote", remote, *arguments)
        wait_for("tasks that are committed", lambda: job.poll() is not None or commits(out) >= 3)
        end(server)
        end(job)
    assert 3 <= commits(out) < 24
    # What is planned is in the table: any flowquet finishes it.
    run("convert", logs, "--out", out, "--quiet", *TASKS)
    assert difference(content(out), one_machine) == []


def test_a_table_in_s3_that_is_registered(logs, tmp_path):
    python = other("sail")
    report, log = tmp_path / "report.json", tmp_path / "driver.log"
    with s3.serve(load=logs) as server, gluestub.serve() as glue, spark.sail(python, tmp_path) as (remote, _):
        s3.run(server, "convert", "s3://logs/", "--out", "s3://lake/one", "--quiet", *TASKS)
        given = {name: value for name, value in s3.ENVIRONMENT.items() if name.startswith("AWS_")} | {"FLOWQUET_GLUE_ENDPOINT_URL": glue.url, "AWS_REGION": "us-east-1"}
        env = [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
        where = ["--endpoint-url", server.url, "--plan-at", "s3://lake/plans/plan.json", "--shards", "5"]
        table = ["--register", "--database", "lake", "--table", "flows"]
        job = spark.driver(python, log, "--remote", remote, "--binary", FLOWQUET, *env, *where, *table, "s3://logs/", "--out", "s3://lake/t", "--report", report, *TASKS)
        said = finish(job, log)
        one, many = (server.fetch(prefix, tmp_path / prefix) for prefix in ("one", "t"))
        assert "done: 5 of 5 shards" in said and "lake.flows: table created" in said
        assert set(glue.tables) == {"flows"} and len(glue.partitions) > 0
    registration = "_flowquet/catalog.json"
    assert difference(content(one), content(many)) == [registration]
    assert json.loads(report.read_text())["sums"]["objects_converted"] == 24


def test_spark_over_connect(logs, one_machine, tmp_path):
    python = other("sail")
    out, report, log = tmp_path / "table", tmp_path / "report.json", tmp_path / "driver.log"
    # A server of Spark itself, which the client starts.
    job = spark.driver(
        python, log, "--remote", "local[2]", "--ship", FLOWQUET, logs, "--out", out, "--report", report, *TASKS, settings=spark.SETTINGS
    )
    try:
        said = finish(job, log)
    finally:
        end(job)
    check(out, report, one_machine)
    assert "on Spark 4.1.1 over Connect" in said


def test_spark_of_glue_and_emr(logs, one_machine, tmp_path):
    python = other("spark 3.5")
    out, report, log = tmp_path / "table", tmp_path / "report.json", tmp_path / "driver.log"
    job = spark.driver(
        python, log, "--master", "local[2]", "--ship", FLOWQUET, logs, "--out", out, "--report", report, *TASKS, settings=spark.SETTINGS
    )
    try:
        said = finish(job, log)
    finally:
        end(job)
    check(out, report, one_machine)
    assert "on Spark 3.5" in said


def test_spark_submit_as_glue_does(logs, one_machine, tmp_path):
    """The example's file with a wheel among its Python files and a shipped program, its whole command line in one argument."""
    if "FLOWQUET_CLUSTER" not in os.environ:
        pytest.skip("run by ./test cluster")
    out, log = tmp_path / "table", tmp_path / "driver.log"
    shutil.copytree(ROOT / "python", tmp_path / "python", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    wheel = [spark.OWN, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", tmp_path, tmp_path / "python"]
    subprocess.run(wheel, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    given = [word for name, value in spark.SETTINGS.items() for word in ("--conf", f"{name}={value}")]
    command = [spark.spark_class(spark.OWN).with_name("spark-submit"), "--master", "local[2]", *given, "--py-files", wheel, "--files", FLOWQUET]
    command += [ROOT / "examples/spark/flowquet_job.py", "--JOB_NAME", "flowquet", "--flowquet", shlex.join(map(str, [logs, "--out", out, "--binary", "flowquet", *TASKS]))]
    env = spark.environment(spark.OWN)
    del env["PYTHONPATH"]
    with log.open("wb") as file:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, log.read_text(errors="replace")[-4000:]
    assert difference(content(out), one_machine) == []
