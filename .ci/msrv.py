"""Fails if a dependency in the lock file needs a newer Rust than this package declares."""

import json
import subprocess
import sys


def version(text):
    return tuple(int(part) for part in text.split("."))[:2]


metadata = json.loads(subprocess.check_output(["cargo", "metadata", "--locked", "--format-version", "1"]))
packages = metadata["packages"]
ours = next(package["rust_version"] for package in packages if package["name"] == "tower-clerk")
newer = [
    f"{package['name']} {package['version']} needs Rust {package['rust_version']}"
    for package in packages
    if package["rust_version"] and version(package["rust_version"]) > version(ours)
]
print("\n".join(newer) or f"{len(packages)} packages work with Rust {ours}")
sys.exit(bool(newer))
