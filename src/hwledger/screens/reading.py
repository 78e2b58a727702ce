"""The line that says what was read to know a model, from where, how much, and how long ago."""

from hwledger.model.spec import ModelSpec
from hwledger.units import format_bytes

MINUTE, HOUR, DAY = 60, 3600, 86400


def reading_line(spec: ModelSpec) -> str:
    """Return the line; empty where a source does not tell."""
    reading = spec.reading
    if reading is None:
        return ""
    if spec.format == "catalogue":
        return f"Read: {reading.origin}; hf:{spec.id} reads the files on the hub"
    parts = [f"{reading.files} file{'s' if reading.files != 1 else ''}"] if reading.files else []
    if reading.bytes_read:
        parts.append(f"{format_bytes(reading.bytes_read)} of headers")
    if reading.requests:
        parts.append(f"{reading.requests} request{'s' if reading.requests != 1 else ''}")
    line = f"Read: {reading.origin}" + (f" ({', '.join(parts)})" if parts else "")
    if reading.kept_s is not None:
        line += f"; remembered from {age(reading.kept_s)} ago, --refresh reads it again"
    return line


def age(seconds: float) -> str:
    """Return a length of time as people say it: ``40 s``, ``3 h``, ``12 d``."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
