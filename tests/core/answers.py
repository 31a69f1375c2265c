"""Answers as frameworks, services and proxies send them, each with the line that one looks for."""

from __future__ import annotations

import json

from engine.core.outcome import FAILED_BODY_BYTES_MAX, Answered
from engine.core.rules.excerpt import excerpt_of

JSON, HTML, XML = "application/json", "text/html; charset=utf-8", "application/xml"


def told(body: bytes | str | object, content_type: str, status: int = 500) -> str | None:
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    return excerpt_of(Answered(status, data[:FAILED_BODY_BYTES_MAX], content_type))


FRAMEWORKS = [
    ("Express", 500, HTML,
     '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n'
     "</head>\n<body>\n<pre>Error: card was declined<br> &nbsp; &nbsp;at /app/a.js:1:2</pre>\n",
     "Error: card was declined"),
    ("Django, debug", 500, HTML,
     "<!DOCTYPE html><html><head><title>ValueError\n          at /pay</title><style>h1 { }</style>"
     '</head><body><header id="summary">\n<h1>ValueError\n       at /pay</h1>\n'
     '<pre class="exception_value">declined</pre>\n<table class="meta"><tr><th>Request Method:',
     "ValueError at /pay: declined"),
    ("Django, CSRF", 403, HTML,
     "<html><head><title>403 Forbidden</title></head><body><h1>Forbidden <span>(403)</span></h1>"
     "<p>CSRF verification failed. Request aborted.</p>",
     "403 Forbidden: CSRF verification failed. Request aborted."),
    ("Django REST framework", 400, JSON, ["Stock is empty"], "Stock is empty"),
    ("Flask, abort", 402, HTML,
     "<!doctype html>\n<html lang=en>\n<title>402 Payment Required</title>\n"
     "<h1>Payment Required</h1>\n<p>no funds on card 5</p>\n",
     "402 Payment Required: no funds on card 5"),
    ("Flask", 500, HTML,
     "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>Internal "
     "Server Error</h1>\n<p>The server encountered an internal error and was unable to complete",
     "500 Internal Server Error"),
    ("FastAPI, 422", 422, JSON,
     {"detail": [{"type": "missing", "loc": ["body", "payload", "items", 0],
                  "msg": "Field required", "input": {"message": "of the payload"}}]},
     "body.payload.items.0: Field required"),
    ("FastAPI", 402, JSON, {"detail": {"code": "card_declined", "reason": "no funds"}},
     "card_declined: no funds"),
    ("NestJS", 400, JSON,
     {"message": ["email must be an email"], "error": "Bad Request", "statusCode": 400},
     "Bad Request: email must be an email"),
    ("Rails, debug", 500, HTML,
     "<html><head><title>Action Controller: Exception caught</title></head><body><header><h1>"
     "\n  RuntimeError in OrdersController#create\n</h1></header><h2>no funds</h2>",
     "Action Controller: Exception caught: no funds"),
    ("Rails, API", 500, JSON,
     {"status": 500, "error": "Internal Server Error", "exception": "#<RuntimeError: no funds>"},
     "Internal Server Error: #<RuntimeError: no funds>"),
    ("Rails, errors", 422, JSON, {"errors": {"email": ["can't be blank"]}},
     "email: can't be blank"),
    ("ASP.NET", 400, "application/problem+json; charset=utf-8",
     {"title": "One or more validation errors occurred.", "status": 400,
      "errors": {"Email": ["The Email field is required."]}},
     "One or more validation errors occurred: Email: The Email field is required."),
    ("PHP", 500, HTML,
     "<br />\n<b>Fatal error</b>:  Uncaught RuntimeException: no funds in /app/x.php:3\n",
     "Fatal error: Uncaught RuntimeException: no funds in /app/x.php:3"),
    ("PHP, a warning before JSON", 500, JSON, "<br />\n<b>Warning</b>:  no such file<br />\n{}",
     "Warning: no such file"),
    ("Spring", 500, JSON, {"status": 500, "error": "Internal Server Error", "message": "no funds"},
     "Internal Server Error: no funds"),
    ("Tomcat", 500, HTML,
     "<html><head><title>HTTP Status 500 – Internal Server Error</title></head><body><h1>HTTP "
     "Status 500 – Internal Server Error</h1><hr /><p><b>Type</b> Exception Report</p>"
     "<p><b>Message</b> no funds</p>",
     "HTTP Status 500 – Internal Server Error: Message no funds"),
    ("Starlette, a group", 500, "text/plain",
     "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\"\n  | "
     "ExceptionGroup: x (1 sub-exception)\n  +-+---------------- 1 ----------------\n    | "
     "Traceback (most recent call last):\n    |   File \"b.py\"\n    | ValueError: no "
     "funds\n    +-------\n",
     "ValueError: no funds"),
    ("Python, in a chain", 500, "text/plain",
     'Traceback (most recent call last):\n  File "a"\nKeyError: 1\n\nDuring handling of the above'
     ' exception, another exception occurred:\n\nTraceback (most recent call last):\n  File "b"\n'
     "ValueError: no funds\non two lines\n",
     "ValueError: no funds"),
]  # fmt: skip
SERVICES = [
    ("OAuth", 400, JSON, {"error": "invalid_grant", "error_description": "It has been revoked."},
     "invalid_grant: It has been revoked."),
    ("Stripe", 402, JSON,
     {"error": {"code": "card_declined", "message": "Your card has no funds.", "type": "x"}},
     "card_declined: Your card has no funds."),
    ("Google", 403, JSON, [{"error": {"code": 403, "message": "No permission", "status": "X"}}],
     "No permission"),
    ("GraphQL", 500, JSON, {"data": None, "errors": [{"message": "no funds", "path": ["pay"]}]},
     "no funds"),
    ("gRPC gateway", 404, JSON, {"code": 5, "message": "order not found", "details": []},
     "order not found"),
    ("S3", 404, XML,
     '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The key is not'
     " there.</Message><Key>k</Key></Error>",
     "NoSuchKey: The key is not there."),
    ("Azure", 404, XML,
     '\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code>'
     "<Message><![CDATA[There is no such blob.]]></Message></Error>",
     "BlobNotFound: There is no such blob."),
    ("SOAP", 500, "text/xml",
     '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
     "<s:Fault><faultcode>s:Server</faultcode><faultstring>no funds</faultstring></s:Fault>",
     "s:Server: no funds"),
    ("nginx", 502, "text/html",
     "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad "
     "Gateway</h1></center>\r\n<hr><center>nginx/1.18.0 (Ubuntu)</center>\r\n"
     "</body>\r\n</html>\r\n",
     "502 Bad Gateway"),
    ("HAProxy", 503, "text/html",
     "<html><body><h1>503 Service Unavailable</h1>\nNo server is available.\n</body></html>\n",
     "503 Service Unavailable: No server is available."),
    ("Cloudflare", 502, HTML,
     "<!DOCTYPE html>\n<!--[if lt IE 7]> <html> <![endif]-->\n<head>\n<title>shop.example | 502: "
     "Bad gateway</title>",
     "shop.example | 502: Bad gateway"),
    ("lines", 500, "application/x-ndjson", '{"error":"the first"}\n{"error":"the second"}\n',
     "the first"),
    ("Python's JSON", 500, JSON, '{"n": NaN, "message": "no funds",}', "no funds"),
    ("a rule", 500, "text/plain", "----------\nno funds\n", "no funds"),
]  # fmt: skip
