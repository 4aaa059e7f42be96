"""Where Prefect keeps the results of steps: in the store's bucket, so that caches hold across machines."""

from urllib.parse import urlsplit

from tasks.errors import ConfigError

BLOCK = "rsvlm-results"
FOLDER = "prefect-results"


def save_bucket(store_uri: str, endpoint_url: str | None, region: str | None) -> str:
    """Save an S3Bucket block for results below the store and return its slug and name.

    It holds no keys: each machine finds them where AWS tools look. Raises ConfigError where prefect-aws is not
    installed or the store is no bucket.
    """
    parts = urlsplit(store_uri)
    if parts.scheme != "s3":
        raise ConfigError(f"{store_uri} is no bucket: give s3://bucket/prefix.")
    try:
        from prefect_aws import AwsCredentials, S3Bucket
        from prefect_aws.client_parameters import AwsClientParameters
    except ImportError:
        raise ConfigError(
            "Results in a bucket need the package prefect-aws: pip install -c infra/constraints.txt -e '.[s3]'"
        ) from None
    bucket = S3Bucket(
        bucket_name=parts.netloc,
        bucket_folder="/".join(part for part in (parts.path.strip("/"), FOLDER) if part),
        credentials=AwsCredentials(
            region_name=region, aws_client_parameters=AwsClientParameters(endpoint_url=endpoint_url)
        ),
    )
    bucket.save(BLOCK, overwrite=True)
    return f"s3-bucket/{BLOCK}"
