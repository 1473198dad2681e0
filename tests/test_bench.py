"""The benchmark: its arithmetic by hand, and all of it once at tiny sizes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def scripts():
    """Make the scripts of the benchmark importable; their names are common, so only here."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that runs forward only when told to."""
    import measure

    now = [0.0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])
    return now


def test_runs_take_turns_and_practice_is_left_out(clock):
    import measure

    order = []

    def run(name, seconds, work=None):
        def ran():
            order.append(name)
            # The first round is slower by 100 s, as first rounds are.
            clock[0] += seconds + (100.0 if len(order) <= 2 else 0.0)
            return work

        return ran

    costs = measure.interleave({"a": run("a", 2.0), "b": run("b", 6.0, work=4.0)}, 2)
    assert order == ["a", "b"] * 3
    # A unit of work: all of a's 2 s, a fourth of b's 6 s.
    assert costs == {"a": [2.0, 2.0], "b": [1.5, 1.5]}


@pytest.mark.parametrize(("higher", "median", "met"), [(True, 6.0, True), (False, 1 / 6, True)])
def test_ratio_by_hand(clock, higher, median, met):
    import measure

    def after(seconds):
        def ran():
            clock[0] += seconds.pop(0)

        return ran

    ours, peer = after([2.0, 4.0, 1.0]), after([3.0, 6.0, 2.0])
    # The peer ran a fourth of its work: 12, 24 and 8 s beside 2, 4 and 1 s.
    row = measure.compare(
        "s", "n", ours, ("p", peer), 3, scale=4.0, warm=False, aim=6.0, higher=higher
    ).to_dict()
    assert row["figure"] == ("peer / ours" if higher else "ours / peer")
    assert row["seconds"] == {"ours": 2.0, "peer": 12.0}
    assert row["median"] == pytest.approx(median) and row["met"] is met
    assert sorted([row["low"], row["high"]]) == pytest.approx(
        [6.0, 8.0] if higher else [1 / 8, 1 / 6]
    )


def test_an_aim_can_be_missed():
    import measure

    assert measure.Row("s", "n", "p", "f", [1.0, 3.0, 1.2], aim=1.5).to_dict()["met"] is False
    assert (
        measure.Row("s", "n", "p", "f", [1.0, 3.0, 1.6], aim=1.5, higher=False).to_dict()["met"]
        is False
    )
    assert measure.Row("s", "n", "p", "f", [1.0]).to_dict()["met"] is None


def test_slope_by_hand(clock):
    import measure

    assert measure.slope([1, 10, 100], [3.0, 300.0, 30_000.0]) == pytest.approx(2.0)

    def size(n):
        def ran():
            clock[0] += 0.5 * n

        return ran

    grown = measure.growth("s", "n", "rows", {n: size(n) for n in (4, 8, 32)}, 2)
    assert grown["seconds"] == [2.0, 4.0, 16.0] and grown["slope"] == pytest.approx(1.0)


def test_peak_is_of_the_process():
    import measure

    small, large = (
        measure.in_process(f"x = bytearray({n} << 20)\nprint(len(x) >> 20)") for n in (1, 101)
    )
    assert (small[1], large[1]) == ("1\n", "101\n")
    assert 90 < large[0] - small[0] < 110
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        measure.in_process("1 / 0")


def test_products_alone_are_those_of_the_model():
    import decode_rows
    import torch

    layer = torch.nn.Linear(3, 5)
    with decode_rows.Products() as products, torch.inference_mode():
        layer(torch.ones(2, 3)) @ torch.ones(5, 7)
        torch.nn.functional.scaled_dot_product_attention(
            *(torch.ones(1, 1, n, 4) for n in (2, 6, 6))
        )
    assert [(tuple(left), tuple(right), how) for left, right, how in products.shapes] == [
        ((2, 3), (3, 5), False),
        ((2, 5), (5, 7), False),
        ((1, 1, 2, 4), (1, 1, 4, 6), False),
        ((1, 1, 2, 6), (1, 1, 6, 4), False),
    ]
    products.again()()


def test_products_by_onednn_are_done_again_by_onednn():
    import decode_rows
    import torch

    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch has no oneDNN here")
    with decode_rows.Products() as products, torch.inference_mode():
        torch.ops.mkldnn._linear_pointwise(torch.ones(2, 3), torch.ones(5, 3), None, "none", [], "")
    assert [(tuple(left), tuple(right), how) for left, right, how in products.shapes] == [
        ((2, 3), (5, 3), True)
    ]
    products.again()()


