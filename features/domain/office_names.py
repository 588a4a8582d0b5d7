"""One rule for the name of an office or a division: letter case and blanks tell none apart.

People type them: ``Houston North``, ``HOUSTON  NORTH`` and ``houston north`` are one office. Which
spelling stands for it is told by use; names are compared by `name_key` alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


def name_key(name: str) -> str:
    """Return what two spellings of one name have in common.

    >>> name_key(" Houston  North") == name_key("HOUSTON NORTH")
    True
    """
    return " ".join(unicodedata.normalize("NFC", name).split()).casefold()


def is_any_of(names: npt.NDArray[Any], wanted: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Return which names are among `wanted`, in whatever spelling.

    >>> import numpy as np
    >>> is_any_of(np.array(["AZ North", "TX"], dtype=object), ["az north"]).tolist()
    [True, False]
    """
    import numpy as np  # who only compares two names does without

    keys = {name_key(name) for name in wanted}
    return np.array([name_key(str(name)) in keys for name in names], dtype=bool)


def one_spelling(names: pd.Series) -> pd.Series:
    """Return each name in the spelling that its office mostly has, of equals the first by text.

    Parameters
    ----------
    names : Series of shape (n,)
        Text; what is missing stays so.

    Examples
    --------
    >>> import pandas as pd
    >>> one_spelling(pd.Series(["North", "NORTH ", "North", None, "south"])).tolist()
    ['North', 'North', 'North', None, 'south']
    """
    import pandas as pd

    counts = names.dropna().astype(str).value_counts()
    written = pd.DataFrame({"text": [" ".join(t.split()) for t in counts.index], "n": counts})
    written = written.groupby("text", as_index=False).agg(n=("n", "sum"))
    written["key"] = [name_key(text) for text in written["text"]]
    written = written.sort_values(["n", "text"], ascending=[False, True], kind="stable")
    stands = written.drop_duplicates("key").set_index("key")["text"].to_dict()
    spelled = {text: stands[name_key(text)] for text in counts.index}
    return names.map(spelled).astype(object).where(names.notna(), None)
