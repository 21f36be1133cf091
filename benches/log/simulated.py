"""A table with a long history, made without converting anything: its records are right, its data files are only as long as they say.

The forms of the records are those of a small table that flowquet makes first. What is written here for that table's own data must be the
bytes that flowquet wrote, or nothing is simulated.
"""

import datetime
import gzip
import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import subprocess
import tempfile
import time
import zlib

SEED = 1
# Changes whenever the same parameters give other files.
FORM = 1

FIRST_DAY = datetime.date(2023, 1, 1)
DAYS = 1095
LAST_DAY = FIRST_DAY + datetime.timedelta(days=DAYS - 1)
# What is there to be listed: the newest days.
LISTED_DAYS = 2

ACCOUNTS = [f"{100_000_000_001 + 7_919_000_003 * i}" for i in range(40)]
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "ap-south-1"]

BUCKET = "logs"
SOURCE = f"s3://{BUCKET}/AWSLogs/"

# All source objects are this one, so that each has the size that the records tell.
START = int(datetime.datetime.combine(LAST_DAY, datetime.time(), datetime.timezone.utc).timestamp())
HEADER = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
ROWS = 3
TEXT = HEADER + "\n" + "".join(
    f"2 123456789012 eni-0123456789abcdef0 10.0.0.{n + 1} 10.0.1.{n + 1} {40_000 + n} 443 6 {n + 2} {840 * (n + 2)} {START + n} {START + 59} ACCEPT OK\n"
    for n in range(ROWS)
)
BODY = gzip.compress(TEXT.encode(), 9, mtime=0)
ETAG = hashlib.md5(BODY).hexdigest()

# Data files of the simulated table have this many bytes, which nobody reads.
FILE_BYTES = 100
FILE = b"no Parquet, only as long as one".ljust(FILE_BYTES, b".")

COUNTS = ["lines", "records", "rejects", "headers", "blanks"]


def account_folder(account):
    """Folder of an account, and what its objects' names begin with. An account has one flow log, in one region."""
    region = REGIONS[ACCOUNTS.index(account) % len(REGIONS)]
    flow_log = f"fl-0{int(account):016x}"
    return f"{account}/vpcflowlogs/{region}/", f"{account}_vpcflowlogs_{region}_{flow_log}_"


PLACES = [account_folder(account) for account in ACCOUNTS]


def counts(objects, indent):
    """Lines of so many objects, as records spell them."""
    sums = [objects * (ROWS + 1), objects * ROWS, 0, objects, 0]
    return ",\n".join(f'{" " * indent}"{name}": {n}' for name, n in zip(COUNTS, sums))


# The last part of an input in a commit record; the same for all objects.
INPUT_END = f'{counts(1, 6)},\n      "text_bytes": {len(TEXT)}\n    }}'
INPUT = '    {\n      "url": "%s%s",\n      "key": "%s",\n      "bytes": %d,\n      "etag": "%s",\n' + INPUT_END
PLANNED = '{"url":"%s%s","key":"%s","bytes":%d,"etag":"%s"}'


class Forms:
    """Records in the form in which flowquet writes them. `commit` and `plan` are records of a real table."""

    def __init__(self, contract, plan, commit):
        self.contract = contract
        self.layout, self.written_by = commit["layout_version"], commit["written_by"]
        self.format = commit["outputs"][0]["format"]
        compact = lambda value: json.dumps(value, separators=(",", ":"))
        self.options, self.formats = compact(plan["options"]), compact(plan["formats"])

    def commit_record(self, source, task, plan, objects, outputs):
        """`objects` are keys and etags in key order; `outputs` are key, partition, rows, size, and the first and the last time."""
        inputs = ",\n".join([INPUT % (source, key, key, len(BODY), etag) for key, etag in objects])
        files = ",\n".join(
            f'    {{\n      "key": "{key}",\n      "partition": "{partition}",\n      "rows": {rows},\n      "bytes": {size},\n      "time": {{\n'
            f'        "min": "{first}",\n        "max": "{last}"\n      }},\n      "format": {json.dumps(self.format)}\n    }}'
            for key, partition, rows, size, first, last in outputs
        )
        return (
            f'{{\n  "layout_version": {self.layout},\n  "written_by": "{self.written_by}",\n  "task": "{task}",\n  "plan": {plan},\n'
            f'  "inputs": [\n{inputs}\n  ],\n  "outputs": [\n{files}\n  ],\n  "counts": {{\n{counts(len(objects), 4)}\n  }},\n'
            f'  "records_by_status": {{\n    "OK": {len(objects) * ROWS}\n  }},\n  "rejects_by_reason": {{}},\n'
            f'  "times_out_of_range": 0,\n  "times_missing": 0\n}}\n'
        )

    def plan_record(self, source, number, tasks):
        """`tasks` are ids and their objects."""
        texts = [
            f'{{"id":"{task}","objects":[{",".join([PLANNED % (source, key, key, len(BODY), etag) for key, etag in objects])}]}}'
            for task, objects in tasks
        ]
        return (
            f'{{"layout_version":{self.layout},"number":{number},"options":{self.options},"formats":{self.formats},"tasks":[{",".join(texts)}]}}'
        )


