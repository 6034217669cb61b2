"""Names of further data of a language."""

from __future__ import annotations

import pytest

from attrition.languages.portions import language_of_portion, languages_of_portions, portion


@pytest.mark.parametrize("language", ["en-US", "sr-Latn", "ed (1)", "a+b", "x (2)"])
def test_a_name_leads_back_to_its_language(language: str) -> None:
    names = [portion(language, number) for number in range(1, 13)]
    assert len(set(names)) == 12
    assert {language_of_portion(name, [language]) for name in names} == {language}
    assert languages_of_portions(names) == (language,)


@pytest.mark.parametrize("name", ["en (1)", "en (0)", "en (02)", "en (x)", "en(2)", "en (2) ", "(2)", "de (2)"])
def test_other_names_are_languages_of_their_own(name: str) -> None:
    assert language_of_portion(name, ["en"]) == name
    assert languages_of_portions(["en", name]) == ("en", name)
