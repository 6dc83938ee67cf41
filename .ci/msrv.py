"""Fails if a dependency in one of the lock files needs a newer Rust than its package declares."""

import json
import subprocess
import sys

MANIFESTS = {
    "tower-clerk": "Cargo.toml",
    "ext_authz": "examples/ext_authz/Cargo.toml",
    "forward_auth": "examples/forward_auth/Cargo.toml",
    "gateway": "examples/gateway/Cargo.toml",
    "mcp": "examples/mcp/Cargo.toml",
}


def version(text):
    return tuple(int(part) for part in text.split("."))[:2]


def packages(manifest):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", manifest]
    return json.loads(subprocess.check_output(command))["packages"]


fails = False
for name, manifest in MANIFESTS.items():
    all_packages = packages(manifest)
    ours = next(package["rust_version"] for package in all_packages if package["name"] == name)
    newer = [
        f"{package['name']} {package['version']} needs Rust {package['rust_version']}"
        for package in all_packages
        if package["rust_version"] and version(package["rust_version"]) > version(ours)
    ]
    print("\n".join(newer) or f"{name}: {len(all_packages)} packages work with Rust {ours}")
    fails |= bool(newer)
sys.exit(fails)
