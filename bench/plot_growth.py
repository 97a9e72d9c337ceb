#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw what a node says in an hour against the size of its network: docs/plots/growth.svg from bench/growth.tsv.

usage: plot_growth.py
"""
import pathlib

import plot

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = {
    "dht": "DHT upkeep",
    "ping": "pings",
    "guard": "guard, at most",
    "audit": "audits",
    "lookup": "one lookup",
    "gossip round": "gossip round",
}


def main():
    series = {}
    for row in (ROOT / "bench" / "growth.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        nodes, kind, _, messages, _, _ = row.split("\t")
        if kind in NAMES and float(messages) > 0:
            series.setdefault(NAMES[kind], []).append((int(nodes), float(messages)))
    (ROOT / "docs" / "plots").mkdir(exist_ok=True)
    plot.lines(ROOT / "docs" / "plots" / "growth.svg", "What a node says in an hour", "nodes", "messages a node and hour", series, True)


if __name__ == "__main__":
    main()
