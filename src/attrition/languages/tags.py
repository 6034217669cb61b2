"""Languages outside the table of 52: the information in their BCP 47 or ISO 639 tag, by CLDR and the IANA registry, offline.

`langcodes` checks the tag. Its likely subtags give the script, and its names the English name. Family, branch and vitality come
from our table if a locale of MASSIVE is the same language; otherwise they are unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from attrition.languages.table import LANGUAGES, Language
from attrition.names import UnknownNameError, nearest

OwnLanguages = Mapping[str, Language]
"""The languages in a user's own file, by tag; `read_languages` reads it."""

NONE_OF_ONES_OWN: OwnLanguages = MappingProxyType({})

_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)


@cache
def is_tag(label: str) -> bool:
    """Return True for a valid language tag: BCP 47, or a bare code of ISO 639-1 or 639-3. Offline.

    The language must be in lower case and the parts joined by hyphens, so that one language has one name: "de-DE", not "DE_de".

    >>> [is_tag(label) for label in ("yor", "yo", "pcm", "sr-Latn", "en-US", "ed-US", "Klingon", "de_DE")]
    [True, True, True, True, True, False, False, False]
    """
    if not _TAG.fullmatch(label):
        return False
    import langcodes  # here, because it is slow to import and MASSIVE's locales never need it

    return bool(langcodes.tag_is_valid(label))


def language_of(label: str, own: OwnLanguages = NONE_OF_ONES_OWN) -> Language:
    """Return the attributes of a language by its label; for a label that is not a tag, only its name.

    The sources, in order: the user's own file, the table of MASSIVE's 52 locales, the tag.

    >>> yoruba = language_of("yor")
    >>> yoruba.name, yoruba.script, yoruba.latin, yoruba.family
    ('Yoruba', 'Latn', True, None)
    >>> language_of("swa").family, language_of("sr-Cyrl").script, language_of("my-dialect").script
    ('Atlantic-Congo', 'Cyrl', None)
    """
    return own.get(label) or LANGUAGES.get(label) or _of_tag(label)


@cache
def _of_tag(label: str) -> Language:
    if not is_tag(label):
        return Language(label, label)
    import langcodes

    given = langcodes.Language.get(label)
    script = given.script or given.maximize().script
    found = Language(label, given.display_name(), given.to_alpha3(), script=script, script_type=_script_types().get(script))
    for relative in LANGUAGES.values():
        if _macrolanguage(relative.locale) == _macrolanguage(label):
            found = replace(
                found,
                iso639_3=relative.iso639_3,
                glottocode=relative.glottocode,
                family=relative.family,
                branch=relative.branch,
                joshi_class=relative.joshi_class,
            )
            if relative.script == script:  # CC-100 separates the scripts of a language
                return replace(found, cc100_gib=relative.cc100_gib, cc100_tokens_m=relative.cc100_tokens_m, note=relative.note)
    return found


@cache
def _macrolanguage(tag: str) -> str:
    """Return the code of a language in CLDR: sw for swa and swh, zh for cmn."""
    import langcodes

    return str(langcodes.Language.get(tag).prefer_macrolanguage().language)


@cache
def _script_types() -> dict[str | None, str | None]:
    return {language.script: language.script_type for language in LANGUAGES.values()}


def no_language(label: str, known: Iterable[str] = LANGUAGES, *, where: str = "") -> UnknownNameError:
    """Return the error for a label that is not a language: neither one of `known` nor a valid tag.

    >>> print(no_language("ed-US", where="orders/mine.txt, line 4"))
    orders/mine.txt, line 4: 'ed-US' is no language tag (BCP 47 or ISO 639). Did you mean 'en-US'?
    """
    guess = nearest(label, known)
    hint = f"Did you mean {guess!r}?" if guess else "Write one such as 'yor', 'sr-Latn' or 'de-DE'; see `attrition languages`."
    prefix = f"{where}: " if where else ""
    return UnknownNameError(f"{prefix}{label!r} is no language tag (BCP 47 or ISO 639). {hint}")
