"""A plan that several processes perform: how it is divided, which shard a process takes, and that the table is the same."""

import json
import os
import shutil
import signal
import subprocess

import jsonschema
import pytest

import s3
from conftest import FLOWQUET, ROOT, content, flowlogs, multiset, plans, rows, run

SCHEDULERS = ["AWS_BATCH_JOB_ARRAY_INDEX", "JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"]
BARE = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_BATCH", "JOB_", "SLURM_", "FLOWQUET_"))}


def validated(name, value):
    jsonschema.Draft202012Validator(json.loads((ROOT / f"schemas/{name}.schema.json").read_text())).validate(value)
    return value


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    return flowlogs(tmp_path_factory.mktemp("logs"), "--records", "200", "--objects", "30", "--every-s", "14400")


@pytest.fixture(scope="module")
def whole(logs, tmp_path_factory):
    """The table that one process makes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run("convert", logs, "--out", out, "--quiet")
    return content(out)


def planned(logs, tmp_path, *args, out="out"):
    """The plan's file, what was printed, and the plan."""
    file = tmp_path / "plan.json"
    said = run("plan", logs, "--out", tmp_path / out, "--save", file, *args).stdout
    return file, said, validated("plan-file", json.loads(file.read_text()))


def shard(file, *args, check=0, env=None):
    report = file.parent / "report.json"
    report.unlink(missing_ok=True)
    process = run("convert", "--plan", file, *args, "--report", report, check=check, env={**BARE, **(env or {})})
    return validated("report", json.loads(report.read_text())) if report.exists() else process.stderr


def test_shards_are_balanced_and_hold_each_task_once(logs, tmp_path):
    _, said, plan = planned(logs, tmp_path, "--shards", 3)
    tasks, shards = plan["plan"]["tasks"], plan["shards"]
    assert sorted(place for s in shards for place in s["tasks"]) == list(range(len(tasks))) and len(tasks) == 5
    for each in shards:
        objects = [o for place in each["tasks"] for o in tasks[place]["objects"]]
        assert (each["objects"], each["bytes"]) == (len(objects), sum(o["bytes"] for o in objects))
    sizes = [s["bytes"] for s in shards]
    assert max(sizes) - min(sizes) <= max(sum(o["bytes"] for o in t["objects"]) for t in tasks)
    assert "  shards      3, from " in said and "nothing was written but the plan" in said
    # The same again, byte for byte.
    again = tmp_path / "again"
    again.mkdir()
    run("plan", logs, "--out", tmp_path / "out", "--save", again / "plan.json", "--shards", 3)
    assert (again / "plan.json").read_text() == (tmp_path / "plan.json").read_text()


@pytest.mark.parametrize("variable", SCHEDULERS)
def test_a_job_array_makes_the_table_that_one_process_makes(logs, tmp_path, whole, variable):
    file, _, plan = planned(logs, tmp_path, "--shards", 4)
    # In any order, one of them twice, one of them killed in between.
    killed = subprocess.Popen([FLOWQUET, "convert", "--plan", file], env={**BARE, variable: "2", **slurm(4)}, stderr=subprocess.PIPE)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for index in [3, 1, 0, 2, 1]:
        report = shard(file, env={variable: str(index), **slurm(4)})
        listed = report["objects"]["listed"]
        assert listed == plan["shards"][index]["objects"] == report["objects"]["converted"] + report["objects"]["known"]
    assert content(tmp_path / "out") == whole
    assert plans(tmp_path / "out")[0] == plan["plan"]


def slurm(count):
    return {"SLURM_ARRAY_TASK_COUNT": str(count), "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": str(count - 1)}


def test_a_line_for_each_task_or_shard(logs, tmp_path, whole):
    file, said, plan = planned(logs, tmp_path, "--jsonl")
    items = [validated("plan-item", json.loads(line)) for line in said.splitlines()]
    tasks = plan["plan"]["tasks"]
    assert [item["task"] for item in items] == [task["id"] for task in tasks] and "shards" not in plan
    assert [item["bytes"] for item in items] == [sum(o["bytes"] for o in task["objects"]) for task in tasks]
    for item, task in reversed(list(zip(items, tasks))):
        assert (item["plan"], item["out"], item["tasks"]) == (str(file), str(tmp_path / "out"), 1)
        report = shard(file, "--shard", item["shard"])
        assert report["objects"]["converted"] == len(task["objects"])
    assert content(tmp_path / "out") == whole
    # Of shards only those with tasks.
    shutil.rmtree(tmp_path / "out")
    _, said, plan = planned(logs, tmp_path, "--jsonl", "--shards", 7)
    items = [validated("plan-item", json.loads(line)) for line in said.splitlines()]
    assert [item["shard"] for item in items] == [f"{i}/7" for i in range(5)] and len(plan["shards"]) == 7
    # A scheduler runs the others too.
    assert shard(file, "--shard", "6")["objects"]["listed"] == 0
    assert "nothing to do, the shard has no tasks" in run("convert", "--plan", file, "--shard", "6/7").stderr


