"""The steps of a search: data, cluster, frozen activations, trials, tables, selection."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ray import tune

from search.attempts import Attempts
from search.best_record import write_best
from search.candidates import fresh_folds
from search.capacity import Slots
from search.cluster import alive, fitting, share_out
from search.connection import connected
from search.continuation import refuse_other_backbones, refuse_other_data, with_attempts
from search.data import load_data
from search.export import write_importances
from search.fusions import write_fusions
from search.lock import locked
from search.packing import pack_after_first
from search.preparation import build_everywhere, configs_ahead, describe
from search.progress import LiveView, show_building
from search.provenance import hardware_record, samples_table, search_record
from search.recorder import Recorder
from search.reporting import write_report
from search.reserve import seconds_to_keep
from search.selection import select
from search.settings import AUTO
from search.space import distributions
from search.summary import Outcome
from search.tracking import trackers
from search.trials import OUTCOMES, outcomes, ranked
from search.tuning import open_search
from search.view import ViewInfo
from trainables.data.splits import make_folds
from trainables.experiment import Experiment
from trainables.objective import mode_of
from trainables.trainable import SentimentTrainable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from search.cluster import Node, TrialResources
    from search.packing import Packing
    from search.plan import Plan
    from search.preparation import BuildStep
    from search.tuning import Search


def prepare(plan: Plan) -> Experiment:
    """Load the data and part it.

    Args:
        plan: The search.

    Returns:
        What the search holds fixed.
    """
    settings = plan.settings
    if settings.resources.study_storage is not None:  # what cannot be had shows before any work
        plan.open_storage()
    if settings.resources.storage is not None:
        Attempts(plan.storage).make()
    corpus = load_data(plan)
    folds = make_folds(
        corpus,
        split=settings.data.split,
        folds=plan.folds,
        seed=settings.seed,
        repeats=settings.data.repeats,
    )
    if settings.selection.retrain:  # what confirms must not fail when all trials have run
        fresh_folds(plan, corpus)
    if plan.resumed:
        refuse_other_data(plan.folder.read_search(), settings.data, corpus, folds)
    return Experiment(
        variant=plan.variant.name,
        corpus=corpus,
        folds=folds,
        inputs=replace(plan.inputs, encoding=corpus.encoding),
        backbones=plan.backbones,
        metric=settings.tuning.metric,
        max_epochs=plan.epochs,
        seed=settings.seed,
        modality=settings.modality,
        cache=plan.cache,
        cache_dtype=settings.resources.cache_dtype,
        resident=settings.resources.resident,
    )


def run_search(plan: Plan, experiment: Experiment, console: Console) -> Outcome:
    """Search, choose, ship, and write the report.

    Args:
        plan: The search.
        experiment: What it holds fixed.
        console: Where to show how it goes.

    Returns:
        What it came to.
    """
    deadline = time.monotonic() + plan.time_budget
    with ExitStack() as held:
        if plan.resumed:
            held.enter_context(locked(plan.folder, new=False))
        nodes = held.enter_context(connected(plan.address))
        resources = share_out(nodes, plan.settings.resources)
        record = _prepare_nodes(plan, experiment, nodes, resources, console)
        # The folder is a search's from here on: what is wrong with the input has shown by now.
        if not plan.resumed:
            held.enter_context(locked(plan.folder, new=True))
        plan.folder.write_search(record)
        plan.folder.write_samples(samples_table(experiment.corpus))
        for one in () if plan.resumed else plan.warm_start:
            console.print(f"begins with {one.origin}", highlight=False)
        slots = Slots(resources, plan.settings.resources.max_concurrent)
        search = open_search(
            plan, deadline, slots, lambda records: seconds_to_keep(plan, records, slots())
        )
        outcome = _run_trials(search, experiment, slots)
        if outcome.best and not outcome.hopeless and plan.settings.selection.retrain:
            limits = deadline, console
            best, notes = select(plan, experiment, outcome.records, slots.resources, limits)
            outcome = replace(outcome, best=best, notes=(*outcome.notes, *notes))
    if outcome.best:
        write_fusions(plan.folder, outcome.best, experiment.corpus.labels, experiment.folds)
    note = write_report(plan.folder)
    return replace(outcome, notes=(*outcome.notes, *[note] * bool(note)))


def _prepare_nodes(
    plan: Plan,
    experiment: Experiment,
    nodes: Sequence[Node],
    resources: TrialResources,
    console: Console,
) -> dict[str, Any]:
    """Read the weights and build the frozen activations; gives the content of `search.json`."""
    backbones = describe(experiment)
    before = plan.folder.read_search() if plan.resumed else None
    if before is not None:
        refuse_other_backbones(before, backbones["fingerprints"])
    built: list[BuildStep] = []
    if experiment.cache is not None:
        able = [
            node if resources.gpus else replace(node, gpus=0.0)  # what trials do without, so do we
            for node in nodes
            if fitting(node, resources.cpus, resources.gpus)
        ]
        trials = configs_ahead(plan)
        built = show_building(console, build_everywhere(able, experiment, trials))
    hardware = hardware_record(nodes, resources)
    record = search_record(plan, experiment.corpus, experiment.folds, hardware, backbones)
    record["activations"] = [asdict(step) for step in built]
    return with_attempts(record, before)


def _run_trials(search: Search, experiment: Experiment, slots: Slots) -> Outcome:
    plan, records = search.plan, search.records
    metric = plan.settings.tuning.metric
    mode = mode_of(metric)
    recorder = Recorder(plan.folder, records, mode, search.cut_off)
    info = ViewInfo(metric, plan.settings.trials, experiment.max_epochs, outcomes(records))
    view = LiveView(info, records)
    started = time.monotonic()
    trainable = tune.with_parameters(SentimentTrainable, experiment=experiment)
    try:
        run = partial(search.run, trainable, callbacks=[recorder, view, *trackers(plan)])
        if plan.settings.resources.gpus_per_trial == AUTO:
            packing = pack_after_first(search, run, slots, view.say)
            if packing is not None:
                write_packing(plan, slots, packing)
        run(slots.resources)
    finally:
        view.close()
        recorder.finish()
        done = {record.number for record in records.values() if record.fate in OUTCOMES}
        Attempts(plan.storage).forget(done)
    if search.cut_off.fault is not None:
        raise search.cut_off.fault
    seconds = time.monotonic() - started
    if not ranked(records, mode):
        return Outcome(records, None, search.cut_off.reason, (), seconds)
    note = write_importances(plan.folder, records, mode, distributions(plan.space))
    best = write_best(plan.folder, records, metric, mode)
    return Outcome(records, best, search.cut_off.reason, (note,) * bool(note), seconds)


def write_packing(plan: Plan, slots: Slots, packing: Packing) -> None:
    """Keep in the run folder how trials share a GPU from here on.

    Args:
        plan: The search.
        slots: What each trial gets.
        packing: Why so much.
    """
    hardware = hardware_record(alive(), slots.resources)
    record = {"hardware": hardware, "packing": asdict(packing)}
    plan.folder.write_search(plan.folder.read_search() | record)