def test_pandas_loop_selects_and_routes_as_we_do():
    import array_rows
    from loop_peers import PandasLoop

    from recover_nb.core.labels import ROUTED_INTERVENTIONS, Feature
    from recover_nb.routing.evaluation import evaluate_routing

    study = array_rows.failed_study(160)
    arms = [str(name) for name in ROUTED_INTERVENTIONS]
    loop = PandasLoop(array_rows.as_frame(study), arms, [str(name) for name in Feature], {})
    few = {"n_bootstrap": 2, "n_permutations": 2}
    ours = evaluate_routing(study, only=("published",), populations=["failed"], **few).lift()
    assert float(ours["n"]) == len(loop.hard)
    assert float(ours["lift"]) == pytest.approx(
        loop.lifts(loop.hard).loc["all", "retry"], abs=1e-12
    )


def test_page_says_what_was_missed(tmp_path):
    import measure
    import page

    rows = [
        measure.Row(
            "decoding",
            "fast",
            "peer",
            "peer / ours",
            [2.0, 4.0, 3.0],
            aim=1.5,
            seconds={"ours": 0.00012, "peer": 1234.5},
            load=[2.0, 1.0],
            note="a note",
        ),
        measure.Row(
            "memory",
            "large",
            "peer",
            "ours / peer, MiB",
            [2.0],
            aim=1.5,
            higher=False,
            seconds={"ours": 20.0, "peer": 10.0},
            load=[1.0, 1.0],
        ),
    ]
    grown = {
        "name": "g",
        "over": "rows",
        "sizes": [1000, 2000],
        "seconds": [1.0, 2.0],
        "slope": 1.0,
        "last": 1.0,
    }
    found = {
        "environment": {"cores": 2},
        "quick": False,
        "rows": [row.to_dict() for row in rows],
        "growth": [grown],
        "flips": {"logits as they are": {"rows_differ": 1, "rows": 9, "tokens": 1234}},
    }
    text = page.page(json.loads(json.dumps(found)))
    assert "1 of 2 aims are met" in text
    assert (
        "| fast (a note) | peer | peer / ours: 3 [2, 4] n=3 | ≥ 1.5 | met | 1.2e-04 s | 1,234 s |"
        " 1.0-2.0 |" in text
    )
    assert (
        "| large | peer | ours / peer: 2 n=1 | ≤ 1.5 | missed | 20 MiB | 10 MiB | 1.0-1.0 |" in text
    )
    assert "- large, beside peer." in text and "- fast" not in text
    assert "| g | rows | 1,000, 2,000 | 1, 2 | 1.00 | 1.00 |" in text
    assert "1 of 9 rollouts (1,234 tokens) with logits as they are" in text


def test_a_page_takes_rows_of_a_later_run():
    import measure
    import page

    def row(name, value, seconds=2.0):
        sides = {"ours": seconds, "peer": 1.0}
        return measure.Row("s", name, "p", "f", [value], aim=1.5, seconds=sides).to_dict()

    def line(name, last):
        sizes = {"sizes": [1000, 2000], "seconds": [1.0, last], "slope": last - 1, "last": 1.0}
        return {"name": name, "over": "rows"} | sizes

    found = {"environment": {"cores": 2}, "quick": False, "flips": {}}
    first = page.page(
        found | {"rows": [row("a", 1.0), row("a b", 1.0)], "growth": [line("g", 2.0)]}
    )
    second = {"rows": [row("a", 3.0, 7.0)], "growth": [line("g", 3.0), line("h", 2.0)]}
    text = page.renewed(first, second)
    assert "**0 of 2 aims are met.**" in first and "**1 of 2 aims are met.**" in text
    assert "| a | p | f: 3 n=1 | ≥ 1.5 | met | 7 s |" in text and "| a b | p | f: 1 n=1 |" in text
    assert "- a, beside p." in first and "- a, beside p." not in text and "- a b, beside" in text
    assert list(page.growth_of(text)) == ["g", "h"] and "| 1, 3 | 2.00 |" in text
    assert page.renewed(text, second) == text
    drawn = page.picture(text)
    assert "g: b 2.00" in drawn and "h: b 1.00" in drawn


def test_the_picture_of_growth_is_of_the_table():
    import page

    lines, drawn = page.growth_of(page.PAGE.read_text()), page.PICTURE.read_text()
    assert len(lines) >= 9
    for name, told in lines.items():
        assert f">{name.replace('`', '')}: b {told.split(' | ')[4]}<" in drawn


