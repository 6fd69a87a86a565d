"""The docstrings make pages that people can read."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pdoc

ROOT = Path(__file__).parents[1]
PACKAGES = ("animal_ner", "animal_cls", "verifier")
MODULES = [f"{name}.{path.stem}" for name in PACKAGES for path in sorted((ROOT / name).glob("*.py")) if not path.stem.startswith("__")]


def test_every_module_has_a_page_on_which_google_sections_are_rendered(tmp_path):
    pdoc.render.configure(docformat="google")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what other packages say of themselves
        pdoc.pdoc(*PACKAGES, *MODULES, output_directory=tmp_path)
    pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    assert {f"{name.replace('.', '/')}.html" for name in [*PACKAGES, *MODULES]} <= pages
    shown = (tmp_path / "verifier" / "decision.html").read_text(encoding="utf-8")
    assert re.search(r"<h6[^>]*>Arguments:</h6>", shown)
    assert "probability of truth, 0..1, from which the answer is true" in shown
