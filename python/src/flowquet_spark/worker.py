"""What runs on executors: one shard of a plan, in one process of flowquet.

This module is sent to executors by value, so that they need no package of ours: it imports nothing of it, and of others only what
each engine's executors have.
"""

from __future__ import annotations

import ctypes
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Optional

#: Columns of the summary, and their types in Spark's words: one row a shard.
COLUMNS: dict[str, str] = {
    "shard": "bigint",
    "shards": "bigint",
    "attempt": "bigint",
    "host": "string",
    "exit_code": "bigint",
    "outcome": "string",
    "error": "string",
    "tasks": "bigint",
    "tasks_by_another": "bigint",
    "tasks_left": "bigint",
    "objects_listed": "bigint",
    "objects_converted": "bigint",
    "objects_known": "bigint",
    "objects_failed": "bigint",
    "objects_left": "bigint",
    "lines": "bigint",
    "records": "bigint",
    "rejects": "bigint",
    "headers": "bigint",
    "blanks": "bigint",
    "files": "bigint",
    "bytes_in": "bigint",
    "bytes_out": "bigint",
    "seconds": "double",
    "report": "string",
}

#: Exit code after which the same shard may succeed: a store did not answer, or throttled all attempts.
TRY_AGAIN = 75
#: What a shell says of a program that is not there: on another machine it may be. Above are those that were stopped or killed.
NOT_FOUND = 127
#: Of standard error, so much of the end is kept in a summary.
ERROR_BYTES_MAX = 4096
#: Pause before the first attempt in place; each next one waits twice as long.
PAUSE_S = 1.0


@dataclass(frozen=True)
class Work:
    """All that an executor must know, the same for each shard."""

    #: The plan, as `flowquet plan --json` printed it, in gzip.
    plan: bytes
    #: Or where it lies, as `flowquet plan --save` put it.
    plan_at: Optional[str]
    shards: int
    #: Path of the program, or the name under which the engine ships it.
    binary: str
    #: Options of `flowquet convert` beside `--plan` and `--shard`.
    options: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    #: How often a shard is tried before its failure is reported instead.
    attempts: int
    #: Whether the engine tries again what raises; else it is tried again here.
    by_engine: bool


class ShardFailed(Exception):
    """A shard that the engine shall try again."""


def find_binary(binary: str) -> str:
    """The program on this machine: a path, a file that the engine shipped, or a name on the PATH."""
    shipped: list[str] = []
    try:
        from pyspark import SparkFiles

        shipped.append(SparkFiles.get(os.path.basename(binary)))
    except Exception:  # noqa: BLE001 - each engine without shipped files fails in its own way
        pass
    places = [binary, *shipped, os.path.join(os.getcwd(), os.path.basename(binary))]
    for place in places:
        if os.path.isfile(place):
            return os.path.abspath(place)
    on_path = shutil.which(binary)
    if on_path is None:
        raise FileNotFoundError(f"flowquet is not on {socket.gethostname()}: looked for {', '.join(places)}, and on the PATH")
    return on_path


def runnable(path: str, folder: str) -> str:
    """`path`, or a copy in `folder` where shipping took the permission to run it."""
    if os.access(path, os.X_OK):
        return path
    copy = os.path.join(folder, "flowquet")
    shutil.copyfile(path, copy)
    os.chmod(copy, 0o700)
    return copy


def dies_with_its_parent() -> Optional[Callable[[], None]]:
    """What a child does first, so that it ends with the executor: an engine kills its own workers, and knows none of theirs."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def first() -> None:
        PR_SET_PDEATHSIG = 1
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    return first


def row_of(report: dict[str, Any]) -> dict[str, Any]:
    """The counts of a report (schemas/report.schema.json) as columns."""
    objects = report["objects"]
    counts = ["tasks", "tasks_by_another", "tasks_left", "lines", "records", "rejects", "headers", "blanks", "bytes_in", "bytes_out", "seconds"]
    row = {name: report[name] for name in counts}
    row |= {f"objects_{name}": objects[name] for name in ["listed", "converted", "known", "failed", "left"]}
    return row | {"outcome": report["outcome"], "error": report["error"], "files": len(report["outputs"]), "report": json.dumps(report)}


def perform(work: Work, shard: int, attempt: int) -> dict[str, Any]:
    """Performs one shard. Whatever happens to it, the answer is a row."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"shard": shard, "shards": work.shards, "attempt": attempt, "host": socket.gethostname()}
    with tempfile.TemporaryDirectory(prefix="flowquet-shard-") as folder:
        plan, report = os.path.join(folder, "plan.json"), os.path.join(folder, "report.json")
        if work.plan_at is not None:
            plan = work.plan_at
        else:
            with open(plan, "wb") as file:
                file.write(gzip.decompress(work.plan))
        try:
            binary = runnable(find_binary(work.binary), folder)
        except OSError as error:
            return row | {"exit_code": NOT_FOUND, "outcome": "not-found", "error": str(error)}
        arguments = ["convert", "--plan", plan, "--shard", f"{shard}/{work.shards}", "--quiet", "--report", report, *work.options]
        environment = {**os.environ, **dict(work.environment)}
        done = subprocess.run(
            [binary, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            preexec_fn=dies_with_its_parent(),  # noqa: PLW1509 - one call, which takes no lock
        )
        # Executors keep what their workers say.
        sys.stderr.write(done.stderr.decode(errors="replace"))
        code = done.returncode if done.returncode >= 0 else 128 - done.returncode
        said = done.stderr[-ERROR_BYTES_MAX:].decode(errors="replace").strip() or None
        row |= {"exit_code": code, "outcome": "killed" if done.returncode < 0 else "failed", "error": said}
        if os.path.exists(report):
            with open(report, encoding="utf-8") as file:
                told = row_of(json.load(file))
            # A report's error is one sentence; what was said has the hint too.
            row |= told | {"error": said if code else told["error"]}
    return row


def may_succeed(exit_code: int) -> bool:
    """Whether the same shard may succeed when it is tried again."""
    return exit_code == TRY_AGAIN or exit_code >= NOT_FOUND


def attempt_of_engine() -> Optional[int]:
    """Which attempt of its task this is, from 0, where the engine tells."""
    try:
        from pyspark import TaskContext

        context = TaskContext.get()
    except ImportError:
        return None
    return None if context is None else context.attemptNumber()


def until_settled(work: Work, shard: int) -> dict[str, Any]:
    """Performs one shard, and again where that may help; the last attempt's failure is a row, so that it ends no other shard."""
    attempt = attempt_of_engine() if work.by_engine else None
    if attempt is not None:
        row = perform(work, shard, attempt)
        if may_succeed(row["exit_code"]) and attempt + 1 < work.attempts:
            raise ShardFailed(f"shard {shard}/{work.shards}, attempt {attempt + 1} of {work.attempts}: exit code {row['exit_code']}: {row['error']}")
        return row
    for attempt in range(work.attempts):
        if attempt > 0:
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
        row = perform(work, shard, attempt)
        if not may_succeed(row["exit_code"]):
            break
    return row


def shards_in_arrow(work: Work) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """The function for `mapInArrow`: numbers of shards in, their summaries out."""

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow

        types = {"bigint": pyarrow.int64(), "double": pyarrow.float64(), "string": pyarrow.string()}
        schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
        for batch in batches:
            for shard in batch.column(0).to_pylist():
                # A row a batch: an engine that asks for more gets what is done.
                row = until_settled(work, shard)
                yield pyarrow.RecordBatch.from_arrays([pyarrow.array([row[f.name]], f.type) for f in schema], schema=schema)

    return run
