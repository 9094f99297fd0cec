#!/usr/bin/env python3
"""Has texts that grammars of JSON Schemas allow validated by python-jsonschema.

    tests/grammar/schema_walks.py --program build/release/bin/schema_walks [--texts N] [--seed S] [FILE...]

FILE: by default tests/data/json_schema_suite/*.json. Every text must be JSON without a key twice and valid against
its schema. 77 if jsonschema is not installed. (Its \\s is Python's, which lacks U+FEFF of ECMA-262.)
"""
import argparse
import decimal
import json
import pathlib
import subprocess
import sys

try:
    import jsonschema
    import jsonschema.validators
except ImportError:
    print("skipped: python-jsonschema is not installed")
    sys.exit(77)

decimal.getcontext().prec = 1000  # multipleOf by exact remainders
FORMATS = ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "uuid"]


def no_key_twice(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError("a key twice")
    return dict(pairs)


def number(text):
    value = decimal.Decimal(text)
    return int(value) if value == value.to_integral_value() else value


def read(text):
    return json.loads(text, parse_float=number, object_pairs_hook=no_key_twice)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--texts", default="10")
    parser.add_argument("--seed", default="1")
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    suite = pathlib.Path(__file__).parent.parent / "data" / "json_schema_suite"
    files = args.files or sorted(str(p) for p in suite.glob("*.json"))
    command = [args.program, "--texts", args.texts, "--seed", args.seed, *files]
    formats = jsonschema.FormatChecker(())
    known = jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers  # more, the more of its extras are installed
    formats.checkers = {name: known[name] for name in FORMATS if name in known}
    n_schemas = n_texts = n_wrong = n_skipped = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as walks:
        for line in walks.stdout:
            walk = read(line)
            schema = walk["schema"]
            kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
            both = isinstance(schema, dict) and {"additionalProperties", "unevaluatedProperties"} <= set(schema)
            if both and kind is jsonschema.Draft201909Validator:
                continue  # jsonschema 4.26 does not count additionalProperties as evaluated; the suite does
            validator = kind(schema, format_checker=formats)
            n_schemas += 1
            for text in walk["texts"]:
                n_texts += 1
                try:
                    validator.validate(read(text))
                except (jsonschema.ValidationError, ValueError) as error:
                    n_wrong += 1
                    reason = getattr(error, "message", str(error))
                    print(f"WRONG {json.dumps(schema, default=str)}\n  {text}\n  {reason[:300]}")
                except Exception as error:  # the validator's own limits: regular expressions, references
                    n_skipped += 1
                    print(f"no verdict: {type(error).__name__}: {str(error)[:120]}")
    print(f"{n_schemas} schemas, {n_texts} texts, {n_wrong} wrong, {n_skipped} without a verdict")
    return 1 if n_wrong or walks.returncode or not n_texts else 0


if __name__ == "__main__":
    sys.exit(main())
