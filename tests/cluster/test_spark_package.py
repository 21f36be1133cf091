"""The parts of flowquet_spark that need no engine."""

import ast
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from conftest import FLOWQUET, ROOT, TASKS, content, difference
from flowquet_spark import COLUMNS, Job, JobFailed, driver, exit_code_of, worker
from flowquet_spark.__main__ import job_of, parser
from flowquet_spark.report import Report

SOURCE = ROOT / "python/src/flowquet_spark"


def work(binary, **given):
    defaults = {"plan": b"", "plan_at": "plan.json", "shards": 3, "options": (), "environment": (), "attempts": 3, "by_engine": False}
    return worker.Work(binary=str(binary), **{**defaults, **given})


def program(tmp_path, text):
    """A program that stands for flowquet."""
    path = tmp_path / "flowquet"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def tries(tmp_path):
    return len((tmp_path / "tries").read_text().split())


@pytest.mark.parametrize(
    ("codes", "whole"),
    [([], 0), ([0, 0], 0), ([0, 4], 4), ([4, 75], 75), ([0, 130], 75), ([75, 5], 5), ([5, 3], 3), ([137, 4], 1), ([127], 1), ([101, 75], 1), ([1, 2], 2)],
)
def test_the_gravest_exit_code_is_that_of_the_whole(codes, whole):
    assert exit_code_of(codes) == whole


@pytest.mark.parametrize(("code", "tried"), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (75, 3), (101, 1), (130, 3)])
def test_what_may_succeed_is_tried_again(code, tried, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "PAUSE_S", 0)
    row = worker.until_settled(work(program(tmp_path, f"echo x >> {tmp_path}/tries; echo because >&2; exit {code}")), 1)
    assert (row["exit_code"], row["attempt"], tries(tmp_path)) == (code, tried - 1, tried)
    assert row.keys() == COLUMNS.keys() and row["error"] == "because"


def test_what_a_signal_killed_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "PAUSE_S", 0)
    row = worker.until_settled(work(program(tmp_path, f"echo x >> {tmp_path}/tries; kill -9 $$")), 0)
    assert (row["exit_code"], row["outcome"], tries(tmp_path)) == (137, "killed", 3)


def test_an_engine_that_retries_is_left_to_it(tmp_path, monkeypatch):
    failing = work(program(tmp_path, f"echo x >> {tmp_path}/tries; exit 75"), by_engine=True)
    monkeypatch.setattr(worker, "attempt_of_engine", lambda: 0)
    with pytest.raises(worker.ShardFailed, match="shard 1/3, attempt 1 of 3: exit code 75"):
        worker.until_settled(failing, 1)
    # The last failure is a row: the other shards go on.
    monkeypatch.setattr(worker, "attempt_of_engine", lambda: 2)
    assert worker.until_settled(failing, 1)["exit_code"] == 75
    assert tries(tmp_path) == 2


def test_a_program_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "PAUSE_S", 0)
    row = worker.until_settled(work(tmp_path / "none"), 0)
    assert row["exit_code"] == worker.NOT_FOUND and "looked for" in row["error"]
    with pytest.raises(JobFailed, match="hint: name the program by --binary"):
        driver.make_plan(Job(sources=["logs"], out="out", binary=str(tmp_path / "none")))


def test_an_engine_without_pyarrow():
    assert "install it there" in driver.hint_of(RuntimeError("ModuleNotFoundError: No module named 'pyarrow'"))
    assert "run the same command again" in driver.hint_of(RuntimeError("an executor was lost"))


def test_a_shipped_program_that_lost_its_permission_runs(tmp_path):
    path = program(tmp_path, "exit 4")
    path.chmod(0o644)
    assert worker.perform(work(path), 0, 0)["exit_code"] == 4


def test_the_program_ends_with_its_executor(tmp_path):
    program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    code = f"import sys; sys.path[:0] = [{str(ROOT / 'python/src')!r}]\nfrom flowquet_spark import worker\n"
    code += f"worker.perform(worker.Work(b'', 'plan', 1, {str(tmp_path / 'flowquet')!r}, (), (), 1, False), 0, 0)"
    process = subprocess.Popen([sys.executable, "-c", code])
    pid = tmp_path / "pid"
    until = time.monotonic() + 30
    while time.monotonic() < until and not (pid.exists() and pid.read_text().strip()):
        time.sleep(0.02)
    process.kill()
    process.wait()
    while time.monotonic() < until and pathlib.Path(f"/proc/{pid.read_text().strip()}").exists():
        if "Z" in pathlib.Path(f"/proc/{pid.read_text().strip()}/stat").read_text().rsplit(")", 1)[1].split()[0]:
            break
        time.sleep(0.02)
    assert time.monotonic() < until


