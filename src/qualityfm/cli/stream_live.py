"""The live view of a stream on a terminal: each channel's last seconds as bars, what spoils them, how late it is."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from qualityfm.cli.terminal import clean
from qualityfm.records import Cause, grade

if TYPE_CHECKING:
    from qualityfm.inference.stream import Stream
    from qualityfm.records import QualityScore

#: Quality from 0 to 1, a second each.
BLOCKS = "▁▂▃▄▅▆▇█"
COLOURS = {"A": "bright_blue", "B": "cyan", "C": "yellow", "D": "dark_orange", "E": "red"}

#: Most seconds on the screen, columns that are needed beside them, and time between two looks. Our choice.
MAX_SECONDS = 60
OTHER_COLUMNS = 75
REFRESH_S = 0.5
#: Seconds whose causes are named.
CAUSES_S = 30


def bar_of(quality: float) -> str:
    """Return a block as high as a quality in [0, 1] is good."""
    return BLOCKS[min(7, max(0, int(quality * 8)))]


@dataclass(frozen=True, kw_only=True)
class Second:
    """What is known of a second of a channel; it may change until it is final."""

    quality: float
    causes: Cause
    is_final: bool


@dataclass
class LiveView:
    """Shows a stream while it runs; what is not final yet is shown dim, as if the stream ended now.

    Args:
        stream: What is shown.
        console: Where.
    """

    stream: Stream
    console: Console
    _seconds: dict[str, dict[int, Second]] = field(default_factory=dict)
    _last: QualityScore | None = None
    _note: str = ""
    _num_left_out: int = 0
    _looked: float = -math.inf
    _arrived: float = field(default_factory=time.monotonic)
    _shown: Group = field(default_factory=Group)

    def __enter__(self) -> Self:
        self._live = Live(console=self.console, get_renderable=self._render, refresh_per_second=4, transient=False)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._look()
        self._live.stop()

    def take(self, done: list[QualityScore]) -> None:
        """Take the segments that a packet finished, none for most packets."""
        self._arrived = time.monotonic()
        for score in done:
            self._last = score
            self._keep(score, is_final=True)
        if self._arrived - self._looked >= REFRESH_S:
            self._look()

    def left_out(self, error: Exception) -> None:
        """Name a message that was not taken."""
        self._num_left_out += 1
        self._note = f"left out {self._num_left_out}; last: {error}"

    def _look(self) -> None:
        """Score what is not finished, and draw: the screen's own thread only puts the drawing up."""
        self._looked = time.monotonic()
        for score in self.stream.preview() if not self.stream.is_closed else []:
            self._keep(score, is_final=False)
        self._shown = Group(self._head(), self._table(), Text(clean(self._note), style="red"))

    def _keep(self, score: QualityScore, *, is_final: bool) -> None:
        begin = int(score.segment_start_s[0])
        num_seconds = math.ceil(float(score.segment_length_s[0]) - 1e-9)
        for channel, name in enumerate(score.names):
            if name is None:
                continue
            known = self._seconds.setdefault(name, {})
            for second in range(num_seconds):
                if is_final or not (begin + second in known and known[begin + second].is_final):
                    known[begin + second] = Second(
                        quality=float(score.quality[0, channel, second]),
                        causes=Cause(int(score.causes[0, channel, second])),
                        is_final=is_final,
                    )
            for old in [one for one in known if one < begin + num_seconds - 2 * MAX_SECONDS]:
                del known[old]

    def _render(self) -> Group:
        silent_s = time.monotonic() - self._arrived
        silence = Text(f"no packet for {silent_s:.0f} s", style="bold red") if silent_s > 2 else Text("")
        return Group(silence, self._shown)

    def _head(self) -> Text:
        received = _clock(self.stream.duration_s)
        text = Text(f"{received} received, final at most {self.stream.delay_s:.0f} s later (dim: not final)")
        if self._last is not None:
            quality = float(self._last.overall[0])
            uses = [use for use, is_usable in self._last.usable.items() if is_usable[0]]
            letter = grade(quality)
            text.append(f"   {letter} {quality:.2f} ", style=f"bold {COLOURS[letter]}")
            text.append(f"usable for {', '.join(uses) or 'nothing'}")
        return text

    def _table(self) -> Table:
        num_shown = max(20, min(MAX_SECONDS, self.console.width - OTHER_COLUMNS))
        table = Table(box=None, pad_edge=False)
        widths = {"channel": 12, f"last {num_shown} s": num_shown, "now": 4, "late": 6, "doubled": 7}
        for title, width in widths.items():
            table.add_column(title, no_wrap=True, min_width=width)
        table.add_column(f"causes of the last {CAUSES_S} s", no_wrap=True, overflow="ellipsis")
        for name, known in self._seconds.items():
            newest = sorted(known)[-num_shown:]
            bars = Text()
            for second in newest:
                one = known[second]
                style = COLOURS[grade(one.quality)]
                bars.append(bar_of(one.quality), style=style if one.is_final else f"dim {style}")
            now = known[newest[-1]].quality
            counts = self.stream.counts[name]
            causes = _causes([known[second].causes for second in newest[-CAUSES_S:]])
            table.add_row(clean(name)[:12], bars, f"{now:.2f}", str(counts.late), str(counts.doubled), causes)
        return table


def _causes(seconds: list[Cause]) -> str:
    counts = Counter(cause for causes in seconds for cause in Cause if cause and cause in causes)
    return ", ".join(f"{cause.words} {count} s" for cause, count in counts.most_common())


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(int(time_s), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
