#!/usr/bin/env python3
"""Asks Prometheus every query of a dashboard, and every selector of the rules that it runs.

    .ci/queries.py URL DASHBOARD SECONDS

Each must have data within SECONDS, and no rule may have an error. Of the programs that Prometheus scrapes, the job
`outage` has no keys, which alerts must say.
"""

import json
import math
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# A selector of the crate's metrics, with its range and offset.
SELECTOR = re.compile(r"\b(?:job:|job_reason:|clerk_)\w+(?::\w+)*(?:\{[^}]*\})?(?:\[\w+\])?(?: offset \w+)?")
RANGE = re.compile(r"\[\w+\]")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
# By which some series are grouped that have none of them: what the gateway and a verifier of several instances add.
OPTIONAL = {"exported_instance", "policy"}
PENDING = {"ClerkKeysMissing", "ClerkTokensNotJudged"}


def ask(url, path, **parameters):
    # Prometheus is on this machine: a proxy would not find it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as response:
        answer = json.load(response)
    assert answer["status"] == "success", answer
    return answer["data"]


def fault(url, query, legend=None):
    """What is wrong with the answer to a query, if anything is."""
    try:
        result = ask(url, "query", query=query)["result"]
    except urllib.error.HTTPError as error:
        return json.load(error)["error"]
    except OSError as error:
        return f"no answer ({error})"
    series = [one["metric"] for one in result if not math.isnan(float(one["value"][1]))]
    if not series:
        return "no data"
    labels = {label for grouped in GROUPED.findall(query) for label in grouped.replace(" ", "").split(",")}
    if missing := labels - OPTIONAL - {"le"} - {label for metric in series for label in metric}:
        return f"no label {', '.join(missing)}"
    if legend is not None and not set(re.findall(r"{{(\w+)}}", legend)) <= labels:
        return "the legend names another label"
    return None


def queries(dashboard):
    """Every query with its legend, as Grafana would send it if all jobs are chosen."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            yield f"count by ({label}) ({metric})", None
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"], target.get("legendFormat")


def filled(query):
    return query.replace("$__rate_interval", "15s").replace("$job", ".*").replace("$instance", ".*")


def without_default(query):
    """A default would hide that a name is wrong. Only one that can be zero in a healthy service has one."""
    return query.replace(" or vector(0)", "")


def faults(url, dashboard):
    for query, legend in queries(dashboard):
        if found := fault(url, filled(without_default(query)), legend):
            yield f"{found}: {query}"
    try:
        groups = ask(url, "rules")["groups"]
    except OSError as error:
        yield f"no answer about the rules ({error})"
        return
    for group in groups:
        for rule in group["rules"]:
            if rule["health"] != "ok":
                yield f"{rule['name']}: {rule['health']} {rule.get('lastError')}"
            for selector in SELECTOR.findall(rule["query"]):
                # Nobody waits for a day here.
                selector = RANGE.sub("", selector.replace(" offset 1d", ""))
                if found := fault(url, f"count({selector})"):
                    yield f"{rule['name']}: {found}: {selector}"
            if rule["name"] in PENDING and "outage" not in {alert["labels"]["job"] for alert in rule["alerts"]}:
                yield f"{rule['name']}: says nothing of the outage"


url, file, seconds = sys.argv[1:]
dashboard = json.loads(pathlib.Path(file).read_text())
deadline = time.monotonic() + float(seconds)
while (found := list(faults(url, dashboard))) and time.monotonic() < deadline:
    time.sleep(0.5)
print("\n".join(found) or f"{len(list(queries(dashboard)))} queries have data, and all rules work")
sys.exit(bool(found))
