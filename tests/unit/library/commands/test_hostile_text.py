"""Text that is meant to do harm: it is read or refused, and nothing else happens."""

import builtins
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.errors import UsageError
from hwledger.library.commands import is_command, read_command
from hwledger.library.commands.documents import containers
from hwledger.library.commands.programs.placed import hosted_layers
from hwledger.library.commands.reading import LONGEST
from hwledger.library.commands.values import Unknown, names_of

pytestmark = pytest.mark.requirement("FR-SRC-COMMANDS")

PIECES = st.sampled_from(
    [
        "image: vllm/vllm-openai",
        "command:",
        "args: [",
        "  - ",
        "- ",
        "env:",
        "\n",
        "\n  ",
        "\n      ",
        "]",
        '"',
        "'",
        "|",
        ">",
        "--model",
        "a/b",
        "FROM ",
        "CMD [",
        "ENTRYPOINT ",
        "ENV A=",
        "PARAMETER num_ctx 1",
        "ExecStart=",
        "Environment=",
        ">>> ",
        "... ",
        "PS C:\\x> ",
        "C:\\x> ",
        "$env:A=",
        "&quot;",
        "&#45;",
        "${A}",
        "$(A)",
        "LLM(",
        "model=",
        "**",
        "1<<99",
        "BitsAndBytesConfig(",
        ")",
        "{",
        "}",
        "A = ",
        "curl ",
        "http://x:11434/api/chat",
        " -d ",
        '{"model": "a"}',
        "wget https://x/y.gguf",
        "git clone ",
        "https://huggingface.co/a/b",
        "hf download ",
        "--local-dir ",
        "llama-server -m ",
        "-ot ",
        "(a*)*=CPU",
        "exps=CPU",
        "--override-kv ",
        "a.context_length=int:9",
        "--hf-overrides ",
        '{"rope_scaling":{"factor":2}}',
        "koboldcpp ",
        "./main -m ",
        "docker run ",
        "-v /a:/b ",
        "bash -c ",
        "ramalama run ",
        "docker model run ",
        "transformers serve ",
        "trtllm-serve ",
        "x.llamafile",
        "vllm serve ",
        "vllm bench latency ",
        "[" * 30,
    ]
)


def outcome(text: str) -> str | None:
    """Return the sentence that refuses ``text``; ``None`` where it is read."""
    is_command(text)
    try:
        read_command(text)
    except UsageError as error:
        return str(error)
    return None


@settings(max_examples=400, deadline=2000)
@given(st.one_of(st.lists(PIECES, max_size=30).map("".join), st.lists(PIECES, max_size=30).map(" ".join)))
def test_any_mixture_gives_a_deployment_or_one_sentence(text: str) -> None:
    """Containers, prompts, calls and downloads in any order end in a deployment or in one line."""
    sentence = outcome(text)
    assert sentence is None or (sentence and "\n" not in sentence and len(sentence) < 2000)


@settings(max_examples=200, deadline=1000)
@given(st.text(alphabet="ab*+?()[]{}|\\.^$=,CPU0-9_", max_size=80))
def test_any_pattern_of_tensors_is_read(text: str) -> None:
    """A pattern gives a number of layers or nothing, never an error."""
    layers = hosted_layers([text])
    assert layers is None or layers >= -1


