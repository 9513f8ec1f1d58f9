"""``ldml campaign``: the databases, made again or anew by work that can be interrupted, shared out and watched."""

from __future__ import annotations

import json
import math
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ldml.cli.shared import (
    FilePath,
    TerminalProgress,
    check_output,
    clear_errors,
    json_option,
    print_result,
    workers_option,
)
from ldml.errors import InputError

INTERRUPTED = 130
"""Exit code of a process ended by Ctrl+C, as shells have it."""
OUT_OF_TIME = 3


@click.group()
def campaign():
    """Campaigns: list, plan, run, status, summary.

    Finished results are kept in a store. A campaign that was stopped, or killed, continues when its command is given again.
    """


@campaign.command("list")
@json_option
@clear_errors
def list_campaigns(as_json):
    """List the databases that come with the software, which 'ldml campaign run' makes again."""
    from ldml.campaign.databases import DATABASES

    found = {name: {"title": database.title, "parts": list(database.parts)} for name, database in DATABASES.items()}
    lines = [
        f"{name:18s} {entry['title']}\n{'':18s} parts: {', '.join(entry['parts'])}" for name, entry in found.items()
    ]
    print_result(found, as_json, lines)


@campaign.command("plan")
@click.argument("name", metavar="NAME")
@click.option("--part", help="Which [default: the first].")
@clear_errors
def show_plan(name, part):
    """Print the plan of a part of a database as JSON: to be changed and given to 'ldml campaign run'."""
    from ldml.campaign.plan_files import plan_record

    parts = _named_parts(name)
    chosen = parts[part] if part else next(iter(parts.values()))
    click.echo(json.dumps(plan_record(chosen), indent=1))


@campaign.command()
@click.argument("name", metavar="NAME|PLAN.json")
@click.option("--part", "chosen", multiple=True, help="Of a database, such as I2; repeatable [default: all of them].")
@click.option("--output", "-o", type=FilePath, help="HDF5 file [default: NAME.h5 or NAME-PART.h5].")
@click.option("--store", type=FilePath, help="Folder for finished results [default: OUTPUT.store].")
@workers_option
@click.option(
    "--dask", metavar="ADDRESS|local", help="Work on a Dask cluster, such as tcp://node1:8786, or on one started here."
)
@click.option("--shard", metavar="I/N", help="Do the I-th of N shares only, as a member of a job array over one store.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after this time, what is under way finished."
)
@click.option("--retry-failures", is_flag=True, help="Do again what failed because a worker died or unexpectedly.")
@click.option(
    "--descriptors/--no-descriptors", default=True, show_default=True,
    help="Store the totals of the default descriptor.",
)  # fmt: skip
@json_option
@clear_errors
def run(name, chosen, output, store, workers, dask, shard, minutes, retry_failures, descriptors, as_json):
    """Make a database, or what a plan of your own says, and write it to one file.

    Exit codes: 0 done; 2 bad input; 3 the time was up; 130 interrupted. After the last two the same command goes on.
    """
    from ldml.campaign import run_campaign
    from ldml.dataset import Dataset
    from ldml.descriptors import get_descriptor

    title, parts = _parts(name, chosen)
    output = output or Path(f"{'-'.join([title, *chosen])}.h5")
    check_output(output)
    share = _share(shard)
    store = store or output.with_name(output.name + ".store")
    command = shlex.join(
        ["ldml", "campaign", "run", name, *(word for part in chosen for word in ("--part", part)), "-o", output.name]
    )
    progress, deadline = TerminalProgress(), time.monotonic() + 60.0 * (minutes or math.inf)
    with stopping_cleanly(store, progress):
        made = [
            run_campaign(
                title,
                plan,
                store=store,
                n_workers=workers,
                dask=dask,
                shard=share,
                minutes=(deadline - time.monotonic()) / 60.0,
                retry_failures=retry_failures,
                command=command,
                progress=progress,
            )
            for plan in parts.values()
        ]
        if share != (1, 1):
            progress.finish()
            _report_share(shard, store, as_json)
            return
        data = Dataset.merged(made)
        if descriptors:
            data.descriptor_differences(get_descriptor("AFS"), progress=progress)
        progress.finish()
        data.save(output, compact=True)
    report_dataset(output, data, store, as_json)


@campaign.command()
@click.argument("store", type=FilePath)
@json_option
@clear_errors
def status(store, as_json):
    """Say how the campaigns over a store are doing; from any terminal, while they run."""
    from ldml.campaign import campaign_status

    found = campaign_status(store)
    lines = [f"{name:24s} {step['done']} of {step['total']}" for name, step in found.steps.items()]
    lines += [_stage_line(name, stage) for name, stage in found.stages.items()]
    lines += [_member_line(member) for member in _of_interest(found.members)]
    lines += failure_lines(found)
    print_result(_without_nan(vars(found)), as_json, lines or ["nothing has been done here yet"])


@campaign.command()
@click.argument("store", type=FilePath)
@json_option
@clear_errors
def summary(store, as_json):
    """Say what the campaigns over a store have done, and what that cost."""
    from ldml.campaign import campaign_status

    found = campaign_status(store)
    stages = {
        name: {
            "done": stage["done"],
            "failed": stage["failed"],
            "hours": (stage["done"] + stage["failed"]) * stage["seconds"] / 3600.0,
        }
        for name, stage in found.stages.items()
    }
    lines = [f"{record['name']}: {record['plan']['kind']}, ldml {record['ldml']}" for record in found.campaigns]
    lines += [
        f"{name:12s} {stage['done']:7d} done {stage['failed']:6d} failed   about {stage['hours']:.2f} h of one processor"
        for name, stage in stages.items()
    ]
    lines += failure_lines(found)
    record = {"campaigns": list(found.campaigns), "stages": stages, "steps": found.steps, "failures": found.failures}
    print_result(_without_nan(record), as_json, lines)


