#!/usr/bin/env python3
"""What queries that people run on flow logs read: files of flowquet against the same rows written by Polars and DuckDB with their defaults.

usage: .venv/bin/python benches/queries/run.py [--records 4800000] [--formats blog,v5]

Run from the root after `./test`. Makes up the flow logs of a day (seeded), has flowquet convert and compact them and the others write
them, checks that all hold the same rows and values and that all answer each query alike, and prints, for each query, the MB that
DataFusion reads with page index, bloom filters and filter pushdown (`bytes_scanned`), the share of the smaller of the others', and
pages skipped of all. Writes the same to out/queries.md.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import sys

import datafusion
import duckdb

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "out" / "queries"

spec = importlib.util.spec_from_file_location("peers", ROOT / "benches/peers/run.py")
peers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peers)

SUM = "select count(*) as records, sum(bytes) as bytes from flows where "

# What is asked, and of what. The order of the files serves those that name an address or a range of sources.
QUERIES = {
    "internal address either way": SUM + "srcaddr = '{inside}' or dstaddr = '{inside}'",
    "external address either way": SUM + "srcaddr = '{outside}' or dstaddr = '{outside}'",
    "one interface": SUM + "interface_id = '{interface}'",
    "rejects to port 22": "select srcaddr, count(*) as n from flows where action = 'REJECT' and dstport = 22 group by 1 order by n desc, 1 limit 20",
    "top talkers": "select srcaddr, dstaddr, sum(bytes) as b from flows group by 1, 2 order by b desc, 1, 2 limit 10",
    "bytes per hour": "select start / 3600 as h, sum(bytes) as b from flows group by 1 order by 1",
    "addresses 10.3.*": SUM + "srcaddr >= '10.3.' and srcaddr < '10.3/'",
}

# Asked of a time, and not of an address. Their sum stands apart, since no order serves both.
TIMES = {
    "five minutes": SUM + "start >= {moment} and start < {moment} + 300",
    "one hour": SUM + "start >= {moment} and start < {moment} + 3600",
}

# How flowquet's files are made of what it converted.
ORDERS = {
    "as converted": None,
    "compact": [],
    "compact --sort interface-id,srcaddr,dstaddr,start": ["--sort", "interface-id,srcaddr,dstaddr,start"],
}


def context(table):
    config = datafusion.SessionConfig()
    for key, value in [("pushdown_filters", "true"), ("reorder_filters", "true"), ("enable_page_index", "true"), ("bloom_filter_on_read", "true")]:
        config = config.set(f"datafusion.execution.parquet.{key}", value)
    # Text is compared as text, and one reader reads: nothing is read twice.
    config = config.set("datafusion.execution.parquet.schema_force_view_types", "false").set("datafusion.execution.target_partitions", "1")
    session = datafusion.SessionContext(config)
    session.register_parquet("flows", str(table), table_partition_cols=[("date", "string")], file_extension=".parquet")
    return session


def measure(table, query):
    """The answer, bytes read, pages skipped and pages in all."""
    answer = context(table).sql(query).to_pylist()
    plan = "\n".join(str(row) for row in context(table).sql(f"explain analyze {query}").to_pylist())
    number = r"([\d.]+)(?: ([KMG])B?)?"
    scaled = lambda digits, unit: float(digits) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[unit]
    read = sum(scaled(*found) for found in re.findall(f"bytes_scanned={number}", plan))
    pruned = re.findall(f"page_index_pages_pruned={number} total → {number} matched", plan)
    pages = [(round(scaled(*found[:2])), round(scaled(*found[2:]))) for found in pruned]
    total, matched = (sum(p[i] for p in pages) for i in range(2))
    return answer, read, total - matched, total


def pick(table, column, condition, place):
    """A value of which there are neither many nor few rows: the `place`-th by count."""
    sql = f"select {column}, count(*) as n from read_parquet('{table}/date=*/*.parquet') where {condition} group by 1 order by n desc, 1 limit 1 offset {place}"
    return duckdb.sql(sql).fetchall()[0][0]


def write(format, records):
    """All tables of one format, by who wrote them."""
    logs = WORK / f"logs-{format}"
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    subprocess.run([peers.TARGET / "flowlogs", logs, "--format", format, "--objects", "48", "--records", str(records // 48), "--every-s", "1800"], check=True)
    described = subprocess.run([peers.TARGET / "flowquet", "schema", "--format", peers.header(logs), "--as", "json"], capture_output=True, text=True, check=True)
    columns = [(c["column"], c["type"]) for c in json.loads(described.stdout)["columns"]]
    tables = {}
    for name, args in ORDERS.items():
        out = tables[f"flowquet {name}"] = WORK / re.sub(r"\W+", "-", name)
        subprocess.run([peers.TARGET / "flowquet", "convert", logs, "--out", out, "--quiet"], check=True)
        if args is not None:
            subprocess.run([peers.TARGET / "flowquet", "compact", out, "--quiet", *args], check=True)
    for name in ["Polars", "DuckDB"]:
        tables[name] = WORK / name
        subprocess.run(peers.engines(logs, tables[name], columns)[name], check=True, capture_output=True)
    expected = peers.answer(tables["DuckDB"], columns)
    for name, table in tables.items():
        assert peers.answer(table, columns) == expected, f"{name} holds other rows"
    return tables


def compare(format, records):
    tables = write(format, records)
    any_table = tables["DuckDB"]
    values = {
        "inside": pick(any_table, "srcaddr", "srcaddr like '10.0.%'", 100),
        "outside": pick(any_table, "srcaddr", "srcaddr not like '10.%'", 3_000),
        "interface": pick(any_table, "interface_id", "true", 100),
        "moment": duckdb.sql(f"select quantile_disc(start, 0.6) // 300 * 300 from read_parquet('{any_table}/date=*/*.parquet')").fetchall()[0][0],
    }
    ours = [name for name in tables if name.startswith("flowquet")]
    others = [name for name in tables if name not in ours]
    lines = [f"{format}: {records:,} records of a day; MB read, share of the less of the others', pages skipped of all", ""]
    lines += ["| query | " + " | ".join([*ours, *others]) + " |", "|---" * (len(tables) + 1) + "|"]
    sums, shares = dict.fromkeys(tables, 0), {}
    for queries, title in [(QUERIES, "sum"), (TIMES, "sum with times")]:
        for name, query in queries.items():
            found = {who: measure(table, query.format(**values)) for who, table in tables.items()}
            assert all(answer == found["DuckDB"][0] for answer, *_ in found.values()), f"{name}: answers differ"
            least = min(found[who][1] for who in others)
            cells = []
            for who in tables:
                _, read, skipped, pages = found[who]
                sums[who] += read
                share = f", {read / least:.2f}" if who in ours else ""
                cells.append(f"{read / 1e6:.1f}{share}" + (f", {skipped} of {pages}" if pages else ""))
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        least = min(sums[who] for who in others)
        lines.append(f"| **{title}** | " + " | ".join(f"{sums[who] / 1e6:.1f}" + (f", **{sums[who] / least:.2f}**" if who in ours else "") for who in tables) + " |")
        shares[title] = {who: sums[who] / least for who in ours}
    size = lambda table: sum(p.stat().st_size for p in table.glob("date=*/*.parquet"))
    lines.append("| MB of files | " + " | ".join(f"{size(table) / 1e6:.1f}" for table in tables.values()) + " |")
    return "\n".join(lines) + "\n", shares["sum"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=4_800_000)
    parser.add_argument("--formats", default="blog,v5")
    args = parser.parse_args()
    text, shares = "", {}
    for format in args.formats.split(","):
        table, shares[format] = compare(format, args.records)
        print(table, flush=True)
        text += table + "\n"
    text += f"datafusion {datafusion.__version__}, duckdb {duckdb.__version__}, polars {importlib.metadata.version('polars')}\n"
    (ROOT / "out/queries.md").write_text(text)
    for format, found in shares.items():
        if found["flowquet compact"] > 0.4:
            sys.exit(f"{format}: compacted files cost {found['flowquet compact']:.2f} of the others' bytes, and 0.4 is the aim")


if __name__ == "__main__":
    main()
