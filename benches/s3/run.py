#!/usr/bin/env python3
"""What S3 costs: latency that is added to every request, a store on the same machine, and memory with a long listing.

    cargo build --release --workspace
    .venv/bin/python benches/s3/run.py --runs 3

Objects are made up, the server is `flowquet-s3server` on loopback. In each turn the same objects are converted from disk to disk, from
S3 to S3, and from S3 to S3 with latency; every table is compared with the first by content. The server's own CPU time, spread over
the cores, is taken out of the second figure: on this machine it competes with what is measured.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/readers"))
import s3  # noqa: E402
from conftest import FLOWLOGS, FLOWQUET  # noqa: E402


def measured(command):
    """Runs a conversion and returns seconds, CPU seconds, peak MiB and its report."""
    began = time.monotonic()
    process = subprocess.Popen([*map(str, command), "--quiet", "--report", "-"], stdout=subprocess.PIPE, env=s3.ENVIRONMENT)
    report = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, report
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, report


def cpu_of(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def digest(items):
    return sorted((key, hashlib.sha256(data).hexdigest()) for key, data in items if key.startswith("date="))


def on_disk(out):
    return digest((str(path.relative_to(out)), path.read_bytes()) for path in out.rglob("*.parquet"))


def in_s3(server, prefix):
    get = lambda key: server.client.get_object(Bucket="lake", Key=key)["Body"].read()
    return digest((key.removeprefix(prefix + "/"), get(key)) for key in server.keys("lake", prefix + "/") if key.endswith(".parquet"))


def show(name, runs):
    best = min(runs, key=lambda run: run["wall"])
    walls = ", ".join(f"{run['wall']:.2f}" for run in runs)
    print(f"{name:34} best {best['wall']:6.2f} s  cpu {best['cpu']:6.2f} s  peak {best['peak']:5.0f} MiB  all: {walls}")


def conversions(args, folder):
    logs = folder / "logs"
    subprocess.run([FLOWLOGS, logs, "--format", args.format, "--objects", str(args.objects), "--records", str(args.records), "--every-s", "60"], check=True)
    size = sum(path.stat().st_size for path in logs.rglob("*.gz"))
    cores = os.cpu_count()
    print(f"{args.objects} objects of {args.records} records ({args.format}), {size / 1e6:.0f} MB, {cores} cores, latency {args.latency_ms} ms")
    runs = {"disk": [], "s3": [], "slow": []}
    want = None
    for turn in range(args.runs):
        out = folder / f"out{turn}"
        wall, cpu, peak, report = measured([FLOWQUET, "convert", logs, "--out", out])
        assert report["records"] == args.objects * args.records
        runs["disk"].append({"wall": wall, "cpu": cpu, "peak": peak})
        want = want or on_disk(out)
        assert on_disk(out) == want
        shutil.rmtree(out)
        for name, latency in [("s3", 0), ("slow", args.latency_ms)]:
            with s3.serve("--latency-ms", latency, load=logs) as server:
                before = cpu_of(server.process)
                wall, cpu, peak, report = measured(s3.command(server, "convert", "s3://logs/", "--out", "s3://lake/t"))
                served = cpu_of(server.process) - before
                assert report["records"] == args.objects * args.records
                if turn == 0 and latency == 0:
                    assert in_s3(server, "t") == want, "S3 to S3 gives the bytes of disk to disk"
                runs[name].append({"wall": wall, "cpu": cpu, "peak": peak, "served": served, "requests": sum(server.tally().values())})
    show("disk to disk", runs["disk"])
    show("S3 to S3", runs["s3"])
    show(f"S3 to S3, {args.latency_ms} ms more a request", runs["slow"])
    latency = [a["wall"] / b["wall"] for a, b in zip(runs["s3"], runs["slow"])]
    own = [run["wall"] - run["served"] / cores for run in runs["s3"]]
    store = [disk["wall"] / wall for disk, wall in zip(runs["disk"], own)]
    print(f"requests {runs['s3'][0]['requests']}, server's CPU {min(run['served'] for run in runs['s3']):.2f} s")
    print(f"throughput with latency / without: {', '.join(f'{r:.2f}' for r in latency)} (floor 0.9)")
    print(f"S3 to S3 without the server's CPU / disk to disk: {', '.join(f'{r:.2f}' for r in store)} (floor 0.8)")


def long_listing(args, folder):
    logs = folder / "many"
    subprocess.run([FLOWLOGS, logs, "--objects", str(args.keys), "--records", "1", "--every-s", "60"], check=True)
    with s3.serve(load=logs) as server:
        command = s3.command(server, "convert", "s3://logs/", "--out", "s3://lake/t", "--memory", args.memory, "--threads", "2")
        wall, cpu, peak, report = measured(command)
        assert report["objects"]["converted"] == args.keys == report["records"]
        print(f"{args.keys} keys, --memory {args.memory}: peak {peak:.0f} MiB, {wall:.1f} s, {cpu:.1f} s of CPU, {report['threads']} workers, requests {server.tally()}")
        wall, cpu, peak, report = measured(command)
        assert report["objects"]["known"] == args.keys and report["records"] == 0
        print(f"the same again, nothing new: peak {peak:.0f} MiB, {wall:.1f} s, {cpu:.1f} s of CPU")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=8000)
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--format", default="v2")
    parser.add_argument("--latency-ms", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--memory", default="600M")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if args.runs:
            conversions(args, folder)
        if args.keys:
            long_listing(args, folder)


if __name__ == "__main__":
    main()
