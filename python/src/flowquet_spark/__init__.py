"""Spreads a flowquet conversion over the executors of Apache Spark, or of Sail.

The driver plans once (`flowquet plan`), the engine performs shards of that plan in any order, each in a process of the same
program (`flowquet convert --plan … --shard I/N`), and what each shard reported comes back as a DataFrame. Commits are put if
absent and names and bytes follow from the input, so a shard that is performed twice, or half, changes nothing.

>>> from flowquet_spark import Job, convert
>>> job = Job(sources=["s3://logs/AWSLogs/"], out="s3://lake/vpc_flow_logs/", ship="s3://lake/bin/flowquet")
>>> result = convert(spark, job)                                                                          # doctest: +SKIP
>>> result.exit_code, result.tasks.where("rejects > 0").count()                                           # doctest: +SKIP

It knows no log format, no table and no store: all of that is the program's.
"""

from .driver import Job, JobFailed, Result, convert
from .report import exit_code_of
from .worker import COLUMNS

__all__ = ["COLUMNS", "Job", "JobFailed", "Result", "convert", "exit_code_of"]
