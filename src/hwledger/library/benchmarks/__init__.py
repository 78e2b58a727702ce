"""Reading what benchmark programs print: llama-bench, vllm bench, and our own JSON; and keeping it."""
