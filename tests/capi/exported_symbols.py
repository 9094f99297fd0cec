#!/usr/bin/env python3
"""What libqwen3.so exports is what its headers declare: no symbol more, none less.

    exported_symbols.py --shared libqwen3.so --static libqwen3.a

The functions of qwen3/c.h, and every member of a class of include/qwen3 that is defined in the library: the static
library has them all, the header says which are public.
"""
import argparse
import pathlib
import re
import subprocess
import sys

INCLUDE = pathlib.Path(__file__).resolve().parents[2] / "include/qwen3"
CLASSES = {"Model": "model.h", "Engine": "engine.h", "EventStream": "engine.h", "LogitStream": "logits.h",
           "Text": "text.h", "AnswerStream": "text.h", "SamplingField": "sampling.h"}
FUNCTIONS = {"sampling_fields", "find_sampling_field", "with_defaults"}
TYPES = re.compile(r"(typeinfo|typeinfo name|vtable) for qwen3::(Error|TokenConstraint)$")
MEMBER = re.compile(r"qwen3::(\w+)::(~?\w+(?:[^\w(][^(]*)?)\(")


def symbols(*command):
    lines = subprocess.run(["nm", "--defined-only", *command], check=True, capture_output=True, text=True).stdout
    return [(line.split(maxsplit=2)[1], line.split(maxsplit=2)[2].split("@@")[0])
            for line in lines.splitlines() if re.match(r"[0-9a-f]+ [B-Zb-z] ", line)]


def public(class_name):
    """The names of functions in the header that has the class, without those inside libqwen3."""
    text = re.sub(r"//.*", "", (INCLUDE / CLASSES[class_name]).read_text())
    body = re.search(rf"^(?:class|struct) {class_name}\b[^;{{]*{{(.*?)^}};", text, re.S | re.M)[1]
    shown = re.split(r"^ private:", body, flags=re.M)[0]
    return {name.replace(" ", "") for name in re.findall(r"(~?\w+|operator=)\s*\(", shown)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", required=True)
    parser.add_argument("--static", required=True)
    given = parser.parse_args()
    exported = {name for _, name in symbols("-D", "-C", given.shared)}
    c_exported = {name for name in exported if re.fullmatch(r"\w+", name)}
    c_declared = set(re.findall(r"\b(qwen3_\w+)\(", re.sub(r"/\*.*?\*/", "", (INCLUDE / "c.h").read_text(), flags=re.S)))
    wrong = [f"not exported: {name}" for name in sorted(c_declared - c_exported)]
    wrong += [f"exported, and not in c.h: {name}" for name in sorted(c_exported - c_declared)]
    members = {name: public(name) for name in CLASSES}
    for name in sorted(exported - c_exported):
        plain = name.replace("[abi:cxx11]", "")
        found = MEMBER.match(plain)
        if TYPES.match(plain) or re.match(rf"qwen3::({'|'.join(FUNCTIONS)})\(", plain):
            continue
        if found and found[1] in members and found[2].replace(" ", "") in members[found[1]]:
            continue
        wrong.append(f"exported, and in no public header: {name}")
    for kind, name in symbols("-C", given.static):
        plain = name.replace("[abi:cxx11]", "")
        found = MEMBER.match(plain)
        if kind != "T" or not found or found[1] not in members:
            continue
        inside = "Impl" in plain or "State" in plain  # constructors that only the library can call
        if found[2].replace(" ", "") in members[found[1]] and name not in exported and not inside:
            wrong.append(f"declared and not exported: {name}")
    print("\n".join(wrong) if wrong else f"exported: {len(c_exported & c_declared)} functions of C, "
          f"{len(exported - c_exported)} symbols of C++")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
