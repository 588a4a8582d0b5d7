"""Names of months in the languages of exports, so that ``%B`` and ``%b`` read more than English.

No name, whole or short, is that of two months in two of the languages; where a text has several
words, only a whole word that is such a name counts.
"""

from __future__ import annotations

import re
from typing import Final

from features.sql import literal

# German, Spanish, French, Italian, Portuguese and Dutch; English for a form that wants the other
# length. Names with accents also as written without.
_NAMES: Final = {
    "January": "januar jänner jaenner enero janvier gennaio janeiro januari january "
    "jan jän ene janv gen",
    "February": "februar feber febrero février fevrier febbraio fevereiro februari february "
    "feb febr févr fevr fév fev",
    "March": "märz maerz marz marzo mars março marco maart march mär mrz mar mrt maer",
    "April": "april abril avril aprile apr abr avr",
    "May": "mai mayo maggio maio mei may mag",
    "June": "juni junio juin giugno junho june jun giu",
    "July": "juli julio juillet luglio julho july jul juil lug",
    "August": "august agosto août aout augustus aug ago",
    "September": "september septiembre setiembre septembre settembre setembro sep sept set",
    "October": "oktober octubre octobre ottobre outubro october okt oct ott out",
    "November": "november noviembre novembre novembro nov",
    "December": "dezember diciembre décembre decembre dicembre dezembro december dez dic déc dec",
}


def english_months(text: str, form: str) -> str:
    """Return SQL for `text` with the name of its month as `form` reads it.

    A stop that ends a short name is left out where the form has none. Texts whose accents are
    written as signs of their own are read as well.

    Parameters
    ----------
    text : str
        SQL of the text.
    form : str
        As of `strptime`, with ``%b`` or ``%B``.
    """
    is_short = "%b" in form
    stop = "" if re.search("%[bB][.]", form) else "[.]?"
    made = f"nfc_normalize({text})"
    for month, names in _NAMES.items():
        longest_first = "|".join(sorted(names.split(), key=len, reverse=True))
        word = literal(rf"(?i)(^|\PL)({longest_first}){stop}($|\PL)")
        english = literal(rf"\1{month[:3] if is_short else month}\3")
        made = f"regexp_replace({made}, {word}, {english})"
    return made
