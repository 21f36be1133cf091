#!/usr/bin/env python3
"""flowquet and general engines on the same work: gzip flow logs to zstd Parquet by date, typed columns, `-` as null.

usage: .venv/bin/python benches/peers/run.py [--objects 512] [--records 100000] [--runs 3] [--formats blog,v2,v5] [--even]

Run from the root after `./test`, which makes .venv and the programs, and
`.venv/bin/python -m pip install -r benches/peers/requirements.txt`. Makes the logs up (seeded): objects of 500 to `--records`
records (100 KB to 20 MB of text), 40 VPCs, a flow in ten through NAT, gzip as zlib makes it at level 6; with `--even` objects of one size, of
2 VPCs, as libdeflate compresses them. Runs each engine in turn `--runs`
times, checks that all outputs hold the same rows and values (counts, sums, distinct values of every column, per date), and writes
to out/: peers.md (a table a format: wall and CPU seconds and peak memory of the best run, bytes written, and Polars' and the
other engines' wall time as a multiple of flowquet's, with the smallest and largest ratio of the runs), peers.svg (the chart) and
peers.json (every run, with machine, commit and command; benches/history keeps those that the documentation quotes).
"""

import argparse
import gzip
import json
import multiprocessing
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

CHDB = """
import sys, json, os, chdb
logs, out, columns = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
types = {"INT32": "Int32", "INT64": "Int64", "STRING": "String"}
structure = ", ".join(f"`{n}` Nullable({types[t]})" for n, t in columns)
os.makedirs(out)
chdb.query(f\"\"\"
insert into function file('{out}/date={{_partition_id}}/data.parquet', 'Parquet', '{structure}')
partition by toString(toDate(toDateTime(assumeNotNull(`start`), 'UTC')))
select * from file('{logs}/**/*.gz', 'CustomSeparatedWithNames', '{structure}')
settings format_custom_escaping_rule = 'CSV', format_custom_field_delimiter = ' ', format_csv_null_representation = '-',
  format_csv_allow_double_quotes = 0, input_format_with_names_use_header = 0, use_hive_partitioning = 0,
  output_format_parquet_compression_method = 'zstd'
\"\"\")
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


# Ours: the program as it is by default, and what it is measured against without writing anything.
FLOWQUET, SORTED, INFLATE = "flowquet", "flowquet --sort", "libdeflate alone"


def engines(logs, out, columns):
    script = lambda code: [sys.executable, "-c", code, str(logs), str(out), json.dumps(columns)]
    convert = [str(TARGET / "flowquet"), "convert", str(logs), "--out", str(out), "--quiet"]
    return {
        FLOWQUET: convert,
        SORTED: [*convert, "--sort"],
        "Polars": script(POLARS),
        "chDB": script(CHDB),
        "DuckDB": script(DUCKDB),
        "pyarrow": script(PYARROW),
        INFLATE: [str(TARGET / "inflate"), str(logs)],
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


def zipped(path):
    """Puts a file as zlib compresses it in place of `path`."""
    path.with_suffix(".log.gz").write_bytes(gzip.compress(path.read_bytes(), 6))
    path.unlink()


def compare(format, args):
    """Runs all engines on one format. Returns every run, by engine, and the number of records."""
    logs, out = WORK / f"logs-{format}", WORK / "table"
    shutil.rmtree(logs, ignore_errors=True)
    objects = args.objects // 2 if format == "v5" else args.objects
    made = [TARGET / "flowlogs", logs, "--format", format, "--objects", str(objects), "--records", str(args.records)]
    if args.even:
        subprocess.run(made, check=True)
    else:
        uneven = ["--records-min", "500", "--vpcs", "40", "--subnets", "240", "--flows-a-nat", "10", "--every-s", "60", "--plain"]
        subprocess.run([*made, *uneven], check=True)
        with multiprocessing.Pool() as pool:
            pool.map(zipped, sorted(logs.rglob("*.log")))
    schema = json.loads(subprocess.check_output([TARGET / "flowquet", "schema", "--as", "json", "--format", header(logs)]))
    columns = [(c["column"], c["type"]) for c in schema["columns"]]
    runs, expected = {}, None
    for run in range(args.runs):
        for name, command in engines(logs, out, columns).items():
            shutil.rmtree(out, ignore_errors=True)
            figures = measure(command) | {"engine": name, "format": format, "run": run}
            figures["bytes"] = sum(p.stat().st_size for p in out.rglob("*.parquet"))
            if run == 0 and name != INFLATE:
                found = answer(out, columns)
                expected = expected or found
                if found != expected:
                    sys.exit(f"{name} and flowquet hold different values for {format}")
            runs.setdefault(name, []).append(figures)
    shutil.rmtree(logs)
    records = sum(row[1] for row in expected)
    title = f"{format}: {len(columns)} columns, {records:,} records, {objects} objects; {args.runs} runs in turn"
    return title, runs


def table(title, runs):
    text = f"{title}\n\n| engine | wall s | spread | CPU s | peak MiB | output MB | times flowquet's wall | in each turn |\n|---|---|---|---|---|---|---|---|\n"
    ours = [r["wall_s"] for r in runs[FLOWQUET]]
    for name, figures in runs.items():
        walls = [r["wall_s"] for r in figures]
        cpu, peak, size = min(r["cpu_s"] for r in figures), max(r["peak_bytes"] for r in figures), figures[0]["bytes"]
        turns = sorted(wall / our for wall, our in zip(walls, ours))
        ratio, turns = (f"{min(walls) / min(ours):.2f}", f"{turns[0]:.2f} to {turns[-1]:.2f}") if name != INFLATE else ("", "")
        written = f"{size / 1e6:.0f}" if size else ""
        text += f"| {name} | {min(walls):.2f} | {max(walls) / min(walls):.2f} | {cpu:.1f} | {peak / 2**20:.0f} | {written} | {ratio} | {turns} |\n"
    inflating = min(r["cpu_s"] for r in runs[INFLATE])
    converting = min(r["cpu_s"] for r in runs[FLOWQUET])
    return text + f"\nflowquet's CPU time is {converting / inflating:.1f} times that of inflating the same files.\n"


def chart(found, path):
    """Wall time of each engine, a panel a format."""
    import matplotlib

    matplotlib.use("svg")
    # The same figures give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "flowquet"
    import matplotlib.pyplot as plot

    figure, panels = plot.subplots(1, len(found), figsize=(4 * len(found), 2.6), squeeze=False)
    for panel, (title, runs) in zip(panels[0], found):
        names = list(runs)[::-1]
        best = [min(r["wall_s"] for r in runs[name]) for name in names]
        bars = panel.barh(names, best, color=["#2a6f97" if name.startswith("flowquet") else "#adb5bd" for name in names])
        panel.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        panel.set_title(title.split(";")[0].replace(", ", "\n", 1), fontsize=8)
        panel.set_xlabel("wall seconds, best run", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.margins(x=0.15)
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=512)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--formats", default="blog,v2,v5")
    parser.add_argument("--even", action="store_true", help="objects of one size, with less in them, by libdeflate")
    args = parser.parse_args()
    found = [compare(format, args) for format in args.formats.split(",")]
    shutil.rmtree(WORK)
    text = "\n".join(table(title, runs) for title, runs in found)
    print(text)
    (ROOT / "out/peers.md").write_text(text)
    runs = [run for _, by_engine in found for figures in by_engine.values() for run in figures]
    (ROOT / "out/peers.json").write_text(json.dumps(origin() | {"runs": runs}, indent=1) + "\n")
    chart(found, ROOT / "out/peers.svg")


def origin():
    """When and where the figures were made, of what, and how."""
    model = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True, cwd=ROOT).strip()
    command = " ".join(["benches/peers/run.py", *sys.argv[1:]])
    return {"time": time.strftime("%Y-%m-%d"), "machine": f"{model}, {os.cpu_count()} cores", "commit": commit, "command": command}


def header(logs):
    with gzip.open(next(logs.rglob("*.gz")), "rt") as file:
        return file.readline().strip()


if __name__ == "__main__":
    main()
