"""Citation networks in the files of Planetoid: ind.NAME.{x, y, tx, ty, allx, ally, graph, test.index}.

Yang, Cohen, Salakhutdinov, "Revisiting Semi-Supervised Learning with Graph Embeddings", ICML 2016 (github.com/kimiyoung/planetoid).
The files are pickles. A pickle can run any code, so only what these files need is unpickled: numpy arrays, sparse matrices, lists.
"""

from __future__ import annotations

import importlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.graph_structure.node_problems import NodeProblem

PARTS = ("x", "y", "tx", "ty", "allx", "ally", "graph")
HELD_OUT = 500  # for validation, after the nodes for training
_HARMLESS = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): "numpy.core.multiarray" for core in ("core", "_core")},
    ("numpy", "ndarray"): "numpy",
    ("numpy", "dtype"): "numpy",
    **{(f"scipy.sparse.{module}", "csr_matrix"): "scipy.sparse" for module in ("csr", "_csr")},
    ("collections", "defaultdict"): "collections",
    ("__builtin__", "list"): "builtins",
    ("builtins", "list"): "builtins",
    ("_codecs", "encode"): "_codecs",
}


class _Harmless(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"the file asks for {module}.{name}, which a citation network does not need; it is not opened")
        if name == "_reconstruct":
            return np.empty(0).__reduce__()[0]  # wherever this numpy keeps it
        return getattr(importlib.import_module(_HARMLESS[module, name]), name)


def found_in(folder: Path, name: str) -> bool:
    """Whether the files of a network lie in a folder."""
    return (folder.expanduser() / f"ind.{name}.graph").exists()


def planetoid(folder: Path, name: str = "cora") -> NodeProblem:
    """A citation network with the public split; rows of x add up to 1.

    Raises:
        FileNotFoundError: a file is missing.
        pickle.UnpicklingError: a file holds something else than arrays, sparse matrices and lists.
    """
    parts = {part: _read(folder.expanduser() / f"ind.{name}.{part}") for part in PARTS}
    test = np.loadtxt(folder.expanduser() / f"ind.{name}.test.index", dtype=np.int64, ndmin=1)
    known, nodes = parts["allx"].shape[0], len(parts["graph"])
    x = np.zeros((nodes, parts["allx"].shape[1]), np.float32)
    label = np.zeros((nodes, parts["ally"].shape[1]))
    x[:known], label[:known] = _dense(parts["allx"]), parts["ally"]
    x[test], label[test] = _dense(parts["tx"]), parts["ty"]
    masks = torch.zeros(3, nodes, dtype=torch.bool)
    told = parts["y"].shape[0]
    masks[0, :told] = True
    masks[1, told : min(told + HELD_OUT, known)] = True
    masks[2, torch.from_numpy(test)] = True
    pairs = {(min(u, v), max(u, v)) for u, around in parts["graph"].items() for v in around if u != v}
    half = torch.tensor(sorted(pairs), dtype=torch.int64).T
    features = torch.from_numpy(x)
    features = features / features.sum(1, keepdim=True).clamp(min=1)
    return NodeProblem(features, torch.cat([half, half.flip(0)], 1), torch.from_numpy(label.argmax(1)), *masks)


def _read(path: Path) -> Any:
    if not path.exists():
        raise FileNotFoundError(f"no {path.name} in {path.parent}")
    return _Harmless(io.BytesIO(path.read_bytes()), encoding="latin1").load()


def _dense(rows: Any) -> np.ndarray:
    return rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)
