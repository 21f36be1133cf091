"""The driver: plans once, has the engine perform the shards, and adds up what they say."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Optional, Sequence

from . import worker
from .report import Report
from .worker import COLUMNS, Work, find_binary, runnable, shards_in_arrow

#: Engines keep something of each task in the driver.
SHARDS_MAX = 10_000
#: Fewer than these always pay.
SHARDS_LEAST = 100
#: Seconds of a core, by benches/scale: for a GB and for an object of the logs.
SECONDS_A_GB, SECONDS_AN_OBJECT = 16.7, 185e-6
#: The same in each shard: for an object of the plan, which it reads whole, for a commit that others made before, and for itself.
SECONDS_A_PLANNED_OBJECT, SECONDS_A_COMMIT, SECONDS_A_SHARD = 4.6e-6, 145e-6, 0.02
#: Reading plan and log may take this share of the work (docs/SCALE.md: many shards are even and lose little, but all read).
READING_SHARE_MAX = 0.1
#: A plan travels with the function. Connect takes messages of 128 MiB; so much is a plan of some million objects.
PLAN_BYTES_MAX = 64 << 20
#: As Spark does, where it does not say otherwise.
ATTEMPTS = 4


class JobFailed(Exception):
    """What ends a job before its shards are done: with an exit code like the program's."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Job:
    """What is converted, and how."""

    #: Files, folders and S3 prefixes, which the driver and all executors can read under these names.
    sources: Sequence[str]
    #: The table: a folder that all machines share, or an S3 prefix.
    out: str
    #: Options of `flowquet plan`: filters, log format, table.
    plan_options: Sequence[str] = ()
    #: Options of `flowquet plan` and of `flowquet convert` alike: how S3 is reached.
    both_options: Sequence[str] = ()
    #: Options of `flowquet convert` alone: `--memory`, `--max-rejects`.
    convert_options: Sequence[str] = ()
    #: The program: its path on all machines, or a name on their PATH, or of a file that the engine ships (`spark-submit --files`).
    binary: str = "flowquet"
    #: A file, or where the engine can fetch files an S3 object, to ship to the executors as the program.
    ship: Optional[str] = None
    #: How many parts the plan is divided in [default: one for each of its tasks, or so many that reading plan and log takes a tenth of the work].
    shards: Optional[int] = None
    #: Where the plan is saved instead of travelling with the function: an S3 object or a shared file.
    plan_at: Optional[str] = None
    #: Worker threads of each process [default: the cores that the engine gives a task].
    threads: Optional[int] = None
    #: How often a shard is tried [default: as the engine does].
    attempts: Optional[int] = None
    #: Environment variables of the processes, beside those of driver and executors.
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What came of a job."""

    report: Report
    #: A summary of each shard: a DataFrame with [`COLUMNS`][flowquet_spark.COLUMNS], of values that are there: it performs nothing again.
    tasks: Any

    @property
    def exit_code(self) -> int:
        """As `flowquet convert` would end."""
        return self.report.exit_code()


def schema() -> str:
    """The columns of the summary as Spark reads them."""
    return ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())


def convert(spark: Any, job: Job, say: Any = lambda text: None) -> Result:
    """Converts what is new in the sources, on the executors of `spark`.

    Only the DataFrame API is used, so that Spark Connect and Sail will do. Raises [`JobFailed`][flowquet_spark.JobFailed] where nothing can
    be planned or the engine gives up; shards that failed are in the result, and its exit code tells.
    """
    started = time.monotonic()
    ship(spark, job)
    plan = make_plan(job)
    estimate, tasks = plan["estimate"], len((plan["plan"] or {"tasks": []})["tasks"])
    shards = min(job.shards or shards_for(estimate["objects"], estimate["bytes"], tasks), SHARDS_MAX)
    if tasks == 0:
        say("done: nothing new")
        rows: list[dict[str, Any]] = []
        shards = 0
    else:
        say(
            f"converting {estimate['objects']:,} objects, {estimate['bytes']:,} bytes, in {tasks:,} tasks, by {shards:,} shards on {engine_of(spark)}"
        )
        rows = perform(spark, job, plan, shards)
    report = Report(estimate["objects"], estimate["bytes"], tasks, rows, shards, time.monotonic() - started)
    return Result(report, spark.createDataFrame([tuple(row[name] for name in COLUMNS) for row in rows], schema()))


def shards_for(objects: int, size: int, tasks: int) -> int:
    """How many shards pay: as many as there are tasks, unless they would spend their time on reading plan and log."""
    work = size / 1e9 * SECONDS_A_GB + objects * SECONDS_AN_OBJECT
    # Half of the others have committed when a shard begins.
    each = SECONDS_A_SHARD + objects * SECONDS_A_PLANNED_OBJECT + tasks / 2 * SECONDS_A_COMMIT
    return min(tasks, max(SHARDS_LEAST, int(READING_SHARE_MAX * work / each)), SHARDS_MAX)


def ship(spark: Any, job: Job) -> None:
    """Has the engine bring the program to its executors."""
    if job.ship is None:
        return
    try:
        if is_connect(spark):
            spark.addArtifact(job.ship, file=True)
        else:
            spark.sparkContext.addFile(job.ship)
    except Exception as error:  # noqa: BLE001 - of each engine its own
        raise JobFailed(1, f"ship `{job.ship}` to the executors: {error}\nhint: put the program on all machines and name its path by --binary") from error


def program_of(job: Job) -> str:
    """The name under which executors look for the program."""
    return os.path.basename(job.ship) if job.ship is not None else job.binary


@contextlib.contextmanager
def make_program(job: Job) -> Iterator[str]:
    """The program on the driver's machine."""
    with tempfile.TemporaryDirectory(prefix="flowquet-plan-") as folder:
        try:
            there = job.ship if job.ship is not None and os.path.isfile(job.ship) else program_of(job)
            binary = runnable(find_binary(there), folder)
        except OSError as error:
            raise JobFailed(1, f"{error}\nhint: name the program by --binary, or ship it by --ship") from error
        yield binary


