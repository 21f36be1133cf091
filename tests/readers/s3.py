"""S3 servers on loopback, a client that we did not write, and flowquet pointed at them."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import boto3
import botocore.config

from conftest import FLOWQUET, TARGET

SERVER = TARGET / "flowquet-s3server"
KEY, SECRET = "flowquet-test", "flowquet-test-secret"

# Nothing of the machine's own configuration is used.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Server:
    """A server process with the buckets `logs` and `lake`."""

    def __init__(self, process, url):
        self.process, self.url = process, url
        config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 10})
        self.client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET, config=config
        )

    def tally(self):
        return json.load(urllib.request.urlopen(self.url + "/_tally"))

    def put_folder(self, folder, bucket, prefix):
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.is_file():
                self.client.put_object(Bucket=bucket, Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())

    def keys(self, bucket, prefix):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def fetch(self, prefix, folder):
        """Copies a table to a folder, for readers of files."""
        for key in self.keys("lake", prefix + "/"):
            path = folder / key.removeprefix(prefix + "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.client.get_object(Bucket="lake", Key=key)["Body"].read())
        return folder

    def uploads(self):
        return self.client.list_multipart_uploads(Bucket="lake").get("Uploads", [])


@contextlib.contextmanager
def serve(*args, load=None):
    """Our server; `load` is a folder that becomes the bucket `logs`."""
    command = [SERVER, "--bucket", "logs", "--bucket", "lake", *map(str, args)]
    if load is not None:
        command += ["--load", f"logs/={load}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield Server(process, process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def moto(log=None):
    """Moto, with the buckets `logs` and `lake`; `log` is a file that its access log is written to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [pathlib.Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with open(log or os.devnull, "wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url)
                break
            time.sleep(0.1)
        server = Server(process, url)
        for bucket in ["logs", "lake"]:
            server.client.create_bucket(Bucket=bucket)
        yield server
    finally:
        process.kill()
        process.wait()


def command(server, *args):
    return [str(FLOWQUET), *map(str, args), "--endpoint-url", server.url]


def run(server, *args, check=0, env=ENVIRONMENT, **options):
    process = subprocess.run(
        command(server, *args), capture_output=True, text=True, stdin=options.pop("stdin", subprocess.DEVNULL), env=env, **options
    )
    assert check is None or process.returncode == check, (process.returncode, process.stderr)
    return process


def convert(server, source, out, *args, check=0, **options):
    """Converts and returns the report. Whatever the exit code, lines add up."""
    sources = source if isinstance(source, list) else [source]
    process = run(server, "convert", *sources, "--out", out, "--quiet", "--report", "-", *args, check=check, **options)
    report = json.loads(process.stdout)
    assert report["lines"] == report["records"] + report["rejects"] + report["headers"] + report["blanks"]
    return report
