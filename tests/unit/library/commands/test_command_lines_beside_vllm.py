"""Command lines of other programs than vLLM as people post them, and what they run."""

import pytest

from hwledger.library.commands import is_command, read_command

CASES: dict[str, tuple[str, str, str | None, dict[str, str]]] = {
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
        "hf:ggml-org/gpt-oss-20b-GGUF:latest",
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
            "n_ctx": "0",
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
        {"n_ctx": "0", "cpu_moe": "on", "n_parallel": "1"},
    ),
    "llama windows": (
        ".\\llama-server.exe -m C:\\models\\q.gguf -np 1 -ngl all",
        "C:\\models\\q.gguf",
        "llama.cpp",
        {"n_ctx": "0", "n_parallel": "1", "n_gpu_layers": "all"},
    ),
    "llama experts": (
        "llama-server -m x.gguf -np 1 -ot '.ffn_.*_exps.=CPU'",
        "x.gguf",
        "llama.cpp",
        {"n_ctx": "0", "n_parallel": "1", "cpu_moe": "on"},
    ),
    "llama app": (
        "llama serve -hf a/b:Q8_0 -np 1",
        "hf:a/b:Q8_0",
        "llama.cpp",
        {"n_ctx": "0", "n_parallel": "1"},
    ),
    "llama-run": (
        "llama-run -ngl 99 hf://a/b/c.gguf",
        "hf:a/b/c.gguf",
        "llama.cpp",
        {"n_ctx": "0", "n_gpu_layers": "99", "n_parallel": "1"},
    ),
    "llama bare fa": (
        "llama-server -m x.gguf -fa -ngl 10 -np 1",
        "x.gguf",
        "llama.cpp",
        {"n_ctx": "0", "flash_attn": "on", "n_gpu_layers": "10", "n_parallel": "1"},
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
    "ollama hub plain": ("ollama pull huggingface.co/a/b-GGUF", "hf:a/b-GGUF:latest", "llama.cpp", {}),
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
        "text-generation-launcher --model-id a/b --quantize bitsandbytes-nf4",
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
