"""Spark with Hive support, once a process: its warehouse lies in a temporary folder."""

import functools
import re
import tempfile


@functools.cache
def session():
    from pyspark.sql import SparkSession

    home = tempfile.mkdtemp(prefix="flowquet-spark-")
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
    builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.sql.shuffle.partitions", "1")
    builder = builder.config("spark.sql.session.timeZone", "UTC").config("spark.sql.warehouse.dir", f"{home}/warehouse")
    derby = f"-Dderby.system.home={home}/derby -Dderby.stream.error.file={home}/derby.log"
    # Short work on two cores: what the better compiler and parallel collectors cost does not come back.
    java = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    builder = builder.config("spark.driver.extraJavaOptions", f"{derby} {java}")
    # The metastore is made anew by each process, and on a disk that takes seconds.
    builder = builder.config("spark.hadoop.javax.jdo.option.ConnectionURL", "jdbc:derby:memory:metastore;create=true")
    return builder.enableHiveSupport().getOrCreate()


def create(text):
    """Executes what `--as spark` prints as it is, in one call, and then what its comment says to run next."""
    session().sql(text)
    for statement in re.findall(r"^-- run next.*?: (.*)", text, re.M):
        session().sql(statement)


def run(statements):
    """Executes statements as they are printed: each ends in a semicolon at the end of a line."""
    for statement in statements.split(";\n"):
        lines = [line for line in statement.strip().splitlines() if not line.startswith("--")]
        if lines:
            session().sql("\n".join(lines))
