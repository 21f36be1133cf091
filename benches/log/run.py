#!/usr/bin/env python3
"""What a run costs beside converting: with the history of its table, with a long listing, and an object.

    cargo build --release --workspace
    .venv/bin/python benches/log/run.py [history] [--objects 10000000 --tasks 100000 --plans 3000] [--keep FOLDER]
    .venv/bin/python benches/log/run.py listing [--keys 2000000] [--memory 512M] [--whole]
    .venv/bin/python benches/log/run.py small [--small-objects 20000]

`history` makes a table of three years whose records are right and whose data files are only as long as their records tell, and puts
it in memory behind `flowquet-s3server`, with the source objects of the newest two days. It measures runs that list those two days and
find nothing new, runs that find one new object, and `status`. `listing` measures how soon a run with very many new objects begins to
convert, and its memory. `small` measures what an object costs that holds next to nothing. Each checks its answers. Seconds are those
of the whole process; the server takes its CPU time, which is told too, from the same cores.
"""

import argparse
import contextlib
import gzip
import json
import math
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import simulated

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/readers"))
import s3  # noqa: E402
from conftest import FLOWLOGS, FLOWQUET  # noqa: E402

MIB = 1 << 20

# Runs a command in a process of its own: what a process takes at most is counted from its parent's size on. The first argument is the
# file of its output. Tells its process id, and at the end what it took.
MEASURE = """
import json, os, subprocess, sys, time
began = time.monotonic()
process = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "wb"))
print(process.pid, flush=True)
_, status, usage = os.wait4(process.pid, 0)
wall, cpu = time.monotonic() - began, usage.ru_utime + usage.ru_stime
print(json.dumps({"wall": wall, "cpu": cpu, "peak": usage.ru_maxrss * 1024, "code": os.waitstatus_to_exitcode(status)}))
"""


