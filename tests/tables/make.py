"""Makes the tables of one layout, with the program of that layout: `make.py PROGRAM LAYOUT`.

Each table is made in the S3 server of `crates/s3server`, from objects in the bucket `logs` to a prefix of the bucket `lake`, so
that no record names a path of a machine. The same program gives the same bytes. README.md in this folder says what stands where.
"""

import gzip
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "readers"))

import naive
import s3

V5 = (
    f"{naive.V2} vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type "
    "sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path"
)
# As AWS may announce it one day: `hop-of-tomorrow` is in no catalogue.
ODD = "start srcaddr dstaddr hop-of-tomorrow bytes packets end action log-status"

MIDNIGHT_S = 1_705_276_800  # 2024-01-15
ACCOUNTS = {"123456789012": "us-east-1", "210987654321": "eu-west-3"}
FIRST, SECOND = ACCOUNTS


def record(fields, account, day, dice):
    """One line; about one in twelve flows began on the day before that of its object."""
    start = MIDNIGHT_S + 86_400 * day + dice.randrange(-7_000, 80_000)
    words = {
        "version": "5" if "traffic-path" in fields else "2",
        "account-id": account,
        "interface-id": f"eni-0{dice.randrange(4)}",
        "srcaddr": f"10.0.{dice.randrange(3)}.{dice.randrange(9)}",
        "dstaddr": dice.choice(["10.0.1.7", "203.0.113.9", "2001:db8::7"]),
        "srcport": str(dice.randrange(1024, 65_536)),
        "dstport": dice.choice(["22", "53", "443"]),
        "protocol": dice.choice(["6", "17"]),
        "packets": str(dice.randrange(1, 90)),
        "bytes": str(dice.randrange(40, 90_000)),
        "start": str(start),
        "end": str(start + 60),
        "action": dice.choice(["ACCEPT", "ACCEPT", "REJECT"]),
        "log-status": "OK",
        "vpc-id": "vpc-1",
        "subnet-id": f"subnet-{dice.randrange(2)}",
        "tcp-flags": dice.choice(["2", "19"]),
        "type": "IPv4",
        "pkt-srcaddr": f"10.0.2.{dice.randrange(5)}",
        "pkt-dstaddr": "10.0.1.7",
        "region": ACCOUNTS[account],
        "az-id": "use1-az2",
        "flow-direction": dice.choice(["ingress", "egress"]),
        "traffic-path": dice.choice(["-", "1", "8"]),
        "hop-of-tomorrow": dice.choice(["-", "a", "b%20c"]),
    }
    if dice.randrange(15) == 0:
        absent = ["srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "action", "tcp-flags", "type"]
        words |= dict.fromkeys(absent, "-") | {"log-status": "NODATA"}
    return " ".join(words.get(field, "-") for field in fields.split())


def text(seed, fields, account=FIRST, day=0, records=30, header=True):
    dice = random.Random(seed)
    lines = [fields] * header + [record(fields, account, day, dice) for _ in range(records)]
    return "".join(f"{line}\n" for line in lines)


def key(account, day, minute):
    """Of an object, as AWS delivers it."""
    region, date = ACCOUNTS[account], f"202401{15 + day}"
    folder = f"AWSLogs/{account}/vpcflowlogs/{region}/2024/01/{15 + day}"
    return f"{folder}/{account}_vpcflowlogs_{region}_fl-0{account[:8]}_{date}T05{minute:02}Z_{minute:08x}.log.gz"


class Maker:
    """A table on its way, with a server of its own."""

    def __init__(self, server):
        self.server = server
        self.logs = {}

    def put(self, name, body):
        body = gzip.compress(body.encode(), mtime=0) if isinstance(body, str) else body
        self.logs[name] = body
        self.server.client.put_object(Bucket="logs", Key=name, Body=body)

    def run(self, *args, check=0):
        return s3.run(self.server, *args, check=check)

    def convert(self, *args, source="s3://logs/", check=0):
        self.run("convert", source, "--out", "s3://lake/t", "--quiet", *args, check=check)

    def compact(self):
        # One thread: the order in which partitions are done numbers the records.
        self.run("compact", "s3://lake/t", "--quiet", "--threads", "1")

    def objects(self):
        """All objects of the table, by key."""
        get = lambda key: self.server.client.get_object(Bucket="lake", Key=key)["Body"].read()
        return {key.removeprefix("t/"): get(key) for key in self.server.keys("lake", "t/")}

    def change(self, after):
        """Makes the table hold these objects and no others, as a process that was killed would have left it."""
        before = self.objects()
        for key in before.keys() - after.keys():
            self.server.client.delete_object(Bucket="lake", Key=f"t/{key}")
        for key, body in after.items():
            if before.get(key) != body:
                self.server.client.put_object(Bucket="lake", Key=f"t/{key}", Body=body)


def plain(make):
    """Two runs, three log formats, and every kind of line and object that is left out."""
    for day in range(2):
        make.put(key(FIRST, day, 5), text(10 + day, naive.V2, FIRST, day) + "no record\n" * (day == 0))
        make.put(key(SECOND, day, 5), text(20 + day, V5, SECOND, day) + "\n" * (day == 1))
    make.convert()
    make.put(key(FIRST, 1, 10), text(30, ODD, FIRST, 1) + "1705370000 10.0.0.1 10.0.0.2 a many 3 1705370001 ACCEPT OK\n")
    make.put(key(FIRST, 1, 15), gzip.compress(text(31, naive.V2, FIRST, 1).encode(), mtime=0)[:-200])
    make.put(key(FIRST, 1, 20), text(32, naive.V2, FIRST, 1, header=False))
    make.convert(check=4)
    return {"convert": [], "unreadable": [key(FIRST, 1, 15), key(FIRST, 1, 20)]}


def rich_sorted(make):
    """Every option that decides how rows are written."""
    options = ["--types", "rich", "--sort", "--partition-by", "account,region,date", "--bloom-filter", "srcaddr"]
    for account, fields in [(FIRST, naive.V2), (SECOND, V5)]:
        for day in range(2):
            make.put(key(account, day, 5), text(f"{account}{day}", fields, account, day))
    make.convert(*options)
    return {"convert": options, "partition_by": ["account", "region", "date"]}


def compacted(make):
    """Three runs, compacted, and one more: compacted files and others stand in the same partitions."""
    for run, fields in enumerate([naive.V2, V5, naive.V2, naive.V2]):
        for day in range(2):
            make.put(key(FIRST, day, run), text(40 + 2 * run + day, fields, FIRST, day, 25))
        make.convert()
        if run == 2:
            make.compact()
    return {"convert": []}


def open_(make):
    """What kills at four moments leave.

    Of the last plan's three tasks one is committed, one has put its files and no commit record, one was never begun. Of three
    compactions, all with records and without their `.done`, one has put no file in place; the others have put all, and deleted
    the first of the old ones. The plan is one of `flowquet plan`, of which two shares of three were performed; the rest is done
    by hand: commit record and marks are removed, files put back where they were.
    """
    for run in range(2):
        for day in range(2):
            make.put(key(FIRST, day, run), text(60 + 2 * run + day, naive.V2, FIRST, day, 25))
        make.convert()
    before = make.objects()
    make.compact()
    after = make.objects()
    records = [json.loads(body) for name, body in sorted(after.items()) if "/compactions/" in name and name.endswith(".json")]
    for record in records:
        del after[f"_flowquet/compactions/{record['number']:08}.done"]
        is_first = record is records[0]
        for output in record["outputs"]:
            aside = f"_flowquet/compacted/{record['id']}/{os.path.basename(output['key'])}"
            after[aside] = after[output["key"]]
            if is_first:
                del after[output["key"]]
        retired = record["retired"] if is_first else record["retired"][1:]
        after |= {file["key"]: before[file["key"]] for file in retired}
    make.change(after)
    moving = sorted(record["partition"] for record in records)
    assert len(moving) == 3, moving

    for day in range(3):
        make.put(key(SECOND, day, 9), text(70 + day, V5, SECOND, day, 25))
    plan = make.run("plan", "s3://logs/", "--out", "s3://lake/t", "--json").stdout
    tasks = json.loads(plan)["plan"]["tasks"]
    assert len(tasks) == 3, len(tasks)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(plan)
        file.flush()
        for share in ["0/3", "1/3"]:
            make.run("convert", "--plan", file.name, "--task", share, "--quiet")
    without = make.objects()
    del without[f"_flowquet/commits/{tasks[1]['id']}.json"]
    make.change(without)
    assert any(f"/{tasks[1]['id']}-" in name for name in without), "its files are there"
    left = [item["url"] for task in tasks[1:] for item in task["objects"]]
    return {"convert": [], "open": [url.removeprefix("s3://logs/") for url in left]}


def wrong_format(make):
    """Mistakes: one run took objects without a header line for v5, another asked for a column that no object has."""
    make.put("good/" + key(FIRST, 0, 5), text(80, naive.V2))
    make.put("v2/" + key(FIRST, 0, 10), text(81, naive.V2, header=False))
    make.put("v2/" + key(FIRST, 1, 10), text(82, naive.V2, day=1, header=False))
    make.put("typo/" + key(FIRST, 1, 15), text(83, naive.V2, day=1))
    make.convert("--format", "v2", source="s3://logs/good/")
    make.convert("--format", "v5", source="s3://logs/v2/")
    make.convert("--format", "v2", "--columns", "bites", source="s3://logs/typo/", check=4)
    lost = sorted(name for name in make.logs if not name.startswith("good/"))
    return {"convert": ["--format", "v2"], "format": naive.V2, "mistaken": lost, "unreadable": ["typo/" + key(FIRST, 1, 15)]}


TABLES = {"plain": plain, "rich-sorted": rich_sorted, "compacted": compacted, "open": open_, "wrong-format": wrong_format}


def folder_of(row, name, partition_by):
    account, region = name.split("/vpcflowlogs/")[0].rsplit("/", 1)[-1], name.split("/vpcflowlogs/")[1].split("/")[0]
    words = {"account": account, "region": region, "date": naive.date_of(row)}
    return "/".join(f"{column}={words[column]}" for column in partition_by)


def sums(logs, names, told):
    """What the naive reading finds in these objects, by partition."""
    found = {}
    for name in names:
        for row in naive.read(logs[name], told.get("format"))[0]:
            folder = found.setdefault(folder_of(row, name, told.get("partition_by", ["date"])), {"rows": 0, "bytes": 0, "packets": 0})
            folder["rows"] += 1
            folder["bytes"] += row["bytes"] or 0
            folder["packets"] += row["packets"] or 0
    return dict(sorted(found.items()))


def expected(make, told, layout):
    """expected.json: rows by the naive reading of the logs, counts as the program that made the table tells them."""
    unreadable, mistaken, left = (told.get(name, []) for name in ["unreadable", "mistaken", "open"])
    status = json.loads(make.run("status", "s3://lake/t", "--json", check=4 if unreadable or left else 0).stdout)
    counts = ["objects", "lines", "records", "rejects", "headers", "blanks", "plans", "tasks", "void_tasks", "files", "compactions"]
    assert [item["url"] for item in status["unreadable"]] == [f"s3://logs/{name}" for name in sorted(unreadable)], status["unreadable"]
    whole = sorted(make.logs.keys() - {*unreadable, *mistaken})
    now = sums(make.logs, [name for name in whole if name not in left], told)
    assert status["records"] == sum(folder["rows"] for folder in now.values()), status
    return {
        "made_by": subprocess.run([s3.FLOWQUET, "--version"], capture_output=True, text=True, check=True).stdout.strip(),
        "layout_version": layout,
        "convert": told["convert"],
        "partition_by": told.get("partition_by", ["date"]),
        "status": {name: status[name] for name in counts}
        | {"open_tasks": len(status["open_tasks"]), "open_compactions": status["open_compactions"]},
        "unreadable": [f"s3://logs/{name}" for name in sorted(unreadable)],
        "partitions": now,
        "partitions_finished": sums(make.logs, whole, told),
        "mistaken": {f"s3://logs/{name}": sums(make.logs, [name], told) for name in mistaken},
    }


def save(folder, objects):
    for name, body in objects.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def main():
    program, layout = sys.argv[1:]
    s3.FLOWQUET = pathlib.Path(program).resolve()
    for name, table in TABLES.items():
        with s3.serve() as server:
            make = Maker(server)
            told = expected(make, table(make), int(layout))
            folder = HERE / f"layout-{layout}" / name
            shutil.rmtree(folder, ignore_errors=True)
            save(folder / "table", make.objects())
            save(folder / "logs", make.logs)
            (folder / "expected.json").write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
