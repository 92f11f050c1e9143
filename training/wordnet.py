"""The mammals of WordNet as a hierarchy, from any of the usual files.

a pack            mammals.npz with `name` [N], `edges` [E, 2] (child, parent)
a closure         mammal_closure.csv (or .tsv), as the released scripts of Poincaré embeddings write it: a first line with id1 and id2, then
                  one line per pair (descendant, ancestor); pairs of a node with itself do not count
WordNet itself    data.noun of the database (version 3.0 or 3.1): everything below "mammal"

A folder is searched for these names, also in its subfolder dict/.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np

from models.hyperbolic.hierarchy import Hierarchy, HierarchyError, from_edges

FILES = ("mammals.npz", "mammal_closure.csv", "mammal_closure.tsv", "data.noun", "dict/data.noun")
LICENCE = (
    "Contains Open English WordNet, CC BY 4.0, derived from Princeton WordNet, © Princeton University "
    "(or Princeton WordNet itself, WordNet licence, where its own files are read)"
)


def mammals(place: str | Path) -> Hierarchy:
    """The hierarchy in a file of one of these kinds, or in a folder that holds one.

    Raises:
        FileNotFoundError: no such file; the message says what was looked for.
        HierarchyError: the file holds no hierarchy.
    """
    place = Path(place).expanduser()
    path = next((place / name for name in FILES if (place / name).is_file()), None) if place.is_dir() else place
    if path is None or not path.is_file():
        raise FileNotFoundError(f"no WordNet mammals in {place}: expected one of {', '.join(FILES)}")
    if path.suffix == ".npz":
        pack = np.load(path)
        return from_edges([str(name) for name in pack["name"]], pack["edges"].tolist())
    if path.suffix in (".csv", ".tsv"):
        return from_closure(path.read_text(encoding="utf-8"), "," if path.suffix == ".csv" else "\t")
    return below(path.read_text(encoding="utf-8"), "mammal")


def from_closure(text: str, separator: str = ",") -> Hierarchy:
    """The hierarchy of a transitive closure: a pair is an edge where no third node lies between the two."""
    rows = list(csv.reader(text.splitlines(), delimiter=separator))
    if not rows or not {"id1", "id2"} <= set(rows[0]):
        raise HierarchyError('the first line of a closure must name its columns, "id1" (descendant) and "id2" (ancestor) among them')
    low, high = rows[0].index("id1"), rows[0].index("id2")
    pairs = [(row[low], row[high]) for row in rows[1:] if row and row[low] != row[high]]
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    number = {name: i for i, name in enumerate(names)}
    above = np.zeros((len(names), len(names)), dtype=np.float32)
    for u, v in pairs:
        above[number[u], number[v]] = 1
    children, parents = np.nonzero((above > 0) & (above @ above == 0))
    return from_edges(names, zip(children.tolist(), parents.tolist(), strict=True))


def below(text: str, word: str) -> Hierarchy:
    """Everything that a WordNet data file puts below the sense whose first word is `word`, that sense included.

    Several senses with the same first word are numbered, e.g. "seal (2)".
    """
    found: dict[str, str] = {}
    parents: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("  ") or not line.strip():  # the licence stands in front
            continue
        fields = line.split("|")[0].split()
        words = int(fields[3], 16)
        pointers = fields[5 + 2 * words :]
        found[fields[0]] = fields[4].replace("_", " ")
        parents[fields[0]] = [pointers[i + 1] for i in range(0, len(pointers) - 3, 4) if pointers[i] == "@"]
    tops = [sense for sense, name in found.items() if name == word]
    if not tops:
        raise HierarchyError(f"no sense in the file has {word!r} as its first word")
    children: dict[str, list[str]] = {}
    for child, above in parents.items():
        for parent in above:
            children.setdefault(parent, []).append(child)
    inside = dict.fromkeys(tops[:1])
    waiting = tops[:1]
    while waiting:
        new = [child for child in children.get(waiting.pop(0), []) if child not in inside]
        inside |= dict.fromkeys(new)
        waiting += new
    number, times, names = {sense: i for i, sense in enumerate(inside)}, Counter[str](), []
    for sense in inside:
        times[found[sense]] += 1
        names.append(found[sense] if times[found[sense]] == 1 else f"{found[sense]} ({times[found[sense]]})")
    return from_edges(names, [(number[sense], number[parent]) for sense in inside for parent in parents[sense] if parent in inside])
