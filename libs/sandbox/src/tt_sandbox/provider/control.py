"""The tests' own door, /sandbox/...: what was served, faults by upstream model, and the images that answers point to."""

from urllib.parse import parse_qs

import orjson

from tt_sandbox.provider import pictures
from tt_sandbox.provider.dialect import RequestRefused
from tt_sandbox.provider.endpoints import not_found
from tt_sandbox.provider.openai.images.answer import PICTURES
from tt_sandbox.provider.openai.vendor import error
from tt_sandbox.provider.records import PAGE_MAX, CallLog
from tt_sandbox.provider.switches import SwitchBoard, SwitchError
from tt_sandbox.provider.wire import JSON, Receive, Send, read_body, send_whole


class Control:
    """Reads and clears one provider's log and switch board."""

    def __init__(self, log: CallLog, board: SwitchBoard) -> None:
        self._log = log
        self._board = board

    async def __call__(self, method: str, path: str, query: bytes, receive: Receive, send: Send) -> None:
        status, answer, media_type = 200, b"{}", JSON
        if method == "GET" and path.startswith(PICTURES):
            answer, media_type = pictures.png(path.removeprefix(PICTURES).removesuffix(".png")), b"image/png"
        elif (method, path) == ("GET", "/sandbox/calls"):
            since = parse_qs(query.decode("latin-1")).get("since", ["0"])[0]
            calls = self._log.since(int(since) if since.isdigit() else 0)
            answer = orjson.dumps({"calls": [call.as_json() for call in calls], "more": len(calls) == PAGE_MAX})
        elif (method, path) == ("DELETE", "/sandbox/calls"):
            self._log.clear()
        elif (method, path) == ("GET", "/sandbox/faults"):
            answer = orjson.dumps(self._board.faults)
        elif (method, path) == ("DELETE", "/sandbox/faults"):
            self._board.clear()
        elif (method, path) == ("POST", "/sandbox/faults"):
            status, answer = self._set_fault(await read_body(receive))
        else:
            status, answer = 404, not_found(method, path)
        await send_whole(send, status, answer, media_type=media_type)

    def _set_fault(self, raw: bytes) -> tuple[int, bytes]:
        try:
            fields = orjson.loads(raw)
            self._board.set_fault(fields.pop("model"), fields)
        except (orjson.JSONDecodeError, AttributeError, KeyError):
            return 400, error(RequestRefused('a fault is {"model": "...", <switch>: <value>, ...}'))
        except SwitchError as refused:
            return 400, error(RequestRefused(str(refused)))
        return 200, orjson.dumps(self._board.faults)
