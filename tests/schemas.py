"""JSON schemas of the formats that other programs read, written from their descriptions."""

from typing import Any

Schema = dict[str, Any]


def _object(optional: str = "", **members: Schema) -> Schema:
    """An object with these members, of which *optional* names those that may be missing."""
    return {
        "type": "object",
        "properties": members,
        "required": [name for name in members if name not in optional.split()],
        # "It is allowed to add any custom fields into the output JSON. The custom fields MUST
        # start with an underscore" (HAR); trace events have no such rule and are said here in full.
        "patternProperties": {"^_": {}},
        "additionalProperties": False,
    }


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
SIZE = {"type": "integer", "minimum": -1}
TIME = {"type": "number", "minimum": 0}
TIME_OR_NONE = {"anyOf": [TIME, {"const": -1}]}
PAIRS = _list(_object("comment", name=TEXT, value=TEXT, comment=TEXT))
MOMENT = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
}

# http://www.softwareishard.com/blog/har-12-spec/
HAR = _object(
    log=_object(
        "browser comment",
        version={"const": "1.2"},
        creator=_object(name=TEXT, version=TEXT),
        browser=_object(name=TEXT, version=TEXT),
        pages=_list({"type": "object"}),
        comment=TEXT,
        entries=_list(
            _object(
                "pageref serverIPAddress connection comment",
                pageref=TEXT,
                startedDateTime=MOMENT,
                time=TIME,
                request=_object(
                    "postData comment",
                    method=TEXT,
                    url={"type": "string", "pattern": "^https?://"},
                    httpVersion=TEXT,
                    cookies=PAIRS,
                    headers=PAIRS,
                    queryString=PAIRS,
                    postData={"type": "object"},
                    headersSize=SIZE,
                    bodySize=SIZE,
                    comment=TEXT,
                ),
                response=_object(
                    "comment",
                    status=COUNT,
                    statusText=TEXT,
                    httpVersion=TEXT,
                    cookies=PAIRS,
                    headers=PAIRS,
                    content=_object(
                        "compression text encoding comment",
                        size=COUNT,
                        compression={"type": "integer"},
                        mimeType=TEXT,
                        text=TEXT,
                        encoding=TEXT,
                        comment=TEXT,
                    ),
                    redirectURL=TEXT,
                    headersSize=SIZE,
                    bodySize=SIZE,
                    comment=TEXT,
                ),
                cache={"type": "object", "maxProperties": 0},
                timings=_object(
                    "blocked dns connect ssl comment",
                    blocked=TIME_OR_NONE,
                    dns=TIME_OR_NONE,
                    connect=TIME_OR_NONE,
                    send=TIME,
                    wait=TIME,
                    receive=TIME,
                    ssl=TIME_OR_NONE,
                    comment=TEXT,
                ),
                serverIPAddress=TEXT,
                connection=TEXT,
                comment=TEXT,
            )
        ),
    )
)

# The Trace Event Format's JSON object, as far as complete events and metadata go.
TRACE = _object(
    displayTimeUnit={"enum": ["ms", "ns"]},
    traceEvents=_list(
        {
            "oneOf": [
                _object(
                    "args cat",
                    name=TEXT,
                    cat=TEXT,
                    ph={"const": "X"},
                    ts=TIME,
                    dur=TIME,
                    pid=COUNT,
                    tid=COUNT,
                    args={"type": "object"},
                ),
                _object(
                    name={"enum": ["process_name", "thread_name"]},
                    ph={"const": "M"},
                    pid=COUNT,
                    tid=COUNT,
                    args=_object(name=TEXT),
                ),
            ]
        }
    ),
)
