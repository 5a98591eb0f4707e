#!/usr/bin/env python3
"""Write the field catalogues in this folder from tables of facts.

    python3 schemas/update.py SOURCE_DIR            write the files
    python3 schemas/update.py --check SOURCE_DIR    compare only; exit 1 if a file differs

Needs Python 3.9 or newer, nothing else. The output depends on the source tables alone, so a second
run changes nothing. The tables hold names, types and versions, no descriptions; where each comes
from and under which licence stands in docs/provenance.md.

SOURCE_DIR holds (tab-separated, first line = column names, no quoting):

  ecs_fields.tsv            the newest ECS version, one row a field: field, type, level,
                            normalize ("array"), since, ignore_above, index ("no"), doc_values
                            ("no"), object_type, scaling_factor, pattern, multi_fields
                            ("user.name.text:match_only_text", comma-separated), required, beta,
                            values
  ecs_fields_8.11.0.tsv     the same columns for the oldest version, 8.11.0
  ecs_changes.tsv           from, to, change (added | removed | type | value+), field, old, new;
                            one row a change between two consecutive versions. "value+" adds an
                            allowed value; "type" changes a type; "keyword[]" is an array of
                            keyword; "9.5.0-dev" counts as 9.5.0
  ecs_values.tsv            field, kind (allowed | expected), value, allowed_event_types, since, beta
  aws_cloudtrail_fields.tsv field, type, ignore_above, multi_fields, raw_source, since_package, note
                            ("value X" in the note = constant; "array" in it = several values)
  aws_cloudtrail_ecs_fields.tsv      field, ecs_type, array, source, since_package
  aws_cloudtrail_event_table.tsv     eventName, event.category, event.type
  aws_cloudtrail_entity_targets.tsv  service, eventName, paths
  attack.tsv                a line with the copyright statement, then id, kind, name, parent,
                            tactics, status, replaced_by
  uap-core-0.18.0-regexes.yaml, uap-core-LICENSE     copied byte for byte

Columns of the *.fields.tsv files that are written:

  field          full name
  type           Elasticsearch type in the newest version
  since          first version that has it; empty = already in the oldest one that is covered
                 (ECS 8.11.0, aws package 1.x). "7.4.0,6.22.0" = 7.4.0 and, in the older major
                 version, 6.22.0 and later
  until          first version that lacks it again; empty = still there
  ignore_above   longest value that is indexed, in UTF-16 units; empty = no limit
  array          1 = holds several values
  index          0 = not indexed: stored, but no query finds it
  multi_fields   comma list of name:type, name:type:ignore_above or
                 name:type:ignore_above:lowercase (a lowercase normalizer)
  retyped        oldtype<version: the type was oldtype before that version; comma list, oldest first
  scaling_factor of scaled_float
  value          (aws.cloudtrail only) the constant of a constant_keyword field
"""

import hashlib
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

OLDEST = "8.11.0"
UAP_SHA256 = "274c3774ed0c6baca226197d2f978bfc0621720171895475a3775f0b9f9549ba"

FIELD_COLUMNS = ["field", "type", "since", "until", "ignore_above", "array", "index",
                 "multi_fields", "retyped", "scaling_factor"]

# What Elastic's own templates give a keyword field that states no limit.
KEYWORD_LIMIT = "1024"

# Fields of the AWS integration that hold several values although the table doesn't say so.
AWS_ARRAYS = {"actor.entity.id", "target.entity.id", "aws.cloudtrail.resources.account_id",
              "aws.cloudtrail.resources.type"}

# The package version that took out what the named one was the last to have.
AWS_NEXT = {"5.1.0": "5.2.0", "6.20.0": "6.20.1", "7.3": "7.4.0"}

# The data stream's namespace is the operator's choice; this is what it is unless chosen.
DEFAULT_NAMESPACE = "default"

# What a GeoIP city database adds below source.geo.
GEO_LEAVES = ["city_name", "continent_name", "country_iso_code", "country_name", "location",
              "region_iso_code", "region_name"]


def fail(message):
    sys.exit(f"update.py: {message}")


def read_table(path):
    with open(path, encoding="utf-8", newline="") as f:
        lines = [line.rstrip("\r\n") for line in f]
    header, *rows = [line.split("\t") for line in lines if line]
    for row in rows:
        if len(row) != len(header):
            fail(f"{path.name}: {len(header)} columns expected, {len(row)} found: {row[0]}")
    return [dict(zip(header, row)) for row in rows]


def table(columns, rows):
    out = ["\t".join(columns)]
    for row in rows:
        cells = [row.get(c, "") for c in columns]
        if any("\t" in c or "\n" in c for c in cells):
            fail(f"tab or line break in a cell: {cells}")
        out.append("\t".join(cells))
    return "\n".join(out) + "\n"


