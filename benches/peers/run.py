#!/usr/bin/env python3
"""flowquet and general engines on the same work: gzip flow logs to zstd Parquet by date, typed columns, `-` as null.

usage: .venv/bin/python benches/peers/run.py [--objects 96] [--records 100000] [--runs 3] [--formats blog,v2,v5]

Run from the root after `./test` (which makes .venv and the programs). Makes the logs up (seeded), runs each engine in turn
`--runs` times, checks that all outputs hold the same rows and values (counts, sums, distinct values, per date), and prints a table:
wall and CPU seconds and peak memory (best run; spread is worst / best), bytes written, and wall time as a multiple of flowquet's.
Raw rows go to out/peers.json.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
WORK = ROOT / "out" / "peers"
INT32 = {"version", "srcport", "dstport", "protocol", "tcp_flags", "traffic_path"}
INT64 = {"packets", "bytes", "start", "end"}

POLARS = """
import sys, json, polars as pl
logs, out, columns = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
types = {"INT32": pl.Int32, "INT64": pl.Int64, "STRING": pl.String}
frame = pl.scan_csv(f"{logs}/**/*.gz", has_header=False, skip_rows=1, separator=" ", quote_char=None, null_values="-", schema={n: types[t] for n, t in columns})
date = pl.from_epoch("start", time_unit="s").dt.date().alias("date")
frame.with_columns(date).sink_parquet(pl.PartitionBy(out, key="date", include_key=False), compression="zstd", mkdir=True)
"""

DUCKDB = """
import sys, json, duckdb
logs, out, columns = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
types = {"INT32": "INTEGER", "INT64": "BIGINT", "STRING": "VARCHAR"}
schema = "{" + ", ".join(f"'{n}': '{types[t]}'" for n, t in columns) + "}"
duckdb.sql("set preserve_insertion_order = false")
duckdb.sql(f\"\"\"copy (select *, strftime(make_timestamp("start" * 1000000), '%Y-%m-%d') as date
  from read_csv('{logs}/**/*.gz', delim = ' ', header = true, quote = '', escape = '', nullstr = '-', columns = {schema}))
  to '{out}' (format parquet, compression zstd, partition_by (date))\"\"\")
"""

PYARROW = """
import sys, json, glob, pyarrow as pa, pyarrow.csv as csv, pyarrow.dataset as ds, pyarrow.compute as pc
logs, out, columns = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
types = {"INT32": pa.int32(), "INT64": pa.int64(), "STRING": pa.string()}
convert = csv.ConvertOptions(column_types={n: types[t] for n, t in columns}, null_values=["-"], strings_can_be_null=True)
def batches():
    for path in sorted(glob.glob(f"{logs}/**/*.gz", recursive=True)):
        names = csv.ReadOptions(column_names=[n for n, _ in columns], skip_rows=1)
        table = csv.read_csv(path, read_options=names, parse_options=csv.ParseOptions(delimiter=" ", quote_char=False), convert_options=convert)
        date = pc.strftime(pc.cast(table["start"], pa.timestamp("s")), format="%Y-%m-%d")
        yield from table.append_column("date", date).to_batches()
schema = pa.schema([(n, types[t]) for n, t in columns] + [("date", pa.string())])
options = ds.ParquetFileFormat().make_write_options(compression="zstd")
ds.write_dataset(batches(), out, schema=schema, format="parquet", file_options=options, partitioning=ds.partitioning(pa.schema([("date", pa.string())]), flavor="hive"))
"""

MEASURE = """
import json, os, subprocess, sys, time
started = time.monotonic()
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
wall = time.monotonic() - started
print(json.dumps({"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * 1024}))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def engines(logs, out, columns):
    script = lambda code: [sys.executable, "-c", code, str(logs), str(out), json.dumps(columns)]
    return {
        "flowquet": [str(TARGET / "flowquet"), "convert", str(logs), "--out", str(out), "--quiet"],
        "Polars": script(POLARS),
        "DuckDB": script(DUCKDB),
        "pyarrow": script(PYARROW),
    }


def measure(command):
    done = subprocess.run([sys.executable, "-c", MEASURE, *command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[:2]} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def answer(out, columns):
    """What a table holds, in figures that differ if any column does: per date rows, sums and distinct values."""
    import duckdb

    parts = ["count(*)"]
    for name, kind in columns:
        parts += [f'count("{name}")', f'count(distinct "{name}")', f'sum(hash("{name}"))' if kind == "STRING" else f'sum("{name}")']
    sql = f"select cast(date as varchar) as date, {', '.join(parts)} from read_parquet('{out}/date=*/*.parquet', hive_partitioning = true) group by 1 order by 1"
    return duckdb.sql(sql).fetchall()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=96)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--formats", default="blog,v2,v5")
    args = parser.parse_args()
    raw = []
    for format in args.formats.split(","):
        logs = WORK / f"logs-{format}"
        shutil.rmtree(logs, ignore_errors=True)
        objects = args.objects // 2 if format == "v5" else args.objects
        subprocess.run([TARGET / "flowlogs", logs, "--format", format, "--objects", str(objects), "--records", str(args.records)], check=True)
        schema = json.loads(subprocess.check_output([TARGET / "flowquet", "schema", "--as", "json", "--format", header(logs)]))
        columns = [(c["column"], c["type"]) for c in schema["columns"]]
        out = WORK / "table"
        rows, answers = {}, {}
        for run in range(args.runs):
            for name, command in engines(logs, out, columns).items():
                shutil.rmtree(out, ignore_errors=True)
                figures = measure(command) | {"engine": name, "format": format, "run": run}
                figures["bytes"] = sum(p.stat().st_size for p in out.rglob("*.parquet"))
                if run == 0:
                    answers[name] = answer(out, columns)
                    if answers[name] != answers["flowquet"]:
                        sys.exit(f"{name} and flowquet hold different values for {format}")
                rows.setdefault(name, []).append(figures)
                raw.append(figures)
        records = sum(row[1] for row in answers["flowquet"])
        print(f"\n{format}: {len(columns)} columns, {records:,} records, {objects} objects; {args.runs} runs in turn\n")
        print("| engine | wall s | spread | CPU s | peak MiB | output MB | wall / flowquet |\n|---|---|---|---|---|---|---|")
        best = min(r["wall_s"] for r in rows["flowquet"])
        for name, runs in rows.items():
            walls = sorted(r["wall_s"] for r in runs)
            cpu, peak, size = min(r["cpu_s"] for r in runs), max(r["peak_bytes"] for r in runs), runs[0]["bytes"]
            print(f"| {name} | {walls[0]:.2f} | {walls[-1] / walls[0]:.2f} | {cpu:.1f} | {peak / 2**20:.0f} | {size / 1e6:.0f} | {walls[0] / best:.1f} |")
    shutil.rmtree(WORK)
    ROOT.joinpath("out").mkdir(exist_ok=True)
    ROOT.joinpath("out/peers.json").write_text(json.dumps({"time": time.strftime("%Y-%m-%d"), "rows": raw}, indent=1))


def header(logs):
    import gzip

    with gzip.open(next(logs.rglob("*.gz")), "rt") as file:
        return file.readline().strip()


main()