def test_many_problems_are_as_many_as_they_say():
    import many_problems

    ds = many_problems.make(80)
    runs = (ds["correct"] >= 0).sum("rollout").to_pandas()
    assert len(runs) == 80 and (runs["none"] == 20).all()
    failed = (ds["correct"].sel(intervention="none") == 0).any("rollout").values
    assert set(runs["retry"][failed]) == set(runs["sparse_steer"][failed]) == {10}
    assert (ds["attempts"].sel(intervention="retry").values == np.where(failed, 10, 0)).all()
    cost = ds["forward_specialist"].where(ds["correct"] < 0, 0)
    assert cost.values.max() == 0 and ds["forward_specialist"].values.max() > 0
    rows = [
        {
            "problems": n,
            "seconds to evaluate": seconds,
            "peak of memory, MiB": peak,
            "of which open the study": 100,
            "load": [0.5, 1.0],
        }
        for n, seconds, peak in ((1000, 2.0, 500), (10_000, 20.0, 1950))
    ]
    said = many_problems.told(rows)
    assert "| 10,000 | 20.0 | 1,950 MiB | 100 MiB | 0.5-1.0 |" in said
    assert "power of 1.00" in said and "at most 1,907 MiB: missed" in said
    assert "met" in many_problems.told(rows[:1])


def test_a_section_of_its_own_ends_the_page_and_replaces_the_former_one():
    import measure
    import page

    slow = measure.Row(
        "a real size",
        "`retry`, batch 64",
        "generate",
        "peer / ours",
        [0.5, 1.0],
        aim=1.3,
        seconds={"ours": 0.02, "peer": 0.015},
    )
    found = {
        "environment": {"card": "a card", "torch": "2.11"},
        "rows": [slow.to_dict()],
        "facts": ["3 of 4 rollouts are equal"],
        "failures": {"study": "Traceback ..."},
        "skipped": ["batch 8", "batch 16"],
        "profile": {"retry": "...\nSelf CPU time total: 63.6ms\nSelf CUDA time total: 8.1ms\n"},
    }
    heading = page.EXTRAS["gpu.json"]
    once = page.with_extras("# Performance\n\ntext\n", {heading: found})
    assert page.with_extras(once, {heading: found}) == once
    assert page.with_extras(once, {}) == "# Performance\n\ntext\n"
    assert once.startswith(
        "# Performance\n\ntext\n\n## On a GPU\n\nMeasured with card a card, torch"
    )
    assert "**0 of 1 aims are met.**" in once and "- 3 of 4 rollouts are equal.\n" in once
    assert "| peer / ours: 0.75 [0.5, 1] n=2 | ≥ 1.3 | missed | 0.02 s | 0.015 s |" in once
    assert "- Missed: `retry`, batch 64, beside generate." in once
    assert "- Failed: study." in once and "- Not run, for time: batch 8; batch 16." in once
    assert "the card computes for 8.1ms while the CPU launches it in 63.6ms" in once


def test_the_page_has_the_figures_that_are_kept():
    import page

    assert page.kept().keys() <= set(page.EXTRAS.values()) and page.kept()
    assert page.with_extras(page.PAGE.read_text(), page.kept()) == page.PAGE.read_text()


def test_minutes_of_the_tests_are_told_with_their_sum():
    import page

    minutes = {"tests/io": [1.25, 0.5], "tests/browser": [0.0, None]}
    found = {"environment": {"cores": 2}, "minutes": minutes, "facts": ["Quiet."]}
    told = page.extra("Tests", found)
    assert told.startswith("## Tests\n\nMeasured with cores 2.\n\n`PYTHONPATH=tests")
    assert told.endswith(
        "| tests/io | 1.2 | 0.5 |\n| tests/browser | 0.0 | - |\n| all | 1.2 | - |\n\nQuiet.\n"
    )


def test_models_of_a_real_size_are_what_they_say():
    import sized

    sizes = {name: size.config() for name, size in sized.SIZES.items()}
    assert [config.vocab_size for config in sizes.values()] == [262_144, 50_000]
    counts = []
    for size in sized.SIZES.values():
        # A table, and layers: four matrices of attention, three of the perceptron.
        layer = size.hidden * size.head * 2 * (size.heads + size.key_heads)
        layer += 3 * size.hidden * size.inner
        counts.append(size.vocabulary * size.hidden + size.layers * layer)
    assert counts == pytest.approx([244.4e6, 232.1e6], rel=1e-3)
    # Keys and values of 2 layers, 2 heads of 64, 3 rows, 5 positions, 4 bytes.
    assert sized.TINY["5,000"].cache_bytes(3, 5, 4) == 2 * 2 * 2 * 64 * 3 * 5 * 4


