#!/usr/bin/env python3
"""Generates a folder of rules, imports what came out into an empty pack, generates again, and compares.

usage: round_trip.py BINARY RULES

`version` is left out: `import` leaves it to `deploy`. Everything else has to be the same, rule by rule.
"""
import json, os, subprocess, sys, tempfile

binary, rules = (os.path.abspath(a) for a in sys.argv[1:3])


def generated(folder, *args):
    run = subprocess.run([binary, *args], cwd=folder, capture_output=True, text=True, timeout=300)
    path = os.path.join(folder, "out", "rules.ndjson")
    if not os.path.exists(path):
        sys.exit(f"{args}: exit {run.returncode}: {run.stderr[:1000]}")
    with open(path, encoding="utf-8") as f:
        out = {}
        for line in f:
            rule = json.loads(line)
            rule.pop("version", None)
            out[rule["rule_id"]] = rule
        return path, out


with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
    export, want = generated(first, "generate", "--rules", rules, "--out", "out")
    with open(os.path.join(second, "rulepack.toml"), "w", encoding="utf-8") as f:
        f.write('[pack]\nname = "round-trip"\nids = "any"\n')
    os.mkdir(os.path.join(second, "rules-toml"))
    run = subprocess.run([binary, "import", export], cwd=second, capture_output=True, text=True, timeout=300)
    if run.returncode != 0:
        sys.exit(f"import: exit {run.returncode}: {run.stdout[-1000:]}{run.stderr[-1000:]}")
    _, got = generated(second, "generate", "--out", "out")
wrong = 0
for rule_id, rule in want.items():
    other = got.get(rule_id)
    if other == rule:
        continue
    wrong += 1
    keys = ["missing"] if other is None else [k for k in {**rule, **other} if rule.get(k) != other.get(k)]
    print(f"{rule_id} ({rule['name']}): {', '.join(sorted(keys))}")
extra = len(set(got) - set(want))
print(f"round trip: {len(want) - wrong} of {len(want)} rules come back the same, {extra} more")
sys.exit(wrong + extra > 0)