def learn_forms(flowquet):
    """Makes a small table and takes the forms of its records, checking that they are written here as flowquet writes them."""
    with tempfile.TemporaryDirectory() as folder:
        logs, out = pathlib.Path(folder, "logs"), pathlib.Path(folder, "t")
        keys = sorted(key_of(n, f"{LAST_DAY:%Y/%m/%d/}", f"{LAST_DAY:%Y%m%d}T0000Z", n) for n in range(2))
        for key in keys:
            (logs / key).parent.mkdir(parents=True, exist_ok=True)
            (logs / key).write_bytes(BODY)
        subprocess.run([flowquet, "convert", logs, "--out", out, "--quiet"], check=True)
        contract = (out / "_flowquet/table.json").read_bytes()
        plan_text = gzip.decompress((out / "_flowquet/plans/00000001.json.gz").read_bytes()).decode()
        (commit_path,) = (out / "_flowquet/commits/by-plan").iterdir()
        commit_text = commit_path.read_text()
        plan, commit = json.loads(plan_text), json.loads(commit_text)
        forms = Forms(contract, plan, commit)
        # The same records once more, from what they say.
        source = f"file://{logs.resolve()}/"
        objects = [(i["key"], i["etag"]) for i in commit["inputs"]]
        outputs = [(o["key"], o["partition"], o["rows"], o["bytes"], o["time"]["min"], o["time"]["max"]) for o in commit["outputs"]]
        task = commit["task"]
        assert commit_path.name == commit_name(1, task), commit_path.name
        assert [output[0] for output in outputs] == [output_key(f"date={LAST_DAY}", task)], outputs
        for kind, real, ours in [
            ("commit", commit_text, forms.commit_record(source, task, 1, objects, outputs)),
            ("plan", plan_text, forms.plan_record(source, 1, [(task, objects)])),
        ]:
            assert real == ours, f"{kind} records have another form than is simulated:\n{real}\nand here:\n{ours}"
        return forms


def key_of(account, day, stamp, number):
    """Key below the source of an object: the account's place, the day's folder, the time, and a number that no other object has."""
    folder, name = PLACES[account]
    # Odd, so that different numbers below 2^32 give different hashes.
    return f"{folder}{day}{name}{stamp}_{number * 2_654_435_761 & 0xFFFF_FFFF:08x}.log.gz"


def commit_name(plan, task):
    return f"{plan:08}-{task}.json"


def output_key(partition, task):
    return f"{partition}/{task}-0000.parquet"


def day_of(number, objects):
    """The day, counted from the first, on which object `number` was delivered."""
    return number * DAYS // objects