def number(version):
    """A version as a tuple that sorts; a pre-release counts as its release."""
    if not re.fullmatch(r"\d+\.\d+\.\d+(-[a-z]+)?", version):
        fail(f"not a version: {version}")
    return tuple(int(n) for n in version.split("-")[0].split("."))


def release(version):
    return ".".join(str(n) for n in number(version)) if version else ""


def since_or_empty(version):
    return "" if not version or number(version) <= number(OLDEST) else release(version)


def short_multi_fields(field, text):
    """user.name.text:match_only_text -> text:match_only_text, further parts kept."""
    out = []
    for item in filter(None, text.split(",")):
        name, *rest = item.split(":")
        name = name[len(field) + 1:] if name.startswith(field + ".") else name
        if not rest:
            fail(f"{field}: multi-field without a type: {item}")
        out.append(":".join([name] + rest))
    return ",".join(out)


def split_array(kind):
    """("keyword", "1") of keyword[], ("keyword", "") of keyword."""
    return (kind[:-2], "1") if kind.endswith("[]") else (kind, "")


def ecs_row(source):
    return {
        "field": source["field"],
        "type": source["type"],
        "since": since_or_empty(source["since"]),
        "ignore_above": source["ignore_above"],
        "array": "1" if source["normalize"] == "array" else "",
        "index": "0" if source["index"] == "no" else "",
        "multi_fields": short_multi_fields(source["field"], source["multi_fields"]),
        "scaling_factor": source["scaling_factor"],
    }


def ecs_fields(source_dir):
    newest = {r["field"]: r for r in read_table(source_dir / "ecs_fields.tsv")}
    oldest = {r["field"]: r for r in read_table(source_dir / f"ecs_fields_{OLDEST}.tsv")}
    changes = read_table(source_dir / "ecs_changes.tsv")
    rows = {name: ecs_row(r) for name, r in newest.items()}
    added = {r["field"]: r for r in changes if r["change"] == "added"}

    for r in changes:
        name, kind = r["field"], r["change"]
        if kind == "removed":
            if name in newest:
                fail(f"{name} was removed in {r['to']} and is there again")
            if name in oldest:
                row = ecs_row(oldest[name])
            elif name in added:
                kind, array = split_array(r["old"])
                row = {"field": name, "type": kind, "array": array,
                       "ignore_above": KEYWORD_LIMIT if kind == "keyword" else "",
                       "since": since_or_empty(added[name]["to"])}
            else:
                fail(f"{name} was removed and never there")
            row["until"] = release(r["to"])
            rows[name] = row
        elif kind == "type":
            row = rows[name]
            earlier = f"{split_array(r['old'])[0]}<{release(r['to'])}"
            row["retyped"] = ",".join(filter(None, [row.get("retyped", ""), earlier]))
        elif kind not in ("added", "value+"):
            fail(f"ecs_changes.tsv: unknown kind of change: {kind}")

    for name, row in rows.items():
        if name in oldest and row["since"]:
            fail(f"{name} is in {OLDEST}, yet since {row['since']}")
        if name not in oldest and not row["since"]:
            fail(f"{name} is not in {OLDEST}, yet without a version")
        if name in added and release(added[name]["to"]) != row["since"]:
            fail(f"{name}: since {row['since']}, yet added in {added[name]['to']}")
    check_versions(rows, newest, oldest, changes)
    return table(FIELD_COLUMNS, [rows[name] for name in sorted(rows)])


def at_version(rows, version):
    """The fields and types that a catalogue gives for one version."""
    v = number(version)
    out = {}
    for name, row in rows.items():
        if row.get("since") and v < number(row["since"]):
            continue
        if row.get("until") and v >= number(row["until"]):
            continue
        kind = row["type"]
        for step in filter(None, row.get("retyped", "").split(",")):
            old, before = step.split("<")
            if v < number(before):
                kind = old
                break
        out[name] = kind
    return out


def check_versions(rows, newest, oldest, changes):
    """Replay the changes from the oldest version; every version must come out of the catalogue."""
    steps = []
    for r in changes:
        if r["to"] not in steps:
            steps.append(r["to"])
    steps.sort(key=lambda v: (number(v), "-" not in v))
    want = {name: r["type"] for name, r in oldest.items()}
    if at_version(rows, OLDEST) != want:
        fail(f"the catalogue doesn't give ECS {OLDEST} back")
    for step in steps:
        for r in (r for r in changes if r["to"] == step):
            if r["change"] == "removed":
                del want[r["field"]]
            elif r["change"] in ("added", "type"):
                want[r["field"]] = split_array(r["new"])[0]
        if "-" not in step and at_version(rows, step) != want:
            fail(f"the catalogue doesn't give ECS {step} back")
    if want != {name: r["type"] for name, r in newest.items()}:
        fail("the changes don't lead from the oldest table to the newest")


