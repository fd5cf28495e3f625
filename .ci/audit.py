"""Prints the report of pip-audit (JSON) in short: known vulnerabilities, and of how many packages none are known."""

import json
import sys
from pathlib import Path

report = Path(sys.argv[1])
packages = json.loads(report.read_text())["dependencies"] if report.is_file() else []
checked = [package for package in packages if "vulns" in package]
for package in checked:
    for found in package["vulns"]:
        fixed = ", ".join(found["fix_versions"]) or "no version"
        print(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
if checked:
    print(f"{len(checked)} packages checked, {sum(bool(package['vulns']) for package in checked)} with vulnerabilities")
else:
    print("not checked: the database of advisories does not answer")