def make_plan(job: Job) -> dict[str, Any]:
    """Runs `flowquet plan`."""
    with make_program(job) as binary:
        command = [binary, "plan", *job.sources, "--out", job.out, *job.both_options, *job.plan_options, "--json"]
        if job.shards is not None:
            command += ["--shards", str(job.shards)]
        if job.plan_at is not None:
            command += ["--save", job.plan_at]
        environment = {**os.environ, **job.environment}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment)
    if done.returncode != 0:
        code = done.returncode if done.returncode > 0 else 1
        raise JobFailed(code, done.stderr.decode(errors="replace").strip() or f"flowquet plan ended with {done.returncode}")
    plan: dict[str, Any] = json.loads(done.stdout)
    return plan


def packed(plan: Mapping[str, Any]) -> bytes:
    """The plan as it travels."""
    # The same plan gives the same bytes.
    text = gzip.compress(json.dumps(plan, separators=(",", ":")).encode(), 6, mtime=0)
    if len(text) > PLAN_BYTES_MAX:
        raise JobFailed(
            2,
            f"the plan of {plan['estimate']['objects']:,} objects takes {len(text):,} bytes in gzip, and {PLAN_BYTES_MAX:,} travel with a job\n"
            "hint: save it where all machines can read it, by --plan-at s3://BUCKET/KEY, or convert by months, with --since and --until",
        )
    return text


def work_of(spark: Any, job: Job, plan: Mapping[str, Any], shards: int) -> Work:
    """What executors must know."""
    by_engine, attempts = retries_of(spark)
    threads = job.threads or int(conf(spark, "spark.task.cpus", "1"))
    return Work(
        plan=b"" if job.plan_at is not None else packed(plan),
        plan_at=job.plan_at,
        shards=shards,
        binary=program_of(job),
        options=("--threads", str(threads), *job.both_options, *job.convert_options),
        environment=tuple(job.environment.items()),
        attempts=job.attempts or attempts,
        by_engine=by_engine,
    )


def perform(spark: Any, job: Job, plan: Mapping[str, Any], shards: int) -> list[dict[str, Any]]:
    """The summary of each shard, in their order."""
    by_value()
    # A partition a shard: what an engine retries, and starts a second time where it is slow, is one shard.
    numbers = spark.range(0, shards, 1, shards)
    summaries = numbers.mapInArrow(shards_in_arrow(work_of(spark, job, plan, shards)), schema())
    try:
        rows = [row.asDict() for row in summaries.collect()]
    except Exception as error:  # noqa: BLE001 - of each engine its own
        raise JobFailed(1, f"the engine gave up: {error}\nhint: {hint_of(error)}") from error
    return sorted(rows, key=lambda row: row["shard"])


def hint_of(error: Exception) -> str:
    """What to do about an engine that gave up."""
    if "No module named 'pyarrow'" in str(error):
        return "the Python of the executors has no pyarrow: install it there, or bring an environment that has it (spark.archives)"
    return "what is committed stays; run the same command again"


def by_value() -> None:
    """Has what runs on executors sent to them, rather than imported there."""
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(worker)


def is_connect(spark: Any) -> bool:
    """Whether the session is one of Spark Connect, which has no SparkContext."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def conf(spark: Any, name: str, default: str) -> str:
    """A setting of the engine; `default` where it has none, or does not tell."""
    try:
        return spark.conf.get(name, default) or default
    except Exception:  # noqa: BLE001 - settings are no reason to fail
        return default


def retries_of(spark: Any) -> tuple[bool, int]:
    """Whether the engine tries failed tasks again, and how often a task is tried in all."""
    master = conf(spark, "spark.master", "")
    # Spark within one process gives each task one attempt; Sail names no master, and tries nothing again in its local mode.
    by_engine = master != "" and not master.startswith("local")
    return by_engine, int(conf(spark, "spark.task.maxFailures", str(ATTEMPTS)))


def engine_of(spark: Any) -> str:
    """The engine, for people."""
    over = " over Connect" if is_connect(spark) else ""
    return f"Spark {spark.version}{over}"