def test_shards_that_are_not_there(logs, tmp_path):
    file, _, plan = planned(logs, tmp_path, "--shards", 3)
    for env, args, words in [
        ({}, [], "--plan needs to know which shard"),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "3"}, [], "there is no shard 3: AWS_BATCH_JOB_ARRAY_INDEX counts from 0 to 2"),
        ({"JOB_COMPLETION_INDEX": "two"}, [], "expected a number in JOB_COMPLETION_INDEX, found `two`"),
        ({"SLURM_ARRAY_TASK_ID": "1", **slurm(5)}, [], "divided into 3 shards, and the array has 5 tasks"),
        ({}, ["--shard", "3"], "there is no shard 3: --shard counts from 0 to 2"),
        ({}, ["--shard", "3/3"], "expected I/N with I from 0 to N-1"),
        ({"FLOWQUET_SHARD": "9"}, [], "there is no shard 9"),
    ]:
        assert words in shard(file, *args, check=2, env=env), (env, args)
    assert not (tmp_path / "out").exists()
    for args, env in [(["--shard", "0/2"], {}), ([], {"FLOWQUET_SHARD": "0/2"})]:
        words = run("convert", logs, "--out", tmp_path / "out", *args, env=BARE | env, check=2).stderr
        assert "--shard needs the plan that it is a part of" in words
    for place, words in [("none/plan.json", "its folder does not exist"), ("", "it is a folder"), ("s3://lake/", "expected the key of an object")]:
        place = place if place.startswith("s3:") else tmp_path / place
        assert words in run("plan", logs, "--out", tmp_path / "out", "--save", place, check=2).stderr
    # What is given goes before what the array tells.
    assert shard(file, "--shard", "1", env={"JOB_COMPLETION_INDEX": "9"})["objects"]["listed"] == plan["shards"][1]["objects"]
    # A file that somebody edited.
    plan["shards"][0]["tasks"].append(plan["shards"][1]["tasks"][0])
    file.write_text(json.dumps(plan))
    assert "expected each task in one of the shards" in shard(file, "--shard", "0", check=1)


def test_a_plan_of_nothing_new(logs, tmp_path):
    run("convert", logs, "--out", tmp_path / "out", "--quiet")
    file, said, plan = planned(logs, tmp_path, "--shards", 3, "--jsonl")
    assert said == "" and plan["plan"] is None and [s["tasks"] for s in plan["shards"]] == [[], [], []]
    assert shard(file, env={"JOB_COMPLETION_INDEX": "2"})["outcome"] == "success"
    assert "there is no shard 3" in shard(file, check=2, env={"JOB_COMPLETION_INDEX": "3"})


def other_plans(plan):
    """Plans that are not this one, by what differs."""
    changes = {
        "etag": lambda p: p["tasks"][0]["objects"][0].update(etag="another"),
        "size": lambda p: p["tasks"][-1]["objects"][-1].update(bytes=1),
        "object": lambda p: p["tasks"][0]["objects"].pop(),
        "task": lambda p: p["tasks"][1].update(id="00000000000000aa"),
        "order": lambda p: p["tasks"].reverse(),
        "options": lambda p: p["options"].update(compression="none"),
        "formats": lambda p: p["formats"].append(p["formats"][0] + " ${tcp-flags-or-so}"),
    }
    for what, change in changes.items():
        other = json.loads(json.dumps(plan))
        change(other["plan"])
        yield what, other


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_a_plan_that_is_another_is_refused(logs, tmp_path, has_checkpoint):
    """The shards that come later compare the plan with the one that the first has put, whether they have its record or only what
    a checkpoint tells of it."""
    file, _, plan = planned(logs, tmp_path, "--shards", 3)
    shard(file, "--shard", "0")
    if has_checkpoint:
        # Each run that finds something puts two records.
        for day in range(8):
            more = flowlogs(tmp_path / f"more{day}", "--records", "5", "--objects", "1", "--seed", day + 7)
            run("convert", more, "--out", tmp_path / "out", "--quiet")
        assert list((tmp_path / "out").rglob("_flowquet/checkpoints/*"))
    for what, other in other_plans(plan):
        (tmp_path / "other.json").write_text(json.dumps(other))
        words = shard(tmp_path / "other.json", "--shard", "1", check=None)
        assert "exit_code" in words and words["exit_code"] == 1 and words["error_kind"] == "stale-plan", (what, words)
    assert shard(file, "--shard", "1")["objects"]["left"] == 0


