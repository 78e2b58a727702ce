"""amd-smi's JSON, human form and table as samples."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hwledger.telemetry.amd.facts import complaint
from hwledger.telemetry.amd.jsontext import before, documents
from hwledger.telemetry.amd.smi import SOURCE, Tree, device, joined, plain
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.snapshot import Sample

_WARNING: Final = re.compile(r"(?:^|: )(?P<what>(?:WARNING|ERROR|Error|SyntaxWarning|AmdSmi\w*)\b.*)")
_HUMAN: Final = re.compile(r"^GPU: *[0-9]{1,4}[ \t]*$", re.MULTILINE)
_LINE: Final = re.compile(r"(?P<indent> *)(?P<key>[A-Z][A-Z0-9_/() -]{0,60}):(?: +(?P<value>.*))?")
_DEEPEST: Final = 12
_BROKEN: Final = re.compile(r'"(?:gpu_data|mem_usage|process_list|gfx_activity|market_name)"\s*:')


def is_json(text: str) -> bool:
    """Return whether a text holds amd-smi's JSON, whole or broken."""
    found = documents(text)
    return any(True for _ in _trees(found)) or (not found and _BROKEN.search(text) is not None)


def _trees(found: tuple[Any, ...]) -> Iterator[Tree]:
    """Yield what is said of each GPU: a list of them before amd-smi 26, ``{"gpu_data": […]}`` since."""
    for document in found:
        inner = document.get("gpu_data", document) if isinstance(document, Mapping) else document
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, Mapping) and "gpu" in each:
                yield each


def trees(text: str) -> list[Tree]:
    """Return what amd-smi's JSON says, one tree per GPU; empty where a text holds none."""
    return joined(plain(each) for each in _trees(documents(text)))


def read_json(text: str) -> Sample:
    """Return what amd-smi's JSON says, of any version; warnings before it are troubles."""
    gauge = Gauge(SOURCE)
    found = trees(text)
    if not found:
        return failed(text, Absent(Reason.UNPARSED, "its JSON is broken or names no GPU", SOURCE))
    devices = tuple(device(tree, gauge, order) for order, tree in enumerate(found))
    return Sample(devices=devices, troubles=warnings(before(text)))


def warnings(text: str) -> tuple[str, ...]:
    """Return the warnings in a text, each once, as sentences."""
    found = (_WARNING.search(line.strip()[:400]) for line in text.splitlines()[:1000])
    return tuple(dict.fromkeys(f"{SOURCE}: {each['what'][:200].rstrip('.')}" for each in found if each))


def failed(text: str, otherwise: Absent, source: str = SOURCE) -> Sample:
    """Return a sample of an output that says nothing, with the reason as failure and as a sentence."""
    why = complaint(text, source) or otherwise
    return Sample(troubles=(f"{why.source}: {why.detail}",), failure=why)


def is_human(text: str) -> bool:
    """Return whether a text is amd-smi's human form."""
    return _HUMAN.search(text) is not None


def read_human(text: str) -> Sample:
    """Return what amd-smi's human form says: its blocks have the names of its JSON."""
    gauge = Gauge(SOURCE)
    found = joined(plain(each) for each in _human_trees(text))
    if not found:
        return failed(text, Absent(Reason.UNPARSED, "it names no GPU", SOURCE))
    return Sample(devices=tuple(device(tree, gauge, order) for order, tree in enumerate(found)))


def _human_trees(text: str) -> Iterator[dict[str, Any]]:
    """Yield a tree for each block ``GPU: N``; blocks of CPUs are passed over."""
    tree: dict[str, Any] | None = None
    stack: list[tuple[int, dict[str, Any]]] = []
    last: tuple[dict[str, Any], str] | None = None
    for line in text.splitlines()[:200_000]:
        found = _LINE.fullmatch(line[:2000].rstrip())
        if found is None:
            _continue(last, line)
            continue
        indent, key = len(found["indent"]), found["key"].strip().lower().replace(" ", "_")
        if indent == 0:
            if tree is not None:
                yield tree
            tree, last = ({"gpu": found["value"]} if key == "gpu" else None), None
            stack = [(0, tree)] if tree is not None else []
        elif stack:
            last = _enter(stack, indent, key, found["value"])
    if tree is not None:
        yield tree


def _continue(last: tuple[dict[str, Any], str] | None, line: str) -> None:
    """Add a line that is no field to the value before it: arrays are wrapped."""
    if last is not None and isinstance(last[0].get(last[1]), str) and line.strip():
        last[0][last[1]] = f"{last[0][last[1]]} {line.strip()}"[:4000]


def _enter(
    stack: list[tuple[int, dict[str, Any]]], indent: int, key: str, value: str | None
) -> tuple[dict[str, Any], str]:
    """Enter a field under the block that it is indented in; of a block that comes again make a list."""
    while len(stack) > 1 and stack[-1][0] >= indent:
        stack.pop()
    parent = stack[-1][1]
    node: Any = {} if value is None else value.strip()
    known = parent.get(key)
    if isinstance(known, dict) and isinstance(node, dict):
        parent[key] = [known, node]
    elif isinstance(known, list) and isinstance(node, dict):
        known.append(node)
    else:
        parent[key] = node
    if isinstance(node, dict) and len(stack) < _DEEPEST:
        stack.append((indent, node))
    return parent, key
