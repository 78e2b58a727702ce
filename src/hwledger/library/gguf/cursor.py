"""A cursor over the bytes of a file that never reads past the end and names the place where it failed."""

from struct import Struct, error
from typing import Final

from hwledger.errors import MalformedError

U32: Final = Struct("<I")
U64: Final = Struct("<Q")
Buffer = bytes | memoryview


class Cursor:
    """A position in a buffer; every read moves it on.

    Attributes:
        data: the bytes.
        at: the position.
        end: number of bytes there are.
        where: name of the file, for sentences.
    """

    def __init__(self, data: Buffer, where: str) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)
        self.where = where

    def unpack(self, layout: Struct, what: str) -> int | float | bool:
        """Read one number."""
        try:
            value: int | float | bool = layout.unpack_from(self.data, self.at)[0]
        except error:
            raise self.broken(f"it ends within {what}") from None
        self.at += layout.size
        return value

    def u32(self, what: str) -> int:
        """Read an unsigned 32-bit number."""
        return int(self.unpack(U32, what))

    def u64(self, what: str) -> int:
        """Read an unsigned 64-bit number."""
        return int(self.unpack(U64, what))

    def text(self, what: str, limit: int) -> bytes:
        """Read a length and as many bytes; the length is checked before anything is copied."""
        length = self.u64(f"the length of {what}")
        if length > limit or length > self.end - self.at:
            raise self.broken(
                f"{what} claims {length:,} bytes, {self.end - self.at:,} are left (limit {limit:,})"
            )
        value = bytes(self.data[self.at : self.at + length])
        self.at += length
        return value

    def skip(self, size: int, what: str) -> None:
        """Move on by ``size`` bytes."""
        if size > self.end - self.at:
            raise self.broken(f"{what} claims {size:,} bytes, {self.end - self.at:,} are left")
        self.at += size

    def skip_texts(self, count: int, what: str) -> None:
        """Move over ``count`` strings without keeping any; a tight loop, since tokenizers have 10^5."""
        at, end, data, unpack = self.at, self.end, self.data, U64.unpack_from
        try:
            for _ in range(count):
                at += 8 + unpack(data, at)[0]
                if at > end:
                    break
        except error:
            at = end + 1
        if at > end:
            raise self.broken(f"it ends within {what}")
        self.at = at

    def broken(self, why: str) -> MalformedError:
        """Return the error for this place."""
        return MalformedError(f"{self.where}: this GGUF header is broken at byte {self.at:,}: {why}")
