#!/usr/bin/env python3
"""Packs what llama-bench and llama-batched-bench with CUDA need of llama.cpp's sources into an archive small enough
to travel to a machine without a network, where bench/build_llama_cpp.sh builds it.

    pack_llama_cpp.py LLAMA_CPP_DIRECTORY OUT.tar.xz --revision 0c1e57098bba

Left out is what no Qwen3 model in BF16, Q8_0 or Q4_K_M runs on a Hopper card: other backends, programs and
processors, attention for head sizes other than 128, products with many rows of other quantised types. What is left
is as it was, so the kernels that run are those of a whole build; what was left out ends in llama.cpp's own
"fatal error", never in a slower kernel. Every cut is checked: sources that no longer look as expected are refused.
"""
import argparse
import io
import pathlib
import re
import sys
import tarfile

KEPT_TYPES = ("Q4_K", "Q6_K", "Q8_0")
KEPT = ["CMakeLists.txt", "LICENSE", "cmake", "common", "ggml/CMakeLists.txt", "ggml/cmake", "ggml/include",
        "gguf-py/gguf", "ggml/src/CMakeLists.txt", "ggml/src/*.c", "ggml/src/*.in", "ggml/*.in", "ggml/src/*.cpp", "ggml/src/*.h",
        "ggml/src/ggml-cpu", "ggml/src/ggml-cuda", "include", "src", "tools/batched-bench", "tools/llama-bench",
        "tools/CMakeLists.txt", "vendor"]
DROPPED = re.compile(r"ggml-cpu/(arch/(?!x86)|kleidiai|spacemit)|ggml-cuda/vendors/(hip|musa)|vendor/miniaudio/.*\.h$|"
                     r"vendor/stb/.*\.h$|README\.md$|__pycache__")
TEMPLATES = "ggml/src/ggml-cuda/template-instances/"


class Refused(Exception):
    pass


def cut(text, pattern, replacement, where, times=1):
    text, n = re.subn(pattern, replacement, text, flags=re.S)
    if n != times:
        raise Refused(f"{where}: expected {times} of {pattern!r}, got {n}; is this another llama.cpp?")
    return text


def only(cases, kept, where):
    """The text of a switch's `kept` cases, each of which must be there once."""
    found = [re.findall(rf"^        case {case}:.*?^ *(?:[}}] )?break;\n", cases, re.S | re.M) for case in kept]
    if any(len(texts) != 1 for texts in found):
        raise Refused(f"{where}: expected one case of each of {', '.join(kept)}; is this another llama.cpp?")
    return "".join(texts[0] for texts in found)


def only_in(text, function, kept, where):
    """The text with only the `kept` cases and the default in the first switch of `function`."""
    match = re.search(rf"{function}\(.*?\n    switch \([^\n]*\) \{{\n(.*?)        default:", text, re.S)
    if match is None:
        raise Refused(f"{where}: expected a switch in {function}; is this another llama.cpp?")
    return text[:match.start(1)] + only(match.group(1), kept, where) + text[match.end(1):]


def pruned(name, text):
    """The file's text without what does not run, or None when nothing of it does."""
    if name == "tools/CMakeLists.txt":
        return "llama_add_compile_flags()\nadd_subdirectory(batched-bench)\nadd_subdirectory(llama-bench)\n"
    if name == "vendor/CMakeLists.txt":
        return cut(text, r"add_subdirectory\((?:miniaudio|stb)\)\n", "", name, 2)
    if name == "common/CMakeLists.txt":
        # Options, templates and parsers: read once, before anything is timed.
        return text + ("\nget_target_property(sources llama-common SOURCES)\n"
                       'list(FILTER sources INCLUDE REGEX "(chat|jinja|peg|json|arg|preset|download|hf-cache|parsers)")\n'
                       "set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS -O0)\n")
    if name.endswith("ggml-cuda/fattn.cu"):
        text = only_in(text, "static void ggml_cuda_flash_attn_ext_mma_f16", ["128"], name)
        return cut(text, r"    FATTN_VEC_CASE\( ?(?:64|256), type_K_case, type_V_case\) +\\\n", "", name, 2)
    if name.endswith("ggml-cuda/fattn-tile.cu"):
        return only_in(text, "void ggml_cuda_flash_attn_ext_tile", ["128"], name)
    if name.endswith("ggml-cuda/mmq.cu"):
        kept = [f"GGML_TYPE_{kind}" for kind in KEPT_TYPES]
        return only_in(text, "static void ggml_cuda_mul_mat_q_switch_type", kept, name)
    if not name.startswith(TEMPLATES):
        return text
    leaf = name[len(TEMPLATES):]
    if leaf.startswith("fattn-"):
        if leaf.startswith("fattn-vec") and leaf != "fattn-vec-instance-f16-f16.cu":
            return None
        lines = [line for line in text.splitlines(True) if not re.match(r"DECL_\w+\( *(?!128\b)\d+", line)]
        text = "".join(lines)
        return text if re.search(r"DECL_\w+\( *128, *(?:128|GGML)", text) else None
    if leaf.startswith("mmq-"):
        return text if leaf[len("mmq-instance-"):-len(".cu")].upper() in KEPT_TYPES else None
    return text if leaf.endswith(".cu") else None


def add(archive, name, data):
    entry = tarfile.TarInfo("llama.cpp/" + name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--revision", required=True, help="the commit of the sources, for the programs' --version")
    args = parser.parse_args()
    files = sorted({file for kept in KEPT for found in args.source.glob(kept)
                    for file in (found.rglob("*") if found.is_dir() else [found]) if file.is_file()})
    if not files:
        sys.exit(f"{args.source}: expected llama.cpp's sources")
    with tarfile.open(args.out, "w:xz", preset=9) as archive:
        add(archive, "REVISION", args.revision.encode())
        for file in files:
            name = file.relative_to(args.source).as_posix()
            if DROPPED.search(name):
                continue
            try:
                text = pruned(name, file.read_text()) if name.endswith((".cu", ".txt")) else file.read_bytes()
            except Refused as e:
                sys.exit(str(e))
            if text is None:
                continue
            add(archive, name, text.encode() if isinstance(text, str) else text)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
