"""Reading what benchmark programs print: llama-bench, vllm bench, and our own JSON; and keeping it."""

from hwledger.library.benchmarks.reading import read_runs
from hwledger.library.benchmarks.run import BenchmarkRun

__all__ = ["BenchmarkRun", "read_runs"]