@contextmanager
def stopping_cleanly(store: Path, progress: TerminalProgress) -> Iterator[None]:
    """End the process with a word on what is safe when the time is up, Ctrl+C is pressed or a scheduler ends the job."""
    from ldml.campaign import TimeIsUp

    # job schedulers say SIGTERM some seconds before they kill
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (TimeIsUp, KeyboardInterrupt) as reason:
        is_late = isinstance(reason, TimeIsUp)
        progress.finish()
        click.echo(
            f"{'the time is up' if is_late else 'stopped'}: {_n_results(store)} results are safe in {str(store)!r}; "
            f"give the same command again to go on",
            err=True,
        )
        sys.exit(OUT_OF_TIME if is_late else INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def report_dataset(output: Path, data, store: Path, as_json: bool) -> None:
    """Print what a campaign found and how hard it was."""
    from ldml.campaign import campaign_status

    found = campaign_status(store)
    search = data.metadata.get("search", {})
    n_local = int(data.has_local.sum())
    lines = [f"{output}: {len(data)} structures" + (f", {n_local} with exact local entropies" if n_local else "")]
    for label in dict.fromkeys(data.labels.tolist()):
        values = data.formation_entropy[data.labels == label]
        tally = search.get(label, {})
        lines.append(
            f"  {label:4s} {len(values):5d}"
            + (f" of {tally['attempts']} attempts" if "attempts" in tally else "")
            + (f"   S_f {values.mean():.2f} ± {values.std():.2f} [{values.min():.2f}, {values.max():.2f}] k_B")
            + _distinct(tally)
        )
    lines += [
        f"  {label:4s}     0 of {tally['attempts']} attempts"
        for label, tally in search.items()
        if tally.get("distinct_energy_or_inertia", 1) == 0
    ]
    lines += failure_lines(found)
    record = {"output": str(output), "n": len(data), "search": search, "failures": found.failures}
    print_result(_without_nan(record), as_json, lines)


def _distinct(tally):
    if "distinct_energy_and_inertia" not in tally:
        return ""
    either, both = tally["distinct_energy_or_inertia"], tally["distinct_energy_and_inertia"]
    return f"   distinct by energy or inertia {either}, and {both}"


def failure_lines(found) -> list[str]:
    """What failed in a store, why, and what is damaged there."""
    lines = [f"  {kind} x {entry['count']}: {_shortened(entry['example'])}" for kind, entry in found.failures.items()]
    if lines:
        lines.insert(0, "failed, and left out:")
    n_damaged = sum(stage["damaged"] for stage in found.stages.values())
    if n_damaged:
        lines.append(
            f"{n_damaged} damaged results were set aside (*.damaged); they are computed again when they are needed"
        )
    return lines


def _shortened(text, width=160):
    return text if len(text) <= width else text[: width - 1] + "…"


def _stage_line(name, stage):
    line = f"  {name:12s} {stage['done']:7d} done {stage['failed']:6d} failed"
    if math.isfinite(stage["seconds"]):
        line += f"   {stage['seconds']:.2f} s each"
    return line + (f"   {stage['per_minute']:.1f} a minute" if stage["per_minute"] else "")


def _of_interest(members):
    """Those who may still be working, and the last who spoke."""
    return [member for member in members if member["state"] in ("working", "silent")] or list(members[-1:])


def _member_line(member):
    left, at = member["remaining_seconds"], member["at"]
    line = f"{member['name']}: {member['state']}, {member['workers']} workers"
    if member["state"] != "working":
        return line
    line += f", {at['step']} {at['done']}/{at['total']}" if at["step"] else ""
    return line + (f", about {_duration(left)} left of this step" if math.isfinite(left) else "")


def _duration(seconds):
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def _without_nan(record):
    """JSON has no NaN: what is not known is null."""
    if isinstance(record, dict):
        return {key: _without_nan(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [_without_nan(value) for value in record]
    return None if isinstance(record, float) and not math.isfinite(record) else record


def _named_parts(name):
    from ldml.campaign.databases import DATABASES
    from ldml.registry import Registry

    return Registry(f"part of {name}", Registry("database", DATABASES)[name].parts)


def _parts(name, chosen):
    """Name of the dataset, and the plans to carry out for it."""
    from ldml.campaign.plan_files import read_plan

    if Path(name).suffix == ".json":
        if chosen:
            raise InputError(f"a plan of your own has no parts; leave --part {chosen[0]} out")
        return Path(name).stem, {"": read_plan(Path(name))}
    parts = _named_parts(name)
    return name, {part: parts[part] for part in chosen or parts}


def _share(text):
    if text is None:
        return 1, 1
    i, _, n = text.partition("/")
    if not (i.isdigit() and n.isdigit()):
        raise InputError(f"--shard {text!r} is not of the form I/N, such as 1/8")
    return int(i), int(n)


def _n_results(store):
    from ldml.campaign import Store

    return sum(counts["done"] for counts in Store(store).counts().values())


def _report_share(shard, store, as_json):
    n_results = _n_results(store)
    line = f"share {shard} is done, {n_results} results in {str(store)!r}; give the command without --shard when all shares are"
    print_result({"shard": shard, "store": str(store), "results": n_results}, as_json, [line])
