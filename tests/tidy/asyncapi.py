"""The AsyncAPI 3.0 document of all event streams. `python -m tests.tidy.asyncapi --write`.

Made from `tt_common.contracts`: a channel for every event's subject, its message with the headers of CloudEvents' binary mode, its
payload by reference to docs/schemas. AsyncAPI's NATS binding knows no streams, so they stand in `x-nats-stream`.
"""

import json
from pathlib import Path
from typing import Any

from tests.tidy.generated import run
from tests.tidy.project import ROOT
from tests.tidy.schemas import DIALECT
from tt_common.bus.events import CONTENT_TYPE
from tt_common.contracts.event_types import EVENT_STREAMS, EVENT_TYPES, EventType
from tt_common.contracts.streams import StreamSpec

FILE = ROOT / "docs" / "asyncapi.json"
NATS_BINDING = {"nats": {"bindingVersion": "0.1.0"}}
PARAMETERS = {
    "account_id": "The customer's account, or `house` for events that belong to no account.",
    "index": "Which child of the operator's xpub an address is.",
}


def generate() -> dict[Path, str]:
    """The document."""
    return {FILE: json.dumps(document(), indent=2, ensure_ascii=False) + "\n"}


def document() -> dict[str, Any]:
    """The document as JSON values."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:tokentally:events",
        "info": {
            "title": "TokenTally events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in binary mode on NATS JetStream: attributes are headers, the payload is the "
            "event's data as JSON. Delivery is at least once: drop what was seen by (ce-source, ce-id). See events.md.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "nats": {
                "host": "{host}",
                "protocol": "nats",
                "description": "NATS with JetStream; a team's URL comes from the operator.",
                "variables": {"host": {"default": "127.0.0.1:42220", "description": "host:port of the deployment"}},
                "security": [{"$ref": "#/components/securitySchemes/team"}],
            }
        },
        "channels": {_key(kind): _channel(kind) for kind in EVENT_TYPES},
        "operations": {f"receive_{_key(kind)}": _operation(kind) for kind in EVENT_TYPES},
        "components": {
            "messages": {_key(kind): _message(kind) for kind in EVENT_TYPES},
            "messageTraits": {"cloudevent": _cloudevent()},
            "parameters": {name: {"description": text} for name, text in PARAMETERS.items()},
            "securitySchemes": {"team": {"type": "userPassword", "description": "Made by `make team NAME=...`."}},
        },
        "x-nats-streams": {spec.name: stream(spec) for spec in EVENT_STREAMS},
    }


def stream(spec: StreamSpec) -> dict[str, Any]:
    """A stream in the words of NATS's own configuration; sizes in bytes, times in seconds."""
    return {
        "description": spec.description,
        "subjects": list(spec.subjects),
        "retention": "limits",
        "storage": "file",
        "discard": spec.discard,
        "max_bytes": spec.max_bytes,
        "max_age_s": spec.max_age_s,
        "duplicate_window_s": spec.duplicate_window_s,
    }


def _key(kind: EventType) -> str:
    """An identifier that AsyncAPI allows: the wire name without dots."""
    return kind.name.replace(".", "_")


def _channel(kind: EventType) -> dict[str, Any]:
    return {
        "address": kind.subject,
        "messages": {_key(kind): {"$ref": f"#/components/messages/{_key(kind)}"}},
        "servers": [{"$ref": "#/servers/nats"}],
        "parameters": {
            name: {"$ref": f"#/components/parameters/{name}"} for name in PARAMETERS if f"{{{name}}}" in kind.subject
        },
        "x-nats-stream": kind.stream.name,
        "x-dedupe-by": ["ce-source", "ce-id"],
    }


def _operation(kind: EventType) -> dict[str, Any]:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{_key(kind)}"},
        "messages": [{"$ref": f"#/channels/{_key(kind)}/messages/{_key(kind)}"}],
        "summary": f"Read {kind.name} with a durable pull consumer.",
        "bindings": NATS_BINDING,
    }


def _message(kind: EventType) -> dict[str, Any]:
    return {
        "name": kind.name,
        "title": kind.name,
        "contentType": CONTENT_TYPE,
        "traits": [{"$ref": "#/components/messageTraits/cloudevent"}],
        "headers": {
            "type": "object",
            "properties": {"ce-type": {"const": kind.name}, "ce-source": {"const": kind.source}},
        },
        "payload": {
            "schemaFormat": f"application/schema+json;version={DIALECT.split('/')[-2].removeprefix('draft/')}",
            "schema": {"$ref": f"./schemas/{kind.name}.json"},
        },
    }


def _cloudevent() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "headers": {
            "type": "object",
            "required": ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "ce-subject", "content-type"],
            "properties": {
                "ce-specversion": {"const": "1.0"},
                "ce-id": text | {"description": "The event's id; also `Nats-Msg-Id`."},
                "ce-source": text | {"description": "Who says so; (ce-source, ce-id) names the event."},
                "ce-type": text | {"description": "The literal name of the type, with its version."},
                "ce-time": text | {"format": "date-time"},
                "ce-subject": text | {"description": "What it is about: the account, the key, or `house`."},
                "content-type": {"const": CONTENT_TYPE},
                "Nats-Msg-Id": text,
                "traceparent": text | {"description": "W3C trace context, where the call was traced."},
            },
        }
    }


if __name__ == "__main__":
    run(generate, __doc__)
