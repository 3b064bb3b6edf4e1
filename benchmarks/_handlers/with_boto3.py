"""A function with one AWS client, as most have."""

import boto3

s3 = boto3.client("s3")


def handler(_event, _context):
    return {"ok": True}
