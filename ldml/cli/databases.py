"""``ldml generate``: datasets from nothing."""

from __future__ import annotations

import shlex

import click

from ldml.cli.campaigns import report_dataset, stopping_cleanly
from ldml.cli.shared import FilePath, TerminalProgress, check_output, clear_errors, json_option
from ldml.errors import InputError


@click.command()
@click.argument("output", type=FilePath)
@click.option("--potential", default="Fe-AM04", show_default=True)
@click.option("--cell", "repeats", default=8, show_default=True, help="Edge of the cubic cell in lattice constants.")
@click.option(
    "--count", "counts", multiple=True, metavar="CLASS=N", default=("I2=20", "V4=20"), show_default=True,
    help="Distinct minima wanted of a class; repeatable.",
)  # fmt: skip
@click.option("--local", "n_local", default=0, show_default=True, help="Structures to get exact local entropies.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--spread",
    "spreads",
    multiple=True,
    type=float,
    default=(1.0,),
    show_default=True,
    help="Ball sizes drawn from; 1 is compact.",
)
@click.option(
    "--attempts", default=20, show_default=True, help="Attempts for each minimum wanted before a class is given up."
)
@click.option("--workers", default=1, show_default=True, help="Processes.")
@click.option("--store", type=FilePath, help="Folder for finished results [default: OUTPUT.store].")
@click.option(
    "--descriptors/--no-descriptors",
    default=True,
    show_default=True,
    help="Store the totals of the default descriptor.",
)
@json_option
@clear_errors
def generate(
    output, potential, repeats, counts, n_local, seed, spreads, attempts, workers, store, descriptors, as_json
):
    """Make a dataset of distinct relaxed defects with exact entropies and write it to OUTPUT (.h5).

    Finished results are kept in the store: a command that was interrupted continues when it is given again.
    """
    from ldml.campaign import GenerationPlan, run_campaign
    from ldml.descriptors import get_descriptor

    plan = GenerationPlan(
        potential=potential, repeats=repeats, counts=_counts(counts), n_local=n_local, seed=seed,
        spreads=tuple(spreads), attempts_per_minimum=attempts,
    )  # fmt: skip
    check_output(output)
    store = store or output.with_name(output.name + ".store")
    progress = TerminalProgress()
    with stopping_cleanly(store, progress):
        data = run_campaign(
            output.stem,
            plan,
            store=store,
            n_workers=workers,
            command=_generating_command(plan, output.name),
            progress=progress,
        )
        if descriptors:
            data.descriptor_differences(get_descriptor("AFS"), progress=progress)
        progress.finish()
        data.save(output, compact=True)
    report_dataset(output, data, store, as_json)


def _generating_command(plan, output):
    """What to type to get the same dataset again: the plan, without where and on how many processes it ran."""
    words = ["ldml", "generate", output, "--potential", plan.potential, "--cell", plan.repeats]
    words += [word for label, count in plan.counts.items() for word in ("--count", f"{label}={count}")]
    words += ["--local", plan.n_local, "--seed", plan.seed]
    words += [word for spread in plan.spreads for word in ("--spread", spread)]
    words += ["--attempts", plan.attempts_per_minimum]
    return shlex.join(str(word) for word in words)


def _counts(pairs):
    counts = {}
    for pair in pairs:
        label, _, number = pair.partition("=")
        if not number.isdigit():
            raise InputError(f"--count {pair!r} is not of the form CLASS=N, such as I3=300")
        counts[label] = int(number)
    return counts