def test_a_shard_does_not_read_the_plan_twice(logs, tmp_path):
    """Plan file, plan record and contract are read once each by a shard that has nothing to do."""
    with s3.serve(load=logs) as server:
        s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", "--save", "s3://lake/plan.json", "--shards", 3)
        for index in range(3):
            s3.run(server, "convert", "--plan", "s3://lake/plan.json", "--shard", index, "--quiet")
        records = len(server.keys("lake", "t/_flowquet/"))
        before = server.tally()["GET"]
        s3.run(server, "convert", "--plan", "s3://lake/plan.json", "--shard", 1, "--quiet")
        assert server.tally()["GET"] - before == records + 1


def test_plan_and_report_in_s3(logs, tmp_path, whole):
    with s3.serve(load=logs) as server:
        said = s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", "--save", "s3://lake/plans/a.json", "--shards", 2, "--jsonl").stdout
        items = [json.loads(line) for line in said.splitlines()]
        assert {(item["plan"], item["out"]) for item in items} == {("s3://lake/plans/a.json", "s3://lake/t")}
        for item in items:
            s3.run(server, "convert", "--plan", item["plan"], "--shard", item["shard"], "--report", f"s3://lake/reports/{item['shard'][0]}.json")
        reports = [json.loads(server.client.get_object(Bucket="lake", Key=f"reports/{i}.json")["Body"].read()) for i in range(2)]
        assert sum(validated("report", r)["objects"]["converted"] for r in reports) == 30
        one = s3.convert(server, "s3://logs/", "s3://lake/one")
        assert one["objects"]["converted"] == 30
        names = ("t", "one")
        tables = [multiset(rows(server.fetch(name, tmp_path / name))) for name in names]
        assert tables[0] == tables[1]


def test_a_job_beside_a_backfill_leaves_its_shards_alone(logs, tmp_path, whole):
    file, _, plan = planned(logs, tmp_path, "--shards", 2)
    shard(file, "--shard", "0/2")
    done = sum(len(plan["plan"]["tasks"][place]["objects"]) for place in plan["shards"][0]["tasks"])
    late = tmp_path / "late"
    late.mkdir()
    (late / "late.log").write_text("srcaddr bytes start\n10.0.0.1 40 1705276800\n")
    out = tmp_path / "out"

    def hourly(*args):
        return json.loads(run("convert", late, "--out", out, "--quiet", "--report", "-", *args).stdout)["objects"]

    found = hourly("--only-listed")
    assert (found["listed"], found["converted"], found["resumed"]) == (1, 1, 0)
    assert json.loads(run("status", out, "--json", check=4).stdout)["objects"] == done + 1
    # What it lists is converted, whoever planned it.
    found = json.loads(run("convert", logs, "--out", out, "--quiet", "--report", "-", "--only-listed").stdout)["objects"]
    assert (found["known"], found["converted"], found["resumed"]) == (done, 30 - done, 0)
    assert "nothing to do" in run("convert", "--plan", file, "--shard", "1/2").stderr or shard(file, "--shard", "1/2")["objects"]["converted"] == 0
    assert len(rows(out)) == 30 * 200 + 1


def test_a_plan_over_unfinished_tasks_says_that_no_shard_holds_them(logs, tmp_path):
    file, _, _ = planned(logs, tmp_path, "--shards", 2)
    shard(file, "--shard", "0/2")
    again = ["plan", logs, "--out", tmp_path / "out", "--shards", 2, "--save", tmp_path / "again.json"]
    words = run(*again, check=1).stderr
    assert "nothing to divide: " in words and "in unfinished tasks of earlier runs, which no shard holds" in words and "`flowquet convert SOURCE --out" in words
    assert not (tmp_path / "again.json").exists()
    assert "in unfinished tasks of earlier runs, " in run(*again[:4]).stdout
    (tmp_path / "late.log").write_text("srcaddr bytes start\n10.0.0.1 40 1705276800\n")
    process = run(*again[:1], tmp_path / "late.log", *again[1:])
    assert "warning: " in process.stderr and "which no shard holds" in process.stderr
    assert sum(len(t["objects"]) for t in json.loads((tmp_path / "again.json").read_text())["plan"]["tasks"]) == 1
