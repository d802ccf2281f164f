"""Load the data of a search, and check that they suit its objective."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from search.config.validation import given_split_faults
from search.errors import SettingsError
from search.pipeline.views import unfit_notes
from trainables.data.corpus import Allowed, load_corpus
from trainables.data.demo import demo_corpus
from trainables.data.encodings import Decoder
from trainables.data.files import is_there
from trainables.data.splits import leak_notes, placeholder_notes
from trainables.data.whole_images import WholeImages
from trainables.evaluation.classes import CLASSES
from trainables.evaluation.metrics import CLASS_SCORES, SCORES, score_of
from trainables.experiment import on_this_node

if TYPE_CHECKING:
    from search.config.plan import Plan
    from trainables.data.sample import Corpus


def load_data(plan: Plan) -> Corpus:
    """Read the data of a search.

    Returns:
        The data; where duplicates are kept together, its notes say what does not count as one.

    Raises:
        SettingsError: If the data of a resumed search are gone, or none of them is of the class
            whose score it searches for.
    """
    corpus = _read(plan)
    if corpus.given_folds is not None:
        faults = list(given_split_faults(plan.settings.data))
        if faults:
            raise SettingsError("\n".join(faults))
    _refuse_empty_class(plan.settings.tuning.metric, corpus)
    corpus = replace(corpus, notes=(*corpus.notes, *unfit_notes(plan, corpus)))
    corpus = replace(corpus, notes=(*corpus.notes, *leak_notes(corpus)))
    if plan.settings.data.split != "grouped" or corpus.given_folds is not None:
        return corpus
    return replace(corpus, notes=(*corpus.notes, *placeholder_notes(corpus.labelled)))


def with_given_folds(plan: Plan, corpus: Corpus) -> Plan:
    """Return the plan with the number of folds of the split that comes with the data, if any."""
    if corpus.given_folds is None:
        return plan
    return replace(plan, given_folds=max(corpus.given_folds) + 1)


def _read(plan: Plan) -> Corpus:
    data, modality = plan.settings.data, plan.settings.modality
    if plan.source is None:
        return demo_corpus(plan.demo).reading(modality)
    if plan.resumed and not is_there(plan.source):
        msg = f"--data must say where the data of the search are now: there is no {plan.source}"
        raise SettingsError(msg)
    before = plan.folder.read_search().data.encoding if plan.resumed else None
    return load_corpus(
        plan.source,
        allowed=Allowed(data.allow_outside, data.missing),
        modality=modality,
        decoder=Decoder(data.encoding, before),
        whole_images=WholeImages(
            None if plan.cache is None else on_this_node(plan.cache), plan.unpacked_images
        ),
        given=plan.given_splits,
    )


def _refuse_empty_class(metric: str, corpus: Corpus) -> None:
    """Refuse an objective of a class without labelled pairs, which is 0 for every model."""
    counts = np.bincount(corpus.labels, minlength=len(CLASSES))
    of_class = score_of(metric).of_class
    if of_class is None or counts[of_class]:
        return
    others = {f"val_{name}": SCORES[name].of_class for name in CLASS_SCORES}
    found = [name for name, each in others.items() if each is not None and counts[each]]
    msg = (
        f"--metric must be of a class that the data have, such as {' or '.join(found)}, got"
        f" {metric}: no labelled pair is {of_class.tag}"
    )
    raise SettingsError(msg)
