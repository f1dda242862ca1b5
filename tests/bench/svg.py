#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draws what a run found: a point for everyone on each line, as a ratio.

    tests/bench/svg.py FIGURES.json PICTURE.svg

FIGURES is what `tests/bench/run --json` writes.  The axis is logarithmic; 1 is
whom the line is measured against, left of it is less time, or space (of figures
of which more is better, the time for each).  The range of the samples is a thin
line, the goal a tick.
"""
import html
import json
import math
import sys

LEFT, WIDTH, ROW, RIGHT = 250, 560, 24, 190
COLORS = ("#d4351c", "#1d70b8", "#00703c", "#f47738", "#5694ca", "#85994b",
          "#912b88", "#b58840", "#505a5f", "#28a197", "#6f72af")
LEAST, MOST = 1 / 32, 32


def x_of(ratio):
    ratio = min(max(ratio, LEAST), MOST)
    return LEFT + WIDTH * math.log(ratio / LEAST) / math.log(MOST / LEAST)


def place(row, ratio):
    return x_of(1 / ratio if row.get("more") else ratio)


def text(x, y, words, anchor="start", size=12, color="#222"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" '
            f'text-anchor="{anchor}">{html.escape(words)}</text>')


def group(rows):
    """[(subject, [(what, [row])])] in the order in which they came."""
    subjects = {}
    for row in rows:
        if row.get("ratio"):
            subjects.setdefault(row["subject"], {}) \
                .setdefault(row["what"], []).append(row)
    return [(s, list(lines.items())) for s, lines in subjects.items()]


def draw_axis(out, top, bottom):
    for power in range(-5, 6):
        at = x_of(2.0 ** power)
        mark = f"{2 ** power} x" if power >= 0 else f"1/{2 ** -power}"
        color = "#888" if power == 0 else "#ddd"
        out.append(f'<line x1="{at:.1f}" y1="{top}" x2="{at:.1f}" '
                   f'y2="{bottom}" stroke="{color}"/>')
        out.append(text(at, top - 4, mark, "middle", 10, "#666"))


def draw_goal(out, row, y):
    """`limit` is a ratio; or seconds, of which the ratio follows."""
    limit = row.get("limit")
    if limit is None:
        return
    at = place(row, limit)
    out.append(f'<line x1="{at:.1f}" y1="{y - 9}" x2="{at:.1f}" y2="{y + 9}" '
               f'stroke="#d4351c" stroke-width="2" stroke-dasharray="3 2"/>')


def draw_line(out, what, rows, y, colors):
    out.append(text(LEFT - 10, y + 4, what, "end"))
    for row in rows:
        base = row["median"] / row["ratio"]
        color = colors[row["who"]]
        at, low, high = (place(row, v / base) for v in
                         (row["median"], row["min"], row["max"]))
        ours = "goal" in row or row["who"].startswith("shale")
        out.append(f'<line x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}" '
                   f'stroke="{color}" stroke-opacity="0.5"/>')
        out.append(f'<circle cx="{at:.1f}" cy="{y}" r="{6 if ours else 4}" '
                   f'fill="{color}"><title>{html.escape(row["who"])}: '
                   f'{row["median"]:.4g} {row["unit"]}, {row["ratio"]:.2f} x '
                   f'{html.escape(row["to"])}</title></circle>')
        if "goal" in row:
            draw_goal(out, row, y)


def draw_subject(out, subject, lines, y):
    everyone = list(dict.fromkeys(r["who"] for _, rows in lines for r in rows))
    everyone.sort(key=lambda who: not who.startswith("shale"))
    colors = {who: COLORS[n % len(COLORS)] for n, who in enumerate(everyone)}
    out.append(text(10, y + 16, subject, size=16))
    top = y + 40
    bottom = top + max(len(lines), len(everyone)) * ROW + 8
    draw_axis(out, top, bottom)
    for n, who in enumerate(everyone):
        at = top + ROW * n + 18
        x = LEFT + WIDTH + 20
        out.append(f'<circle cx="{x}" cy="{at - 4}" r="5" '
                   f'fill="{colors[who]}"/>')
        out.append(text(x + 10, at, who))
    for n, (what, rows) in enumerate(lines):
        draw_line(out, what, rows, top + ROW * n + 14, colors)
    return bottom + 20


def draw(rows):
    out, y = [], 10
    for subject, lines in group(rows):
        y = draw_subject(out, subject, lines, y)
    size = f'width="{LEFT + WIDTH + RIGHT}" height="{y}"'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'font-family="sans-serif"><rect {size} fill="white"/>\n' +
            "\n".join(out) + "\n</svg>\n")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: svg.py FIGURES.json PICTURE.svg")
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(draw(rows))


if __name__ == "__main__":
    main()
