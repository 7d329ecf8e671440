"""Buckets that keep old versions: there a plain delete only hides an object."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)


def is_versioned(client: "S3Client", bucket: str) -> bool:
    """Whether the bucket keeps old versions, or has kept some. A store that does not say counts as
    one that keeps none, and is warned of."""
    try:
        return "Status" in client.get_bucket_versioning(Bucket=bucket)
    except ClientError as error:
        logger.warning("old versions in %s, if there are any, are not deleted: %s", bucket, error)
        return False


def versions_of(client: "S3Client", bucket: str, key: str) -> Iterator[str]:
    """Ids of all versions of one object, its delete markers included."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    for page in pages:
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        yield from (entry["VersionId"] for entry in found if entry["Key"] == key)