def first_listed(objects):
    """Number of the first object of the newest days."""
    return -(-(DAYS - LISTED_DAYS) * objects // DAYS)


def keys(start, end, objects):
    """Keys below the source of the objects from `start` to `end`, in the order of time, each with its day and five minutes."""
    minutes = DAYS * 288
    slot, found = None, []
    for number in range(start, end):
        this = number * minutes // objects
        if this != slot:
            slot = this
            at = datetime.datetime.combine(FIRST_DAY, datetime.time()) + datetime.timedelta(minutes=5 * slot)
            day, stamp, text = f"{at:%Y/%m/%d/}", f"{at:%Y%m%dT%H%M}Z", f"{at:%Y-%m-%dT%H:%M:%SZ}"
        found.append((key_of(number % len(ACCOUNTS), day, stamp, number), text))
    return found


def share(part, parts, whole):
    """The part-th of `parts` almost equal parts of `whole`, as a range."""
    return part * whole // parts, (part + 1) * whole // parts


def write_plan(job):
    """Writes plan `index` (from 0), the commits of its tasks and their files. Returns sums over them."""
    forms, table, objects, tasks, plans, index = job
    first_task, end_task = share(index, plans, tasks)
    listed = first_listed(objects)
    dice = random.Random(f"{SEED}/{index}")
    number, planned = index + 1, []
    sums = dict.fromkeys(["plans", "tasks", "objects", "files", "record_bytes"], 0)
    for task_index in range(first_task, end_task):
        task = hashlib.sha256(f"{SEED}/{task_index}".encode()).hexdigest()[:16]
        start, end = share(task_index, tasks, objects)
        found = keys(start, end, objects)
        etags = dice.randbytes(16 * len(found)).hex()
        of_task, days = [], {}
        for n, (key, at) in enumerate(found):
            of_task.append((key, etags[32 * n : 32 * n + 32] if start + n < listed else ETAG))
            days.setdefault(at[:10], []).append(at)
        of_task.sort()
        outputs = []
        for day, times in days.items():
            partition = f"date={day}"
            outputs.append((output_key(partition, task), partition, len(times) * ROWS, FILE_BYTES, times[0], times[-1]))
            (table / outputs[-1][0]).write_bytes(FILE)
        record = forms.commit_record(SOURCE, task, number, of_task, outputs).encode()
        (table / "_flowquet/commits/by-plan" / commit_name(number, task)).write_bytes(record)
        planned.append((task, of_task))
        sums["tasks"] += 1
        sums["objects"] += len(of_task)
        sums["files"] += len(outputs)
        sums["record_bytes"] += len(record)
    # As flowquet does it: gzip, fast.
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    record = packer.compress(forms.plan_record(SOURCE, number, planned).encode()) + packer.flush()
    (table / f"_flowquet/plans/{number:08}.json.gz").write_bytes(record)
    sums["plans"] += 1
    sums["record_bytes"] += len(record)
    return sums


def make(folder, flowquet, objects, tasks, plans):
    """Makes the table `folder`/table and the source objects `folder`/logs, unless they are there. Returns what `status` must tell of
    the table, and what else is known of it."""
    parameters = {"form": FORM, "seed": SEED, "objects": objects, "tasks": tasks, "plans": plans}
    mark = folder / "parameters.json"
    if mark.exists():
        made = json.loads(mark.read_text())
        assert made["parameters"] == parameters, f"{folder} holds a table of other parameters: {made['parameters']}"
        print(f"the table in {folder} is used", flush=True)
        return made
    assert not folder.exists() or not any(folder.iterdir()), f"{folder} is neither empty nor a finished table"
    assert plans <= tasks <= objects < 2**32 and objects >= DAYS, "expected plans <= tasks <= objects, and an object a day"
    began = time.monotonic()
    forms = learn_forms(flowquet)
    table = folder / "table"
    for name in ["plans", "commits/by-plan"]:
        (table / "_flowquet" / name).mkdir(parents=True)
    (table / "_flowquet/table.json").write_bytes(forms.contract)
    for day in range(DAYS):
        (table / f"date={FIRST_DAY + datetime.timedelta(days=day)}").mkdir()
    sums = {}
    with multiprocessing.Pool(os.cpu_count()) as pool:
        jobs = ((forms, table, objects, tasks, plans, index) for index in range(plans))
        for done in pool.imap_unordered(write_plan, jobs):
            for name, n in done.items():
                sums[name] = sums.get(name, 0) + n
    assert (sums["objects"], sums["tasks"], sums["plans"]) == (objects, tasks, plans), sums
    listed = keys(first_listed(objects), objects, objects)
    for key, _ in listed:
        path = folder / "logs/AWSLogs" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BODY)
    status = {
        "plans": plans,
        "tasks": tasks,
        "objects": objects,
        "bytes_in": objects * len(BODY),
        "lines": objects * (ROWS + 1),
        "records": objects * ROWS,
        "rejects": 0,
        "headers": objects,
        "blanks": 0,
        "files": sums["files"],
        "bytes_out": sums["files"] * FILE_BYTES,
        "partitions": len({day_of(n, objects) for n in range(objects)}) if objects < 100 * DAYS else DAYS,
    }
    seconds = time.monotonic() - began
    made = {"parameters": parameters, "status": status, "listed": len(listed), "record_bytes": sums["record_bytes"], "seconds": seconds}
    mark.write_text(json.dumps(made, indent=2) + "\n")
    print(f"the table was made in {seconds:.0f} s", flush=True)
    return made


def new_key(number, objects):
    """Key below the source of the `number`-th object (from 0) that comes after all of the table's, on the last day."""
    at = datetime.datetime.combine(LAST_DAY, datetime.time(23, 55))
    return key_of(number % len(ACCOUNTS), f"{at:%Y/%m/%d/}", f"{at:%Y%m%dT%H%M}Z", objects + number)
