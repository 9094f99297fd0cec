"""Print the accuracy table of a model card from evaluate.py's result. Usage: card.py results.json"""
import json
import sys


def main():
    result = json.load(open(sys.argv[1]))
    rows = {}
    for name, a in result["accuracy"].items():
        if name.startswith("arc ") and "(" not in name:
            continue
        task, mode = name.rstrip(")").split(" (")
        rows.setdefault(task, {})[mode] = a
    print("| task | thinking on | thinking off |\n|---|---|---|")
    for task, modes in rows.items():
        cells = [f"{a['right']} of {a['of']} ({a['share']:.1%})" if (a := modes.get(m)) else "" for m in ("think", "direct")]
        print(f"| {task} | {cells[0]} | {cells[1]} |")
    print()
    rules = [f"{n[4:]} {a['right']}/{a['of']}" for n, a in result["accuracy"].items() if n.startswith("arc ") and "(" not in n]
    print("nano-arc by rule: " + ", ".join(rules) + ".")


if __name__ == "__main__":
    main()
