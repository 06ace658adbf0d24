"""Compile the CUDA kernel for GPUs that are not here and report what each needs of a multiprocessor.

Triton carries its own assembler, so no GPU and no CUDA toolkit is needed; nothing is run.
Run: python tests/helpers/cuda_resources.py [--bands 268] [--arch 80 90] [--quarters 1]; one line of JSON for each.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from spectf_cloud.inference.engines.cuda.kernel import logits_kernel
from spectf_cloud.inference.engines.cuda.launch import Variant, tiles

_REGISTERS, _THREADS = 65536, 128
#: Shared memory of a multiprocessor that programs can have, bytes, by compute capability.
_SHARED = {80: 163 * 1024, 86: 99 * 1024, 89: 99 * 1024, 90: 227 * 1024, 100: 227 * 1024, 120: 99 * 1024}
_SCALARS = {"pixels": "i32", "bands": "i32", "early_tiles": "i32", "half_tiles": "i32"}
_SCALARS |= dict.fromkeys(("offset", "first_eps", "second_eps", "early_logit", "half_logit"), "fp32")
_HALVES = ("query", "key", "value", "out", "hidden", "mixing", "scratch_keys")


def source(bands: int, variant: Variant) -> ASTSource:
    """The kernel with the types and alignments `CudaKernel` launches it with."""
    full, tail = tiles(bands)
    fixed = {"full": full, "tail": tail, "quarters": variant.quarters, "early": variant.early is not None}
    signature = {name: _type_of(name) if name not in fixed else "constexpr" for name in logits_kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(signature.values()) if kind.startswith("*")}
    return ASTSource(logits_kernel, signature, fixed, aligned)


def resources(bands: int, arch: int, variant: Variant) -> dict[str, object]:
    """Registers and spilled bytes of a thread, shared bytes of a program, and how many programs fit."""
    options: dict[str, object] = {"num_warps": 4, "num_stages": 2, "enable_fp_fusion": True}
    if variant.registers is not None:
        options["maxnreg"] = variant.registers
    began = time.perf_counter()
    compiled = triton.compile(source(bands, variant), target=GPUTarget("cuda", arch, 32), options=options)
    seconds = time.perf_counter() - began
    usage, assembly = _dump(compiled.asm["cubin"])
    registers, spilled = (int(re.search(rf"{name}:(\d+)", usage)[1]) for name in ("REG", "STACK"))  # type: ignore[index]
    mix = Counter(re.findall(r"\b(HGMMA|UTC\w*MMA|HMMA|MUFU\.EX2|FFMA|LDL|STL)\b", assembly))
    shared = compiled.metadata.shared
    return {
        "bands": bands,
        "arch": arch,
        "quarters": variant.quarters,
        "registers": registers,
        "spilled_bytes": spilled,
        "shared_bytes": shared,
        "programs": min(_REGISTERS // (registers * _THREADS), _SHARED[arch] // (shared + 1024)),
        "wanted_programs": variant.programs,
        "instructions": len(re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+\S", assembly, re.MULTILINE)),
        "mix": dict(mix),
        "compile_seconds": round(seconds, 1),
    }


def _type_of(name: str) -> str:
    if name in _SCALARS:
        return _SCALARS[name]
    if name in _HALVES or name.endswith("_rest"):
        return "*fp16"
    return {"scratch_values": "*bf16", "order": "*i32"}.get(name, "*fp32")


def _dump(cubin: bytes) -> tuple[str, str]:
    """Resource usage and assembly, by the cuobjdump that Triton carries."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        return tuple(  # type: ignore[return-value]
            subprocess.run([tool, option, file.name], capture_output=True, text=True, check=True).stdout
            for option in ("-res-usage", "-sass")
        )


def main() -> None:
    """One line for each architecture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bands", type=int, default=268)
    parser.add_argument("--arch", type=int, nargs="+", default=[80, 90], choices=_SHARED)
    parser.add_argument("--quarters", type=int, default=Variant.quarters)
    parser.add_argument("--registers", type=int, default=Variant.registers)
    asked = parser.parse_args()
    for arch in asked.arch:
        variant = Variant(quarters=asked.quarters, registers=asked.registers or None)
        print(json.dumps(resources(asked.bands, arch, variant)), flush=True)


if __name__ == "__main__":
    main()