def ecs_values(source_dir):
    rows = [
        {"field": r["field"], "kind": r["kind"], "value": r["value"],
         "event_types": r["allowed_event_types"], "since": since_or_empty(r["since"])}
        for r in read_table(source_dir / "ecs_values.tsv")
    ]
    rows.sort(key=lambda r: r["field"])  # stable: values keep their order
    return table(["field", "kind", "value", "event_types", "since"], rows)


def package_span(text):
    """(since, until) of a package version as the tables write it."""
    if text in ("", "<=1.x"):
        return "", ""
    if "-" in text or text.startswith("<="):
        first, last = ("", text[2:]) if text.startswith("<=") else text.split("-")
        if last not in AWS_NEXT:
            fail(f"which aws package version follows {last}?")
        return first, AWS_NEXT[last]
    return text.replace("+", ","), ""


def aws_fields(source_dir):
    rows = []
    for r in read_table(source_dir / "aws_cloudtrail_fields.tsv"):
        since, until = package_span(r["since_package"])
        value = ""
        if r["type"] == "constant_keyword":
            value = r["note"].removeprefix("value ")
            if value == r["note"]:
                fail(f"{r['field']}: constant_keyword without a value")
            if value.startswith("<"):
                value = DEFAULT_NAMESPACE
        several = "array" in r["note"] or r["field"] in AWS_ARRAYS
        rows.append({
            "field": r["field"], "type": r["type"], "since": since, "until": until,
            "ignore_above": r["ignore_above"], "array": "1" if several else "",
            "multi_fields": short_multi_fields(r["field"], r["multi_fields"]), "value": value,
        })
    rows.sort(key=lambda r: r["field"])
    return table(FIELD_COLUMNS + ["value"], rows)


def aws_filled(source_dir):
    rows = []
    for r in read_table(source_dir / "aws_cloudtrail_ecs_fields.tsv"):
        since, until = package_span(r["since_package"])
        names = [r["field"]]
        if r["field"] == "source.geo.*":
            names = ["source.geo." + leaf for leaf in GEO_LEAVES]
        elif "*" in r["field"]:
            fail(f"unknown group of fields: {r['field']}")
        rows += [{"field": n, "since": since, "until": until} for n in names]
    rows.sort(key=lambda r: r["field"])
    return table(["field", "since", "until"], rows)


def aws_events(source_dir):
    rows = read_table(source_dir / "aws_cloudtrail_event_table.tsv")
    return table(["eventName", "event.category", "event.type"], rows)


def aws_targets(source_dir):
    source = read_table(source_dir / "aws_cloudtrail_entity_targets.tsv")
    rows = [dict(zip(["service", "eventName", "paths"], r.values())) for r in source]
    return table(["service", "eventName", "paths"], rows)


def attack(source_dir):
    text = (source_dir / "attack.tsv").read_text(encoding="utf-8")
    if not text.startswith("# MITRE ATT&CK") or "permission of The MITRE Corporation" not in text.split("\n")[0]:
        fail("attack.tsv: the copyright statement must be its first line")
    return text


def user_agents(source_dir):
    data = (source_dir / "uap-core-0.18.0-regexes.yaml").read_bytes()
    if hashlib.sha256(data).hexdigest() != UAP_SHA256:
        fail("the user agent rules are not those of uap-core 0.18.0")
    return data


OUTPUTS = {
    "ecs.fields.tsv": ecs_fields,
    "ecs.values.tsv": ecs_values,
    "aws.cloudtrail.fields.tsv": aws_fields,
    "aws.cloudtrail.filled.tsv": aws_filled,
    "aws.cloudtrail.events.tsv": aws_events,
    "aws.cloudtrail.entity-targets.tsv": aws_targets,
    "attack.tsv": attack,
    "user-agents.yaml": user_agents,
    "user-agents.LICENSE": lambda source_dir: (source_dir / "uap-core-LICENSE").read_bytes(),
}


def main(args):
    check = "--check" in args
    paths = [a for a in args if a != "--check"]
    if len(paths) != 1 or paths[0].startswith("-"):
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    source_dir = Path(paths[0])
    if not source_dir.is_dir():
        print(f"update.py: no such folder: {source_dir}", file=sys.stderr)
        return 2
    stale = 0
    for name, make in OUTPUTS.items():
        data = make(source_dir)
        data = data.encode("utf-8") if isinstance(data, str) else data
        path = HERE / name
        same = path.exists() and path.read_bytes() == data
        if not same:
            stale += 1
            if not check:
                path.write_bytes(data)
            print(f"{'differs' if check else 'written'}: {name}")
    if not stale:
        print(f"{len(OUTPUTS)} files are up to date")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
