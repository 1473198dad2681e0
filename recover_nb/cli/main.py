"""The command line `recover-nb`: options in, one call of the package, results on standard output.

Progress and errors go to standard error. An error is one line, exit status 2, and leaves nothing
half-written.
"""

import argparse
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from recover_nb import __version__
from recover_nb.cli.saying import note, plainly
from recover_nb.core.checks import (
    COUNT,
    DRAWS,
    ROLLOUTS,
    SEED,
    WORKERS,
    Kind,
    Wrong,
    near,
    shown,
    whole,
)
from recover_nb.core.errors import InputError
from recover_nb.core.visible import visible

EXIT_INPUT, EXIT_INTERRUPTED, EXIT_PIPE = 2, 130, 141

#: How commands go on that need no option for it.
_GO_ON = dict.fromkeys(("train", "demo"), "; go on with the same command")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    #: Whether options may stand between the other arguments where one of those may be left out.
    mixed = False

    def parse_known_args(self, *given: Any, **named: Any) -> Any:
        """Parse; mixed arguments are told from options first."""
        if not self.mixed:
            return super().parse_known_args(*given, **named)
        self.mixed = False  # It calls this method for each half of its work.
        try:
            return self.parse_known_intermixed_args(*given, **named)
        finally:
            self.mixed = True

    def add_argument(self, *flags: Any, **told: Any) -> Any:
        """Add an argument; an option of one value may be given once."""
        if flags[0].startswith("--") and "action" not in told:
            told["action"] = _Once
        return super().add_argument(*flags, **told)

    def parse_args(self, *given: Any, **named: Any) -> Any:
        """Parse everything, or say which option is nearest to what is no option."""
        options, left = self.parse_known_args(*given, **named)
        if left:
            self._commands()[options.command].error(self._strange(left[0], options.command))
        # A shell finds no home behind a sign of equality, as in --out=~/study.zarr.
        for name, value in vars(options).items():
            if isinstance(value, str) and value.startswith("~"):
                setattr(options, name, os.path.expanduser(value))
        return options

    def _commands(self) -> dict[str, "Parser"]:
        """Return the parser of each command."""
        found = (each for each in self._actions if isinstance(each, argparse._SubParsersAction))
        return next(found).choices

    def _no_command(self, given: str) -> str:
        """Say what is no command."""
        known = list(self._commands())
        hint = near(given, known)
        said = f"COMMAND must be one of {', '.join(known)}, got {shown(given)}"
        return f"{said}{hint and f'; {hint}'}"

    def _strange(self, given: str, command: str) -> str:
        """Say what is no argument of a command."""
        if not given.startswith("-") or given == "--":
            return f"{command} takes no further argument, got {shown(given)}"
        flag = given.partition("=")[0]
        known = [
            each for each in self._commands()[command]._option_string_actions if each[1] == "-"
        ]
        hint = near(flag, known)
        return f"{command} has no option {flag}{hint and f'; {hint}'}"

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where help is."""
        # Of argparse's own words, those that name nothing of what was asked.
        wrong = re.match(r"argument (\S+): (must be .*|given twice.*)", message, re.DOTALL)
        command = re.match(
            r"argument COMMAND: invalid choice: '(.*?)' \(choose", message, re.DOTALL
        )
        if wrong:
            message = f"{wrong[1]} {wrong[2]}"
        elif command:
            message = self._no_command(command[1])
        said = visible(" ".join(message.split()))
        self.exit(EXIT_INPUT, f"recover-nb: {said}; see {self.prog} --help\n")


class _Once(argparse.Action):
    """Keep the value of an option, which may be given once."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        seen = vars(namespace).setdefault("_given", set())
        if self.dest in seen:
            raise argparse.ArgumentError(self, "given twice; give it once")
        seen.add(self.dest)
        setattr(namespace, self.dest, values)


