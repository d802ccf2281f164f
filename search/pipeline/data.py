"""Load the data of a search, and check that they suit its objective."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from search.config.validation import given_split_faults
from search.errors import SettingsError
from search.pipeline.classes import class_faults, with_classes
from search.pipeline.views import unfit_notes, without_unfit_views
from trainables.data.corpus import Allowed, Spelling, find_classes, load_corpus
from trainables.data.demo import demo_corpus
from trainables.data.encodings import Decoder
from trainables.data.files import is_there
from trainables.data.rows.columns import parse_columns
from trainables.data.splits import leak_notes, placeholder_notes
from trainables.data.whole_images import WholeImages
from trainables.experiment import on_this_node

if TYPE_CHECKING:
    from search.config.plan import Plan
    from trainables.data.sample import Corpus


def load_data(plan: Plan) -> Corpus:
    """Read the data of a search.

    Returns:
        The data; where duplicates are kept together, its notes say what does not count as one.

    Raises:
        SettingsError: If the data of a resumed search are gone, or a setting cannot go with the
            split or the classes that they have.
    """
    corpus = _read(plan)
    faults = list(class_faults(plan, corpus.classes))
    if corpus.given_folds is not None:
        faults += given_split_faults(plan.settings.data)
    if faults:
        raise SettingsError("\n".join(faults))
    corpus = replace(corpus, notes=(*corpus.notes, *unfit_notes(plan, corpus)))
    corpus = replace(corpus, notes=(*corpus.notes, *leak_notes(corpus)))
    if plan.settings.data.split != "grouped" or corpus.given_folds is not None:
        return corpus
    return replace(corpus, notes=(*corpus.notes, *placeholder_notes(corpus.labelled)))


def fitted(plan: Plan, corpus: Corpus) -> Plan:
    """Return the plan as the data have it: their classes, the split that comes with them."""
    plan = with_classes(without_unfit_views(plan, corpus), corpus.classes)
    if corpus.given_folds is None:
        return plan
    return replace(plan, given_folds=max(corpus.given_folds) + 1)


def with_listed_classes(plan: Plan) -> Plan:
    """Return the plan for the classes that the lists of its data show, if they are sound.

    Raises:
        SettingsError: If a setting cannot go with the classes.
    """
    if plan.source is None:
        return with_classes(plan, plan.classes)
    modality = plan.settings.modality
    classes = find_classes(plan.source, _spelling(plan), modality, plan.given_splits)
    if classes is None:
        return plan
    if faults := list(class_faults(plan, classes)):
        raise SettingsError("\n".join(faults))
    return with_classes(plan, classes)


def _spelling(plan: Plan) -> Spelling:
    """Return how the data are spelt, of a resumed search as it began with them."""
    tagging, encoding = plan.tagging, None
    if plan.resumed:
        before = plan.folder.read_search().data
        tagging, encoding = replace(tagging, known=before.named), before.encoding
    decoder = Decoder(plan.settings.data.encoding, encoding)
    return Spelling(decoder, tagging, parse_columns(plan.settings.data.columns))


def _read(plan: Plan) -> Corpus:
    data, modality = plan.settings.data, plan.settings.modality
    if plan.source is None:
        return demo_corpus(plan.demo).reading(modality)
    if plan.resumed and not is_there(plan.source):
        msg = f"--data must say where the data of the search are now: there is no {plan.source}"
        raise SettingsError(msg)
    return load_corpus(
        plan.source,
        allowed=Allowed(data.allow_outside, data.missing),
        modality=modality,
        spelling=_spelling(plan),
        whole_images=WholeImages(
            None if plan.cache is None else on_this_node(plan.cache), plan.unpacked_images
        ),
        given=plan.given_splits,
    )
