#!/usr/bin/env bash
# Replay against tools that people use today, on the same logs in one run. Prints CPU seconds and the ratio to
# rulepack. The others only look for the pack's event names; rulepack converts, evaluates and explains.
# usage: benches/compare.sh LOGS [RUNS]     LOGS: a folder of *.json.gz as CloudTrail delivers them
set -euo pipefail
cd "$(dirname "$0")/.."
logs=${1:?usage: benches/compare.sh LOGS [RUNS]}
runs=${2:-5}
cargo build --quiet --release
names='CreateLoginProfile|AttachUserPolicy|AttachGroupPolicy|AttachRolePolicy|CreateUser|DeactivateMFADevice|UpdateSAMLProvider|CreateProfile|CreateTrustAnchor|CreateGroup|DeleteGroup'

# the median CPU seconds of a command
cpu() {
  for _ in $(seq "$runs"); do
    { TIMEFORMAT='%U %S'; time bash -c "$1" >/dev/null 2>&1; } 2>&1 | awk '{printf "%.3f\n", $1 + $2}'
  done | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

ours=$(cpu "target/release/rulepack replay -q '$logs'")
printf '%-34s %8s s CPU  %6s\n' "rulepack replay, whole pack" "$ours" 1.0
row() {
  command -v "$2" >/dev/null || { printf '%-34s not installed\n' "$1"; return; }
  local took; took=$(cpu "$3")
  printf '%-34s %8s s CPU  %6s\n' "$1" "$took" "$(awk -v a="$took" -v b="$ours" 'BEGIN {printf "%.1f", a / b}')"
}
files="find '$logs' -name '*.json.gz' -print0"
row "gzip -dc (inflate only)" gzip "$files | xargs -0 gzip -dc"
row "gzip -dc | grep -E names" grep "$files | xargs -0 gzip -dc | LC_ALL=C grep -oE '\"eventName\":\"($names)\"'"
row "gzip -dc | jq names" jq "$files | xargs -0 gzip -dc | jq -c '.Records[] | select(.eventName | test(\"^($names)\$\"))'"
row "python3 json" python3 "python3 -c 'import glob,gzip,json,sys
for f in glob.glob(sys.argv[1]+\"/**/*.json.gz\",recursive=True):
    for r in json.load(gzip.open(f))[\"Records\"]:
        if r[\"eventName\"] in set(sys.argv[2].split(\"|\")): print(r[\"eventID\"])' '$logs' '$names'"
