"""Remove from the object store that homes share what no kept state is made of.

The state in force is never touched. What goes is first written into ``state.json``, on condition
that nobody has pushed since it was read: whoever pushes at that moment either comes first, and
nothing is removed, or is refused by the store and begins again without what goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from features.object_store import objects
from serving.errors import ConflictError, NotReadyError
from serving.keeping.depot_state import (
    OBJECTS,
    STATE,
    STATES,
    read_earlier,
    read_state,
)


@dataclass(frozen=True)
class Thinned:
    """What was removed from the shared states, or would be.

    Parameters
    ----------
    in_force : int
        Number of the state in force, which stays.
    kept, gone : tuple of int
        Numbers of the earlier states that stay and of those that go, the newest first.
    n_objects, n_bytes : int
        What goes: files of no kept state, and what pushes that broke off left.
    """

    in_force: int
    kept: tuple[int, ...]
    gone: tuple[int, ...]
    n_objects: int
    n_bytes: int


def prune_shared(address: str, *, keep: int, is_trial: bool = False) -> Thinned:
    """Keep the newest states, the one in force among them, and remove what only others need.

    Parameters
    ----------
    address : str
        Where homes push to.
    keep : int
        How many states stay, at the least 1.
    is_trial : bool
        Change nothing, and say what would go.

    Raises
    ------
    NotReadyError
        When nothing was pushed there.
    ConflictError
        When another operator pushed or pruned meanwhile: nothing is removed then.
    ObjectStoreError
        When the store refuses. What is left then is removed the next time.
    """
    if keep < 1:
        raise ValueError("the state in force always stays")
    with objects(address) as shared:
        there = read_state(shared, address)
        if there is None:
            raise NotReadyError(f"Nothing was pushed to {address} yet.")
        kept, gone = there.earlier[: keep - 1], there.earlier[keep - 1 :]
        needed = {f"{OBJECTS}/{file.key}" for file in there.files.values()}
        for one in kept:
            needed.add(f"{STATES}/{one.document}")
            files = read_earlier(shared, address, one).files
            needed |= {f"{OBJECTS}/{file.key}" for file in files.values()}
        lying = {
            f"{under}/{name}": n_bytes
            for under in (OBJECTS, STATES)
            for name, n_bytes in shared.sizes(under).items()
        }
        going = sorted(set(lying) - needed)
        found = Thinned(
            there.generation,
            tuple(one.generation for one in kept),
            tuple(one.generation for one in gone),
            len(going),
            sum(lying[name] for name in going),
        )
        if is_trial or not (going or gone):
            return found
        thinned = replace(there, earlier=kept, going=frozenset(going)).with_content()
        if shared.write_if(STATE, thinned.content, stamp=there.stamp) is None:
            raise ConflictError(
                f"Another operator has pushed to {address}, or pruned it, meanwhile.",
                found="nothing was removed",
                fix="look again with --dry-run, then prune again",
            )
        shared.remove(going)
    return found
