"""Engines that spread work, on loopback: a standalone cluster of Spark, and Sail."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys

from conftest import ROOT, end, wait_for

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.driver.memory": "512m",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


def interpreter(name):
    """The Python of an environment; the tests' own is `.venv`."""
    return ROOT / name / "bin/python"


def environment(python):
    """Nothing of the machine's own Spark, and the package from the checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_", "AWS_"))}
    return kept | {
        "PYSPARK_PYTHON": str(python),
        "PYTHONPATH": str(ROOT / "python/src"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_NO_DAEMONIZE": "1",
        "SPARK_DAEMON_MEMORY": "256m",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def spark_class(python):
    home = subprocess.run([python, "-c", "import pyspark; print(pyspark.__path__[0])"], capture_output=True, text=True, check=True).stdout
    return pathlib.Path(home.strip()) / "bin/spark-class"


@contextlib.contextmanager
def cluster(python, folder, workers=2):
    """A master and workers of one core each: its address, and the processes of the workers."""
    started = []

    def start(name, *args):
        log = (folder / f"{name}.log").open("wb")
        process = subprocess.Popen([spark_class(python), *args], stdout=log, stderr=log, env=environment(python), cwd=folder)
        started.append(process)
        return process

    def said(name, pattern):
        found = re.search(pattern, (folder / f"{name}.log").read_text(errors="replace"))
        return found and found[1]

    try:
        at = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        start("master", "org.apache.spark.deploy.master.Master", *at)
        master = wait_for("a master", lambda: said("master", r"(spark://127\.0\.0\.1:[1-9]\d*)"))
        found = []
        for number in range(workers):
            name = f"worker-{number}"
            found.append(start(name, "org.apache.spark.deploy.worker.Worker", *at, "-c", "1", "-m", "1g", "-d", str(folder / name), master))
        for number in range(workers):
            wait_for("a worker", lambda: said(f"worker-{number}", "(Successfully registered with master)"))
        yield master, found
    finally:
        for process in started:
            end(process)


@contextlib.contextmanager
def sail(python, folder):
    """Sail's server: its address, and its process."""
    log = (folder / "sail.log").open("w+b")
    command = [python.with_name("sail"), "spark", "server", "--ip", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(python), cwd=folder)
    try:
        text = folder / "sail.log"
        port = wait_for("Sail", lambda: re.search(r"127\.0\.0\.1:([1-9]\d*)", text.read_text(errors="replace")))[1]
        yield f"sc://127.0.0.1:{port}", process
    finally:
        end(process)


def driver(python, log, *args, settings=None):
    """Starts `python -m flowquet_spark`."""
    settings = {} if settings is None else settings
    given = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    file = log.open("wb")
    command = [python, "-W", "ignore", "-m", "flowquet_spark", *given, *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment(python), cwd=log.parent)


OWN = pathlib.Path(sys.executable)
