"""`docs/performance.md` from the figures of one run of the benchmark.

``python benchmarks/page.py`` puts only the sections of `EXTRAS` on the page again, and draws its
picture; with ``--figures FILE``, what ``run.py --only ... --json`` printed, it renews those rows.
"""

import argparse
import json
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
#: Drawn from the table of growth that is on the page.
PICTURE = PAGE.with_name("growth.svg")
#: Figures that are kept beside this file, since they are not measured with the others, and their
#: headings: they end the page. Each JSON is of one run, with an environment of its own.
EXTRAS = {
    "tests.json": "Tests",
    "size.json": "Models of a real size, on a CPU",
    "gpu.json": "On a GPU",
}

HEAD = """# Performance

How fast is this package? Every figure is a ratio: our time beside that of a named peer, or of a \
measured limit.
Both run in turn on the same machine: ours, the peer, ours, the peer. Seconds alone depend on the \
machine and on who
else uses it, so every row gives the machine's load average. *median [least, most] of n repeats*. \
The median decides
whether an aim is met. If only part of the spread meets it, the run does not settle the question.

`recover-nb bench --write` measures everything here except the widgets and writes this page. \
`--json` prints the
figures, `--quick` runs tiny sizes as a check, and `python benchmarks/run.py --widgets FILE` adds \
the widgets.
"""

TABLE = """| what | beside | figure | aim | | ours | peer | load |
|---|---|---|---|---|---|---|---|"""

GROWTH = """## How cost grows

Exponent b of seconds ~ size^b over the sizes named: 1 is proportional, below 1 is a fixed cost \
that is shared out.

![Seconds against size on logarithmic axes, a panel for each row of the table; the dashed line is \
proportional.](growth.svg)

| what | over | sizes | seconds | b | b of the last step |
|---|---|---|---|---|---|"""


WIDGETS = """## Widgets

`python benchmarks/widgets.py --parts latency --json` in JupyterLab and headless Chromium, on the \
same cores: from an
event in the page to the frame with its first effect in the view, and to that with its last. \
Milliseconds,
*median / 95th percentile*.

| view | act | n | first effect | last effect | work in the kernel | load |
|---|---|---|---|---|---|---|"""


TESTS = """`PYTHONPATH=tests .venv/bin/python -m pytest -p minutes -n auto --dist loadfile -m \
"not slow"` prints the
processor minutes of `make test` by part; with `-m slow`, those that `make test-all` adds. What a \
test starts is counted
where it is waited for: of a browser, mostly not.

| part | every day | slow |
|---|---|---|"""


#: Part of a row's name -> what stands in the way of its aim, as profiles show it.
REASONS = {
    "matmul limit": (
        "in models this small, calling an operation takes as long as what it does: most of the time"
        " goes into operations other than products and into Python, both transformers' own"
    ),
    "anchoring=replay": (
        "what is replayed is read as well, and longer than what is generated after it; the row"
        " below tells it for each rollout"
    ),
    "`retry`, 50,000 tokens of vocabulary, bfloat16, batch 8": (
        "four fifths of it are products, which `generate` makes as well; it draws for a tenth of"
        " its time, which is all there is to save"
    ),
    "`dense_steer`, 50,000 tokens of vocabulary, float32, batch 8": (
        "two models take twice the time of one, and mixing both takes as long as drawing twice"
    ),
    "study of": (
        "beside a peer that fills batches across problems as well, what is left to gain are prompts"
        " read once and rows that are dropped when they end; the peer stores no traces, signals,"
        " features or alternatives"
    ),
    "share of the memory limit": (
        "the one exponential per logit that the definition needs takes longer by itself than "
        "the aim allows (the row below it); selecting the top 100 exactly takes as long again"
    ),
    "tokens x": (
        "a token costs two exponentials a logit and a selection, which no vectorising takes away"
    ),
    "bootstraps": (
        "random numbers take a third of it, and drawing them otherwise would change every figure"
        " of the study; pandas computes each of the loop's resamples with numpy"
    ),
    "import and open": (
        "nearly all of it is importing pandas, xarray and zarr; on a quiet core it takes about a"
        " second"
    ),
}


