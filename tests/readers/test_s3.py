"""Buckets in and out: the same bytes as on a disk, whatever goes wrong on the way."""

import csv
import gzip
import http.server
import io
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import jsonschema
import pytest

import conftest
import kills
import naive
import s3
from conftest import FLOWQUET, content, flowlogs, multiset, rows
from test_limits import MEASURE
from test_runs import line, table_rows

# Small row groups and files: many pieces from few records.
SMALL = ["--row-group-rows", "1000", "--file-bytes", "30K"]


@pytest.fixture
def made(tmp_path):
    return flowlogs(tmp_path / "made", "--objects", 40, "--records", 500, "--every-s", 7200, "--accounts", 2)


def valid(record, name):
    schema = json.loads((conftest.ROOT / f"schemas/{name}.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(record)


def on_disk(tmp_path, logs, *args):
    """The table that a conversion from disk to disk makes, which everything is measured against."""
    out = tmp_path / "on_disk"
    conftest.convert(logs, out, *args)
    return content(out)


def test_every_side_gives_the_same_bytes(tmp_path, made):
    want = on_disk(tmp_path, made, *SMALL)
    with s3.serve(load=made) as server:
        s3.convert(server, "s3://logs/", "s3://lake/both/", *SMALL)
        s3.convert(server, made, "s3://lake/out", *SMALL)
        s3.convert(server, "s3://logs", tmp_path / "in", *SMALL)
        for found in [server.fetch("both", tmp_path / "both"), server.fetch("out", tmp_path / "out"), tmp_path / "in"]:
            assert content(found) == want
        assert multiset(rows(tmp_path / "both")) == table_rows(made)
        again = s3.convert(server, "s3://logs/", "s3://lake/both/", *SMALL)
        assert (again["records"], again["objects"]["known"]) == (0, 40)
        assert server.uploads() == []


def test_against_moto(tmp_path, made):
    (made / "a b+é%2F.log").write_text(f"{naive.V2}\n{line(1)}")
    want = on_disk(tmp_path, made, *SMALL)
    with s3.moto() as server:
        server.put_folder(made, "logs", "in")
        s3.convert(server, "s3://logs/in", "s3://lake/t", *SMALL, "--sse", "AES256")
        assert content(server.fetch("t", tmp_path / "t")) == want
        assert server.client.head_object(Bucket="lake", Key=server.keys("lake", "t/date")[0])["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize(
    "faults",
    [
        ["--slow-down", "0.1", "--internal-error", "0.05"],
        ["--cut", "0.2", "--corrupt", "0.2"],
        ["--lost-answer", "0.1", "--latency-ms", "3"],
        ["--hang", "0.01"],
    ],
    ids=lambda faults: faults[0],
)
def test_whatever_goes_wrong_on_the_way(tmp_path, made, faults):
    want = on_disk(tmp_path, made, *SMALL)
    with s3.serve(*faults, load=made) as server:
        report = s3.convert(server, "s3://logs/", "s3://lake/t", *SMALL, "--request-timeout", "1")
        assert report["outcome"] == "success"
    # The answers of a server that fails are no good to check it by.
    with s3.serve(*faults, "--seed", "7", load=made) as server:
        s3.convert(server, "s3://logs/", tmp_path / "in", *SMALL, "--request-timeout", "1", "--salvage")
        assert multiset(rows(tmp_path / "in")) == table_rows(made), "damage on the way costs no line, not even with --salvage"
    with s3.serve(*faults, load=made) as server:
        s3.convert(server, "s3://logs/", "s3://lake/t", *SMALL, "--request-timeout", "1")
        server.client.meta.config.retries["max_attempts"] = 30
        if "--corrupt" not in faults:
            assert content(server.fetch("t", tmp_path / "t")) == want


def test_a_summary_says_how_the_store_answered(made):
    with s3.serve("--slow-down", "0.2", load=made) as server:
        words = s3.run(server, "convert", "s3://logs/", "--out", "s3://lake/t").stderr
        assert re.search(r"^  requests    [\d,]+ to S3, [\d,]+ retried, [\d,]+ throttled$", words, re.M), words
    with s3.serve(load=made) as server:
        assert "requests " not in s3.run(server, "convert", "s3://logs/", "--out", "s3://lake/t").stderr


def test_many_keys(tmp_path):
    made = flowlogs(tmp_path / "made", "--objects", 2300, "--records", 2, "--every-s", 60)
    with s3.serve(load=made) as server:
        report = s3.convert(server, "s3://logs/", "s3://lake/t")
        assert (report["objects"]["converted"], report["records"]) == (2300, 4600)
        assert multiset(rows(server.fetch("t", tmp_path / "t"))) == table_rows(made)


def test_long_objects_and_files_of_many_parts(tmp_path):
    """Objects that are read by ranges, and files that go up in parts."""
    made = flowlogs(tmp_path / "made", "--objects", 2, "--records", 500_000, "--format", "v5")
    assert all(path.stat().st_size > 10 << 20 for path in made.rglob("*.gz"))
    cut = max(made.rglob("*.gz"))
    cut.write_bytes(cut.read_bytes()[: 12 << 20])
    for args, code in [([], 4), (["--salvage"], 0)]:
        name = "salvaged" if args else "whole"
        out = tmp_path / f"disk_{name}"
        conftest.convert(made, out, *args, check=code)
        with s3.serve(load=made) as server:
            s3.convert(server, "s3://logs/", f"s3://lake/{name}", *args, check=code)
            assert server.tally()["PART"] >= 2
            # Rejects name their objects, which lie elsewhere.
            data = lambda table: {key: value for key, value in content(table).items() if key.endswith(".parquet")}
            assert data(server.fetch(name, tmp_path / name)) == data(out)
            assert len(conftest.rejects(tmp_path / name)) == len(conftest.rejects(out)) == bool(args)
            assert server.uploads() == []


def test_killed_at_many_moments(tmp_path, made):
    want = on_disk(tmp_path, made, *SMALL)
    command = lambda server, name: s3.command(server, "convert", "s3://logs/", "--out", f"s3://lake/{name}", "--quiet", *SMALL)
    with s3.serve("--latency-ms", "2", load=made) as server, kills.series() as kill_at:
        moments = kills.whole(kills.writes(server), command(server, "undisturbed"), env=s3.ENVIRONMENT)
        for attempt in range(16):
            name, seen = f"killed{attempt}", kills.writes(server)
            for n in sorted(random.Random(attempt).sample(range(1, moments), 2)):
                kill_at(n, seen, command(server, name), env=s3.ENVIRONMENT)
            report = s3.convert(server, "s3://logs/", f"s3://lake/{name}", *SMALL)
            assert report["tasks_left"] == 0
            assert content(server.fetch(name, tmp_path / name)) == want
            shutil.rmtree(tmp_path / name)


def test_several_at_once_while_objects_arrive(tmp_path):
    made = flowlogs(tmp_path / "made", "--objects", 120, "--records", 200, "--every-s", 3600)
    paths = sorted(made.rglob("*.gz"))
    random.Random(3).shuffle(paths)
    with s3.serve("--latency-ms", "1") as server:

        def put(path):
            server.client.put_object(Bucket="logs", Key=str(path.relative_to(made)), Body=path.read_bytes())

        def grow():
            for path in paths:
                put(path)
                time.sleep(0.01)

        put(paths[0])
        grower = threading.Thread(target=grow)
        grower.start()
        job = s3.command(server, "convert", "s3://logs/", "--out", "s3://lake/t", "-q", "--row-group-rows", "500")
        dice = random.Random(5)
        killed = []
        while grower.is_alive():
            seen = kills.writes(server)
            runs = [subprocess.Popen(job, env=s3.ENVIRONMENT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
            # Each second time, one of them is killed; what grow() puts is counted too.
            if len(killed) % 2 == 0:
                kills.wait_for(dice.randint(1, 12), seen, runs[0])
                runs[0].kill()
            for process in runs:
                words = process.communicate()[1]
                assert process.returncode in (0, 4, -signal.SIGKILL), words
            killed.append(runs[0].returncode == -signal.SIGKILL)
        assert any(killed), "a kill came while it ran"
        grower.join()
        assert s3.convert(server, "s3://logs/", "s3://lake/t", "--row-group-rows", "500")["tasks_left"] == 0
        assert multiset(rows(server.fetch("t", tmp_path / "t"))) == table_rows(made), "each record once"


def test_a_store_that_ignores_conditions(tmp_path, made):
    want = on_disk(tmp_path, made, *SMALL)
    with s3.serve("--ignore-conditions", "--latency-ms", "1", load=made) as server:
        seen = kills.writes(server)
        with kills.series() as kill_at:
            for n in [1, 4, 9, 16, 25, 36]:
                kill_at(n, seen, s3.command(server, "convert", "s3://logs/", "--out", "s3://lake/t", "-q", *SMALL), env=s3.ENVIRONMENT)
        words = s3.run(server, "convert", "s3://logs/", "--out", "s3://lake/t", *SMALL).stderr
        assert "only one flowquet at a time" in words
        found = server.fetch("t", tmp_path / "t")
        assert content(found) == want
        assert json.loads((found / "_flowquet/table.json").read_text())["single_writer"] is True
        assert "one writer at a time" in s3.run(server, "status", "s3://lake/t").stdout


def test_who_may_list_some_prefixes_only(tmp_path, made):
    """To them S3 denies what is not there, as with the policy of docs/S3.md."""
    with s3.serve("--hide-missing", load=made) as server:
        for source, records in [("s3://logs/AWSLogs", 20_000), ("s3://logs/AWSLogs/", 0)]:
            assert s3.convert(server, source, "s3://lake/t")["records"] == records
        assert multiset(rows(server.fetch("t", tmp_path / "t"))) == table_rows(made)
        assert "no flowquet table" in s3.run(server, "status", "s3://lake/none", check=1).stderr


def test_files_in_place_are_found_by_who_may_list_some_prefixes_only(made):
    """A compaction deletes what is aside before the log says so: then S3 denies the file aside, and the one in place is read."""
    with s3.serve("--hide-missing", load=made) as server:
        total = lambda: json.loads(s3.run(server, "top", "s3://lake/t", "--json").stdout)["total"]
        s3.convert(server, "s3://logs/AWSLogs", "s3://lake/t")
        before = total()
        s3.run(server, "compact", "s3://lake/t", "-q")
        done = [key for key in server.keys("lake", "t/_flowquet/compactions/") if key.endswith(".done")]
        for key in done:
            server.client.delete_object(Bucket="lake", Key=key)
        assert done and not server.keys("lake", "t/_flowquet/compacted/")
        assert total() == before
        s3.run(server, "verify", "s3://lake/t", "--read-data", "-q")
        assert s3.run(server, "sql", "s3://lake/t", "SELECT count(*) AS n FROM flows").stdout == "n\n20000\n"
        statement = s3.run(server, "schema", "s3://lake/t", "--as", "duckdb", "--exact").stdout
        data = [key for key in server.keys("lake", "t/") if key.endswith(".parquet")]
        assert all(f"s3://lake/{key}" in statement for key in data) and "_flowquet" not in statement
        # Finished by the next compaction.
        s3.run(server, "compact", "s3://lake/t", "-q")
        s3.run(server, "verify", "s3://lake/t", "--read-data", "-q")


def test_a_file_that_is_denied_is_no_file_that_is_gone(made):
    """Whoever may list some prefixes only cannot tell: both are reported as what S3 says."""
    with s3.serve("--hide-missing", load=made) as server:
        s3.convert(server, "s3://logs/AWSLogs", "s3://lake/t")
        lost = [key for key in server.keys("lake", "t/") if key.endswith(".parquet")][0]
        server.client.delete_object(Bucket="lake", Key=lost)
        for command in [["top", "s3://lake/t"], ["sql", "s3://lake/t", "SELECT sum(bytes) FROM flows"]]:
            words = s3.run(server, *command, check=1).stderr
            assert f"read `s3://lake/{lost}`: access denied" in words and "hint: the credentials need s3:GetObject" in words, words
        # It lists the table.
        report = json.loads(s3.run(server, "verify", "s3://lake/t", "--read-data", "--json", check=5).stdout)
        assert [(found["fault"], f"t/{found['place']}") for found in report["findings"]] == [("file-gone", lost)]


def a_plan(server, folder, *args):
    plan = s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", "--json", *args).stdout
    (folder / "plan.json").write_text(plan)
    return folder / "plan.json"


def shard(server, plan, check=0):
    run = s3.run(server, "convert", "--plan", plan, "--shard", "0/1", "-q", "--report", "-", check=check)
    report = json.loads(run.stdout)
    objects = report["objects"]
    assert objects["listed"] + objects["resumed"] == objects["converted"] + objects["known"] + objects["failed"] + objects["left"]
    return report


def spoil(server, made):
    """One object is written again with other lines, and one deleted; both in the folder too."""
    changed, gone = sorted(made.rglob("*.gz"))[3:5]
    changed.write_bytes(gzip.compress(f"{naive.V2}\n{line(1, -30)}".encode()))
    server.client.put_object(Bucket="logs", Key=str(changed.relative_to(made)), Body=changed.read_bytes())
    server.client.delete_object(Bucket="logs", Key=str(gone.relative_to(made)))
    gone.unlink()
    return [f"s3://logs/{path.relative_to(made)}" for path in (changed, gone)]


def test_objects_that_change_or_vanish_after_the_plan_cost_nobody_else(tmp_path, made):
    """One is taken as it is now, one is told as gone, by each run of the shard."""
    with s3.serve(load=made) as server:
        plan = a_plan(server, tmp_path)
        _, gone = spoil(server, made)
        first = shard(server, plan, check=4)
        assert (first["objects"]["converted"], first["objects"]["failed"], first["objects"]["left"]) == (39, 1, 0)
        assert [(found["cause"], found["url"]) for found in first["failed_objects"]] == [("gone", gone)]
        assert multiset(rows(server.fetch("t", tmp_path / "t"))) == table_rows(made)
        again = shard(server, plan, check=4)
        assert (again["objects"]["known"], again["objects"]["failed"], again["records"]) == (39, 1, 0)
        assert s3.convert(server, "s3://logs/", "s3://lake/t")["objects"]["known"] == 39


def test_objects_that_may_not_be_read_cost_nobody_else(tmp_path, made):
    accounts = sorted({path.name.split("_")[0] for path in made.rglob("*.gz")})
    assert len(accounts) == 2
    denied = sorted(path for path in made.rglob("*.gz") if path.name.startswith(accounts[1]))
    below = f"{str(denied[0].relative_to(made)).split(accounts[1])[0]}{accounts[1]}/"
    with s3.serve("--deny-reads", f"logs/{below}", load=made) as server:
        first = s3.convert(server, "s3://logs/", "s3://lake/t", check=4)
        assert (first["objects"]["converted"], first["objects"]["failed"], first["objects"]["left"]) == (20, 20, 0)
        assert {found["cause"] for found in first["failed_objects"]} == {"denied"}
        again = s3.convert(server, "s3://logs/", "s3://lake/t", check=4)
        assert (again["objects"]["known"], again["objects"]["failed"], again["records"]) == (20, 20, 0)
        found = json.loads(s3.run(server, "status", "s3://lake/t", "--json", check=4).stdout)
        assert (found["objects"], len(found["unreadable"])) == (20, 20)
        s3.run(server, "ignore", "s3://lake/t", f"s3://logs/{denied[0].relative_to(made)}", "--reason", "not ours")
        assert s3.convert(server, "s3://logs/", "s3://lake/t", check=4)["objects"]["ignored"] == 1
        kept = server.fetch("t", tmp_path / "t")
        planned = json.loads(s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/p", "--save", "s3://lake/plan.json", "--shards", 2, "--json", check=4).stdout)
        assert planned["formats"]["unreadable"]["objects"] == 20 and "access denied" in planned["formats"]["unreadable"]["reason"]
        text = s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/p", check=4).stdout
        assert f"format      unknown (20 objects), such as `s3://logs/{below}" in text, text
        shards = [json.loads(s3.run(server, "convert", "--plan", "s3://lake/plan.json", "--shard", f"{i}/2", "--quiet", "--report", "-", check=None).stdout) for i in range(2)]
        assert sum(shard["objects"]["converted"] for shard in shards) == 20 and sum(shard["objects"]["failed"] for shard in shards) == 20
        words = s3.run(server, "convert", f"s3://logs/{below}", "--out", "s3://lake/none", check=1).stderr
        assert "access denied" in words and "s3:GetObject" in words, "where nothing may be read it is the credentials"
    for path in denied:
        path.unlink()
    assert multiset(rows(kept)) == table_rows(made)


def test_an_inventory_that_is_older_than_its_objects(tmp_path, made):
    with s3.serve(load=made) as server:
        inventory = io.StringIO()
        rows_of = csv.writer(inventory, quoting=csv.QUOTE_ALL)
        for item in server.client.list_objects_v2(Bucket="logs")["Contents"]:
            rows_of.writerow(["logs", item["Key"], item["Size"], item["ETag"].strip('"')])
        server.client.put_object(Bucket="lake", Key="inv/data/1.csv.gz", Body=gzip.compress(inventory.getvalue().encode()))
        manifest = {"sourceBucket": "logs", "destinationBucket": "arn:aws:s3:::lake", "fileFormat": "CSV", "fileSchema": "Bucket, Key, Size, ETag", "files": [{"key": "inv/data/1.csv.gz"}]}
        server.client.put_object(Bucket="lake", Key="inv/manifest.json", Body=json.dumps(manifest).encode())
        spoil(server, made)
        # The second time the table knows the object that was written again as it is, and not as the inventory has it.
        for converted, known, changed in [(39, 0, 0), (0, 39, 1)]:
            run = s3.run(server, "convert", "--manifest", "s3://lake/inv/manifest.json", "--out", "s3://lake/t", "-q", "--report", "-", check=4)
            found = json.loads(run.stdout)["objects"]
            assert (found["converted"], found["known"], found["failed"], found["left"], found["changed"]) == (converted, known, 1, 0, changed)
        assert multiset(rows(server.fetch("t", tmp_path / "t"))) == table_rows(made)


def test_reconvert_takes_an_object_that_was_written_again(tmp_path, made):
    with s3.serve(load=made) as server:
        s3.convert(server, "s3://logs/", "s3://lake/t")
        changed = sorted(made.rglob("*.gz"))[3]
        changed.write_bytes(gzip.compress(f"{naive.V2}\n{line(1, -30)}".encode()))
        server.client.put_object(Bucket="logs", Key=str(changed.relative_to(made)), Body=changed.read_bytes())
        assert s3.convert(server, "s3://logs/", "s3://lake/t", check=4)["objects"]["changed"] == 1
        s3.run(server, "reconvert", "s3://lake/t", "--object", f"s3://logs/{changed.relative_to(made)}")
        assert multiset(rows(server.fetch("t", tmp_path / "t"))) == table_rows(made)
        assert s3.convert(server, "s3://logs/", "s3://lake/t")["objects"]["changed"] == 0


def test_shares_of_a_plan(tmp_path, made):
    want = on_disk(tmp_path, made, *SMALL)
    with s3.serve(load=made) as server:
        text = s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", *SMALL).stdout
        assert "40 to convert of 40 listed" in text and "(40 objects, 2 flow logs)" in text and "nothing was written" in text
        assert server.keys("lake", "t/") == []
        made_plan = s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", *SMALL, "--json").stdout
        plan = json.loads(made_plan)
        valid(plan, "plan-file")
        valid(plan["plan"], "plan")
        assert [found["objects"] for found in plan["formats"]["formats"]] == [40] and plan["formats"]["looks"] == 2
        assert plan["estimate"]["objects"] == 40 and plan["estimate"]["get_requests"] >= 40 and len(plan["plan"]["tasks"]) > 3
        server.client.put_object(Bucket="lake", Key="plan.json", Body=made_plan.encode())
        shares = [
            subprocess.Popen(s3.command(server, "convert", "--plan", "s3://lake/plan.json", "--task", f"{i % 3}/3", "-q"), env=s3.ENVIRONMENT)
            for i in range(4)
        ]
        assert [process.wait() for process in shares] == [0, 0, 0, 0]
        assert content(server.fetch("t", tmp_path / "t")) == want
        assert "complete: 40 objects in the table" in s3.run(server, "status", "s3://lake/t").stdout
        (tmp_path / "empty.json").write_text(s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", *SMALL, "--json").stdout)
        assert "the shard has no tasks" in s3.run(server, "convert", "--plan", tmp_path / "empty.json", "--task", "1/3").stderr
        server.client.put_object(Bucket="logs", Key="late.log", Body=f"{naive.V2}\n{line(1)}".encode())
        stale = json.loads(s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", *SMALL, "--json").stdout)
        s3.convert(server, "s3://logs/", "s3://lake/t", *SMALL)
        stale["plan"]["tasks"][0]["id"] = "0" * 16
        (tmp_path / "stale.json").write_text(json.dumps(stale))
        words = s3.run(server, "convert", "--plan", tmp_path / "stale.json", "--task", "0/1", check=1).stderr
        assert "the table has a different plan 2" in words and "flowquet plan" in words


def test_status_tells_what_is_missing(tmp_path, made):
    (made / "bad.log").write_text("nothing here\n")
    with s3.serve(load=made) as server:
        assert "no flowquet table in `s3://lake/t" in s3.run(server, "status", "s3://lake/t", check=1).stderr
        (tmp_path / "plan.json").write_text(s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", *SMALL, "--json").stdout)
        s3.run(server, "convert", "--plan", tmp_path / "plan.json", "--task", "0/2", check=None)
        text = s3.run(server, "status", "s3://lake/t", check=4).stdout
        assert "tasks unfinished" in text and "unfinished  task" in text
        s3.convert(server, "s3://logs/", "s3://lake/t", *SMALL, check=4)
        found = json.loads(s3.run(server, "status", "s3://lake/t", "--json", check=4).stdout)
        valid(found, "status")
        assert (found["open_tasks"], found["objects"], found["records"]) == ([], 40, 20_000)
        assert [u["url"] for u in found["unreadable"]] == ["s3://logs/bad.log"]


LAYOUTS = {
    "plain": "AWSLogs/{account}/vpcflowlogs/{region}/{y}/{m}/{d}/{file}",
    "hourly": "AWSLogs/o-abc123/{account}/vpcflowlogs/{region}/{y}/{m}/{d}/05/{file}",
    "hive": "AWSLogs/aws-account-id={account}/aws-service=vpcflowlogs/aws-region={region}/year={y}/month={m}/day={d}/{file}",
    "transit": "AWSLogs/aws-account-id={account}/service=vpcflowlogs/aws-region={region}/year={y}/month={m}/day={d}/hour=05/{file}",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_month_is_listed_by_its_own_prefixes(tmp_path, layout):
    made = tmp_path / "made"
    days = [(y, m, d) for y in (2022, 2023, 2024) for m in range(1, 13) for d in (1, 15, 28)]
    regions = {"111111111111": "us-east-1", "222222222222": "eu-west-1"}
    for account, region in regions.items():
        for n, (y, m, d) in enumerate(days):
            file = f"{account}_vpcflowlogs_{region}_fl-{account[:4]}_{y}{m:02}{d:02}T0500Z_x.log"
            path = made / "deep/prefix" / LAYOUTS[layout].format(account=account, region=region, y=y, m=f"{m:02}", d=f"{d:02}", file=file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{naive.V2}\n{line(n)}")
    trail = made / "deep/prefix/AWSLogs/111111111111/CloudTrail/us-east-1/2023/06/01/x.json.gz"
    trail.parent.mkdir(parents=True)
    trail.write_bytes(b"{}")
    (made / "deep/other.txt").write_text("no key of AWS's\n")
    with s3.serve(load=made) as server:

        def converted(*args):
            before = server.tally().get("LIST", 0)
            name = f"t{before}"
            report = s3.convert(server, "s3://logs/deep/prefix/", f"s3://lake/{name}", *args)
            return report["records"], server.tally()["LIST"] - before

        everything, requests = converted()
        assert everything == 2 * len(days), "CloudTrail's objects are no flow logs"
        june, june_requests = converted("--since", "2023-06-01", "--until", "2023-06-30")
        assert june == 6 and june_requests < requests / 2, (june_requests, requests)
        assert converted("--since", "2023-06-02", "--until", "2023-07-15")[0] == 8
        assert converted("--since", "2024-12-28")[0] == 2
        assert converted("--account", "222222222222", "--until", "2022-01-31")[0] == 3
        assert converted("--flow-region", "us-east-1", "--since", "2024-12-02")[0] == 2
        assert converted("--flow-log-id", "fl-1111,fl-9", "--until", "2022-02-01")[0] == 4
        assert converted("--include", "**/*T0500Z_x.log", "--exclude", "**/*_2023*", "--exclude", "**/*_2022*")[0] == 72
        # A quiet hour is no error.
        words = s3.run(server, "convert", "s3://logs/deep/", "--out", "s3://lake/n", "--since", "2030-01-01").stderr
        assert "done: nothing to do: no object matches --since 2030-01-01" in words
        # What can never match is one.
        for args, told in [
            (["s3://logs/deep/other.txt", "--since", "2023-01-01"], "a filter asks for what no key tells: found no date, account, region or flow log in that of 1 object"),
            (["s3://logs/deep/", "--account", "222222222223"], "found no logs of account 222222222223; there are logs of account"),
            (["s3://logs/deep/", "--flow-region", "eu-west-9", "--since", "2030-01-01"], "found no logs of region eu-west-9; there are logs of region"),
        ]:
            for command in (["convert"], ["plan"], ["convert", "--dry-run"]):
                words = s3.run(server, *command, *args, "--out", "s3://lake/n", check=1).stderr
                assert f"error: {told}" in words and "hint: " in words, words
    # The same filters on a disk.
    assert conftest.convert(made, tmp_path / "disk", "--since", "2023-06-01", "--until", "2023-06-30")["records"] == 6


def test_manifests(tmp_path, made):
    keys = sorted(str(path.relative_to(made)) for path in made.rglob("*.gz"))
    with s3.serve(load=made) as server:
        listed = tmp_path / "keys.txt"
        listed.write_text("# some keys\n\n" + "".join(f"s3://logs/{key}\n" for key in keys[:7]))
        assert s3.run(server, "convert", "--manifest", listed, "--out", tmp_path / "text", "-q").returncode == 0
        inventory = io.StringIO()
        rows_of = csv.writer(inventory, quoting=csv.QUOTE_ALL)
        for key in keys:
            head = server.client.head_object(Bucket="logs", Key=key)
            rows_of.writerow(["logs", key.replace("=", "%3D").replace("/", "%2F"), head["ContentLength"], head["ETag"].strip('"')])
        server.client.put_object(Bucket="lake", Key="inv/data/1.csv.gz", Body=gzip.compress(inventory.getvalue().encode()))
        manifest = {
            "sourceBucket": "logs",
            "destinationBucket": "arn:aws:s3:::lake",
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, Size, ETag",
            "files": [{"key": "inv/data/1.csv.gz", "size": 1, "MD5checksum": "x"}],
        }
        server.client.put_object(Bucket="lake", Key="inv/manifest.json", Body=json.dumps(manifest).encode())
        before = server.tally().get("LIST", 0)
        report = s3.run(server, "convert", "--manifest", "s3://lake/inv/manifest.json", "--out", tmp_path / "inventory", "-q", "--report", "-")
        assert json.loads(report.stdout)["objects"]["converted"] == len(keys) and server.tally().get("LIST", 0) == before
        manifest["fileFormat"] = "ORC"
        server.client.put_object(Bucket="lake", Key="inv/orc.json", Body=json.dumps(manifest).encode())
        words = s3.run(server, "convert", "--manifest", "s3://lake/inv/orc.json", "--out", tmp_path / "orc", check=1).stderr
        assert "expected an inventory in CSV, found ORC" in words
    assert len(rows(tmp_path / "text")) == 7 * 500
    assert multiset(rows(tmp_path / "inventory")) == table_rows(made)


def test_standard_input_to_a_bucket(tmp_path, made):
    text = b"".join(gzip.decompress(path.read_bytes()) for path in sorted(made.rglob("*.gz")))
    (tmp_path / "text").write_bytes(text)
    with s3.serve() as server:
        for records in [20_000, 0]:
            with open(tmp_path / "text", "rb") as stdin:
                assert s3.convert(server, "-", "s3://lake/t", stdin=stdin)["records"] == records, "the same input is taken once"
        found = server.fetch("t", tmp_path / "t")
        assert len(rows(found)) == 20_000 and not list(found.glob("_flowquet/spool/*"))


def test_stops_within_seconds(tmp_path, made):
    """Also while the store does not answer; and nothing half done is left."""
    # It is asked to stop while it lists, and while it reads and writes.
    for hang, kinds, n in [("0.3", ["LIST"], 3), ("0.03", ["PUT"], 8)]:
        with s3.serve("--hang", hang, "--latency-ms", "20", load=made) as server:
            process = subprocess.Popen(
                s3.command(server, "convert", "s3://logs/", "--out", "s3://lake/t", *SMALL), env=s3.ENVIRONMENT, stderr=subprocess.PIPE, text=True
            )
            kills.wait_for(n, lambda: sum(server.tally().get(kind, 0) for kind in kinds), process)
            process.send_signal(signal.SIGTERM)
            words = process.communicate(timeout=30)[1]
            assert process.returncode == 130 and "run the same command again" in words, words
    with s3.serve("--latency-ms", "5", load=made) as server:
        process = subprocess.Popen(s3.command(server, "convert", "s3://logs/", "--out", "s3://lake/t", "-q", *SMALL), env=s3.ENVIRONMENT)
        kills.wait_for(10, kills.writes(server), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 130
        s3.convert(server, "s3://logs/", "s3://lake/t", *SMALL)
        assert multiset(rows(server.fetch("t", tmp_path / "t"))) == table_rows(made) and server.uploads() == []


def test_memory(tmp_path):
    """The smallest budget that S3 on both sides bears, with enough objects to fill every window."""
    made = flowlogs(tmp_path / "made", "--objects", 80, "--records", 20_000, "--format", "v5")
    with s3.serve("--latency-ms", "5", load=made) as server:
        words = s3.run(server, "convert", "s3://logs/", "--out", "s3://lake/t", "--memory", "300M", check=2).stderr
        smallest = int(re.search(r"at least (\d+)M is needed", words)[1])
        command = s3.command(server, "convert", "s3://logs/", "--out", "s3://lake/t", "-q", "--memory", f"{smallest}M", "--threads", "2")
        measured = subprocess.run([sys.executable, "-c", MEASURE, *command], env=s3.ENVIRONMENT, capture_output=True, text=True)
        assert measured.returncode == 0 and int(measured.stdout) < smallest << 20, (measured.stdout, measured.stderr)


def test_a_listing_that_cannot_go_on(tmp_path):
    """Stores that know only the older kind of listing give no token: what is left is not taken for nothing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a.log</Key><Size>1</Size></Contents><NextMarker>a.log</NextMarker></ListBucketResult>"
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    command = [FLOWQUET, "convert", "s3://logs/", "--out", tmp_path / "t", "--format", "v2", "--endpoint-url", url]
    process = subprocess.run(command, capture_output=True, text=True, env=s3.ENVIRONMENT)
    server.shutdown()
    server.server_close()
    assert process.returncode == 75, process.stderr
    assert "list `s3://logs/`: " in process.stderr and "the store does not support ListObjectsV2" in process.stderr


def test_no_table_is_made_within_another(made):
    """As far as one may look."""
    with s3.serve(load=made) as server:
        s3.convert(server, "s3://logs/", "s3://lake/t")
        for command in (["convert"], ["plan"]):
            words = s3.run(server, *command, "s3://logs/", "--out", "s3://lake/t/date=2026-11-24", check=2).stderr
            assert "no table is made in `s3://lake/t/date=2026-11-24/`: it lies within the table `s3://lake/t/`" in words, words
            assert "hint: use --out s3://lake/t/, or" in words
    with s3.serve("--deny-reads", "lake/_flowquet", load=made) as server:
        assert s3.convert(server, "s3://logs/", "s3://lake/a/b")["records"] == 20_000


def test_a_profile_that_is_given_comes_before_the_environment(tmp_path, made):
    """As with AWS's own tools: the profile of the option alone is asked, and one of `AWS_PROFILE` where the environment has no keys."""
    (tmp_path / "credentials").write_text(
        f"[good]\naws_access_key_id = {s3.KEY}\naws_secret_access_key = {s3.SECRET}\n"
        f"[bad]\naws_access_key_id = {s3.KEY}\naws_secret_access_key = wrong\n"
    )
    good = s3.ENVIRONMENT | {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    bad = good | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    with s3.serve(load=made) as server:
        def inspect(env, *args):
            return s3.run(server, "inspect", "s3://logs/", *args, check=None, env=env)

        assert inspect(bad, "--profile", "good").returncode == 0
        assert inspect(good | {"AWS_PROFILE": "bad"}).returncode == 0
        refused = inspect(good, "--profile", "bad")
        assert refused.returncode == 1 and "does not accept the AWS credentials" in refused.stderr
        refused = inspect(good, "--profile", "nope")
        assert refused.returncode == 1 and f"profile `nope` (as given): {s3.ENVIRONMENT['AWS_CONFIG_FILE']} is not there, {tmp_path}/credentials does not name it" in refused.stderr


def test_what_a_newcomer_meets(tmp_path, made):
    """Each mistake is told with what to do about it."""
    nobody = {name: value for name, value in s3.ENVIRONMENT.items() if not name.startswith("AWS_ACCESS") and not name.startswith("AWS_SECRET")}
    stranger = s3.ENVIRONMENT | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    with s3.serve("--deny-writes", "lake/locked", load=made) as server:
        for args, env, message, hint in [
            (["s3://logs/", "--out", "s3://lake/t"], nobody, "no AWS credentials were found", "\n  environment: AWS_ACCESS_KEY_ID is not set\n  profile `default`: /nonexistent is not there, /nonexistent is not there\n"),
            (["s3://logs/", "--out", "s3://lake/t"], stranger, "the store does not accept the AWS credentials: SignatureDoesNotMatch", "aws sts get-caller-identity"),
            (["s3://nowhere/", "--out", "s3://lake/t"], None, "list `s3://nowhere/`: no such bucket", "check the bucket's name"),
            (["s3://logs/", "--out", "s3://missing/t"], None, "read `s3://missing/`: no such bucket", "check the bucket's name"),
            (["s3://logs/no/such", "--out", "s3://lake/t"], None, "found no files in `s3://logs/no/such`", "check the path"),
            (["s3://logs/AWSLogs/*/vpcflowlogs/", "--out", "s3://lake/t"], None, "found no files in `s3://logs/AWSLogs/*/vpcflowlogs", "use s3://logs/AWSLogs/ and --include '*/vpcflowlogs/**'"),
            (["s3://logs/", "--out", "s3://lake/locked"], None, "access denied", "s3:PutObject"),
            (["s3://lo gs/", "--out", "s3://lake/t"], None, "expected s3://BUCKET/PREFIX", ""),
            (["s3://logs/", "--out", "s3://lake/t", "--profile", "absent"], nobody, "profile `absent` (as given): /nonexistent is not there", "aws sso login"),
        ]:
            words = s3.run(server, "convert", *args, check=None, env=env or s3.ENVIRONMENT).stderr
            assert message in words and hint in words, words
        process = subprocess.run(
            [FLOWQUET, "convert", "s3://logs/", "--out", "s3://lake/t", "--endpoint-url", "http://127.0.0.1:1"],
            capture_output=True, text=True, env=s3.ENVIRONMENT,
        )
        words = process.stderr
        assert process.returncode == 75, "a scheduler may try again"
        assert "cannot reach the store: 127.0.0.1:1: connection refused, after 5 attempts" in words and "--endpoint-url" in words
    with s3.serve("--region", "eu-central-1", load=made) as server:
        assert s3.convert(server, "s3://logs/", "s3://lake/t")["records"] == 20_000, "the region is found"
        words = s3.run(server, "convert", "s3://logs/", "--out", "s3://lake/t", "--region", "us-west-2", check=1).stderr
        assert "the bucket is in another region: eu-central-1" in words and "--region" in words
