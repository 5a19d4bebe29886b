"""How a stream of OpenAI's image and audio endpoints ends when it fails."""

import orjson

_ERROR = {
    "type": "server_error",
    "code": "server_error",
    "message": "The server had an error while processing your request.",
    "param": None,
}
ERROR_EVENT = b"event: error\ndata: %b\n\n" % orjson.dumps({"type": "error", "error": _ERROR})
