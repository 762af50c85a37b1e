"""Templates -> text. Autoescape is on: a name is text wherever it stands, whatever it holds."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources
from urllib.parse import quote

import jinja2

from fastdissect.reports.facts import LayerFacts, network_name, run_facts
from fastdissect.reports.palette import hues
from fastdissect.results import Dissection

__all__ = ["ASSETS", "MANY", "asset", "detector_svg", "index_page", "layer_section", "render"]

STYLES = ("base.css", "summary.css", "gallery.css", "panel.css")
SCRIPTS = (
    "store.js",
    "state.js",
    "selection.js",
    "cards.js",
    "controls.js",
    "gallery.js",
    "panel.js",
    "chart.js",
    "main.js",
)
MANY = 12  # layers up to which every layer's summary stands in the page itself
ASSETS = (*STYLES, "theme.js", *SCRIPTS)


@functools.cache  # and with it the compiled templates: a layer has two
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fastdissect.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["px"] = lambda value: f"{value:.1f}".removesuffix(".0")
    environment.filters["part"] = lambda value: quote(str(value), safe="")  # of a URL or a hash
    return environment


def asset(name: str) -> bytes:
    """Return one of `ASSETS`."""
    return (resources.files("fastdissect.reports") / "assets" / name).read_bytes()


def detector_svg(facts: LayerFacts, categories: Sequence[str], network: str) -> bytes:
    """Return a layer's bar graph as a file of its own, fit for a paper: no links, no background, plain fonts."""
    return render(
        "detectors.svg.j2", facts=facts, hues=hues(categories), indices=_indices(categories), network=network
    )


def layer_section(facts: LayerFacts, file: str, categories: Sequence[str]) -> str:
    """Return a layer's summary as the page takes it in when the layer is chosen.

    Args:
        file: folder name of the layer's files.
    """
    text = render(
        "section.html.j2", facts=facts, file=file, hues=hues(categories), indices=_indices(categories)
    )
    return text.decode()


def index_page(
    dissection: Dissection, layers: Sequence[LayerFacts], files: Sequence[str], pictures: tuple[str, str]
) -> bytes:
    """Return index.html; of more than `MANY` layers it has the last one's summary alone.

    Args:
        files: folder name of every layer's files.
        pictures: why units have none, and the command that draws them; each may be "".
    """
    categories = dissection.concepts.categories
    return render(
        "index.html.j2",
        network=network_name(dissection.run),
        facts=run_facts(dissection),
        layers=layers,
        files=files,
        categories=categories,
        hues=hues(categories),
        indices=_indices(categories),
        pictures=pictures[0],
        command=pictures[1],
        many=len(layers) > MANY,
        profile=dissection.profile,
        styles=STYLES,
        scripts=SCRIPTS,
    )


def _indices(categories: Sequence[str]) -> dict[str, int]:
    """Category -> number of its style class, q0, q1, ..."""
    return {category: i for i, category in enumerate(categories)}


def render(template: str, **context: object) -> bytes:
    """Return a template's text, UTF-8."""
    text = _environment().get_template(template).render(context)
    return text.encode("utf-8", errors="replace")  # a file name may hold half a character