def why(name: str) -> str:
    """Return what stands in the way, after a colon, or nothing."""
    return next((f": {reason}" for part, reason in REASONS.items() if part in name), "")


def spent(row: dict) -> str:
    """Return where the time goes, largest share first, as a sentence of its own, or nothing."""
    ordered = sorted(row["profile"].items(), key=lambda item: -item[1])
    told = ", ".join(f"{what} {100 * share:.0f} %" for what, share in ordered)
    return f" Profile: {told}." if told else ""


def number(value: float) -> str:
    """Write a number with three significant figures."""
    if value == 0 or 0.001 <= abs(value) < 100_000:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:.1e}"


def line(row: dict) -> str:
    """Return one line of the table."""
    spread = (
        f" [{number(row['low'])}, {number(row['high'])}] n={row['n']}" if row["n"] > 1 else " n=1"
    )
    aim = "" if row["aim"] is None else ("≥ " if row["higher"] else "≤ ") + number(row["aim"])
    met = {None: "", True: "met", False: "missed"}[row["met"]]
    unit = " MiB" if row["figure"].endswith("MiB") else " s"
    sides = [
        number(row["seconds"][side]) + unit if row["seconds"] else "" for side in ("ours", "peer")
    ]
    load = "-".join(f"{each:.1f}" for each in sorted(row["load"]))
    name = row["name"] + (f" ({row['note']})" if row["note"] else "")
    cells = [
        name,
        row["peer"],
        f"{row['figure'].removesuffix(', MiB')}: {number(row['median'])}{spread}",
        aim,
        met,
    ]
    return "| " + " | ".join([*cells, *sides, load]) + " |"


def grown(one: dict) -> str:
    """Return one line of the table of growth."""
    sizes = ", ".join(f"{size:,}" for size in one["sizes"])
    seconds = ", ".join(number(each) for each in one["seconds"])
    return (
        f"| {one['name']} | {one['over']} | {sizes} | {seconds} | {one['slope']:.2f} |"
        f" {one['last']:.2f} |"
    )


def page(found: dict) -> str:
    """Return the page."""
    where = found["environment"]
    parts = [
        HEAD,
        "Measured with " + ", ".join(f"{name} {value}" for name, value in where.items()) + ".\n",
    ]
    if found["quick"]:
        parts.append("These are tiny sizes, to see that all of it works: not to be quoted.\n")
    aims = [row for row in found["rows"] if row["met"] is not None]
    missed = [row for row in aims if not row["met"]]
    parts.append(
        f"**{len(aims) - len(missed)} of {len(aims)} aims are met.** What is missed is said so"
        " below.\n"
    )
    for section in dict.fromkeys(row["section"] for row in found["rows"]):
        parts += [f"## {section.capitalize()}\n", TABLE]
        parts += [*(line(row) for row in found["rows"] if row["section"] == section), ""]
    parts += ["## What is missed, and why\n"] * bool(missed)
    parts += [
        f"- {row['name']}, beside {row['peer']}{why(row['name'])}.{spent(row)}" for row in missed
    ] + [""]
    if "widgets" in found:
        parts += widgets_text(**found["widgets"])
    parts += [GROWTH, *(grown(one) for one in found["growth"]), ""]
    if found["flips"]:
        parts += ["## Batch size and tokens\n", flips_text(found["flips"]), ""]
    return with_extras("\n".join(parts), kept())


def keeping(text: str, old: str, headings: tuple[str, ...] = ("Large files", "Widgets")) -> str:
    """Return a new page with those sections of the old one that this run did not measure."""
    for heading in headings:
        start = f"## {heading}\n"
        if start not in text and start in old:
            section = start + old.partition(start)[2].partition("\n## ")[0].rstrip("\n") + "\n\n"
            text = text.replace("## How cost grows\n", section + "## How cost grows\n", 1)
    return text


