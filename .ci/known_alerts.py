#!/usr/bin/env python3
"""Replays the pack over real records and compares the alerts with a table of known ones.

usage: known_alerts.py BINARY LOGS EXPECTED_TSV

EXPECTED_TSV has the columns file, rule (the stem), event. Rules that the pack does not have are left out.
"""
import csv, json, os, subprocess, sys

binary, logs, table = sys.argv[1:4]
pack = {os.path.splitext(f)[0] for f in os.listdir("rules-toml/aws/iam")}
with open(table, encoding="utf-8", newline="") as f:
    want = sorted((r["rule"], r["event"]) for r in csv.DictReader(f, delimiter="\t") if r["rule"] in pack)
run = subprocess.run([binary, "replay", "--rules", "rules-toml", "--format", "ndjson", logs], capture_output=True, text=True)
if run.returncode != 0:
    sys.exit(f"replay: exit {run.returncode}: {run.stderr}")
alerts = [json.loads(line) for line in run.stdout.splitlines() if line.strip()]
got = sorted((a["rule"]["name"].rsplit("/", 1)[-1], e) for a in alerts for e in a["events"])
if got != want:
    missing, extra = [x for x in want if x not in got], [x for x in got if x not in want]
    sys.exit(f"known alerts: missing {missing}, unexpected {extra}")
print(f"known alerts: {len(got)} of {len(want)} exact")
