"""llamafile: llama.cpp in one file, often with the model inside."""

from hwledger.errors import UsageError
from hwledger.library.commands.draft import Call
from hwledger.library.commands.programs import llama_cpp
from hwledger.library.deployment import Deployment


def read(call: Call) -> Deployment:
    """Return what a llamafile runs that is told a GGUF file.

    Source: mozilla-ai/llamafile README_0.10.0.md: 0.10 is built anew on llama.cpp of March 2026. That earlier
    versions keep every layer in host memory is taken from the ``-ngl 9999`` of its documentation's examples.

    Raises:
        UsageError: its model is the one inside it.
    """
    draft = llama_cpp.read_flags(call)
    if not draft.model:
        raise UsageError(
            f"{call.program} carries its model inside, which hwledger does not read;"
            " name the GGUF file in its place"
        )
    draft.note("llamafile is planned by the rules of llama.cpp; its own defaults changed with its versions")
    if "n_gpu_layers" not in draft.options:
        draft.note(
            "llamafile is told no -ngl: versions before 0.10 keep every layer in host memory, all are planned"
        )
    draft.options.setdefault("n_parallel", "1")
    return draft.deployment()
