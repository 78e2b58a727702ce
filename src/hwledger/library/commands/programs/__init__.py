"""One reader per program; ``READERS`` names them as ``data/programs.csv`` does."""

from collections.abc import Callable, Mapping
from typing import Final

from hwledger.library.commands.draft import Call
from hwledger.library.commands.programs import (
    aphrodite,
    fetch,
    git,
    hub,
    koboldcpp,
    kserve,
    llama_bench,
    llama_cpp,
    llama_cpp_python,
    llamafile,
    lmstudio,
    mistralrs,
    mlx,
    modelscope,
    ollama,
    others,
    ramalama,
    sglang,
    tgi,
    transformers,
    vllm,
    vllm_bench,
)
from hwledger.library.deployment import Deployment

READERS: Final[Mapping[str, Callable[[Call], Deployment]]] = {
    "vllm": vllm.read,
    "sglang": sglang.read,
    "tgi": tgi.read,
    "llama_server": llama_cpp.read_server,
    "llama_cli": llama_cpp.read_tool,
    "llama_old": llama_cpp.read_old,
    "llama_bench": llama_bench.read,
    "llama_cpp_python": llama_cpp_python.read,
    "ollama": ollama.read,
    "lmstudio": lmstudio.read,
    "mistralrs": mistralrs.read,
    "mlx": mlx.read,
    "hub": hub.read,
    "git": git.read,
    "aphrodite": aphrodite.read,
    "fetch": fetch.read,
    "koboldcpp": koboldcpp.read,
    "kserve": kserve.read,
    "llamafile": llamafile.read,
    "lmdeploy": others.read_lmdeploy,
    "model_runner": ramalama.read_runner,
    "modelscope": modelscope.read,
    "ramalama": ramalama.read,
    "transformers": transformers.read,
    "trtllm": others.read_trtllm,
    "vllm_bench": vllm_bench.read,
}
