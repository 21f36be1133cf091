#!/usr/bin/env python3
"""What compaction takes: this flowquet against another one, by turns, on copies of the same table.

usage: .venv/bin/python benches/compact/run.py [--before PATH] [--format blog] [--records 4800000] [--file-bytes 8M] [--runs 3]
       [--threads 1] [--memory SIZE] [--instructions]

Run from the root after `./test`. Makes up the logs of a day (seeded), has flowquet convert them to files of `--file-bytes`, and compacts
copies of that table. Each answer is checked: row counts, and per column its nulls, its distinct values, and a sum over all values that
knows no order, by DuckDB. Prints CPU time, wall time, rows a second, peak memory, and the ratio of CPU times in each turn; `--before` names
the program to compare with, whose options are the same. With `--instructions`, each runs once more under callgrind, and instructions a row
are told. Whether both wrote the same bytes is told too.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import duckdb

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
WORK = ROOT / "out" / "compact"


# Measured by a small process between: a child's peak counts what it shared with its parent before it began.
MEASURE = """
import os, subprocess, sys, time
started = time.monotonic()
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def made(options):
    """A table of small files, made once."""
    table = WORK / f"{options.format}-{options.records}-{options.file_bytes}"
    if not table.exists():
        logs = WORK / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        objects = 48
        # Deliveries of the whole day.
        subprocess.run([TARGET / "flowlogs", logs, "--format", options.format, "--objects", str(objects), "--records", str(options.records // objects), "--every-s", "1750"], check=True)
        whole = table.with_name("unfinished")
        shutil.rmtree(whole, ignore_errors=True)
        subprocess.run([TARGET / "flowquet", "convert", logs, "--out", whole, "--quiet", "--file-bytes", options.file_bytes], check=True)
        whole.rename(table)
        shutil.rmtree(logs)
    return table


def content(table):
    """What must be the same before and after, whatever the order of rows and files."""
    files = f"read_parquet('{table}/date=*/*.parquet', union_by_name = true, hive_partitioning = false)"
    names = [row[0] for row in duckdb.sql(f"describe select * from {files}").fetchall()]
    of = lambda name: f'count("{name}"), count(distinct "{name}"), sum(hash("{name}")::hugeint)'
    row = "sum(hash(" + ", ".join(f'"{name}"' for name in names) + ")::hugeint)"
    return duckdb.sql(f"select count(*), {row}, {', '.join(map(of, names))} from {files}").fetchall()


def sizes(table):
    return {str(path.relative_to(table)): path.read_bytes() for path in sorted(table.glob("date=*/*.parquet"))}


def command(program, table, options):
    return [str(program), "compact", str(table), "--quiet", "--threads", str(options.threads), *(["--memory", options.memory] if options.memory else [])]


def measured(program, table, options):
    """Seconds, CPU seconds and peak MiB of compacting a copy, and the copy."""
    copy = WORK / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(table, copy)
    done = subprocess.run([sys.executable, "-c", MEASURE, *command(program, copy, options)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{program} failed")
    return *map(float, done.stdout.split()), copy


def instructions(program, table, options):
    copy = WORK / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(table, copy)
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        done = subprocess.run(valgrind + command(program, copy, options), capture_output=True, text=True)
    counted = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not counted:
        sys.exit(f"callgrind failed for {program}:\n{done.stderr}")
    return int(counted[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", type=pathlib.Path)
    parser.add_argument("--format", default="blog")
    parser.add_argument("--records", type=int, default=4_800_000)
    parser.add_argument("--file-bytes", default="8M")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory")
    parser.add_argument("--instructions", action="store_true")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    table = made(options)
    expected = content(table)
    rows = expected[0][0]
    programs = {"now": TARGET / "flowquet"} | ({"before": options.before} if options.before else {})
    runs, written = {name: [] for name in programs}, {}
    print(f"{options.format}: {rows:,} rows, {len(sizes(table))} files, {sum(map(len, sizes(table).values())) / 1e6:.1f} MB, {options.threads} threads, --memory {options.memory or 'by default'}")
    for _ in range(options.runs):
        for name, program in programs.items():
            *figures, copy = measured(program, table, options)
            runs[name].append(figures)
            if name not in written:
                if content(copy) != expected:
                    sys.exit(f"{name}: other rows than before")
                written[name] = sizes(copy)
    for name, found in runs.items():
        wall, cpu, peak = min(f[0] for f in found), min(f[1] for f in found), max(f[2] for f in found)
        files = written[name]
        print(f"{name:<7} best {wall:6.2f} s, CPU {cpu:6.2f} s, {rows / cpu / 1e6:5.2f} M rows a CPU second, peak {peak:4.0f} MiB, {len(files)} files, {sum(map(len, files.values())) / 1e6:.1f} MB, CPU of all: {', '.join(f'{f[1]:.2f}' for f in found)}")
    if options.before:
        ratios = [before[1] / now[1] for now, before in zip(runs["now"], runs["before"])]
        same = "the same bytes" if written["now"] == written["before"] else "other bytes"
        print(f"CPU before / now in each turn: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; {same}")
    if options.instructions:
        for name, program in programs.items():
            print(f"{name:<7} {instructions(program, table, options) / rows:7.0f} instructions a row")


main()
