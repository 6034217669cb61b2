"""A release as one self-contained HTML page."""

from __future__ import annotations

from importlib import metadata, resources

import jinja2
from markupsafe import Markup

from attrition.gate.release import Release
from attrition.gate.tables import broken_table, checks_table, errors_table, labels_table, sorted_findings
from attrition.gate.words import averages, headline
from attrition.report.locales import unbroken_locales


def to_html(release: Release) -> str:
    """Return the page. All text from the data is escaped; the page has no script."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.globals["zip"] = zip
    environment.filters["locales"] = unbroken_locales
    template = environment.from_string(resources.files("attrition.gate").joinpath("page.html").read_text(encoding="utf-8"))
    return template.render(
        css=Markup(resources.files("attrition.report").joinpath("page.css").read_text(encoding="utf-8")),
        version=metadata.version("attrition"),
        verdict=release.verdict,
        headline=headline(release),
        averages=averages(release),
        notes=release.notes,
        facts=[("Old", release.old), ("New", release.new), ("Utterances", f"{release.compared.num_utterances:,}")],
        tables=[
            checks_table(release, sorted_findings(release)),
            labels_table(release),
            errors_table(release),
            broken_table(release),
        ],
    )
