"""A cursor over the bytes of a file that never reads past the end and names the place where it failed.

It looks at the file through a window and asks for more when the window ends, so that a header behind a
server costs its own bytes and little memory; a mapped file is one window from end to end.
"""

from struct import Struct, error
from typing import Final

from hwledger.errors import MalformedError
from hwledger.library.files import Buffer, ByteFile

U32: Final = Struct("<I")
U64: Final = Struct("<Q")
FIRST_CHUNK: Final = 128 << 10
CHUNK: Final = 64 << 10
LARGEST_CHUNK: Final = 8 << 20
"""A window never grows beyond this, so a large tokenizer costs time and not memory."""
MARGIN: Final = 1.3
"""Tokens grow along a tokenizer's list; asking for more than the last ones promise saves requests."""
LARGEST_SKIPPED: Final = 16 << 20
"""No token is that long; a string beyond it would only be fetched to be thrown away."""


class Cursor:
    """A position in a file; every read moves it on.

    Attributes:
        where: name of the file, for sentences.
        size: bytes of the file.
        expected: bytes that the parser believes will follow; a hint for the next window.
    """

    def __init__(self, file: ByteFile) -> None:
        self.where = file.where
        self.size = file.size
        self.expected = 0
        self._file = file
        self._window: Buffer = b""
        self._start = 0
        self._at = 0

    @property
    def position(self) -> int:
        """Place in the file."""
        return self._start + self._at

    @property
    def left(self) -> int:
        """Bytes from here to the end of the file."""
        return self.size - self.position

    def unpack(self, layout: Struct, what: str) -> int | float | bool:
        """Read one number."""
        try:
            value: int | float | bool = layout.unpack_from(self._window, self._at)[0]
        except error:
            self._need(layout.size, what)
            value = layout.unpack_from(self._window, self._at)[0]
        self._at += layout.size
        return value

    def u32(self, what: str) -> int:
        """Read an unsigned 32-bit number."""
        return int(self.unpack(U32, what))

    def u64(self, what: str) -> int:
        """Read an unsigned 64-bit number."""
        return int(self.unpack(U64, what))

    def take(self, size: int, what: str) -> bytes:
        """Read ``size`` bytes, which are few."""
        self._need(size, what)
        value = bytes(self._window[self._at : self._at + size])
        self._at += size
        return value

    def text(self, what: str, limit: int) -> bytes:
        """Read a length and as many bytes; the length is checked before anything is copied."""
        length = self.u64(f"the length of {what}")
        if length > limit or length > self.left:
            raise self.broken(f"{what} claims {length:,} bytes, {self.left:,} are left (limit {limit:,})")
        return self.take(length, what)

    def skip(self, size: int, what: str) -> None:
        """Move on by ``size`` bytes; those beyond the window are never fetched."""
        if size > self.left:
            raise self.broken(f"{what} claims {size:,} bytes, {self.left:,} are left")
        self._at += size
        if self._at > len(self._window):
            self._start, self._window, self._at = self.position, b"", 0

    def skip_texts(self, count: int, what: str) -> None:
        """Move over ``count`` strings without keeping any; a tight loop, since tokenizers have 10^5."""
        done, since, first = 0, 0, self.position
        while done < count:
            done += self._skip_window(count - done)
            if done < count:
                # strings grow along a tokenizer's list, so those of this window tell best what will follow
                each = (self.position - first) / (done - since) if done > since else 16.0
                since, first = done, self.position
                self.expected = min(LARGEST_CHUNK, int((count - done) * each * MARGIN))
                self._need_text(what)
        self.expected = 0

    def broken(self, why: str) -> MalformedError:
        """Return the error for this place."""
        return MalformedError(f"{self.where}: this GGUF header is broken at byte {self.position:,}: {why}")

    def _skip_window(self, count: int) -> int:
        """Move over the strings that lie wholly in the window, ``count`` at most; return how many."""
        at, end, window, unpack = self._at, len(self._window), self._window, U64.unpack_from
        whole = 0
        try:
            for whole in range(count):  # noqa: B007 - how far it came is what is asked
                after: int = at + 8 + unpack(window, at)[0]
                if after > end:
                    break
                at = after
            else:
                whole = count
        except error:
            pass
        self._at = at
        return whole

    def _need_text(self, what: str) -> None:
        """Have the next string in the window."""
        length = int(self._peek(U64, what))
        if length > self.left - 8:
            raise self.broken(f"it ends within {what}")
        if length > LARGEST_SKIPPED:
            raise self.broken(f"{what} holds a string of {length:,} bytes")
        self._need(8 + length, what)

    def _peek(self, layout: Struct, what: str) -> int | float | bool:
        value = self.unpack(layout, what)
        self._at -= layout.size
        return value

    def _need(self, size: int, what: str) -> None:
        """Have ``size`` bytes in the window."""
        held = len(self._window) - self._at
        if size <= held:
            return
        if size > self.left:
            raise self.broken(f"it ends within {what}")
        rest = bytes(self._window[self._at :])
        wanted = max(self.expected - held, CHUNK if self.position else FIRST_CHUNK)
        more = self._file.read(self.position + held, size - held, min(wanted, self.left - held))
        self._start, self._at = self.position, 0
        self._window = rest + bytes(more) if rest else more