@contextlib.contextmanager
def started(command, output):
    """A command under way, in a group of processes that ends with this block."""
    measure = [sys.executable, "-c", MEASURE, output, *map(str, command)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(measure, env=s3.ENVIRONMENT, process_group=0, **pipes)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def measured(command, folder):
    """Runs a command that succeeds. Returns what it took, and its report or else the JSON that it printed."""
    output, report = folder / "output.json", folder / "report.json"
    if "convert" in command:
        command = [*command, "--quiet", "--report", report]
    with started(command, output) as process:
        lines, words = process.communicate()
    took = json.loads(lines.splitlines()[-1])
    assert took["code"] == 0, (took["code"], words)
    return took, json.loads((report if "convert" in command else output).read_text())


def checked(report):
    """A report in which all adds up."""
    objects = report["objects"]
    assert report["lines"] == report["records"] + report["rejects"] + report["headers"] + report["blanks"], report
    total = objects["converted"] + objects["known"] + objects["failed"] + objects["left"] + objects["set_aside"]
    assert objects["listed"] + objects["resumed"] == total, objects
    return report


def cpu_of(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process):
    pages = int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def less(after, before):
    """Requests by kind, without those of before."""
    found = {kind: after.get(kind, 0) - before.get(kind, 0) for kind in sorted({*after, *before})}
    return {kind: n for kind, n in found.items() if n}


@contextlib.contextmanager
def work_folder():
    with tempfile.TemporaryDirectory(prefix="flowquet-log-") as folder:
        yield pathlib.Path(folder)


@contextlib.contextmanager
def served(*args, **loads):
    """The server, with folders as places of buckets (`lake__t` is lake/t), and how long it took to load them."""
    began = time.monotonic()
    for place, folder in loads.items():
        args = (*args, "--load", f"{place.replace('__', '/')}={folder}")
    with s3.serve(*args) as server:
        print(f"the server loads in {time.monotonic() - began:.0f} s and takes {resident(server.process) / 1e9:.1f} GB", flush=True)
        yield server


def machine():
    cpus = [line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    version = subprocess.run([FLOWQUET, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cpu = cpus[0] if cpus else platform.machine()
    return f"{os.cpu_count()} cores ({cpu}), {memory / 1e9:.0f} GB, Linux {platform.release()}, {version}, Python {platform.python_version()}"


# Part 1: the history of a table.


def range_text(numbers):
    least, most = min(numbers), max(numbers)
    return f"{least}" if least == most else f"{least} to {most}"


def requests_text(tallies):
    """Requests by kind over the runs: one number, or the least and the most."""
    kinds = sorted({kind for tally in tallies for kind in tally})
    return ", ".join(f"{kind} {range_text([tally.get(kind, 0) for tally in tallies])}" for kind in kinds) or "none"


def show(name, runs):
    """Times and memory of runs: least and median; and their requests beside the listing of sources."""
    column = lambda key: [run[key] for run in runs]
    both = lambda key, scale=1: f"{min(column(key)) / scale:9.2f} {statistics.median(column(key)) / scale:9.2f}"
    memory = f"{min(column('peak')) / MIB:8.0f} {statistics.median(column('peak')) / MIB:8.0f}"
    print(f"{name:26} {both('wall')} {both('cpu')} {both('served')} {memory}  {requests_text(column('requests'))}", flush=True)


class History:
    """Runs on a simulated table in a server."""

    def __init__(self, server, folder, made):
        self.server, self.folder, self.made = server, folder, made
        # New objects that were put, those of them that were converted, and bytes of the files that they became.
        self.put, self.added, self.added_bytes = 0, 0, 0
        since = simulated.LAST_DAY - simulated.datetime.timedelta(days=simulated.LISTED_DAYS - 1)
        self.source = [simulated.SOURCE, "--since", since, "--until", simulated.LAST_DAY]

    def listing_requests(self):
        """Requests that listing the sources takes: those of a run without a table that writes nothing. Its other requests read objects,
        one of each flow log."""
        before = self.server.tally()
        command = s3.command(self.server, "convert", *self.source, "--out", self.folder / "nothing", "--dry-run")
        _, report = measured(command, self.folder)
        assert checked(report)["objects"]["listed"] == self.made["listed"] + self.put, report["objects"]
        return less(self.server.tally(), before)["LIST"]

    def measure(self, command, source_lists):
        tally, cpu = self.server.tally(), cpu_of(self.server.process)
        took, answer = measured(command, self.folder)
        took["served"] = cpu_of(self.server.process) - cpu
        took["requests"] = less(self.server.tally(), tally)
        if source_lists:
            took["requests"] = less(took["requests"], {"LIST": source_lists})
        return took, answer

    def convert(self, converted, source_lists):
        """A run that finds so many new objects."""
        command = s3.command(self.server, "convert", *self.source, "--out", "s3://lake/t")
        took, report = self.measure(command, source_lists)
        objects = checked(report)["objects"]
        self.added += converted
        self.added_bytes += report["bytes_out"]
        want = {"listed": self.made["listed"] + self.added, "converted": converted}
        want["known"] = want["listed"] - converted
        assert {name: objects[name] for name in want} == want, objects
        assert report["outcome"] == "success" and report["records"] == converted * simulated.ROWS, report
        assert not any(report["files"].values()), report["files"]
        return took

    def put_new(self):
        key = "AWSLogs/" + simulated.new_key(self.put, self.made["parameters"]["objects"])
        self.server.client.put_object(Bucket=simulated.BUCKET, Key=key, Body=simulated.BODY)
        self.put += 1

    def status(self):
        took, status = self.measure(s3.command(self.server, "status", "s3://lake/t", "--json"), 0)
        want, new = dict(self.made["status"]), self.added
        want["bytes_in"] += new * len(simulated.BODY)
        want["bytes_out"] += self.added_bytes
        for name, n in [("plans", 1), ("tasks", 1), ("objects", 1), ("files", 1), ("headers", 1), ("records", simulated.ROWS), ("lines", simulated.ROWS + 1)]:
            want[name] += new * n
        assert {name: status[name] for name in want} == want, (want, status)
        for name in ["open_tasks", "open_compactions", "unreadable", "reject_files", "lost", "truncated", "stray", "left"]:
            assert not status[name], (name, status[name])
        return took

    def beside_records(self):
        """Sizes of the table's objects that are neither commits, plans nor data files: what runs may leave for later ones."""
        found, folders = {}, ["t/_flowquet/"]
        pages = self.server.client.get_paginator("list_objects_v2")
        while folders:
            for page in pages.paginate(Bucket="lake", Prefix=folders.pop(), Delimiter="/"):
                found |= {item["Key"]: item["Size"] for item in page.get("Contents", [])}
                here = [p["Prefix"] for p in page.get("CommonPrefixes", [])]
                folders += [p for p in here if p not in ("t/_flowquet/plans/", "t/_flowquet/commits/")]
        return found


def history(args, folder):
    kept = pathlib.Path(args.keep) if args.keep else folder / "made"
    made = simulated.make(kept, FLOWQUET, args.objects, args.tasks, args.plans)
    print(f"{args.objects} objects, {args.tasks} tasks, {args.plans} plans, {made['record_bytes'] / 1e6:.0f} MB of records, {made['listed']} objects listed")
    if args.generate_only:
        return
    with served("--latency-ms", str(args.latency_ms), logs=kept / "logs", lake__t=kept / "table") as server:
        runs = History(server, folder, made)
        lists = runs.listing_requests()
        print(f"listing the sources: LIST {lists}, in no figure below; latency {args.latency_ms} ms; {args.runs} runs, least and median")
        columns = ["wall s", "median", "CPU s", "median", "server's", "median"]
        print(f"{'':26} {' '.join(f'{c:>9}' for c in columns)} {'MiB':>8} {'median':>8}  requests")
        before, left, first = runs.beside_records(), {}, []
        for _ in range(args.runs):
            # What the run before has left for later ones is taken away: this one is the first again.
            for key in left:
                server.client.delete_object(Bucket="lake", Key=key)
            assert runs.beside_records() == before
            first.append(runs.convert(0, lists))
            after = runs.beside_records()
            assert before.items() <= after.items(), "a run that finds nothing new changes nothing that is there"
            left = {key: size for key, size in after.items() if key not in before}
        show("first run, nothing new", first)
        print(f"{'it leaves':26} {len(left)} objects, {sum(left.values()) / 1e6:.1f} MB")
        again = [runs.convert(0, lists) for _ in range(args.runs)]
        show("again, nothing new", again)
        new, more = [], []
        for _ in range(args.runs):
            # Each new object leaves a history that is longer; so each run is compared with one just before it.
            alike = runs.convert(0, runs.listing_requests())
            runs.put_new()
            # It may be on a new page of the listing.
            new.append(runs.convert(1, runs.listing_requests()))
            more.append(less(new[-1]["requests"], alike["requests"]))
        show("one new object", new)
        print(f"{'more than just before':26} {requests_text(more)}")
        show("status", [runs.status() for _ in range(args.runs)])


# Part 2: a long listing.


def many_objects(folder, count):
    """A folder of `count` objects, one each five minutes of each account, all the same: links to few files, since a file may have
    some ten thousand names."""
    body, names = None, 0
    days = math.ceil(count / 288 / len(simulated.ACCOUNTS))
    first = simulated.FIRST_DAY
    for account in range(len(simulated.ACCOUNTS)):
        for day in (first + simulated.datetime.timedelta(days=n) for n in range(days)):
            path = folder / simulated.key_of(account, f"{day:%Y/%m/%d/}", "", 0)
            path.parent.mkdir(parents=True)
            for slot in range(288):
                if names == count:
                    return
                stamp = f"{day:%Y%m%d}T{slot // 12:02}{slot % 12 * 5:02}Z"
                path = folder / simulated.key_of(account, f"{day:%Y/%m/%d/}", stamp, names)
                if names % 30_000 == 0:
                    body = path
                    path.write_bytes(simulated.BODY)
                else:
                    os.link(body, path)
                names += 1


class Watch:
    """When a run says what, and when its first commit is there."""

    def __init__(self, server, process, began):
        self.server, self.began = server, began
        self.lines, self.commit, self.lists, self.polls = [], None, None, 0
        self.over, self.has_begun, self.portions = threading.Event(), threading.Event(), threading.Semaphore(0)
        self.threads = [threading.Thread(target=self.read, args=(process.stderr,)), threading.Thread(target=self.poll)]
        for thread in self.threads:
            thread.start()

    def read(self, words):
        for line in words:
            self.lines.append((time.monotonic() - self.began, line.rstrip()))
            if line.startswith("converting "):
                self.lists = self.lists or self.server.tally()
                self.has_begun.set()
                self.portions.release()
        self.over.set()
        self.has_begun.set()
        self.portions.release()

    def poll(self):
        # Looking costs time of the same cores: not before anything can be there.
        self.has_begun.wait()
        while not self.over.wait(0.05):
            self.polls += 1
            page = self.server.client.list_objects_v2(Bucket="lake", Prefix="t/_flowquet/commits/", MaxKeys=1)
            if page.get("Contents"):
                self.commit = time.monotonic() - self.began
                return

    def begun(self):
        """When portions began to be converted, and what was said then: their plan was put, and what comes next is their first task."""
        return [(at, line) for at, line in self.lines if line.startswith("converting ")]


def listing(args, folder):
    logs = folder / "logs"
    began = time.monotonic()
    many_objects(logs / "AWSLogs", args.keys)
    print(f"{args.keys} names were made in {time.monotonic() - began:.0f} s", flush=True)
    for _ in range(args.runs):
        with served("--latency-ms", str(args.latency_ms), logs=logs) as server:
            listing_run(args, folder, server)


def listing_run(args, folder, server):
    command = s3.command(server, "convert", simulated.SOURCE, "--out", "s3://lake/t", "--memory", args.memory, "--report", "-")
    output = folder / "report.json"
    with started(command, output) as process:
        watch = Watch(server, process, time.monotonic())
        pid = int(process.stdout.readline())
        watch.portions.acquire()
        if not args.whole:
            # The second portion begins when the first is committed.
            watch.portions.acquire()
            if not watch.over.is_set():
                os.kill(pid, signal.SIGTERM)
        took = json.loads(process.stdout.read())
    for thread in watch.threads:
        thread.join()
    tally = server.tally()
    report = checked(json.loads(output.read_text()))
    objects, begun = report["objects"], watch.begun()
    words = "\n".join(line for _, line in watch.lines)
    assert begun and watch.commit is not None, words
    was_killed = took["code"] == 130
    assert took["code"] == 0 or was_killed and not args.whole and len(begun) == 2, (took, words)
    assert objects["failed"] == objects["set_aside"] == 0, objects
    assert report["records"] == objects["converted"] * simulated.ROWS, report
    status = json.loads(subprocess.run(s3.command(server, "status", "s3://lake/t", "--json"), env=s3.ENVIRONMENT, capture_output=True, text=True).stdout)
    assert status["objects"] == objects["converted"] and status["records"] == report["records"], status
    if not was_killed:
        assert objects["converted"] == args.keys, objects
    print(f"first task under way after {begun[0][0]:.2f} s, LIST {watch.lists.get('LIST', 0)}: \"{begun[0][1]}\"")
    print(f"first commit record seen after {watch.commit:.2f} s")
    if len(begun) > 1:
        print(f"first portion committed after {begun[1][0]:.2f} s")
    # Without those of `Watch.poll`.
    requests = less(tally, {"LIST": watch.polls})
    end = "stopped" if was_killed else "done"
    mib = took["peak"] / MIB
    print(
        f"{end} after {took['wall']:.1f} s, {took['cpu']:.1f} s of CPU: {objects['converted']} objects converted, {report['threads']} workers, "
        f"peak {mib:.0f} MiB with --memory {args.memory}, requests {requests_text([requests])}",
        flush=True,
    )


# Part 3: small objects on a disk.


def small(args, folder):
    logs = folder / "logs"
    subprocess.run([FLOWLOGS, logs, "--objects", str(args.small_objects), "--records", str(args.records), "--every-s", "60"], check=True)
    # Counted by somebody else: a header line, and records.
    lines = [gzip.decompress(path.read_bytes()).count(b"\n") for path in logs.rglob("*.gz")]
    records = sum(lines) - len(lines)
    assert (len(lines), records) == (args.small_objects, args.small_objects * args.records)
    runs = []
    for n in range(args.runs):
        out = folder / f"out{n}"
        took, report = measured([FLOWQUET, "convert", logs, "--out", out], folder)
        assert checked(report)["objects"]["converted"] == args.small_objects and report["records"] == records, report
        status = json.loads(subprocess.run([FLOWQUET, "status", out, "--json"], capture_output=True, text=True, check=True).stdout)
        assert (status["objects"], status["records"]) == (args.small_objects, records), status
        runs.append(took)
    each = lambda key: [run[key] / args.small_objects * 1e6 for run in runs]
    wall, cpu, peak = each("wall"), each("cpu"), [run["peak"] / MIB for run in runs]
    print(f"{args.small_objects} objects of {args.records} records on a disk, {args.runs} runs, {report['threads']} workers, {report['tasks']} tasks")
    print(
        f"an object: {min(wall):.1f} µs at least, {statistics.median(wall):.1f} µs median; CPU {min(cpu):.1f} µs, {statistics.median(cpu):.1f} µs; "
        f"peak {min(peak):.0f} MiB, {statistics.median(peak):.0f} MiB"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=["history", "listing", "small"], default="history")
    parser.add_argument("--runs", type=int, help="how often each is measured [default: 3, of listing 1]")
    parser.add_argument("--latency-ms", type=int, default=0, help="added to every request of history and listing")
    parser.add_argument("--objects", type=int, default=10_000_000, help="of the simulated table")
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--plans", type=int, default=3_000)
    parser.add_argument("--keep", help="folder for the simulated table, used again if it holds one of the same parameters")
    parser.add_argument("--generate-only", action="store_true", help="make the simulated table and end")
    parser.add_argument("--keys", type=int, default=2_000_000, help="of listing")
    parser.add_argument("--memory", default="512M", help="of listing")
    parser.add_argument("--whole", action="store_true", help="do not stop listing after the first portion")
    parser.add_argument("--small-objects", type=int, default=20_000)
    parser.add_argument("--records", type=int, default=10, help="of a small object")
    args = parser.parse_args()
    args.runs = args.runs or (1 if args.part == "listing" else 3)
    # Whoever ends this ends the server too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    print(machine(), flush=True)
    with work_folder() as folder:
        {"history": history, "listing": listing, "small": small}[args.part](args, folder)


if __name__ == "__main__":
    main()
