"""Command lines as people post them, and what they run."""

import pytest

from hwledger.library.commands import is_command, read_command

CASES: dict[str, tuple[str, str, str | None, dict[str, str]]] = {
    "acceptance": (
        "vllm serve Qwen/Qwen3-32B --tensor-parallel-size 2 --max-model-len 32768 --kv-cache-dtype fp8",
        "Qwen/Qwen3-32B",
        "vllm",
        {"tensor_parallel_size": "2", "max_model_len": "32768", "kv_cache_dtype": "fp8"},
    ),
    "equals": (
        (
            "vllm serve Qwen/Qwen3-32B --tensor-parallel-size=2 --max_model_len=32K "
            "--gpu-memory-utilization=0.95"
        ),
        "Qwen/Qwen3-32B",
        "vllm",
        {"tensor_parallel_size": "2", "max_model_len": "32768", "gpu_memory_utilization": "0.95"},
    ),
    "decimal k": ("vllm serve a/b --max-model-len 32k", "a/b", "vllm", {"max_model_len": "32000"}),
    "half k": (
        "vllm serve a/b --max-num-batched-tokens 1.5k",
        "a/b",
        "vllm",
        {"max_num_batched_tokens": "1500"},
    ),
    "auto length": ("vllm serve a/b --max-model-len auto", "a/b", "vllm", {}),
    "minus one": ("vllm serve a/b --max-model-len -1 -tp 4", "a/b", "vllm", {"tensor_parallel_size": "4"}),
    "glued": ("vllm serve a/b -tp4 -O3", "a/b", "vllm", {"tensor_parallel_size": "4"}),
    "shortened": ("vllm serve a/b --tensor-parallel 2", "a/b", "vllm", {"tensor_parallel_size": "2"}),
    "flags before": (
        (
            "vllm serve --trust-remote-code --enable-auto-tool-choice --tool-call-parser "
            "hermes a/b --enforce-eager"
        ),
        "a/b",
        "vllm",
        {"enforce_eager": "on"},
    ),
    "unknown switch before": ("vllm serve --brand-new-switch a/b", "a/b", "vllm", {}),
    "no prefix caching": (
        "vllm serve a/b --no-enable-prefix-caching --no-async-scheduling",
        "a/b",
        "vllm",
        {"enable_prefix_caching": "off", "async_scheduling": "off"},
    ),
    "speculative": (
        """vllm serve a/b --speculative-config '{"num_speculative_tokens": 3, "method":"mtp"}'""",
        "a/b",
        "vllm",
        {"num_speculative_tokens": "3"},
    ),
    "speculative dotted": (
        "vllm serve a/b --speculative-config.num_speculative_tokens 2 --speculative-config.method mtp",
        "a/b",
        "vllm",
        {"num_speculative_tokens": "2"},
    ),
    "compilation": (
        """vllm serve a/b --compilation-config '{"level": 3}' -dp 2 -ep""",
        "a/b",
        "vllm",
        {"data_parallel_size": "2", "enable_expert_parallel": "on"},
    ),
    "module": (
        (
            "python3 -m vllm.entrypoints.openai.api_server --model "
            "meta-llama/Llama-3.1-8B-Instruct --dtype bfloat16"
        ),
        "meta-llama/Llama-3.1-8B-Instruct",
        "vllm",
        {"dtype": "bfloat16"},
    ),
    "module unbuffered": (
        "python -u -m vllm.entrypoints.openai.api_server --model a/b --swap-space 4",
        "a/b",
        "vllm",
        {"swap_space": "4"},
    ),
    "docker": (
        (
            "docker run --runtime nvidia --gpus all -v ~/.cache/huggingface:/srv/.cache/huggingface "
            '--env "HUGGING_FACE_HUB_TOKEN=<secret>" -p 8000:8000 --ipc=host vllm/vllm-openai:latest '
            "--model mistralai/Mistral-7B-v0.1"
        ),
        "mistralai/Mistral-7B-v0.1",
        "vllm",
        {},
    ),
    "docker positional": (
        "sudo docker run -it --rm --gpus '\"device=0,1\"' -p8000:8000 vllm/vllm-openai:v0.20.1 a/b -tp 2",
        "a/b",
        "vllm",
        {"tensor_parallel_size": "2"},
    ),
    "docker mount": (
        "podman run -v /data/models:/models docker.example.org/vllm/vllm-openai:v0.11.0 --model /models/qwen",
        "/data/models/qwen",
        "vllm",
        {},
    ),
    "continued": (
        "$ vllm serve Qwen/Qwen3-8B \\\n    --max-model-len 8192 \\\n    --max-num-seqs 16\n",
        "Qwen/Qwen3-8B",
        "vllm",
        {"max_model_len": "8192", "max_num_seqs": "16"},
    ),
    "caret": ("vllm serve a/b ^\n  --block-size 32", "a/b", "vllm", {"block_size": "32"}),
    "backtick": ("vllm serve a/b `\n  --block-size 32", "a/b", "vllm", {"block_size": "32"}),
    "lost backslashes": (
        "vllm serve a/b\n  --block-size 32\n  -tp 2",
        "a/b",
        "vllm",
        {"block_size": "32", "tensor_parallel_size": "2"},
    ),
    "inlined backslash": ("vllm serve a/b \\ --block-size 32", "a/b", "vllm", {"block_size": "32"}),
    "web dashes": (
        "vllm serve a/b \u2013tensor-parallel-size 2 \u2014max-num-seqs 4",
        "a/b",
        "vllm",
        {"tensor_parallel_size": "2", "max_num_seqs": "4"},
    ),
    "smart quotes": (
        "vllm serve \u201ca/b\u201d\u00a0--kv-cache-dtype \u2018fp8\u2019",
        "a/b",
        "vllm",
        {"kv_cache_dtype": "fp8"},
    ),
    "environment": (
        "CUDA_VISIBLE_DEVICES=0,1 VLLM_USE_V1=1 vllm serve a/b -tp 2",
        "a/b",
        "vllm",
        {"tensor_parallel_size": "2"},
    ),
    "env": ("env A=b nohup vllm serve a/b > log.txt 2>&1 &", "a/b", "vllm", {}),
    "uv run": ("uv run --with vllm vllm serve a/b --dtype half", "a/b", "vllm", {"dtype": "half"}),
    "uvx": ("uvx vllm serve a/b", "a/b", "vllm", {}),
    "pixi": ("pixi run -e cuda vllm serve a/b", "a/b", "vllm", {}),
    "tee": (
        "time vllm serve a/b --max-num-seqs 8 | tee log && echo done",
        "a/b",
        "vllm",
        {"max_num_seqs": "8"},
    ),
    "page": (
        (
            '# install\npip install vllm\n# run\nvllm serve "a/b"\n'
            'curl -X POST http://localhost:8000/v1/chat/completions -d \'{"model": "a/b"}\''
        ),
        "a/b",
        "vllm",
        {},
    ),
    "notebook": ("!vllm serve a/b --enforce-eager", "a/b", "vllm", {"enforce_eager": "on"}),
    "fence": ("```bash\nvllm serve a/b\n```", "a/b", "vllm", {}),
    "variable": ("MODEL=Qwen/Qwen3-8B\nvllm serve $MODEL --port 80", "Qwen/Qwen3-8B", "vllm", {}),
    "exported": ("export M=a/b\nvllm serve ${M}", "a/b", "vllm", {}),
    "default": ("vllm serve ${M:-a/b}", "a/b", "vllm", {}),
    "bash -c": (
        "docker run --gpus all --entrypoint bash vllm/vllm-openai:v0.9.2 -c 'vllm serve a/b -tp 8'",
        "a/b",
        "vllm",
        {"tensor_parallel_size": "8"},
    ),
    "switched off flag": (
        "vllm serve a/b \\\n  # --max-num-seqs 4 \\\n  -tp 2",
        "a/b",
        "vllm",
        {"tensor_parallel_size": "2"},
    ),
    "prose": ("Don't forget:\nvllm serve a/b", "a/b", "vllm", {}),
    "image serve": ("docker run vllm/vllm-openai:latest serve a/b", "a/b", "vllm", {}),
    "ticks": ("`vllm serve a/b`", "a/b", "vllm", {}),
    "same twice": ("hf download a/b\nvllm serve a/b", "a/b", "vllm", {}),
    "checkpoint packing": ("vllm serve a/b-AWQ --quantization awq", "a/b-AWQ", "vllm", {}),
    "packed on loading": ("vllm serve a/b -q fp8", "a/b", "vllm", {"quantization": "fp8"}),
}


@pytest.mark.requirement("FR-SRC-COMMANDS")
@pytest.mark.parametrize("name", CASES)
def test_a_command_line_gives_model_engine_and_options(name: str) -> None:
    """A line as people post it is read as the model, the engine and exactly these options."""
    text, model, engine, options = CASES[name]
    found = read_command(text)
    ranks = (
        {"tensor_parallel_size": "1"}
        if any(word in found.program for word in ("vllm", "sglang", "LLM", "Engine"))
        else {}
    )
    assert (found.model, found.engine, dict(found.options)) == (model, engine, {**ranks, **options})


@pytest.mark.requirement("FR-SRC-COMMANDS")
@pytest.mark.parametrize("name", CASES)
def test_a_command_line_is_told_from_a_name(name: str) -> None:
    """Each of these lines is seen to be a command."""
    assert is_command(CASES[name][0])
