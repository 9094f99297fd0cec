#!/usr/bin/env python3
"""Writes the software bill of materials of a release, SPDX 2.3 as JSON.

    sbom.py --version 0.1.0 --bundled FILE --compiled FILE --launcher FILE --out OUT.spdx.json ARTEFACT...

FILEs have a line for each Debian package: name, version, source package, architecture. Bundled: linked with, in the
archive as copies and of the Debian package the dependencies; compiled: headers inside of the program; launcher: what
the archive's launcher is linked with. The time is SOURCE_DATE_EPOCH, so that the same release gives the same bytes.
"""
import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import urllib.parse
import uuid

# Of what is compiled in; what is bundled has its own copyright files in the archive.
LICENCES = {"nlohmann-json3-dev": "MIT", "libcli11-dev": "BSD-3-Clause", "libboost1.81-dev": "BSL-1.0",
            "libfmt-dev": "MIT", "prometheus-cpp-dev": "MIT", "libc6-dev": "LGPL-2.1-or-later",
            "libc6-dev-arm64-cross": "LGPL-2.1-or-later"}


def spdx_id(name):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)


def read(path):
    return [tuple(line.split()) for line in pathlib.Path(path).read_text().splitlines()]


def debian_package(name, version, source, architecture):
    purl = f"pkg:deb/debian/{name}@{urllib.parse.quote(version, safe='')}?arch={architecture}&distro=bookworm"
    return {
        "SPDXID": spdx_id("debian-" + name),
        "name": name,
        "versionInfo": version,
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": LICENCES.get(name, "NOASSERTION"),
        "copyrightText": "NOASSERTION",
        "sourceInfo": f"built from the Debian source package {source}",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }


def artefact_package(path, version, digest):
    return {
        "SPDXID": spdx_id(path.name),
        "name": path.name,
        "versionInfo": version,
        "packageFileName": path.name,
        "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest}],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "Apache-2.0",
        "copyrightText": "NOASSERTION",
    }


def relation(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def document(name, version, bundled, compiled, launcher, artefacts):
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in artefacts}
    packages = [artefact_package(path, version, digests[path]) for path in artefacts]
    debian = {line[0]: debian_package(*line) for line in [*bundled, *compiled, *launcher]}
    relations = []
    for path in artefacts:
        ours = spdx_id(path.name)
        is_archive = path.name.endswith(".tar.gz")
        relations.append(relation("SPDXRef-DOCUMENT", "DESCRIBES", ours))
        relations += [relation(ours, "CONTAINS" if is_archive else "DYNAMIC_LINK", spdx_id("debian-" + line[0]))
                      for line in bundled if is_archive or line[0] != "ca-certificates"]
        relations += [relation(ours, "STATIC_LINK", spdx_id("debian-" + line[0]))
                      for line in [*compiled, *(launcher if is_archive else [])]]
    time = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    content = "\n".join(digests[path] for path in artefacts)
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{name}-{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
        "creationInfo": {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: qwen3.cpp-script-package"]},
        "packages": packages + [debian[name] for name in sorted(debian)],
        "relationships": relations,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", required=True)
    for option in ("--bundled", "--compiled", "--launcher"):
        parser.add_argument(option, required=True, type=read)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("artefacts", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    name = args.out.name.removesuffix(".spdx.json")
    text = json.dumps(document(name, args.version, args.bundled, args.compiled, args.launcher, args.artefacts), indent=1)
    args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
