"""Hypergraph projection and its remediation (SHyRe): what pairs forget of groups, and how much can be guessed back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from explorer import runtime
from explorer.diagnostics import lost_groups
from explorer.exhibit import NO_PICTURE, BadRequest, Controls, Exhibit, Intervention, Labeller, Layer, Paper, Scene, Wing
from explorer.exhibits.graph_structure.claims import PROJECTION
from explorer.looking import RANDOM_WEIGHTS
from explorer.views.abstract_graph import SHOWN
from models.graph_structure import nx
from models.graph_structure.layouts import layout
from models.graph_structure.projection import (
    Clique,
    Damage,
    Sets,
    ambiguity,
    as_sets,
    clubs,
    compare,
    conspirators,
    damage,
    demon,
    edge_clique_cover,
    maximal_cliques,
    percolation,
    project,
    projection,
)
from models.graph_structure.shyre import (
    COUNT_FEATURES,
    Candidates,
    Reconstruction,
    Rho,
    Sampler,
    SHyRe,
    Verdict,
    Verdicts,
    contributions,
    count_features,
    efficiency,
    rho,
    standardised,
)
from models.structures import AbstractGraph, Hypergraph

MOST_NODES, MOST_GROUPS, MOST_MEMBERS = 120, 300, 20
MOST_CANDIDATES = 120
EPOCHS, PER_FRAME = 400, 8
LEARNED = "learned from e-mails"


class ProjectionControls(Controls):
    """Which groups are turned into pairs."""

    source: Literal["Southern women", "clubs", "my own"] = Field(
        "clubs", title="Groups", description="18 women at 14 events (Davis, 1941), made-up clubs, or yours"
    )
    seen_as: Literal["events", "women"] = Field(
        "events",
        title="A group is",
        description="The women of an event, or the events of a woman",
        json_schema_extra={"when": {"source": "Southern women"}},
    )
    members: int = Field(
        18,
        ge=12,
        le=40,
        title="Members",
        description="How many people there are to choose from",
        json_schema_extra={"when": {"source": "clubs"}},
    )
    founded: int = Field(
        14, ge=5, le=40, title="Clubs", description="How often a group is added", json_schema_extra={"when": {"source": "clubs"}}
    )
    nested: float = Field(
        0.25,
        ge=0,
        le=0.5,
        title="Groups inside groups",
        description="Probability that a new group is a part of an old one: it leaves no trace",
        json_schema_extra={"when": {"source": "clubs"}, "step": 0.05},
    )
    triangles: float = Field(
        0.1,
        ge=0,
        le=0.5,
        title="Overlaps in triangles",
        description="Probability of three groups that overlap in pairs: together they fake a fourth",
        json_schema_extra={"when": {"source": "clubs"}, "step": 0.05},
    )
    seed: int = Field(
        11, ge=0, le=999, title="Dice", description="Other clubs of the same kind", json_schema_extra={"when": {"source": "clubs"}}
    )
    sets: str = Field(
        "", max_length=6_000, title="Groups, one per line", description="Names parted by blanks or commas: the members of one group per line",
        json_schema_extra={"lines": 5, "placeholder": "ann bob cid\nbob cid\ncid dan\ndan ann", "when": {"source": "my own"}},
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- the groups


def chosen_sets(controls: ProjectionControls) -> tuple[Sets, list[str]]:
    """The groups by node number, and the names of the nodes."""
    if controls.source == "Southern women":
        return _women(controls.seen_as == "events")
    if controls.source == "my own":
        return _read(controls.sets)
    return _compact(_clubs(controls, controls.seed))


def _clubs(controls: ProjectionControls, seed: int) -> Sets:
    rng = np.random.default_rng([13, seed])
    return clubs(controls.members, 1, controls.founded, controls.nested, controls.triangles, rng)


def _compact(sets: Sets) -> tuple[Sets, list[str]]:
    """Without the nodes that are in no group."""
    there = sorted({node for group in sets for node in group})
    number = {node: i for i, node in enumerate(there)}
    return as_sets([number[node] for node in group] for group in sets), [str(node) for node in there]


def _women(events: bool) -> tuple[Sets, list[str]]:
    made = nx.davis_southern_women_graph()
    women, all_events = made.graph["top"], made.graph["bottom"]
    members, groups = (women, all_events) if events else (all_events, women)
    number = {name: i for i, name in enumerate(members)}
    return as_sets([number[name] for name in made[group]] for group in groups), list(members)


def _read(text: str) -> tuple[Sets, list[str]]:
    listed = [[word for word in re.split(r"[\s,;]+", line.strip()) if word] for line in text.splitlines()]
    listed = [words for words in listed if words]
    if not listed:
        raise BadRequest("there is no group yet: write the members of one group per line")
    names = list(dict.fromkeys(word for words in listed for word in words))
    number = {name: i for i, name in enumerate(names)}
    sets = as_sets([number[word] for word in words] for words in listed)
    if len(names) > MOST_NODES or len(sets) > MOST_GROUPS or max(map(len, sets)) > MOST_MEMBERS:
        raise BadRequest(f"up to {MOST_NODES} members in {MOST_GROUPS} groups of at most {MOST_MEMBERS} are taken here")
    return sets, names


def _placed(sets: Sets, nodes: int) -> tuple[Hypergraph, AbstractGraph]:
    groups = Hypergraph.from_sets(sorted(sets), nodes)
    graph = projection(groups)
    try:
        places = layout(graph, "kamada-kawai")
    except ValueError:
        places = layout(graph, "forceatlas2")
    return groups, replace(graph, positions={SHOWN: places})


# ------------------------------------------------------------------------------------------------------------------ run


@lru_cache(maxsize=1)
def _learned() -> tuple[SHyRe, bool]:
    """The judge that ships, and whether it is trained; its cells stand in the model card."""
    loaded = runtime.model("shyre_enron")
    told = loaded.card.get("sampler", {})
    cells = told.get("cells", [(n, k, 1.0) for n in range(3, 7) for k in range(2, n)])
    verdicts = loaded.model.cpu()
    assert isinstance(verdicts, Verdicts)
    return SHyRe.restored(verdicts, [(int(n), int(k), float(share)) for n, k, share in cells], told.get("collected", 0)), loaded.trained


def run(shown: np.ndarray, controls: ProjectionControls, cuts: Sequence[Intervention], labeller: Labeller) -> Scene:
    """Groups, their projection, what it hides and invents, and the guesses."""
    sets, names = chosen_sets(controls)
    gone = {number for cut in cuts for number, _ in cut.pairs}
    if any(not 0 <= number < len(sets) for number in gone):
        raise BadRequest(f"a group to take away does not exist; the groups are 0 to {len(sets) - 1}")
    sets = frozenset(group for number, group in enumerate(sorted(sets)) if number not in gone)
    if not sets:
        raise BadRequest("there is no group left; at least one is needed")
    groups, graph = _placed(sets, len(names))
    lost, made = damage(sets), project(sets)
    judge, trained = _learned()
    found = judge.reconstruct(made)
    guesses = _guesses(made, found.sets)
    jaccard = {name: compare(guess, sets).jaccard for name, guess in guesses.items()}
    statistic = rho(maximal_cliques(made), sets)
    cliques = len(maximal_cliques(made))
    return Scene(
        shown=NO_PICTURE,
        seen=NO_PICTURE,
        layers=[
            Layer(
                "groups",
                f"{controls.source} · {len(sets)} groups, {len(names)} members, {graph.num_edges} pairs",
                {"groups": groups, "graph": graph},
            )
        ],
        measures={
            "groups": lost_groups.summary(
                len(sets),
                len(lost.nested),
                len(lost.intact),
                cliques,
                len(lost.fake),
                max(map(len, sets)),
                jaccard[LEARNED],
                jaccard["maximal cliques"],
            )
        },
        notes=() if trained else (RANDOM_WEIGHTS,),
        extras={
            "names": names,
            "fate": [_fate(group, lost) for group in sorted(sets)],
            "fakes": [
                {"members": list(clique), "by": [list(one) for one in conspirators(clique, sets) or ()]} for clique in sorted(lost.fake)
            ],
            "guesses": {name: [list(group) for group in sorted(guess)] for name, guess in guesses.items()},
            "scores": _scores(guesses, sets),
            "candidates": _candidates(found, sets, judge),
            "sampler": [list(row) for row in efficiency(statistic)],
            "features": list(COUNT_FEATURES),
            "rho": _density(statistic),
            "worlds": [len(str(ambiguity(len(group)))) - 1 if 2 <= len(group) <= 12 else None for group in sorted(sets)],
            "learned": LEARNED,
        },
    )


def _fate(group: Clique, lost: Damage) -> str:
    return "intact" if group in lost.intact else "nested" if group in lost.nested else "covered"


def _guesses(made: nx.Graph, learned: Sets) -> dict[str, Sets]:
    """By name; those that learn nothing beside the one that did."""
    return {
        LEARNED: learned,
        "maximal cliques": frozenset(maximal_cliques(made)),
        "edge clique cover": edge_clique_cover(made),
        "percolation of triangles": percolation(made, 3),
        "DEMON": demon(made),
    }


def _scores(guesses: Mapping[str, Sets], sets: Sets) -> dict[str, dict[str, float]]:
    found = {name: compare(guess, sets) for name, guess in guesses.items()}
    return {
        name: {"precision": one.precision, "recall": one.recall, "jaccard": one.jaccard, "guessed": len(guesses[name])}
        for name, one in found.items()
    }


def _candidates(found: Reconstruction, sets: Sets, judge: SHyRe) -> list[dict[str, Any]]:
    """The most probable candidates: members, probability, whether a group, features as counted and standardised, and what each of
    them adds to the verdict (log-odds)."""
    order = np.argsort(-found.probability, kind="stable")[:MOST_CANDIDATES]
    every, cliques = found.candidates.all, len(found.candidates.cliques)
    pushes = np.zeros((len(every), len(COUNT_FEATURES)))
    for verdict, part in zip(judge.verdicts, (slice(0, cliques), slice(cliques, None)), strict=True):
        if verdict is not None:
            pushes[part] = contributions(verdict, torch.from_numpy(found.features[part]).float()).numpy()
    return [
        {
            "members": list(every[i]),
            "p": round(float(found.probability[i]), 4),
            "right": every[i] in sets,
            "raw": [round(float(value), 2) for value in found.raw[i]],
            "features": [round(float(value), 2) for value in found.features[i]],
            "pushes": [round(float(value), 2) for value in pushes[i]],
        }
        for i in order.tolist()
    ]


def _density(statistic: Rho) -> list[list[float]]:
    """ρ(n, k) as a table, n and k from 0 to the largest clique (at most 12)."""
    top = min(statistic.largest, 12) + 1
    return [[round(float(value), 4) for value in row[:top]] for row in statistic.density()[:top]]


# -------------------------------------------------------------------------------------------------------- learned live


def learn(scene: Scene, controls: ProjectionControls, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A judge learns from another draw of clubs of the same kind, and guesses the ones on show as it learns."""
    if controls.source != "clubs":
        raise BadRequest("learning needs a second example of the same kind: choose the clubs")
    example = _compact(_clubs(controls, controls.seed + 1000))[0]
    query = as_sets(scene.layers[0].structures["groups"].sets())  # type: ignore[attr-defined]
    made, graph = project(example), project(query)
    cliques = maximal_cliques(made)
    statistic = rho(cliques, example)
    candidates = Candidates.of(made, sampler := Sampler.fit(statistic, 2e3), cliques)
    x, y = torch.from_numpy(standardised(count_features(candidates))).float(), torch.from_numpy(candidates.labels(example)).float()
    parts = [(x[: len(cliques)], y[: len(cliques)]), (x[len(cliques) :], y[len(cliques) :])]
    mixed = [0 < int(answers.sum()) < len(answers) for _, answers in parts]
    verdicts = [Verdict(x.shape[1]) if one else None for one in mixed]
    constants = [float(answers[0]) if len(answers) else 0.0 for _, answers in parts]
    runs = [verdict.fitting(*part, 0, EPOCHS) if verdict else iter(()) for verdict, part in zip(verdicts, parts, strict=True)]
    plain = compare(frozenset(maximal_cliques(graph)), query).jaccard
    for epoch, losses in enumerate(zip_longest(*runs)):
        if epoch % PER_FRAME == 0:
            judge = SHyRe(statistic, sampler, (verdicts[0], verdicts[1]), (constants[0], constants[1]))
            yield _told(epoch, losses, judge, graph, query, plain)
    judge = SHyRe(statistic, sampler, (verdicts[0], verdicts[1]), (constants[0], constants[1]))
    yield {**_told(EPOCHS, (None, None), judge, graph, query, plain), "rho": _density(statistic)}


