"""What docker/compose.yaml has besides flowquet: `serve` is a store that speaks S3, with logs in it; `query` reads the table.

    serve FOLDER    bucket `logs` with the files of FOLDER, bucket `lake` empty
    query TABLE     the busiest pairs of addresses
"""

import os
import pathlib
import sys
import time

# Both ends agree on it: the store takes any credentials.
ENDPOINT = os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")


def serve(folder):
    import boto3
    from moto.server import ThreadedMotoServer

    ThreadedMotoServer("127.0.0.1", int(ENDPOINT.rsplit(":", 1)[1])).start()
    client = boto3.client("s3", endpoint_url=ENDPOINT)
    for bucket in ["logs", "lake"]:
        client.create_bucket(Bucket=bucket)
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file():
            client.upload_file(str(path), "logs", str(path.relative_to(folder)))
    # For whoever waits for all of them.
    client.create_bucket(Bucket="ready")
    print("ready", flush=True)
    while True:
        time.sleep(3600)


def query(table):
    import polars

    options = {
        "aws_endpoint_url": ENDPOINT,
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }
    flows = polars.scan_parquet(f"{table}/date=*/*.parquet", storage_options=options)
    busiest = flows.group_by("srcaddr", "dstaddr").agg(polars.col("bytes").sum(), polars.len().alias("records"))
    print(busiest.sort("bytes", "srcaddr", "dstaddr", descending=[True, False, False]).head(10).collect())


if __name__ == "__main__":
    {"serve": serve, "query": query}[sys.argv[1]](sys.argv[2])
