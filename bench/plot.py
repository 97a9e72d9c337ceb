#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG, drawn by hand: no library, the same bytes from the same numbers, readable on a light and on a dark page.

usage: plot.py FOLDER JSON...

Each JSON file holds rows as bench_node.Rows writes them. Rows that name a plot are drawn together as bars, one file a plot: FOLDER/PLOT.svg.
Other programs call bars() and lines().
"""
import json
import math
import os
import sys
from xml.sax.saxutils import escape

WIDTH, BAR, GAP, LEFT, RIGHT, TOP = 720, 18, 10, 190, 110, 44
COLOURS = ("#3b7dd8", "#d8743b", "#4a9d5b", "#a05bb5", "#b5a05b", "#5bb0b5")
STYLE = ("text{font:12px sans-serif;fill:#444}.title{font-size:14px;font-weight:bold}.value{fill:#444}.small{font-size:11px}"
         "line,polyline{stroke:#888;fill:none}@media(prefers-color-scheme:dark){text,.value{fill:#ccc}line{stroke:#999}}")


def text(x, y, what, anchor="start", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(str(what))}</text>'


def line(x1, y1, x2, y2, more=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {more}/>'


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write(path, height, parts):
    with open(path, "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}">'
                  f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n")


def bars(path, title, unit, rows):
    """Draw rows (label, lowest, median, highest), one bar each as long as the median with its spread; those whose label begins with
    "pangea" in the first colour."""
    most = max(row[3] for row in rows) or 1
    left = max(LEFT, 16 + 6.5 * max(len(row[0]) for row in rows))  # room for the longest label
    scale = (WIDTH - left - RIGHT) / most
    parts = [text(10, 22, f"{title}, {unit}", kind="title")]
    for place, (label, low, middle, high) in enumerate(rows):
        y = TOP + place * (BAR + GAP)
        colour = COLOURS[0 if label.startswith("pangea") else 1]
        parts.append(text(left - 8, y + 13, label, "end"))
        parts.append(f'<rect x="{left:g}" y="{y}" width="{max(middle * scale, 1):.1f}" height="{BAR}" fill="{colour}"/>')
        if high > low:
            parts.append(line(left + low * scale, y + BAR / 2, left + high * scale, y + BAR / 2, 'stroke-width="2"'))
        parts.append(text(left + high * scale + 6, y + 13, number(middle), kind="value"))
    write(path, TOP + len(rows) * (BAR + GAP) + 8, parts)


def ticks(low, high, is_log):
    if is_log:
        return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    step = 10 ** math.floor(math.log10((high - low) / 4 or 1))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    return [step * count for count in range(math.floor(low / step), math.ceil(high / step) + 1)]


def lines(path, title, x_name, y_name, series, is_log=False):
    """Draw series {name: [(x, y), ...]} as lines with their points; both axes logarithmic on request, then all values above zero."""
    height, bottom, right = 400, 360, WIDTH - 150
    points = [point for each in series.values() for point in each]
    place = math.log10 if is_log else float
    axes = []
    for index, (begin, end) in enumerate(((70, right), (bottom, 50))):
        values = [point[index] for point in points]
        marks = ticks(min(values) if is_log else 0, max(values), is_log)
        low, span = place(marks[0]), place(marks[-1]) - place(marks[0]) or 1
        axes.append((marks, lambda value, low=low, span=span, begin=begin, end=end: begin + (place(value) - low) / span * (end - begin)))
    (x_marks, x_at), (y_marks, y_at) = axes
    parts = [text(10, 22, title, kind="title"), text(70, 42, y_name, kind="small"), text(right, height - 4, x_name, "end", "small")]
    for mark in x_marks:
        parts += [line(x_at(mark), bottom, x_at(mark), bottom + 4), text(x_at(mark), bottom + 18, number(mark), "middle", "small")]
    for mark in y_marks:
        parts += [line(66, y_at(mark), right, y_at(mark), 'stroke-opacity="0.25"'), text(62, y_at(mark) + 4, number(mark), "end", "small")]
    for index, (name, each) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path_text = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in each)
        parts.append(f'<polyline points="{path_text}" style="stroke:{colour};stroke-width:2"/>')
        parts += [f'<circle cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3" fill="{colour}"/>' for x, y in each]
        parts.append(text(x_at(each[-1][0]) + 8, y_at(each[-1][1]) + 4, name))
    write(path, height, parts)


def main():
    folder, plots = sys.argv[1], {}
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            for row in json.load(file):
                if row.get("plot"):
                    plots.setdefault(row["plot"], []).append(row)
    os.makedirs(folder, exist_ok=True)
    for name, rows in plots.items():
        bars(os.path.join(folder, name + ".svg"), rows[0]["title"], rows[0]["unit"],
             [(row["who"], row["low"], row["value"], row["high"]) for row in rows])


if __name__ == "__main__":
    main()
