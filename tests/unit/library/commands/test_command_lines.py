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
            "docker run --runtime nvidia --gpus all -v ~/.cache/huggingface:/root/.cache/huggingface "
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
    "ticks": ("`vllm serve a/b`", "a/b", "vllm", {}),
    "same twice": ("hf download a/b\nvllm serve a/b", "a/b", "vllm", {}),
    "checkpoint packing": ("vllm serve a/b-AWQ --quantization awq", "a/b-AWQ", "vllm", {}),
    "packed on loading": ("vllm serve a/b -q fp8", "a/b", "vllm", {"quantization": "fp8"}),
    "llama-server": (
        (
            "llama-server -m models/qwen3.gguf -c 32768 -ngl 99 -fa on -ctk q8_0 -ctv q8_0 "
            "-np 2 -ub 1024 -b 4096"
        ),
        "models/qwen3.gguf",
        "llama.cpp",
        {
            "n_ctx": "32768",
            "n_gpu_layers": "99",
            "flash_attn": "on",
            "cache_type_k": "q8_0",
            "cache_type_v": "q8_0",
            "n_parallel": "2",
            "n_ubatch": "1024",
            "n_batch": "4096",
        },
    ),
    "llama-server auto": (
        "./build/bin/llama-server -hf ggml-org/gpt-oss-20b-GGUF --ctx-size 0 --jinja -ub 2048 -b 2048",
        "hf:ggml-org/gpt-oss-20b-GGUF:Q4_K_M",
        "llama.cpp",
        {"n_ctx": "0", "n_ubatch": "2048", "n_batch": "2048", "n_parallel": "4", "kv_unified": "on"},
    ),
    "llama quant": (
        (
            "llama-cli -hf unsloth/Qwen3-30B-A3B-GGUF:Q5_K_M --n-cpu-moe 10 -ts 3,1 -sm "
            "layer -mg 0 --no-mmap -nkvo"
        ),
        "hf:unsloth/Qwen3-30B-A3B-GGUF:Q5_K_M",
        "llama.cpp",
        {
            "n_cpu_moe": "10",
            "tensor_split": "3,1",
            "split_mode": "layer",
            "main_gpu": "0",
            "mmap": "off",
            "no_kv_offload": "on",
            "n_parallel": "1",
        },
    ),
    "llama file": (
        "llama-server --hf-repo a/b-GGUF --hf-file b-q8_0.gguf -c 4096 -np 1 -kvu --swa-full --no-op-offload",
        "hf:a/b-GGUF/b-q8_0.gguf",
        "llama.cpp",
        {"n_ctx": "4096", "n_parallel": "1", "kv_unified": "on", "swa_full": "on", "op_offload": "off"},
    ),
    "llama url": (
        "llama-cli -mu https://huggingface.co/a/b/resolve/main/c.gguf --cpu-moe",
        "https://huggingface.co/a/b/resolve/main/c.gguf",
        "llama.cpp",
        {"cpu_moe": "on", "n_parallel": "1"},
    ),
    "llama windows": (
        ".\\llama-server.exe -m C:\\models\\q.gguf -np 1 -ngl all",
        "C:\\models\\q.gguf",
        "llama.cpp",
        {"n_parallel": "1", "n_gpu_layers": "all"},
    ),
    "llama experts": (
        "llama-server -m x.gguf -np 1 -ot '.ffn_.*_exps.=CPU'",
        "x.gguf",
        "llama.cpp",
        {"n_parallel": "1", "cpu_moe": "on"},
    ),
    "llama app": ("llama serve -hf a/b:Q8_0 -np 1", "hf:a/b:Q8_0", "llama.cpp", {"n_parallel": "1"}),
    "llama-run": (
        "llama-run -ngl 99 hf://a/b/c.gguf",
        "hf:a/b/c.gguf",
        "llama.cpp",
        {"n_gpu_layers": "99", "n_parallel": "1"},
    ),
    "llama bare fa": (
        "llama-server -m x.gguf -fa -ngl 10 -np 1",
        "x.gguf",
        "llama.cpp",
        {"flash_attn": "on", "n_gpu_layers": "10", "n_parallel": "1"},
    ),
    "llama docker": (
        (
            "docker run -v /path/to/models:/models -p 8080:8080 ghcr.io/ggml-org/llama.cpp:server-cuda "
            "-m /models/7B.gguf -c 512 -np 1 --host 0.0.0.0 --n-gpu-layers 99"
        ),
        "/path/to/models/7B.gguf",
        "llama.cpp",
        {"n_ctx": "512", "n_parallel": "1", "n_gpu_layers": "99"},
    ),
    "llama env": (
        "LLAMA_ARG_CTX_SIZE=2048 LLAMA_ARG_N_PARALLEL=2 llama-server -m x.gguf",
        "x.gguf",
        "llama.cpp",
        {"n_ctx": "2048", "n_parallel": "2"},
    ),
    "llama-bench": (
        "llama-bench -m x.gguf -p 512,2048 -n 128 -ngl 99 -fa 1 -d 4096",
        "x.gguf",
        "llama.cpp",
        {"n_ctx": "6144", "n_gpu_layers": "99", "flash_attn": "1", "n_parallel": "1"},
    ),
    "llama-cpp-python": (
        "python -m llama_cpp.server --model x.gguf --n_ctx 4096 --n_gpu_layers -1",
        "x.gguf",
        "llama.cpp",
        {"n_ctx": "4096", "n_gpu_layers": "-1", "n_parallel": "1"},
    ),
    "ollama": ("ollama run qwen3:8b", "ollama:qwen3:8b", "llama.cpp", {}),
    "ollama prompt": ("ollama run llama3.2 'why is the sky blue?'", "ollama:llama3.2", "llama.cpp", {}),
    "ollama hub": (
        "ollama run hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q8_0",
        "hf:bartowski/Llama-3.2-3B-Instruct-GGUF:Q8_0",
        "llama.cpp",
        {},
    ),
    "ollama hub plain": ("ollama pull huggingface.co/a/b-GGUF", "hf:a/b-GGUF:Q4_K_M", "llama.cpp", {}),
    "ollama cache": (
        "OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE=q8_0 ollama serve &\nollama run gpt-oss:20b",
        "ollama:gpt-oss:20b",
        "llama.cpp",
        {"flash_attn": "1", "cache_type_k": "q8_0", "cache_type_v": "q8_0"},
    ),
    "ollama docker": ("docker exec -it ollama ollama run llama3", "ollama:llama3", "llama.cpp", {}),
    "lms": (
        "lms load openai/gpt-oss-20b --context-length=8192 --gpu=max",
        "lmstudio:openai/gpt-oss-20b",
        None,
        {},
    ),
    "lms get": ("lms get qwen/qwen3-8b@q4_k_m --yes", "lmstudio:qwen/qwen3-8b@q4_k_m", None, {}),
    "sglang": (
        (
            "python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3 --tp 8 --trust-remote-code "
            "--mem-fraction-static 0.85 --context-length 32768 --max-running-requests 64 "
            "--chunked-prefill-size 4096"
        ),
        "deepseek-ai/DeepSeek-V3",
        "vllm",
        {
            "tensor_parallel_size": "8",
            "gpu_memory_utilization": "0.85",
            "max_model_len": "32768",
            "max_num_seqs": "64",
            "max_num_batched_tokens": "4096",
        },
    ),
    "sglang serve": (
        "sglang serve a/b --tp-size 2 --ep 2 --disable-radix-cache",
        "a/b",
        "vllm",
        {"tensor_parallel_size": "2", "enable_expert_parallel": "on", "enable_prefix_caching": "off"},
    ),
    "sglang dp attention": (
        "python -m sglang.launch_server --model a/b --tp=8 --dp 4 --enable-dp-attention",
        "a/b",
        "vllm",
        {"tensor_parallel_size": "2", "data_parallel_size": "4", "enable_expert_parallel": "on"},
    ),
    "sglang docker": (
        (
            "docker run --gpus all --shm-size 32g -p 30000:30000 --ipc=host lmsysorg/sglang:latest "
            "python3 -m sglang.launch_server --model-path a/b --host 0.0.0.0 --kv-cache-dtype fp8_e5m2"
        ),
        "a/b",
        "vllm",
        {"kv_cache_dtype": "fp8_e5m2"},
    ),
    "tgi": (
        (
            "docker run --gpus all --shm-size 1g -p 8080:80 -v $volume:/data "
            "ghcr.io/huggingface/text-generation-inference:3.3.4 --model-id a/b --num-shard "
            "2 --max-total-tokens 4096"
        ),
        "a/b",
        "vllm",
        {"tensor_parallel_size": "2", "max_model_len": "4096"},
    ),
    "tgi launcher": (
        "text-generation-launcher --model-id a/b --quantize bitsandbytes",
        "a/b",
        "vllm",
        {"quantization": "nf4"},
    ),
    "mistral.rs": ("mistralrs-server --port 1234 --isq Q4K plain -m a/b", "a/b", None, {}),
    "mistral.rs gguf": (
        "./mistralrs-server -i gguf -m a/b-GGUF -f b.Q4_K_M.gguf",
        "hf:a/b-GGUF/b.Q4_K_M.gguf",
        "llama.cpp",
        {},
    ),
    "mistral.rs run": ("mistralrs run -m Qwen/Qwen3-4B", "Qwen/Qwen3-4B", None, {}),
    "mlx": (
        "mlx_lm.server --model mlx-community/Qwen3-8B-4bit --decode-concurrency 4 --port 8080",
        "mlx-community/Qwen3-8B-4bit",
        "mlx",
        {"num_concurrent": "4"},
    ),
    "mlx module": (
        "python -m mlx_lm.generate --model a/b --max-kv-size 4096 --kv-bits 8 --prompt 'hi there'",
        "a/b",
        "mlx",
        {"max_kv_size": "4096", "kv_bits": "8"},
    ),
    "mlx sub": ("mlx_lm chat --model a/b", "a/b", "mlx", {}),
    "hf": ("hf download Qwen/Qwen3-8B --local-dir ./x", "Qwen/Qwen3-8B", None, {}),
    "hf file": (
        "huggingface-cli download a/b-GGUF b-Q4_K_M.gguf --local-dir .",
        "hf:a/b-GGUF/b-Q4_K_M.gguf",
        None,
        {},
    ),
    "hf include": ("hf download a/b-GGUF --include '*Q4_K_M*' --local-dir b", "hf:a/b-GGUF:Q4_K_M", None, {}),
    "git": ("git lfs install\ngit clone https://huggingface.co/Qwen/Qwen3-8B", "Qwen/Qwen3-8B", None, {}),
    "git lfs": ("git lfs clone https://huggingface.co/a/b.git", "a/b", None, {}),
    "transformers": (
        (
            "from transformers import AutoTokenizer, AutoModelForCausalLM\n"
            'name = "Qwen/Qwen3-8B"\ntokenizer = AutoTokenizer.from_pretrained(name)\n'
            "model = AutoModelForCausalLM.from_pretrained(\n    name, "
            'torch_dtype=torch.bfloat16, device_map="auto"\n)'
        ),
        "Qwen/Qwen3-8B",
        "transformers",
        {"dtype": "bfloat16", "device_map": "auto"},
    ),
    "pipeline": ('pipe = pipeline("text-generation", model="a/b")', "a/b", "transformers", {}),
    "LLM": (
        'llm = LLM(model="a/b", tensor_parallel_size=2, enforce_eager=True, max_model_len=8192)',
        "a/b",
        "vllm",
        {"tensor_parallel_size": "2", "enforce_eager": "on", "max_model_len": "8192"},
    ),
    "Llama": (
        'llm = Llama.from_pretrained(repo_id="a/b-GGUF", filename="*Q4_K_M.gguf", n_ctx=4096)',
        "hf:a/b-GGUF:Q4_K_M",
        "llama.cpp",
        {"n_ctx": "4096", "n_gpu_layers": "0", "n_parallel": "1"},
    ),
    "mlx load": (
        'from mlx_lm import load, generate\nmodel, tokenizer = load("mlx-community/x")',
        "mlx-community/x",
        "mlx",
        {},
    ),
}


@pytest.mark.requirement("FR-SRC-COMMANDS")
@pytest.mark.parametrize("name", CASES)
def test_a_command_line_gives_model_engine_and_options(name: str) -> None:
    """A line as people post it is read as the model, the engine and exactly these options."""
    text, model, engine, options = CASES[name]
    found = read_command(text)
    assert (found.model, found.engine, dict(found.options)) == (model, engine, options)


@pytest.mark.requirement("FR-SRC-COMMANDS")
@pytest.mark.parametrize("name", CASES)
def test_a_command_line_is_told_from_a_name(name: str) -> None:
    """Each of these lines is seen to be a command."""
    assert is_command(CASES[name][0])
