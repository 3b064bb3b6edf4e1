"""Copies each object of an S3 event to the target bucket, with what the function saw of it as metadata."""

import json
import os
from urllib.parse import quote, unquote_plus

import boto3

s3 = boto3.client("s3")


def handler(event, context):
    for source in sources(event):
        answer = s3.get_object(Bucket=source["bucket"], Key=source["key"])
        s3.put_object(
            Bucket=os.environ["TARGET_BUCKET"],
            Key=source["key"],
            Body=answer["Body"].read(),
            Metadata=answer["Metadata"] | {"seen": quote(json.dumps(event))[:1500]},
        )


def sources(event):
    if "detail" in event:
        return [{"bucket": event["detail"]["bucket"]["name"], "key": event["detail"]["object"]["key"]}]
    return [
        {"bucket": record["s3"]["bucket"]["name"], "key": unquote_plus(record["s3"]["object"]["key"])}
        for record in event["Records"]
    ]