def test_shards_without_an_engine(logs, one_machine, tmp_path):
    """A plan that travels, of as many shards as asked for; and what it adds up to."""
    job = Job(sources=[str(logs)], out=str(tmp_path / "table"), plan_options=TASKS, binary=str(FLOWQUET), shards=5)
    plan = driver.make_plan(job)
    made = work(FLOWQUET, plan=driver.packed(plan), plan_at=None, shards=5, options=("--threads", "1"))
    rows = [worker.until_settled(made, shard) for shard in (3, 0, 4, 4, 2, 1)]
    assert difference(content(tmp_path / "table"), one_machine) == []
    # One was performed twice: the second time there was nothing left to do.
    assert [row["objects_known"] for row in rows].count(0) == 5
    del rows[3]
    report = Report(plan["estimate"]["objects"], plan["estimate"]["bytes"], 24, rows, 5, 1.0)
    assert report.unbalanced() == [] and report.exit_code() == 0
    assert report.sums()["objects_converted"] == 24 and report.sums()["records"] == 24 * 12_000
    assert report.text().endswith("done: 5 of 5 shards, 288,024 lines read, 288,000 records written, 0 rejected")
    assert json.loads(json.dumps(report.as_json()))["sums"]["lines"] == 288_024
    # What does not add up is a failure.
    lost = Report(25, 0, 24, rows, 5, 1.0)
    assert lost.exit_code() == 1 and "the plan has 25 objects, its shards 24" in lost.text()
    assert Report(24, 0, 24, rows[1:], 5, 1.0).exit_code() == 1
    wrong = [{**rows[0], "lines": rows[0]["lines"] + 1}, *rows[1:]]
    assert "lines are not records" in Report(24, 0, 24, wrong, 5, 1.0).text()


def test_a_plan_that_is_saved(logs, one_machine, tmp_path):
    job = Job(sources=[str(logs)], out=str(tmp_path / "table"), plan_options=TASKS, binary=str(FLOWQUET), plan_at=str(tmp_path / "plan.json"))
    assert len(driver.make_plan(job)["plan"]["tasks"]) == 24
    made = work(FLOWQUET, plan_at=job.plan_at, shards=2)
    assert [worker.until_settled(made, shard)["exit_code"] for shard in (1, 0)] == [0, 0]
    assert difference(content(tmp_path / "table"), one_machine) == []


def test_a_wrong_command_line_ends_with_the_programs_words(tmp_path):
    with pytest.raises(JobFailed, match="--no-such-option") as failed:
        driver.make_plan(Job(sources=["logs"], out=str(tmp_path), plan_options=["--no-such-option"], binary=str(FLOWQUET)))
    assert failed.value.exit_code == 2


@pytest.mark.parametrize(
    ("objects", "size", "tasks", "shards"), [(24, 10**7, 24, 24), (10**6, 10**12, 3_000, 349), (10**6, 372 * 10**10, 10_000, 1_165), (10**4, 10**14, 40_000, 10_000), (10**6, 10**6, 500, 100)]
)
def test_shards_do_not_spend_their_time_on_the_plan(objects, size, tasks, shards):
    assert driver.shards_for(objects, size, tasks) == shards


def test_options_go_where_they_belong():
    line = "s3://logs/a s3://logs/b --out s3://lake/t --since 2024-01-01 --region eu-west-1 --path-style --memory 512M --max-rejects 1% --env A=b=c --shards 7"
    job = job_of(*parser().parse_known_args(line.split()))
    assert job.plan_options == ("s3://logs/a", "s3://logs/b", "--since", "2024-01-01")
    assert job.both_options == ["--region", "eu-west-1", "--path-style"]
    assert job.convert_options == ["--memory", "512M", "--max-rejects", "1%"]
    assert (job.shards, job.environment) == (7, {"A": "b=c"})


def test_what_executors_get_imports_nothing_of_ours():
    """It is sent by value; what it imported by name, executors would not have."""
    tree = ast.parse((SOURCE / "worker.py").read_text())
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    assert imported == []
    names = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names - sys.stdlib_module_names == {"pyarrow", "pyspark"}


def test_what_is_public_is_typed_and_described():
    for path in SOURCE.glob("*.py"):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("__") and node.name not in {"first", "given", "run"}:
                assert ast.get_docstring(node), (path, node.name)
            if isinstance(node, ast.FunctionDef):
                given = [argument for argument in node.args.args if argument.arg != "self"]
                assert node.returns is not None and all(argument.annotation for argument in given), (path, node.name)


def test_it_can_be_installed(tmp_path):
    """`pip install ./python`, without the registry: the back end is the one that is here."""
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", tmp_path / "site", tmp_path / "python"]


    shutil.copytree(ROOT / "python", tmp_path / "python", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    subprocess.run(command, check=True, env=env)
    assert (tmp_path / "site/flowquet_spark/py.typed").exists()
    done = subprocess.run([sys.executable, "-m", "flowquet_spark", "--help"], capture_output=True, text=True, env={**env, "PYTHONPATH": str(tmp_path / "site")})
    assert done.returncode == 0 and "--ship FILE" in done.stdout
