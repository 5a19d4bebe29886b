"""A transcript in each of the vendor's formats. The words are spread evenly over the time. Knows nothing of usage."""

from typing import Any, NamedTuple

SEGMENT_TOKENS = 5


class Segment(NamedTuple):
    """A part of what was said, with its times in seconds."""

    start_s: float
    end_s: float
    text: str


class Transcript(NamedTuple):
    """What was said in a sound of that length."""

    tokens: tuple[str, ...]
    seconds: float

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self.tokens)

    def pieces(self, size: int) -> list[Segment]:
        """Parts of `size` tokens."""
        each_s = self.seconds / max(1, len(self.tokens))
        starts = range(0, len(self.tokens), size)
        cuts = [(start, min(start + size, len(self.tokens))) for start in starts]
        return [
            Segment(round(start * each_s, 3), round(end * each_s, 3), "".join(self.tokens[start:end]).strip())
            for start, end in cuts
        ]

    def subtitles(self, kind: str) -> str:
        """As `srt` or `vtt`."""
        mark = "," if kind == "srt" else "."
        lines = [] if kind == "srt" else ["WEBVTT", ""]
        for number, piece in enumerate(self.pieces(SEGMENT_TOKENS), 1):
            lines += [str(number)] if kind == "srt" else []
            lines += [f"{_clock(piece.start_s, mark)} --> {_clock(piece.end_s, mark)}", piece.text, ""]
        return "\n".join(lines) + "\n"

    def verbose(self, granularities: list[str]) -> dict[str, Any]:
        """As `verbose_json`."""
        body: dict[str, Any] = {"language": "english", "duration": self.seconds, "text": self.text}
        if "segment" in granularities:
            body["segments"] = [
                {
                    "id": number,
                    "seek": 0,
                    "start": piece.start_s,
                    "end": piece.end_s,
                    "text": piece.text,
                    "tokens": [50_364 + number],
                    "temperature": 0.0,
                    "avg_logprob": -0.25,
                    "compression_ratio": 1.0,
                    "no_speech_prob": 0.01,
                }
                for number, piece in enumerate(self.pieces(SEGMENT_TOKENS))
            ]
        if "word" in granularities:
            body["words"] = [{"word": one.text, "start": one.start_s, "end": one.end_s} for one in self.pieces(1)]
        return body

    def diarized(self) -> dict[str, Any]:
        """As `diarized_json`: two speakers in turns."""
        segments = [
            {
                "id": f"seg_{number}",
                "type": "transcript.text.segment",
                "start": piece.start_s,
                "end": piece.end_s,
                "speaker": "AB"[number % 2],
                "text": piece.text,
            }
            for number, piece in enumerate(self.pieces(SEGMENT_TOKENS))
        ]
        return {"task": "transcribe", "duration": self.seconds, "text": self.text, "segments": segments}


def _clock(seconds: float, mark: str) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"
