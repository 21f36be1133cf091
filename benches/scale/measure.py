#!/usr/bin/env python3
"""What a conversion from S3 to S3 costs: for its bytes, for each object, and for each shard as a process of its own,
which reads the plan and the commits of others.

    cargo build --release --workspace
    .venv/bin/python benches/scale/measure.py [--runs 3] [--records 4000000] [--small 20000] [--planned 200000] [--tasks 5000]

The server is `flowquet-s3server`, in memory and on loopback. Told is CPU time of flowquet's process, user and system, which other work on the
machine disturbs less than wall time; the server's is not in it. Each answer is checked.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

os.environ.setdefault("FLOWQUET_PROFILE", "release")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/readers"))
import s3  # noqa: E402
from conftest import FLOWLOGS, FLOWQUET  # noqa: E402


class Cost(NamedTuple):
    """What a run printed and took, and the requests that the server counted."""

    said: str
    cpu: float
    peak_mib: float
    requests: dict


def measured(server, *args):
    """Runs flowquet."""
    seen = server.tally()
    command = [FLOWQUET, *map(str, args), "--endpoint-url", server.url]
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, env=s3.ENVIRONMENT, stdout=out, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, (command, process.returncode)
        out.seek(0)
        said = out.read()
    requests = {name: count - seen.get(name, 0) for name, count in server.tally().items() if count > seen.get(name, 0)}
    return Cost(said, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, requests)


def spread(values, unit, scale=1.0):
    """Least, median and most."""
    least, middle, most = (scale * value for value in (min(values), statistics.median(values), max(values)))
    return f"{least:,.3g} to {most:,.3g} {unit}, median {middle:,.3g}"


def generated(folder, *args):
    subprocess.run([FLOWLOGS, folder, *map(str, args)], check=True)
    return folder


def per_byte(folder, runs, records):
    objects = records // 40_000
    logs = generated(folder / "long", "--objects", objects, "--records", 40_000, "--every-s", 900)
    with s3.serve(load=logs) as server:
        by_text, by_gzip = [], []
        for number in range(runs):
            said, cpu, *_ = measured(server, "convert", "s3://logs/", "--out", f"s3://lake/t{number}", "--quiet", "--report", "-")
            report = json.loads(said)
            assert report["records"] == objects * 40_000
            by_text.append(cpu / report["text_bytes"])
            by_gzip.append(cpu / report["bytes_in"])
        print(f"bytes: {objects} objects, {report['text_bytes']:,} bytes of text, {report['bytes_in']:,} in gzip, {report['bytes_out']:,} of Parquet, {runs} runs")
        print(f"  CPU a GB of text: {spread(by_text, 's', 1e9)}; a GB of gzip: {spread(by_gzip, 's', 1e9)}")


def per_object(folder, runs, small):
    logs = generated(folder / "small", "--objects", small, "--records", 10, "--every-s", 60)
    with s3.serve(load=logs) as server:
        found = []
        for number in range(runs):
            said, cpu, _, requests = measured(server, "convert", "s3://logs/", "--out", f"s3://lake/t{number}", "--quiet", "--report", "-")
            report = json.loads(said)
            assert report["objects"]["converted"] == small
            found.append(cpu / small)
        print(f"objects: {small:,} of ten records, {runs} runs: CPU an object {spread(found, 'µs', 1e6)}; requests of the last run {requests}")


def per_shard(folder, planned, shards):
    """Each shard is a process: it reads the plan and the log, and performs its tasks. Here they have next to nothing to do."""
    for objects in (planned // 10, planned):
        logs = generated(folder / f"planned{objects}", "--objects", objects, "--records", 1, "--every-s", 60)
        with s3.serve(load=logs) as server:
            plan = "s3://lake/plans/plan.json"
            said, cpu, peak, requests = measured(server, "plan", "s3://logs/", "--out", "s3://lake/t", "--json")
            assert json.loads(said)["estimate"]["objects"] == objects
            server.client.put_object(Bucket="lake", Key="plans/plan.json", Body=said.encode())
            size = len(said)
            print(f"plan: {objects:,} objects: {size:,} bytes, {size / objects:.0f} an object; CPU {cpu:.2f} s, peak {peak:.0f} MiB; requests {requests}")
            # Past the last task shards are empty: what they cost is what a shard costs beside its work.
            empty = []
            for index in (shards - 1, shards - 2, shards - 3):
                said, cpu, peak, requests = measured(server, "convert", "--plan", plan, "--shard", f"{index}/{shards}", "--quiet", "--report", "-")
                assert json.loads(said)["tasks"] == 0
                empty.append(cpu)
            # The first one put the plan into the table, and is the one that stands out.
            print(f"  an empty shard: CPU {spread(empty, 's')}, peak {peak:.0f} MiB; requests {requests}")


def per_commit(folder, tasks):
    """A shard reads what others have committed since the last checkpoint, and shards put none."""
    logs = generated(folder / "commits", "--objects", tasks, "--records", 50, "--every-s", 900)
    with s3.serve(load=logs) as server:
        plan = measured(server, "plan", "s3://logs/", "--out", "s3://lake/t", "--file-bytes", "1K", "--json").said
        assert json.loads(plan)["estimate"]["tasks"] == tasks
        server.client.put_object(Bucket="lake", Key="plans/plan.json", Body=plan.encode())
        # Shards of one task, before and after all the others.
        one = lambda index, of: measured(server, "convert", "--plan", "s3://lake/plans/plan.json", "--shard", f"{index}/{of}", "--quiet")  # noqa: E731
        one(0, tasks)
        first = one(1, tasks)
        measured(server, "convert", "--plan", "s3://lake/plans/plan.json", "--shard", "0/1", "--quiet")
        last = one(2, tasks)
        sizes = [server.client.head_object(Bucket="lake", Key=key)["ContentLength"] for key in server.keys("lake", "t/_flowquet/commits/")]
        assert len(sizes) == tasks
        print(f"commits: {tasks:,} of one object, {sum(sizes) / tasks:,.0f} bytes each; a shard after the first takes CPU {first.cpu:.3f} s and {first.requests}")
        print(f"  after the last {last.cpu:.3f} s and {last.requests}: {(last.cpu - first.cpu) / tasks * 1e6:.0f} µs a commit")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("runs", 3), ("records", 4_000_000), ("small", 20_000), ("planned", 200_000), ("shards", 1_000), ("tasks", 5_000)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    print(subprocess.run([FLOWQUET, "--version"], capture_output=True, text=True).stdout.strip(), f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="flowquet-scale-") as folder:
        folder = pathlib.Path(folder)
        per_byte(folder, args.runs, args.records)
        per_object(folder, args.runs, args.small)
        per_shard(folder, args.planned, args.shards)
        per_commit(folder, args.tasks)


if __name__ == "__main__":
    main()
