"""A server on loopback that speaks S3 and keeps what it is given in memory: moto's, for tests and measurements.

Failure policy: `make_bucket` returns False while the server does not answer yet.
"""

import sys
import urllib.request


def bucket_command(port: int) -> list[str]:
    """Returns the command of the server, which writes a line for each request to its standard error."""
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


def bucket_access(port: int) -> dict[str, str]:
    """Returns the environment variables that lead to it."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def make_bucket(port: int, bucket: str) -> bool:
    """Makes an empty bucket; returns whether the server has done so."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{bucket}", method="PUT")
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except OSError:
        return False
    return True
