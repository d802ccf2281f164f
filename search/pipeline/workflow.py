"""The steps of a search: data, cluster, frozen activations, trials, tables, selection."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from ray import tune
from rich.text import Text

from analysis.run_folder.digests import settle
from search.cluster.activations import build_everywhere, configs_ahead, describe
from search.cluster.connection import connected
from search.cluster.resources import Slots, alive, fitting, refuse_slow_precision, share_out
from search.config.settings import AUTO
from search.console.live import LiveView, ViewInfo, show_building
from search.console.summary import Outcome, headlines, print_summary, warning
from search.pipeline.after_trials import select
from search.pipeline.data import fitted, load_data
from search.pipeline.repair import put_right
from search.pipeline.report import import_ahead, write_report
from search.pipeline.run_record import (
    hardware_record,
    in_precision,
    kept_precision,
    precision_notes,
    refuse_other_backbones,
    refuse_other_data,
    samples_table,
    search_record,
)
from search.pipeline.rung_zero import Ground, begin_with_rung_zero
from search.selection.best_trial import best_trial
from search.selection.budget import seconds_to_keep
from search.selection.candidates import fresh_folds
from search.selection.fusions import write_fusions
from search.study.lock import locked
from search.study.space import distributions
from search.study.trial import OUTCOMES, outcomes, ranked
from search.tune.callbacks import Recorder, trackers
from search.tune.checkpoints import Attempts
from search.tune.packing import pack_after_first
from search.tune.tables import write_importances
from search.tune.tuner import open_search
from trainables.data.splits import make_folds
from trainables.evaluation.metrics import mode_of
from trainables.experiment import Experiment
from trainables.trainable import SentimentTrainable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from analysis.run_folder.search_record import ActivationBuild
    from analysis.run_folder.search_record import Search as SearchRecord
    from search.cluster.resources import Node, TrialResources
    from search.config.plan import Plan
    from search.tune.packing import Packing
    from search.tune.tuner import Search


def carry_out(plan: Plan, console: Console) -> Outcome:
    """Do a whole search, and print what it begins with and what came of it."""
    experiment = begin(plan, console)
    outcome = run_search(plan, experiment, console)
    if outcome.best is not None:
        print_summary(console, outcome, plan.folder, warning(plan, experiment.corpus))
    return outcome


def begin(plan: Plan, console: Console) -> Experiment:
    """Load and split the data, and print what is about to be searched."""
    experiment = prepare(plan)
    for line, style in headlines(plan, experiment.corpus):
        console.print(Text(line, style=style))
    return experiment


def prepare(plan: Plan) -> Experiment:
    """Load and split the data."""
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
    asked = settings.resources.precision
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
        precision=asked,
        frozen_precision="float32" if asked == "float16" else asked,
    )


def run_search(plan: Plan, experiment: Experiment, console: Console) -> Outcome:
    """Search, choose, train the final model, and write the report."""
    deadline = time.monotonic() + plan.time_budget
    plan = fitted(plan, experiment.corpus)
    with ExitStack() as held:
        if plan.resumed:
            held.enter_context(locked(plan.folder, new=False))
            for found in put_right(plan):
                console.print(found, style="yellow", highlight=False)
        import_ahead()
        nodes = held.enter_context(connected(plan.address))
        resources = share_out(nodes, plan.settings.resources)
        record, experiment = _prepare_nodes(plan, experiment, nodes, resources, console)
        # The folder is a search's from here on: what is wrong with the input has shown by now.
        if not plan.resumed:
            held.enter_context(locked(plan.folder, new=True))
        plan.folder.write_search(record)
        plan.folder.write_samples(samples_table(experiment.corpus))
        slots = Slots(resources, plan.settings.resources.max_concurrent)
        ground = Ground(experiment, record, slots.resources, deadline, console)
        plan = begin_with_rung_zero(plan, ground)
        for one in () if plan.resumed else plan.warm_start:
            console.print(f"begins with {one.origin}", highlight=False)
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
    settle(plan.folder.path)
    return replace(outcome, notes=(*outcome.notes, *[note] * bool(note)))


def _prepare_nodes(
    plan: Plan,
    experiment: Experiment,
    nodes: Sequence[Node],
    resources: TrialResources,
    console: Console,
) -> tuple[SearchRecord, Experiment]:
    """Read the weights, choose the precision and build the frozen activations.

    Returns:
        The content of `search.json`, and the experiment in the precision that was chosen.
    """
    trials, before = configs_ahead(plan), plan.folder.read_search() if plan.resumed else None
    if before is None:
        refuse_slow_precision(plan.settings.resources, resources)
        backbones = describe(experiment, trials, resources)
    else:  # in the precision that it was begun with, whatever is faster here
        experiment = kept_precision(experiment, before)
        backbones = describe(experiment, (), resources)
        refuse_other_backbones(before.backbone_fingerprints, backbones["fingerprints"])
    for note in precision_notes(backbones):
        console.print(note, highlight=False)
    experiment = in_precision(experiment, backbones)
    built: list[ActivationBuild] = []
    if experiment.cache is not None:
        able = [
            node if resources.gpus else replace(node, gpus=0.0)  # what trials do without, so do we
            for node in nodes
            if fitting(node, resources.cpus, resources.gpus)
        ]
        built = show_building(console, build_everywhere(able, experiment, trials))
    hardware = hardware_record(nodes, resources)
    record = search_record(plan, experiment.corpus, experiment.folds, hardware, backbones, built)
    if before is None:
        return record, experiment
    measured = before.precision
    precision = replace(
        record.precision,
        speedup=measured.speedup,
        activations_speedup=measured.activations_speedup,
    )
    attempts = (*before.attempts, *record.attempts)
    return replace(record, precision=precision, attempts=attempts), experiment


def _run_trials(search: Search, experiment: Experiment, slots: Slots) -> Outcome:
    plan, records = search.plan, search.records
    metric = plan.settings.tuning.metric
    mode = mode_of(metric)
    recorder = Recorder(plan.folder, records, mode, search.stopper)
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
    if search.stopper.fault is not None:
        raise search.stopper.fault
    seconds = time.monotonic() - started
    if not ranked(records, mode):
        return Outcome(records, None, search.stopper.reason, (), seconds, search.stopper.hopeless)
    note = write_importances(plan.folder, records, mode, distributions(plan.space))
    best = best_trial(plan.folder, records, metric)
    plan.folder.write_best(best)
    notes = (note,) * bool(note)
    return Outcome(records, best, search.stopper.reason, notes, seconds, search.stopper.hopeless)


def write_packing(plan: Plan, slots: Slots, packing: Packing) -> None:
    """Record in the run folder how trials share a GPU from here on."""
    hardware = hardware_record(alive(), slots.resources)
    record = replace(plan.folder.read_search(), hardware=hardware, packing=asdict(packing))
    plan.folder.write_search(record)
