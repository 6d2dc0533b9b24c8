"""`engine calibrate`: fit the speed model to measurements, and write a catalog patch."""

from __future__ import annotations

import json
import os
import sys

import click

from engine.base.errors import DocumentError
from engine.base.printable import printable_lines
from engine.bulk.calibration.calibrate import Calibration, Fit, calibrate
from engine.bulk.calibration.cases import Options
from engine.bulk.calibration.patch import named_by, patch_text
from engine.cli.exits import NO, YES
from engine.cli.options import format_option, pin_of, policies_option, policy_option
from engine.cli.progress import Progress
from engine.documents.writing import write_whole

_EPILOG = """
\b
Examples:
  engine calibrate --measurements results.csv --out my-policies/patch/acme/1.0.0.yaml
  engine calibrate --measurements bench.json --measurements server.log \\
      --inventory 8xH100-SXM --out patch.yaml
  engine calibrate --measurements bench.jsonl --server sglang --pin tp=8 \\
      --inventory 8xB200-SXM --model deepseek-v3 --quantization fp8

\b
Formats: docs/calibration.md
"""


@click.command("calibrate", epilog=_EPILOG)
@click.option(
    "--measurements",
    "files",
    metavar="FILE|-",
    multiple=True,
    required=True,
    help="Results of benchmarks, start-up logs, /metrics scrapes or CSV; repeatable.",
)
@click.option("--out", metavar="FILE", help="Catalog patch to write, e.g. my-policies/patch/acme/1.0.0.yaml.")
@click.option("--force", is_flag=True, help="Overwrite the patch.")
@click.option("--inventory", metavar="FILE|WORD", help="The machine, if the files do not name it.")
@click.option("--model", metavar="FILE|NAME", help="The model, if the files do not name a known one.")
@click.option("--quantization", metavar="NAME", help="Storage type of the weights, if the files do not say.")
@click.option("--server", metavar="NAME", help="The model server, if the files do not say.")
@click.option(
    "--pin", metavar="DEGREES", help="Parallel degrees, if the files do not say: tp=8,pp=2 (also dp, ep)."
)
@click.option("--input-tokens", type=click.IntRange(1), metavar="N", help="Mean prompt length, likewise.")
@click.option("--output-tokens", type=click.IntRange(1), metavar="N", help="Mean output length, likewise.")
@click.option("--concurrency", type=click.IntRange(1), metavar="N", help="Requests in flight, likewise.")
@policy_option
@policies_option
@format_option("text", "json")
def command(
    files: tuple[str, ...],
    out: str | None,
    force: bool,
    inventory: str | None,
    model: str | None,
    quantization: str | None,
    server: str | None,
    pin: str | None,
    input_tokens: int | None,
    output_tokens: int | None,
    concurrency: int | None,
    policy: str,
    policies: tuple[str, ...],
    form: str,
) -> int:
    """Fit the speed model to measurements, and write the result as a catalog patch.

    Prints the error before and after on rows left out of the fit, and what the rows do not identify.
    """
    if out is not None and os.path.exists(out) and not force:
        raise DocumentError(
            f"{out}: the file exists", hint="choose another version, or overwrite it with --force"
        )
    options = Options(
        inventory, model, quantization, server, pin_of(pin), input_tokens, output_tokens, concurrency
    )
    with Progress(None, printed=False, what="estimates") as progress:
        found = calibrate(files, options, policy, policies, progress.advance)
    for note in found.notes:
        print(f"note: {printable_lines(note)}", file=sys.stderr)
    learned = [fit for fit in found.fits if any(constant.fitted is not None for constant in fit.constants)]
    if out is not None and learned:
        folder = os.path.dirname(out)
        try:
            os.makedirs(folder or ".", exist_ok=True)
        except OSError as error:
            raise DocumentError(f"{folder}: {(error.strerror or str(error)).lower()}") from None
        write_whole(out, patch_text(learned, *named_by(out), found.policy))
    click.echo(
        json.dumps(_dict(found), indent=2) if form == "json" else _text(found, out if learned else None)
    )
    return YES if learned else NO


def _dict(found: Calibration) -> dict[str, object]:
    return {
        "policy": found.policy,
        "fits": [
            {
                "row": fit.row,
                "server": fit.server,
                "product": fit.product,
                "rows": fit.rows,
                "constants": [
                    {
                        "name": constant.name,
                        "unit": constant.unit,
                        "shipped": constant.shipped,
                        "fitted": constant.fitted,
                        "learned": round(constant.learned, 3),
                    }
                    for constant in fit.constants
                ],
                "errors": {
                    name: {
                        "rows": errors.rows,
                        "before": {"median": errors.median, "p90": errors.p90},
                        "left_out": (
                            {"median": fit.after[name].median, "p90": fit.after[name].p90}
                            if name in fit.after
                            else None
                        ),
                    }
                    for name, errors in fit.before.items()
                },
            }
            for fit in found.fits
        ],
        "memory": [
            {
                "file": memory.file,
                "measured_kv_tokens": memory.measured,
                "estimated_kv_tokens": memory.estimated,
            }
            for memory in found.memory
        ],
        "notes": list(found.notes),
    }


def _text(found: Calibration, out: str | None) -> str:
    lines: list[str] = []
    for fit in found.fits:
        lines += [*_fit_lines(fit), ""]
    for memory in found.memory:
        share = memory.estimated / memory.measured - 1
        lines.append(
            f"KV cache      {memory.measured:,} tokens in {memory.file}, "
            f"estimated {memory.estimated:,} ({share:+.1%})"
        )
    if out is not None:
        lines.append(f"wrote {out}")
    return printable_lines("\n".join(lines).rstrip())


_LABELS = {"throughput": "throughput", "tpot": "TPOT", "ttft": "TTFT"}


def _fit_lines(fit: Fit) -> list[str]:
    lines = [f"{fit.row}: {fit.rows} row{'' if fit.rows == 1 else 's'}", ""]
    lines.append(f"{'error (median / p90)':22}{'rows':>6}{'before':>18}{'after, left out':>20}")
    for name, before in fit.before.items():
        after = fit.after.get(name)
        shown = "-" if after is None else f"{after.median:.1%} / {after.p90:.1%}"
        lines.append(
            f"{_LABELS[name]:22}{before.rows:>6}{f'{before.median:.1%} / {before.p90:.1%}':>18}{shown:>20}"
        )
    lines += ["", f"{'constant':22}{'unit':>6}{'shipped':>18}{'calibrated':>20}{'learned':>9}"]
    for constant in fit.constants:
        fitted = "not identified" if constant.fitted is None else f"{constant.fitted:g}"
        lines.append(
            f"{constant.name:22}{constant.unit:>6}{f'{constant.shipped:g}':>18}{fitted:>20}{constant.learned:>9.0%}"
        )
    worse = [_LABELS[name] for name, after in fit.after.items() if after.median > fit.before[name].median]
    if worse:
        lines += [
            "",
            f"warning: on rows left out, these got worse: {', '.join(worse)}; more rows may help",
        ]
    return lines