def _told(epoch: int, losses: Sequence[float | None], judge: SHyRe, graph: nx.Graph, query: Sets, plain: float) -> dict[str, Any]:
    found = judge.reconstruct(graph)
    score = compare(found.sets, query)
    known = [loss for loss in losses if loss is not None]
    return {
        "epoch": epoch,
        "epochs": EPOCHS,
        "loss": float(np.mean(known)) if known else None,
        "jaccard": score.jaccard,
        "precision": score.precision,
        "recall": score.recall,
        "cliques": plain,
        "guess": [list(group) for group in sorted(found.sets)],
    }


EXHIBIT = Exhibit(
    slug="lost-groups",
    title="Groups lost in pairs",
    wing=Wing.STRUCTURE,
    idea="Replace every group by its pairs, and some groups vanish while others appear that never met; learning wins a part of them back.",
    paper=Paper(
        title="From Graphs to Hypergraphs: Hypergraph Projection and its Remediation",
        authors="Yanbang Wang, Jon Kleinberg",
        venue="ICLR 2024, arXiv 2401.08519",
        url="https://arxiv.org/abs/2401.08519",
        theirs="the two patterns that destroy information, and SHyRe: candidates by ρ(n, k), structural features, a learned judge",
        ours="a judge trained on the first half of the Enron e-mails, clubs made to order, the three culprits of a fake group, and a round that you can play",
    ),
    controls=ProjectionControls,
    run=run,
    views=("groups-scores", "groups-fate", "groups-rho", "groups-candidates", "groups-learn", "claims"),
    example="",
    folder=Path(__file__).parent,
    cuts=("group",),
    pictures=False,
    claims=PROJECTION,
    streams={"learn": learn},
)
