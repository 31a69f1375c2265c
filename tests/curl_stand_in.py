"""`curl` for machines that have none: the few options that the documentation uses.

python curl_stand_in.py [-s] [-i] [-X METHOD] [-H HEADER]… [-d BODY] URL
"""

from __future__ import annotations

import getopt
import sys

import httpx


def main(arguments: list[str]) -> None:
    """Send the request; print the answer, with `-i` its head before it."""
    options, (url,) = getopt.gnu_getopt(arguments, "siX:H:d:")
    body = next((value for name, value in options if name == "-d"), None)
    method = next((value for name, value in options if name == "-X"), "POST" if body else "GET")
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    for name, value in options:
        if name == "-H":
            header, _, content = value.partition(":")
            headers[header] = content.strip()
    with httpx.Client(trust_env=False, timeout=60) as client:
        answer = client.request(method, url, content=body, headers=headers)
    if ("-i", "") in options:
        print(f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}", end="\r\n")
        for header, content in answer.headers.multi_items():
            print(f"{header}: {content}", end="\r\n")
        print(end="\r\n")
    print(answer.text, end="")


if __name__ == "__main__":
    main(sys.argv[1:])
