"""`curl` for machines that have none: the few options that the documentation uses.

python curl_stand_in.py [-s] [-i] [-X METHOD] [-H HEADER]… [-d BODY] URL

Of the standard library only, so that it starts quickly: a page's next command must come while the
work of the one before goes on.
"""

from __future__ import annotations

import getopt
import sys
from http.client import HTTPConnection
from urllib.parse import urlsplit


def main(arguments: list[str]) -> None:
    """Send the request; print the answer, with `-i` its head before it."""
    options, (url,) = getopt.gnu_getopt(arguments, "siX:H:d:")
    body = next((value.encode() for name, value in options if name == "-d"), None)
    method = next((value for name, value in options if name == "-X"), "POST" if body else "GET")
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    for name, value in options:
        if name == "-H":
            header, _, content = value.partition(":")
            headers[header] = content.strip()
    target = urlsplit(url)
    connection = HTTPConnection(target.netloc, timeout=60)
    connection.request(method, target._replace(scheme="", netloc="").geturl(), body, headers)
    answer = connection.getresponse()
    if ("-i", "") in options:
        print(f"HTTP/1.1 {answer.status} {answer.reason}", end="\r\n")
        for header, content in answer.getheaders():
            print(f"{header}: {content}", end="\r\n")
        print(end="\r\n")
    print(answer.read().decode(), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
