#!/usr/bin/env python3
"""Packs json-schema-org/JSON-Schema-Test-Suite for tests/grammar/schema_suite_test.cpp.

    tests/goldens/pack_json_schema_suite.py CLONE

One file a draft: {"additionalProperties": [groups of the suite], ..., "format/date": [...]}; formats of 2020-12 only.
"""
import json
import pathlib
import shutil
import sys

DRAFTS = ["draft4", "draft6", "draft7", "draft2019-09", "draft2020-12"]


def main() -> None:
    clone = pathlib.Path(sys.argv[1])
    out = pathlib.Path(__file__).parent.parent / "data" / "json_schema_suite"
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(clone / "LICENSE", out / "LICENSE")
    for draft in DRAFTS:
        files = {p.stem: p for p in sorted((clone / "tests" / draft).glob("*.json"))}
        if draft == "draft2020-12":
            formats = clone / "tests" / draft / "optional" / "format"
            files |= {"format/" + p.stem: p for p in sorted(formats.glob("*.json"))}
        lines = [
            json.dumps(name) + ":" + json.dumps(json.loads(path.read_text("utf-8")), separators=(",", ":"),
                                                ensure_ascii=True)
            for name, path in files.items()
        ]
        (out / f"{draft}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