def test_a_part_that_fails_is_noted_and_rows_of_a_name_are_replaced(capsys):
    import measure
    import on_gpu

    found = {"failures": {}, "seconds": {}, "rows": []}
    on_gpu.attempt(found, "division", lambda: 1 / 0)
    on_gpu.attempt(found, "nothing", lambda: None)
    assert list(found["failures"]) == ["division"] and list(found["seconds"]) == [
        "division",
        "nothing",
    ]
    assert "ZeroDivisionError: division by zero" in found["failures"]["division"]
    assert "FAILED division: ZeroDivisionError" in capsys.readouterr().err
    for name, value in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        on_gpu._add(found, [measure.Row("s", name, "peer", "f", [value])])
    assert [(row["name"], row["median"]) for row in found["rows"]] == [("b", 2.0), ("a", 3.0)]


@pytest.mark.parametrize("fixed", [True, False])
def test_runs_of_a_real_size_decode_what_they_count(fixed):
    import size_rows
    import sized
    import torch

    size = sized.TINY["5,000"]
    pair = sized.make_pair(size, "cpu", torch.float32)
    cell = size_rows.Cell("tiny", pair, size, 8, 3)
    assert {name: run() for name, run in cell.runs(fixed).items()} == dict.fromkeys(
        (
            "retry",
            "generate",
            "dense_steer",
            "by hand",
            "sparse_steer",
            "dense_sample",
            "dense_sample, recorded",
        ),
        8.0,
    )
    rows = size_rows.beside(cell, fixed, 1, names=size_rows.FEW)
    assert [row.peer for row in rows] == [
        "`transformers.generate`, sampling",
        "two models by hand, float32 mixtures",
        "own `retry`",
    ]
    assert ("3 tokens each" in rows[0].name) is fixed


def test_the_command_hands_its_flags_on(monkeypatch):
    from recover_nb.cli import commands
    from recover_nb.cli.main import main

    calls = []
    monkeypatch.setattr(commands.subprocess, "run", lambda call, check: calls.append(call[1:]))
    assert main(["bench", "--quick", "--json"]) == 0 and main(["bench", "--write"]) == 0
    script = str(ROOT / "benchmarks" / "run.py")
    assert calls == [[script, "--json", "--quick"], [script, "--write"]]


def test_sections_that_a_run_does_not_measure_stay():
    import page

    ends = "## How cost grows\n\n1\n"
    old = f"## Widgets\n\nold\n\n## Large files\n\nold\n\n{ends}"
    new = f"## Widgets\n\nnew\n\n{ends}"
    assert page.keeping(new, old) == f"## Widgets\n\nnew\n\n## Large files\n\nold\n\n{ends}"


def test_tiny_sizes_are_never_written(capsys):
    import run

    with pytest.raises(SystemExit):
        run.main(["--quick", "--write"])
    assert "--write needs all parts at full size" in capsys.readouterr().err


@pytest.mark.slow
def test_all_of_it_runs_at_tiny_sizes():
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--quick", "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {row["section"] for row in found["rows"]} == {
        "decoding",
        "signals",
        "evaluation",
        "clustering",
        "starting",
        "memory",
    }
    assert found["quick"] is True and found["environment"]["cores"] >= 1
    for row in found["rows"]:
        assert 0 < row["low"] <= row["median"] <= row["high"] and np.isfinite(row["high"]), row[
            "name"
        ]
    # The peers compute the same figures: that is part of the measurement.
    gaps = [
        float(row["note"].split()[-1])
        for row in found["rows"]
        if "largest difference" in row["note"]
    ]
    assert len(gaps) == 2 and max(gaps) < 1e-5


def test_delays_of_widgets_are_counted_by_their_95th_percentile():
    import page

    rows = [
        {
            "view": "V",
            "act": name,
            "kind": kind,
            "n": 3,
            "load": 0.5,
            "kernel_cpu": 7.0,
            "first_median": first,
            "first_p95": first + 10,
            "median": last,
            "p95": last + 10,
        }
        for name, kind, first, last in (
            ("a", "control", 100, 139),
            ("b", "control", 140, 141),
            ("c", "cursor", 5, 41),
        )
    ]
    text = "\n".join(page.widgets_text(rows, {"control": 150, "cursor": 50}))
    assert "| V | b | 3 | 140 / 150 | 141 / 151 | 7 | 0.5 |" in text
    assert (
        "Control, 95th percentile at most 150 ms: the first effect of 2 of 2, the last of 1."
        in text
    )
    assert (
        "Cursor, 95th percentile at most 50 ms: the first effect of 1 of 1, the last of 0." in text
    )
