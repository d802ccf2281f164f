from __future__ import annotations

from pathlib import Path

import analysis
from analysis.run_folder.folder import RunFolder
from search.pipeline.run_record import samples_table
from tests.analysis.synthetic import SEARCHED
from tests.records import write_search
from tests.sentiments import NEUTRAL, POSITIVE
from trainables.data.sample import Corpus, Sample


def test_samples_are_written_for_whoever_looks_at_results(tmp_path: Path) -> None:
    labelled = (
        Sample("007", 'so "lovely"', Path("/data/007.jpg"), "a", POSITIVE),
        Sample("NA", "plain", Path("/data/NA.jpg"), "b", NEUTRAL),
    )
    unlabelled = (Sample("9", "new", Path("/data/9.jpg"), "b"),)
    folder = RunFolder(tmp_path)
    write_search(folder, SEARCHED)
    folder.write_samples(samples_table(Corpus("mine", labelled, unlabelled)))
    samples = analysis.load(tmp_path).samples
    assert samples["guid"].tolist() == ["007", "NA", "9"]
    assert samples["text"].tolist() == ['so "lovely"', "plain", "new"]
    assert samples["image"].tolist() == ["/data/007.jpg", "/data/NA.jpg", "/data/9.jpg"]
    assert samples["tag"].astype(object).where(samples["tag"].notna(), None).tolist() == [
        "positive",
        "neutral",
        None,
    ]
    assert samples["group"].tolist() == [0, 1, 1]  # the image of 9 is that of NA
