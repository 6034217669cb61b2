"""Languages by their tags: their attributes, the sources and doubts of these, and groups of languages."""

from attrition.languages.groups import GROUPINGS, UNKNOWN_GROUP, grouping
from attrition.languages.own import read_languages
from attrition.languages.table import LANGUAGES, SOURCES, VITALITIES, Language, Value, Vitality, doubts, not_a_locale, select
from attrition.languages.tags import NONE_OF_ONES_OWN, OwnLanguages, is_tag, language_of, no_language

__all__ = [
    "GROUPINGS",
    "LANGUAGES",
    "NONE_OF_ONES_OWN",
    "SOURCES",
    "UNKNOWN_GROUP",
    "VITALITIES",
    "Language",
    "OwnLanguages",
    "Value",
    "Vitality",
    "doubts",
    "grouping",
    "is_tag",
    "language_of",
    "no_language",
    "not_a_locale",
    "read_languages",
    "select",
]