def _whole(kind: Kind) -> Callable[[str], int]:
    """Return what reads a whole number of a kind from the command line."""

    def read(given: str) -> int:
        try:
            return kind.read(int(given))
        except ValueError:
            pass
        except Wrong:
            pass
        raise argparse.ArgumentTypeError(f"must be {kind.what}, got {shown(given)}")

    return read


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    with plainly():
        return _run(build_parser().parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    # Heavy imports wait until an option has been read: --help and a misspelt command answer at
    # once.
    from recover_nb.cli.commands import COMMANDS

    try:
        with _ending_as_interrupted():
            COMMANDS[options.command](options)
        sys.stdout.flush()
    except InputError as error:
        return _fail(str(error), EXIT_INPUT)
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has had enough: nothing is left to be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(
            f"{where}{error.strerror or error}; check the path and the free space", EXIT_INPUT
        )
    except KeyboardInterrupt:
        hint = (
            "; go on with the same command and --resume"
            if options.command in ("run", "remap", "ablate")
            else _GO_ON.get(options.command, "")
        )
        return _fail(f"interrupted{hint}", EXIT_INTERRUPTED)
    return 0


@contextmanager
def _ending_as_interrupted() -> Iterator[None]:
    """Let SIGTERM, by which machines end what runs on them, do what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(message: str, status: int) -> int:
    note(f"recover-nb: {' '.join(message.split())}")
    return status


def build_parser() -> Parser:
    """Return the parser of every command."""
    parser = Parser(
        prog="recover-nb",
        description="Why did this reasoning model fail, and what would rescue it?",
    )
    parser.add_argument("--version", action="version", version=f"recover-nb {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )
    _add_run(commands)
    _add_remap(commands)
    _add_ablate(commands)
    _add_evaluate(commands)
    _add_audit(commands)
    _add_recover(commands)
    _add_findings(commands)
    _add_info(commands)
    _add_story(commands)
    _add_train(commands)
    _add_steps(commands)
    _add_converters(commands)
    notebooks = commands.add_parser(
        "notebooks", help="copy the notebooks out of the package, to run and to change"
    )
    notebooks.add_argument(
        "folder", metavar="FOLDER", help="where they go; nothing in it is overwritten"
    )
    bench = commands.add_parser(
        "bench", help="compare speed and memory with other tools (half an hour)"
    )
    _json(bench)
    bench.add_argument(
        "--quick", action="store_true", help="tiny sizes, to check that all of it works"
    )
    bench.add_argument("--write", action="store_true", help="write docs/performance.md")
    demo = commands.add_parser("demo", help="quick study, tables, and a report that opens offline")
    demo.add_argument(
        "--out",
        metavar="FOLDER",
        default="runs",
        help="folder of demo.zarr, demo.json and demo.html",
    )
    demo.add_argument("--lab", metavar="FOLDER", help=argparse.SUPPRESS)
    return parser


def _add_run(commands: argparse._SubParsersAction) -> None:
    run = commands.add_parser(
        "run", help="generate a study of the lineage and derive everything from it"
    )
    run.add_argument(
        "--out", required=True, metavar="STUDY.zarr", help="where to write (.zarr or .zarr.zip)"
    )
    run.add_argument("--quick", action="store_true", help="few problems and rollouts")
    _names(run, "--family", "families of the lineage")
    _names(run, "--method", "post-training methods")
    _names(run, "--task", "tasks")
    _names(run, "--intervention", "interventions")
    _sizes(run, "problems per cell")
    run.add_argument(
        "--max-new-tokens", type=_whole(whole(1, 1_000_000)), metavar="N", help="longest trace"
    )
    run.add_argument("--seed", type=_whole(SEED), metavar="S", help="of the random numbers")
    _resume(run)
    run.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster: its workers run the study"
    )
    run.add_argument(
        "--workers",
        type=_whole(WORKERS),
        metavar="N",
        help="processes on this machine that run the study",
    )
    _device(run)
    _lab(run)


def _add_remap(commands: argparse._SubParsersAction) -> None:
    remap = commands.add_parser(
        "remap", help="run the study's problems over other numbers, or draw them again"
    )
    remap.add_argument(
        "--out",
        required=True,
        metavar="STUDY.zarr",
        help="where to write (.zarr, .zarr.zip or .nc)",
    )
    remap.add_argument(
        "--redraw",
        action="store_true",
        help="keep the numbers and draw again, to compare with new numbers",
    )
    _names(remap, "--family", "families of the lineage")
    _names(remap, "--method", "post-training methods")
    _names(remap, "--task", "tasks")
    _names(remap, "--intervention", "interventions (default: the four that the rule chooses from)")
    _sizes(remap, "problems per cell (default: 50)")
    remap.add_argument(
        "--keep-attempts",
        action="store_true",
        help="keep what came of every attempt and what it cost, for rnb.compare_routers",
    )
    remap.add_argument(
        "--seed",
        type=_whole(SEED),
        default=1,
        metavar="S",
        help="of new numbers and draws (the study has 0)",
    )
    remap.add_argument(
        "--problem-seed",
        type=_whole(SEED),
        default=0,
        metavar="S",
        help="of the choice of problems (the study has 0; another one asks other problems)",
    )
    _resume(remap)
    _lab(remap)


def _add_ablate(commands: argparse._SubParsersAction) -> None:
    ablate = commands.add_parser(
        "ablate", help="signals and attempts of a study at other settings, for rnb.ablate"
    )
    ablate.add_argument("--out", required=True, metavar="FILE.json", help="where to write")
    ablate.add_argument(
        "--study", metavar="STUDY.zarr", help="a study of the lineage (default: the bundled one)"
    )
    ablate.add_argument(
        "--problems",
        type=_whole(whole(1, 1_000_000)),
        default=30,
        metavar="N",
        help="problems per cell that are attempted again (30)",
    )
    _resume(ablate)
    _device(ablate)
    _lab(ablate)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser("evaluate", help="evaluate routing by every estimator")
    _source(evaluate)
    evaluate.add_argument(
        "--seed", type=_whole(SEED), default=0, metavar="S", help="of the resampling"
    )
    _json(evaluate)


def _add_audit(commands: argparse._SubParsersAction) -> None:
    audit = commands.add_parser(
        "audit", help="is a router's gain more than luck? from outcomes alone"
    )
    audit.add_argument(
        "source",
        metavar="OUTCOMES",
        help="a table of outcomes (.csv, .parquet, .jsonl), or a study",
    )
    audit.add_argument(
        "--router",
        metavar="COLUMN|FILE",
        help="column of the chosen arm, or a table with columns problem and arm",
    )
    audit.add_argument("--default", metavar="ARM", help="what one would use without a router")
    audit.add_argument(
        "--arm", action="extend", nargs="+", dest="arms", metavar="ARM", help="these arms alone"
    )
    audit.add_argument(
        "--attempts", type=_whole(COUNT), metavar="N", help="attempts behind each rate of a matrix"
    )
    audit.add_argument("--out", metavar="PAGE.html", help="also write a page for a browser")
    audit.add_argument(
        "--seed", type=_whole(SEED), default=0, metavar="S", help="of the resampling"
    )
    _json(audit)


def _add_recover(commands: argparse._SubParsersAction) -> None:
    recover = commands.add_parser(
        "recover", help="answer the problems of a file within a budget of model passes"
    )
    recover.add_argument(
        "problems", metavar="PROBLEMS", help="a file with problem_id, prompt and answer"
    )
    recover.add_argument(
        "--models", nargs=2, metavar=("SPECIALIST", "ANCESTOR"), help="folders or names of models"
    )
    recover.add_argument(
        "--lineage", nargs=2, metavar=("FAMILY", "METHOD"), help="a shipped specialist instead"
    )
    recover.add_argument(
        "--budget",
        type=_whole(COUNT),
        default=8,
        metavar="N",
        help="passes a problem, one answer of one model each (default: 8)",
    )
    recover.add_argument(
        "--rollouts",
        type=_whole(ROLLOUTS),
        default=1,
        metavar="N",
        help="answers observed before anything is decided (default: 1)",
    )
    recover.add_argument(
        "--checker", metavar="NAME", help="what says right or wrong, such as exact or numeric"
    )
    recover.add_argument(
        "--task", default="imported", metavar="NAME", help="what the problems are called"
    )
    recover.add_argument(
        "--study", metavar="STUDY", help="what the rule is chosen on (default: the bundled study)"
    )
    recover.add_argument(
        "--rule", metavar="NAME", help="follow this rule, such as retry, whatever the study says"
    )
    recover.add_argument("--out", metavar="ANSWERS.csv", help="also write a row for each problem")
    recover.add_argument("--keep", metavar="STUDY.zarr", help="also write all answers as a study")
    _device(recover)
    _json(recover)
    gain = commands.add_parser(
        "recover-gain", help="what recover gains over asking again at equal passes"
    )
    gain.add_argument(
        "source", metavar="STUDY", nargs="?", help="what the rule is chosen on (default: bundled)"
    )
    gain.add_argument("--test", metavar="STUDY", help="what it is judged on: other problems")
    gain.add_argument(
        "--budget",
        type=_whole(COUNT),
        nargs="+",
        action="extend",
        metavar="N",
        help="passes a problem (default: 2 4 8)",
    )
    gain.add_argument(
        "--seed", type=_whole(SEED), default=0, metavar="S", help="of folds and resampling"
    )
    _json(gain)


def _add_findings(commands: argparse._SubParsersAction) -> None:
    findings = commands.add_parser(
        "findings", help="measure every claim of the paper and write the page of findings"
    )
    findings.add_argument(
        "source", metavar="SOURCE", nargs="?", help="a study or a profile table (default: bundled)"
    )
    findings.add_argument(
        "--profiles", metavar="TABLE.csv", help="the authors' table, for its column of the page"
    )
    findings.add_argument(
        "--out", metavar="FOLDER", help="where findings.json and findings.md go (default: the docs)"
    )
    findings.add_argument(
        "--seed", type=_whole(SEED), default=0, metavar="S", help="of the resampling"
    )


def _add_info(commands: argparse._SubParsersAction) -> None:
    info = commands.add_parser("info", help="sizes, models, seeds, provenance")
    _source(info)
    _json(info)


def _add_story(commands: argparse._SubParsersAction) -> None:
    story = commands.add_parser("story", help="failures in four steps, as a page for a browser")
    story.add_argument(
        "source", metavar="SOURCE", nargs="?", help="a study with value maps (default: bundled)"
    )
    story.add_argument("--out", required=True, metavar="PAGE.html", help="where the page goes")
    story.add_argument("--problem", type=_whole(DRAWS), metavar="N", help="this failure alone")


def _add_train(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser(
        "train", help="retrain the lineage from scratch; an interrupted run goes on"
    )
    _names(train, "--family", "families")
    _names(train, "--method", "methods, ancestor and cued included", default="those of the study")
    train.add_argument(
        "--seed", type=_whole(SEED), default=0, metavar="S", help="decides every weight"
    )
    train.add_argument(
        "--ancestors",
        metavar="FOLDER",
        help="post-train these FAMILY/ancestor checkpoints, rather than pretrain",
    )
    train.add_argument(
        "--out",
        metavar="FOLDER",
        help="where checkpoints go (default: the shipped data/lab); with --onward or --cued, a"
        " new .zarr.zip",
    )
    train.add_argument(
        "--onward",
        action="store_true",
        help="go on with grpo from every specialist, and ask the bundled study's problems again",
    )
    train.add_argument(
        "--cued",
        action="store_true",
        help="ask the specialists with cues and without, and force cues, for rnb.monitor",
    )
    train.add_argument(
        "--workers",
        type=_whole(WORKERS),
        default=1,
        metavar="N",
        help="processes of --onward, one thread each",
    )
    train.add_argument(
        "--work",
        metavar="FOLDER",
        help="state of --onward or --cued: it is gone on with (default: runs/onward, runs/cued)",
    )


def _add_steps(commands: argparse._SubParsersAction) -> None:
    steps = commands.add_parser(
        "steps",
        help="read the steps of answers and go on from each; an interrupted run goes on",
    )
    steps.add_argument("source", metavar="SOURCE", nargs="?", help="a study (default: bundled)")
    steps.add_argument("--out", required=True, metavar="FILE", help="a new .zarr.zip")
    steps.add_argument(
        "--work",
        default="runs/steps",
        metavar="FOLDER",
        help="state: it is gone on with (default: runs/steps)",
    )


def _add_converters(commands: argparse._SubParsersAction) -> None:
    reader = commands.add_parser(
        "import",
        help="read another format into a study",
        usage="recover-nb import [FORMAT] PATH (--out STUDY.zarr | --preview) [options]",
    )
    reader.mixed = True
    reader.add_argument(
        "format",
        metavar="FORMAT",
        nargs="?",
        help="such as jsonl, lm_eval, inspect (docs/formats.md); told by the content if left out",
    )
    reader.add_argument("path", metavar="PATH", help="what to read")
    reader.add_argument(
        "--arm",
        action="append",
        metavar="INTERVENTION=PATH",
        help="another file of the same problems",
    )
    reader.add_argument(
        "--option", action="append", metavar="NAME=VALUE", help="of the reader: is_correct=numeric"
    )
    reader.add_argument("--out", metavar="STUDY.zarr", help="where to write")
    reader.add_argument(
        "--preview", action="store_true", help="show how it would be read, and write nothing"
    )
    writer = commands.add_parser("export", help="write a study in another format")
    writer.add_argument("format", metavar="FORMAT", help="such as profiles")
    writer.add_argument("study", metavar="STUDY", help="a study (.zarr, .zarr.zip, .nc)")
    writer.add_argument("path", metavar="PATH", help="where to write")


def _names(parser: argparse.ArgumentParser, flag: str, what: str, *, default: str = "all") -> None:
    parser.add_argument(
        flag, nargs="+", action="extend", metavar="NAME", help=f"{what} (default: {default})"
    )


def _sizes(parser: argparse.ArgumentParser, problems: str) -> None:
    parser.add_argument("--problems", type=_whole(whole(1, 1_000_000)), metavar="N", help=problems)
    parser.add_argument(
        "--rollouts", type=_whole(ROLLOUTS), metavar="N", help="observed rollouts per problem"
    )
    parser.add_argument(
        "--attempts", type=_whole(ROLLOUTS), metavar="N", help="attempts an intervention"
    )


def _resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished run")


def _device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", metavar="NAME", help="where the models run, such as cpu or cuda"
    )


def _lab(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lab", metavar="FOLDER", help="FAMILY/METHOD checkpoints of your own")


def _source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="SOURCE", help="a study (.zarr, .zarr.zip, .nc) or a profile table (.csv)"
    )


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on standard output"
    )


if __name__ == "__main__":
    sys.exit(main())
