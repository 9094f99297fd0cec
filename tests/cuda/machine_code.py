#!/usr/bin/env python3
"""Reads the machine code of the cuda backend: the instructions that its speed and its contracts rest on
are there, and those that would break them are not. Needs no card.

    machine_code.py CUOBJDUMP OBJECT...        skipped (77) where there is no cuobjdump
"""
import re
import shutil
import subprocess
import sys

# Kernels (a part of the name): instructions that must be there.
WANTED = {
    "many_rows_kernel": ["HGMMA", "UTMALDG", "UBLKCP"],  # matrix instructions of warpgroups, copy engine
    "streamed_rows_kernel": ["HGMMA", "UTMALDG", "UBLKCP"],
    "few_rows_kernel": ["HMMA", "LDSM", "UBLKCP"],
    "code_rows_kernel": ["HMMA", "LDSM", "HFMA2", "LDGSTS"],
    "expert_rows_kernel": ["HMMA", "LDSM", "UBLKCP"],
    "expert_sums_kernel": ["HMMA", "LDSM", "UBLKCP"],
    "token_rows_kernel": ["HMMA", "LDSM", "UBLKCP"],
    "token_sums_kernel": ["HMMA", "LDSM", "UBLKCP"],
    "singles_kernel": ["HMMA", "LDSM", "UBLKCP"],
    "slices_kernel": ["HGMMA", "UBLKCP"],
}
# In every kernel: it lets the next one begin and waits for the one before (device.cuh).
EVERYWHERE = ["PREEXIT", "ACQBULK"]
# In no kernel: local memory, and loads through a cache that does not see what earlier kernels wrote.
FORBIDDEN = [r"\bLDL\b", r"\bSTL\b", r"\bLDG\S*\.CONSTANT"]


def kernels_of(cuobjdump, path):
    text = subprocess.run([cuobjdump, "-sass", path], check=True, capture_output=True, text=True).stdout
    parts = re.split(r"^\s*Function : (\S+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def faults(name, code):
    instructions = re.findall(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?(.+?);", code, flags=re.M)
    text = "\n".join(instructions)
    wanted = EVERYWHERE + [i for part, some in WANTED.items() if re.search(rf"\d{part}", name) for i in some]
    for instruction in wanted:
        if instruction not in text:
            yield f"{name}: expected {instruction}, found none in {len(instructions)} instructions"
    for pattern in FORBIDDEN:
        if match := re.search(pattern + ".*", text):
            yield f"{name}: expected no {pattern}, found {match.group(0)}"


def main():
    cuobjdump, *objects = sys.argv[1:]
    if shutil.which(cuobjdump) is None:
        print(f"no {cuobjdump}: skipped (script/bootstrap --cuda installs it)")
        return 77
    found, seen = [], set()
    n_kernels = 0
    for path in objects:
        for name, code in kernels_of(cuobjdump, path).items():
            n_kernels += 1
            seen.update(part for part in WANTED if re.search(rf"\d{part}", name))
            found += faults(name, code)
    found += [f"no kernel {part} in any object" for part in WANTED if part not in seen]
    # A control: code without any of it must be reported.
    if len(list(faults("9few_rows_kernel", "        /*0000*/ LDL R0, [R1] ;\n"))) != 6:
        found.append("the check does not see what it is to see")
    print(*found, sep="\n")
    print(f"{n_kernels} kernels in {len(objects)} objects, {len(found)} faults")
    return 1 if found or n_kernels == 0 else 0


sys.exit(main())