def growth_of(text: str) -> dict[str, str]:
    """Return the lines of a page's table of growth, by what they name."""
    section = text.partition(GROWTH.split("\n")[0] + "\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


def renewed(text: str, found: dict) -> str:
    """Return a page where the rows and lines of a later run stand for those of the same name.

    What the page has no line of yet is put behind the others of its table of growth; a row is not.
    """
    lines = text.splitlines()
    for row in found["rows"]:
        for i, old in enumerate(lines):
            named = old.startswith((f"| {row['name']} (", f"| {row['name']} |"))
            if named and f"| {row['peer']} |" in old:
                lines[i] = line(row)
        told = f"- {row['name']}, beside {row['peer']}"
        lines = [old for old in lines if not old.startswith((f"{told}.", f"{told}:"))]
        if row["met"] is False:
            last = lines.index("## What is missed, and why") + 1
            lines.insert(last + 1, f"{told}{why(row['name'])}.{spent(row)}")
    text = "\n".join(lines) + "\n"
    lines = growth_of(text) | {one["name"]: grown(one) for one in found["growth"]}
    head, title, rest = text.partition(GROWTH.split("\n")[0] + "\n")
    _, after, rest = rest.partition("\n## ")
    text = "\n".join([head + GROWTH, *lines.values(), ""]) + after + rest if title else text
    own = text.split(f"\n## {next(iter(EXTRAS.values()))}\n")[0]
    met, missed = own.count("| met |"), own.count("| missed |")
    return re.sub(
        r"\*\*\d+ of \d+ aims are met", f"**{met} of {met + missed} aims are met", text, count=1
    )


def picture(text: str) -> str:
    """Draw the growth that a page tells: an SVG with a panel for each line of its table."""
    import altair as alt
    import vl_convert

    from recover_nb.core.theme import INK, OPERATOR, theme

    panels = []
    for told in growth_of(text).values():
        name, over, *columns = (cell.strip() for cell in told.strip("| ").split(" | "))
        sizes, seconds = (
            [float(each.replace(",", "")) for each in column.split(", ")] for column in columns[:2]
        )
        rows = [
            {"size": size, "seconds": each, "proportional": seconds[-1] * size / sizes[-1]}
            for size, each in zip(sizes, seconds, strict=True)
        ]
        least = min(rows[0]["seconds"], rows[0]["proportional"])
        x = alt.X("size:Q").scale(type="log", nice=False).title(over)
        x = x.axis(values=sizes, format="~s", labelOverlap="greedy", grid=False)
        even, mine = (
            alt.Y(f"{column}:Q")
            .scale(type="log", domain=[least / 1.2, seconds[-1] * 1.2])
            .axis(tickCount=3, format="~g")
            .title("seconds")
            for column in ("proportional", "seconds")
        )
        base = alt.Chart(alt.Data(values=rows)).encode(x=x)
        even = base.mark_line(stroke=INK, strokeDash=[4, 3], opacity=0.6).encode(y=even)
        mine = base.mark_line(stroke=OPERATOR, point={"fill": OPERATOR, "filled": True}).encode(
            y=mine
        )
        title = f"{name.replace('`', '')}: b {columns[2]}"
        title = alt.TitleParams(title, fontSize=12, offset=6, limit=270)
        panels.append(alt.layer(even, mine).properties(width=200, height=110, title=title))
    chart = alt.concat(*panels, columns=3).configure(**theme())
    return vl_convert.vegalite_to_svg(chart.to_dict()) + "\n"


def kept() -> dict[str, dict]:
    """Return the figures of `EXTRAS` that are there, by heading."""
    folder = Path(__file__).parent
    return {
        heading: json.loads((folder / name).read_text())
        for name, heading in EXTRAS.items()
        if (folder / name).is_file()
    }


def with_extras(text: str, extras: dict[str, dict]) -> str:
    """Return a page that ends in the sections of `extras`, in place of those it has."""
    for heading in EXTRAS.values():
        text = text.split(f"\n## {heading}\n")[0]
    sections = [extra(heading, found) for heading, found in extras.items()]
    return "\n".join([text.rstrip("\n") + "\n", *sections])


def extra(heading: str, found: dict) -> str:
    """Return one section: what it was measured with, what was found, a table, what is missed."""
    where = ", ".join(f"{name} {value}" for name, value in found["environment"].items())
    if "minutes" in found:
        return "\n".join([f"## {heading}\n", f"Measured with {where}.\n", *minutes_text(found), ""])
    rows = found["rows"]
    aims = [row for row in rows if row["met"] is not None]
    missed = [row for row in aims if not row["met"]]
    lines = [f"## {heading}\n", f"Measured with {where}.\n"]
    if aims:
        lines.append(f"**{len(aims) - len(missed)} of {len(aims)} aims are met.**\n")
    facts = [*found.get("facts", ()), *busy(found.get("profile", {}))]
    lines += [f"- {fact.strip()}." for fact in facts]
    lines += [""] * bool(facts)
    lines += [TABLE, *map(line, rows), ""]
    lines += [f"- Missed: {row['name']}, beside {row['peer']}{why(row['name'])}." for row in missed]
    lines += [f"- Failed: {name}." for name in found.get("failures", ())]
    if found.get("skipped"):
        lines.append(f"- Not run, for time: {'; '.join(found['skipped'])}.")
    return "\n".join([*lines, ""])


def widgets_text(rows: list[dict], aims: dict[str, float]) -> list[str]:
    """Return the lines about the delays of widgets, of `widgets.measure`."""
    lines = [WIDGETS]
    for one in rows:
        first, last = (
            f"{one[a]:.0f} / {one[b]:.0f}"
            for a, b in (("first_median", "first_p95"), ("median", "p95"))
        )
        cells = (
            one["view"],
            one["act"],
            one["n"],
            first,
            last,
            f"{one['kernel_cpu']:.0f}",
            f"{one['load']:.1f}",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for kind, aim in aims.items():
        mine = [one for one in rows if one["kind"] == kind]
        if mine:
            first, last = (sum(one[name] <= aim for one in mine) for name in ("first_p95", "p95"))
            said = f"{kind.capitalize()}, 95th percentile at most {aim:.0f} ms"
            lines.append(
                f"\n{said}: the first effect of {first} of {len(mine)}, the last of {last}."
            )
    return [*lines, ""]


def flips_text(flips: dict) -> str:
    """Say how often a batch of another size changes a token."""
    told = (
        f"{each['rows_differ']} of {each['rows']} rollouts ({each['tokens']:,} tokens) with {name}"
        for name, each in flips.items()
    )
    return (
        "Rollouts of which a token differs between batches of 256 and of 37 rows: "
        + "; ".join(told)
        + "."
    )


def minutes_text(found: dict) -> list[str]:
    """Return a line for each part of the tests, the longest day first, and the sum of the days."""
    parts = sorted(found["minutes"].items(), key=lambda part: -part[1][0])
    parts.append(("all", (sum(day for _, (day, _) in parts), None)))
    rows = [
        f"| {name} | {day:.1f} | {'-' if slow is None else f'{slow:.1f}'} |"
        for name, (day, slow) in parts
    ]
    return [TESTS, *rows, *(f"\n{fact}" for fact in found["facts"])]


def busy(tables: dict[str, str]) -> list[str]:
    """Say for how long the card computes in what the CPU launches, of torch's own tables."""
    told = []
    for name, table in tables.items():
        found = re.findall(r"Self (CPU|CUDA) time total: ([\d.]+m?s)", table)
        times = dict(found)
        if "CUDA" in times:
            told.append(
                f"profile of the first tokens of `{name}`: the card computes for {times['CUDA']}"
                f" while the CPU launches it in {times['CPU']}, the profiler's cost included"
            )
    return told


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, help="JSON of a run of some parts")
    options = parser.parse_args()
    text = PAGE.read_text()
    if options.figures:
        text = renewed(text, json.loads(options.figures.read_text()))
    PAGE.write_text(with_extras(text, kept()))
    PICTURE.write_text(picture(text))
