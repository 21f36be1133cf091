"""`python -m flowquet_spark`: the job as a command, also for spark-submit."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any, Optional, Sequence

from .driver import Job, JobFailed, convert, make_program

#: Options of flowquet that say how S3 is reached: those with a value, and those without.
VALUES = ("--region", "--profile", "--role-arn", "--endpoint-url", "--sse", "--sse-kms-key-id", "--request-timeout")
SWITCHES = ("--path-style", "--requester-pays")
#: Options of `flowquet convert` alone, which each shard gets.
SHARD_VALUES = ("--memory", "--max-rejects")

EPILOG = """\
Everything else goes to `flowquet plan`: sources, and options such as --since, --format, --partition-by. For example:
  python -m flowquet_spark --ship ./flowquet s3://logs/AWSLogs/ --out s3://lake/vpc_flow_logs/ --since 2024-01-01
Exit codes are those of `flowquet convert`."""


def parser() -> argparse.ArgumentParser:
    """The command line. Sources and unknown options are left for `flowquet plan`."""
    top = argparse.ArgumentParser(
        "flowquet_spark", description=__doc__, epilog=EPILOG, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = top.add_argument
    add("--out", "-o", required=True, metavar="TABLE", help="folder or S3 prefix of the table, the same on all machines")
    engine = top.add_mutually_exclusive_group()
    engine.add_argument("--master", help="Spark's master, such as spark://HOST:7077 [default: spark-submit's]")
    engine.add_argument("--remote", metavar="URL", help="a server of Spark Connect, or Sail: sc://HOST:PORT")
    add("--conf", action="append", default=[], metavar="NAME=VALUE", help="a setting of Spark")
    program = top.add_mutually_exclusive_group()
    program.add_argument("--binary", default="flowquet", metavar="PATH", help="flowquet on all machines, or the name of a shipped file [default: flowquet]")
    program.add_argument("--ship", metavar="FILE", help="ship this file to the executors as flowquet")
    add("--shards", type=positive, metavar="N", help="divide the plan into N parts [default: one a task; fewer where reading plan and log would take more than a tenth of the work]")
    add("--plan-at", metavar="FILE", help="save the plan in this S3 object or shared file, instead of sending it with the job")
    add("--threads", type=positive, metavar="N", help="worker threads of each process [default: spark.task.cpus]")
    add("--attempts", type=positive, metavar="N", help="how often a shard is tried [default: spark.task.maxFailures]")
    add("--env", action="append", default=[], metavar="NAME=VALUE", help="an environment variable of the processes")
    add("--report", metavar="FILE", help="write sums and summaries as JSON")
    add("--register", action="store_true", help="then register the table in the Glue Data Catalog, with --database and --table")
    add("--database", metavar="NAME")
    add("--table", metavar="NAME")
    for name in (*VALUES, *SHARD_VALUES):
        add(name, metavar="VALUE", help="as of `flowquet convert`")
    for name in SWITCHES:
        add(name, action="store_true", help="as of `flowquet convert`")
    return top


def positive(text: str) -> int:
    """A count, at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def job_of(args: argparse.Namespace, others: Sequence[str]) -> Job:
    """The job that a command line asks for."""

    def given(names: Sequence[str]) -> list[str]:
        found: list[str] = []
        for name in names:
            value = getattr(args, name[2:].replace("-", "_"))
            if value is True:
                found.append(name)
            elif value not in (None, False):
                found += [name, value]
        return found

    return Job(
        # Sources and options of `plan` stay in their order: which word is an option's value, only the program knows.
        sources=(),
        out=args.out,
        plan_options=tuple(others),
        both_options=given((*VALUES, *SWITCHES)),
        convert_options=given(SHARD_VALUES),
        binary=args.binary,
        ship=args.ship,
        shards=args.shards,
        plan_at=args.plan_at,
        threads=args.threads,
        attempts=args.attempts,
        environment=dict(pair.partition("=")[::2] for pair in args.env),
    )


def session(args: argparse.Namespace) -> Any:
    """The engine's session: spark-submit's, or the one that is named."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("flowquet")
    if args.remote is not None:
        builder = builder.remote(args.remote)
    elif args.master is not None:
        builder = builder.master(args.master)
    for pair in args.conf:
        name, _, value = pair.partition("=")
        builder = builder.config(name, value)
    return builder.getOrCreate()


def say(text: str) -> None:
    """Words are for people, on standard error."""
    print(text, file=sys.stderr, flush=True)


def register(job: Job, args: argparse.Namespace) -> int:
    """Runs `flowquet register`, once for all shards."""
    names = [word for name in ("database", "table") if getattr(args, name) for word in (f"--{name}", getattr(args, name))]
    only = [word for word in job.both_options if word not in SWITCHES or word == "--path-style"]
    with make_program(job) as binary:
        return subprocess.run([binary, "register", job.out, *names, *without(only, ("--sse", "--sse-kms-key-id"))], env={**os.environ, **job.environment}).returncode


def without(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """Options with values but for some."""
    kept, skips = [], False
    for word in words:
        if skips:
            skips = False
        elif word in names:
            skips = True
        else:
            kept.append(word)
    return kept


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs a job; the answer is the exit code."""
    args, others = parser().parse_known_args(arguments)
    job = job_of(args, others)
    spark = session(args)
    try:
        result = convert(spark, job, say)
    except JobFailed as error:
        say(f"flowquet_spark: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("flowquet_spark: stopped; what is committed stays; run the same command again")
        return 130
    finally:
        if not args.remote:
            spark.stop()
    if args.report is not None:
        with open(args.report, "w", encoding="utf-8") as file:
            json.dump(result.report.as_json(), file, indent=2)
    if result.report.shards:
        say(result.report.text())
    code = result.exit_code
    if args.register and code in (0, 4):
        code = register(job, args) or code
    return code


if __name__ == "__main__":
    sys.exit(main())
