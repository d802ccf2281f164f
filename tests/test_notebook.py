"""README's Python as a notebook: what it consists of; CONTRIBUTING says how to run it."""

from __future__ import annotations

import ast

from tests.notebook import notebook


def test_the_notebook_holds_readmes_python_on_data_that_are_here() -> None:
    made = notebook()
    sources = [cell["source"] for cell in made["cells"]]
    for source in sources:
        ast.parse(source)
    code = "\n".join(sources)
    assert "run = search.search(" in code
    assert "run.predictor().predict(more)" in code
    assert "analysis.compare_runs(" in code
    assert "weights/" not in code
    assert (made["nbformat"], len({cell["id"] for cell in made["cells"]})) == (4, len(sources))