@pytest.mark.parametrize(
    "piece",
    [
        "'",
        '"',
        "\\",
        "`",
        "\n",
        " ",
        "&",
        "&amp;",
        "$env:A=",
        "${",
        "$(",
        "image: x\n",
        "args: [\n",
        "- |\n",
        "command: >\n",
        "args: ['",
        "env:\n- name: A\n  value: b\n",
        "FROM x\n",
        "CMD [",
        "bash -c '",
        "PS C:\\",
        "C:\\",
        ">>> ",
        "A = ",
        "A = 1<<9\n",
        "x = BConfig(",
        "LLM(",
        "LLM(model=",
        "LLM(**",
        "f(" * 9,
        "curl -d ",
        "http://",
        "\u279c  ",
        "u@h ",
        "git clone ",
        "wget https://x/y.gguf ",
        "-ot a*=CPU ",
        "[ 'vllm', ",
        "import ['vllm',",
        "docker run -v a:b ",
        "ExecStart=",
        "A=$A$A\n",
        "env ",
        "sudo ",
        "--hf-overrides {",
        "[" * 40,
        "{" * 40,
        "9" * 40 + " ",
        "# ",
        "'''",
    ],
)
def test_the_longest_text_ends(piece: str) -> None:
    """The longest text that is read ends, alone and behind a command; a longer one is refused unread."""
    whole = (piece * LONGEST)[:LONGEST]
    assert outcome(whole) != ""
    assert outcome("vllm serve a/b " + whole[: LONGEST - 20]) != ""
    assert "characters" in str(outcome(piece * (10_000_000 // len(piece))))


def _forbidden(what: str) -> Callable[..., object]:
    def refuse(*_: object, **__: object) -> object:
        raise AssertionError(what)

    return refuse


def test_nothing_is_run_and_no_file_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither shells, substitutions, settings files nor Python in the text are followed."""
    marker = tmp_path / "touched"
    texts = [
        f"vllm serve $(touch {marker}) a/b",
        f"vllm serve `touch {marker}` --config /etc/passwd a/b",
        f"LLM(model=__import__('os').system('touch {marker}'))",
        f"A = __import__('os').system('touch {marker}')\nLLM(model=A)",
        f"bash -c 'touch {marker}; vllm serve a/b'",
        "docker run --env-file /etc/passwd vllm/vllm-openai --model a/b",
        "llama-server -m x.gguf -c 1 --models-preset /etc/passwd",
        "ollama create x -f /etc/passwd\nollama run x",
        "image: vllm/vllm-openai\nenv_file: /etc/passwd\ncommand: --model a/b",
    ]
    for text in texts:
        outcome(text)  # tables and engines are read once, before files are closed off
    monkeypatch.setattr(builtins, "open", _forbidden("a file is opened"))
    monkeypatch.setattr(os, "system", _forbidden("a command is run"))
    monkeypatch.setattr(subprocess, "Popen", _forbidden("a program is started"))
    for text in texts:
        outcome(text)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("image: x", [["docker", "run", "x"]]),
        ("command: a 'b c'", [["a", "b c"]]),
        ("args: [\"a\", b, 'c']", [["a", "b", "c"]]),
        ('args:\n- a  # why\n- "b # c"', [["a", "b # c"]]),
        ("- image: x\n  args: [a]\n- image: y", [["docker", "run", "x", "a"], ["docker", "run", "y"]]),
        ("image: x\nenvironment:\n  A: 1\n  B: 'c'", [["docker", "run", "-e", "A=1", "-e", "B=c", "x"]]),
        ("image: x\nvolumes:\n  - ./a:/b:ro", [["docker", "run", "-v", "./a:/b:ro", "x"]]),
        ("FROM a AS b\nFROM c\nCMD d e", [["docker", "run", "c", "d", "e"]]),
    ],
)
def test_a_container_is_the_command_that_starts_it(text: str, words: list[list[str]]) -> None:
    """Keys in one column are one container; lists, texts and mappings give its words."""
    assert containers(text) == words


@pytest.mark.parametrize(
    ("texts", "layers"),
    [
        (["exps=CPU"], -1),
        ([".ffn_.*_exps.=CPU"], -1),
        ([r"blk\.([0-9]|1[0-9])\.ffn_.*_exps.=CPU"], 20),
        ([r"blk\.[0-4]\.ffn_.*_exps.=CPU,blk\.[5-9]\.ffn_.*_exps.=CPU"], 10),
        ([r"blk\.[5-9]\.ffn_.*_exps.=CPU"], None),
        ([".ffn_(up|down)_exps.=CPU"], None),
        (["ffn_.*=CPU"], None),
        (["exps=CUDA1"], None),
        ([r"blk\.[0-3]\..*_exps.*=CUDA0", "exps=CPU"], None),
        (["(a+)+=CPU"], None),
        ([], None),
    ],
)
def test_patterns_of_experts_are_counted(texts: list[str], layers: int | None) -> None:
    """Only patterns that leave the experts of the first layers, or of all, in host memory are planned."""
    assert hosted_layers(texts) == layers


def test_variables_hold_plain_values_only() -> None:
    """Numbers, texts, sums and defaults are values; calls are none."""
    names = names_of(
        'A = "x"\nB: int = 2\nC = B * 1024\nD = os.environ.get("K", "y")\n'
        'E = open("z")\nF = 1 // 0\nG = 2 ** 9**9'
    )
    assert {key: names.get(key) for key in "ABCD"} == {"A": "x", "B": 2, "C": 2048, "D": "y"}
    assert not {"E", "F"} & set(names)
    assert not isinstance(names.get("G"), Unknown)
