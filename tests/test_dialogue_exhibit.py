"""A vision-language model of the visitor's own: asked about what is kept, refused in plain words, written word by word."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from explorer import exhibits, payload, runtime, service
from explorer.exhibit import BadRequest
from explorer.exhibits.tokens import dialogue as own
from models.structures import AttentionMaps, TokenSelection
from models.tokens.dialogue import Dialogue, load_dialogue
from models.tokens.hiprune import HiPrune
from models.tokens.pruned_run import PrunedLlava
from tests.models.test_tokens import PUBLISHED, llava, write

pytest.importorskip("transformers")

WORDS = ["<unk>", "<s>", "</s>", "USER:", "ASSISTANT:", "what", "is", "in", "the", "picture", "?", "a", "bus", "What"]
SPECIAL = {"llava": {31: "<image>"}, "qwen": {28: "<|vision_end|>", 29: "<|vision_start|>", 30: "<|video_pad|>", 31: "<|image_pad|>"}}


def speaking(folder: Path, kind: str, template: str | None = None) -> Path:
    """A tokenizer of 32 words beside the model of a folder."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    words = dict(enumerate(WORDS)) | {i: f"word{i}" for i in range(len(WORDS), 32)} | SPECIAL[kind]
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in words.items()}, unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    more = {"additional_special_tokens": list(SPECIAL[kind].values())}
    fast = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>", **more)
    fast.chat_template = template
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    written: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in written:
            kind = "qwen" if name == "qwen" else "llava"
            written[name] = speaking(write(PUBLISHED[name], tmp_path_factory.mktemp(name.replace(" ", "-"))), kind)
        return written[name]

    return folder


@pytest.fixture
def named(folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts a model on show."""

    def show(name: str) -> None:
        own.dialogue.cache_clear()
        monkeypatch.setenv(own.VARIABLE, str(folders(name)))
        exhibits.catalogue.cache_clear()

    yield show
    monkeypatch.undo()
    exhibits.catalogue.cache_clear()
    own.dialogue.cache_clear()


def maps_of(model: Dialogue) -> AttentionMaps:
    return model.encoder(model.encoder.prepare(service.example("bus").shown))


# ----------------------------------------------------------------------------------------------------------- the model


@pytest.mark.parametrize("name", ["llava", "llava next", "qwen"])
def test_from_all_patches_it_answers_as_the_model_itself(folders: Callable[[str], Path], name: str) -> None:
    model = load_dialogue(folders(name), local_files_only=True)
    maps = maps_of(model)
    n = maps.grid[0] * maps.grid[1]
    context = model.read("what is in the picture ?", maps, torch.ones(1, n, dtype=torch.bool))
    ids, token = model.prompt("what is in the picture ?"), model.reader.model.config.image_token_id
    assert int((ids == token).sum()) == 1
    assert ids[0, 0] == 1, "it begins with the mark of the beginning"
    assert 2 not in ids, "and is not ended"
    room = torch.cat([ids.new_full((n,), token) if i == token else i[None] for i in ids[0]])[None]
    inputs = model.encoder.prepare(service.example("bus").shown)
    with torch.no_grad():
        if name == "qwen":
            expected = model.reader.model(input_ids=room, mm_token_type_ids=(room == token).int(), **inputs).logits
        elif name == "llava":
            expected = model.reader.model(input_ids=room, **inputs).logits
        else:  # the library cuts the picture into tiles; the overview alone is what a LLaVA of one tile reads
            expected = model.reader(ids, inputs["pixel_values"])
    torch.testing.assert_close(context.next_token(), expected[0, -1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["llava", "qwen"])
def test_the_answer_is_written_one_most_probable_token_after_the_other(folders: Callable[[str], Path], name: str) -> None:
    model = load_dialogue(folders(name), local_files_only=True)
    model.reader.model.generation_config.eos_token_id = None
    maps = maps_of(model)
    mask = HiPrune(tokens=9)(maps).mask
    found = list(itertools.islice(model.read("what is in the picture ?", maps, mask).write(), 4))
    prompt = model.prompt("what is in the picture ?")
    for token in found:  # without a cache, one longer prompt after the other
        place = model.reader.place
        told = place(prompt, maps, mask) if isinstance(model.reader, PrunedLlava) else None
        if told is None:
            merge = model.reader.encoder.merge
            embeddings, positions = place(prompt, maps, mask, torch.tensor([[1, maps.grid[0] * merge, maps.grid[1] * merge]]))
            logits = model.reader.model(inputs_embeds=embeddings, position_ids=positions).logits
        else:
            logits = model.reader.model(inputs_embeds=told).logits
        assert int(logits[0, -1].argmax()) == token
        prompt = torch.cat([prompt, torch.tensor([[token]])], 1)
    first = found[0]
    model.reader.model.generation_config.eos_token_id = [first]
    assert list(itertools.islice(model.read("what is in the picture ?", maps, mask).write(), 9)) == [first]


def test_a_chat_template_forms_the_prompt(tmp_path: Path) -> None:
    template = "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %} ASSISTANT:"
    model = load_dialogue(speaking(write(llava(), tmp_path), "llava", template), local_files_only=True)
    assert model.tokenizer.convert_ids_to_tokens(model.prompt("a bus")[0].tolist()) == ["<s>", "<image>", "a", "bus", "ASSISTANT:"]


def test_tokens_have_different_labels(folders: Callable[[str], Path]) -> None:
    model = load_dialogue(folders("llava"), local_files_only=True)
    assert model.words([12, 12, 11]) == ["bus", "bus (12)", "a"]
    assert model.text([11, 12, 2]) == "a bus"


def test_what_cannot_be_asked_is_refused(folders: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_dialogue(folders("llava"), local_files_only=True)
    maps = maps_of(model)
    with pytest.raises(ValueError, match="no patch is kept"):
        model.read("what", maps, torch.zeros(1, 36, dtype=torch.bool))
    with pytest.raises(ValueError, match="questions are put to"):
        load_dialogue(write(PUBLISHED["vit"], tmp_path / "vit"), local_files_only=True)
    with pytest.raises(ValueError, match="tokenizer"):
        load_dialogue(write(llava(), tmp_path / "mute"), local_files_only=True)


# ---------------------------------------------------------------------------------------------------------- the exhibit


def test_it_is_on_show_only_where_a_model_is_named(named: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    named("llava")
    assert "dialogue" in exhibits.catalogue()[0]
    monkeypatch.delenv(own.VARIABLE)
    exhibits.catalogue.cache_clear()
    assert "dialogue" not in exhibits.catalogue()[0]


@pytest.mark.parametrize("name", ["llava", "qwen"])
def test_the_kept_patches_are_what_is_read(named: Callable[[str], None], name: str) -> None:
    named(name)
    controls = own.DialogueControls(budget=9, alpha=0.5, question="what is in the picture ?", written=5)
    seen: list[tuple[int, int]] = []
    with runtime.followed(lambda done, of: seen.append((done, of))):
        scene = service.compute("dialogue", service.example("bus"), controls)
    layers = len(scene.layers)
    assert seen == [(i, layers) for i in range(1, layers + 1)]
    selection, maps = scene.layers[0].structures["selection"], scene.layers[-1].structures["maps"]
    assert isinstance(selection, TokenSelection)
    assert isinstance(maps, AttentionMaps)
    assert int(selection.mask.sum()) == 9
    model = own.dialogue(str(own.os.environ[own.VARIABLE]))
    expected = model.read(controls.question, maps, selection.mask).next_token().softmax(-1)
    assert scene.prediction[0][1] == pytest.approx(float(expected.max()), abs=1e-5)
    assert scene.extras["tokens"]["full"] != list(scene.prediction)
    told = own.answer(scene, controls, {"patches": selection.kept().tolist()})["prediction"]
    assert [word for word, _ in told] == [word for word, _ in scene.prediction]
    assert own.UNKNOWN in scene.notes
    assert [note.partition(":")[0] for note in scene.notes if "“" in note] == [
        f"From all {maps.grid[0] * maps.grid[1]} patches",
        "From the 9 that remain",
    ]
    assert {"answers_same", "answers_divergence", "cost_saved", "cost_fixed"} <= {m.key for m in scene.measures["layer 1"]}
    text = payload.build(own.EXHIBIT, scene, controls, image="bus")
    assert json.loads(text)["extras"]["tokens"]["answers"]


def test_both_answers_are_watched_as_they_are_written(named: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    named("llava")
    monkeypatch.setattr(own, "FRAME", 0)
    own.dialogue(str(own.os.environ[own.VARIABLE])).reader.model.generation_config.eos_token_id = None
    controls = own.DialogueControls(budget=9, question="what is in the picture ?")
    scene = service.compute("dialogue", service.example("bus"), controls)
    everything = list(range(36))
    frames = list(own.write(scene, controls, {"patches": everything}))
    assert len(frames) == own.MOST_WRITTEN
    assert [frame["tokens"] for frame in frames] == list(range(1, own.MOST_WRITTEN + 1))
    assert all(frame["alike"] == frame["tokens"] and frame["all"] == frame["kept"] for frame in frames)
    assert all(later["all"].startswith(earlier["all"]) for earlier, later in itertools.pairwise(frames))
    for wrong in ({}, {"patches": [36]}, {"patches": "all"}):
        with pytest.raises(BadRequest, match="numbers from 0 to 35"):
            next(iter(own.write(scene, controls, wrong)))
    with pytest.raises(ValueError, match="no patch is kept"):
        own.answer(scene, controls, {"patches": []})


def test_a_tower_without_a_language_model_and_an_empty_question_are_refused(
    named: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named("llava")
    with pytest.raises(BadRequest, match="question is empty"):
        service.compute("dialogue", service.example("bus"), own.DialogueControls(question="  "))
    monkeypatch.setenv(own.VARIABLE, str(write(PUBLISHED["clip tower"], tmp_path)))
    with pytest.raises(BadRequest, match="questions are put to"):
        service.compute("dialogue", service.example("bus"), own.DialogueControls())


def test_an_undecided_model_is_named(named: Callable[[str], None]) -> None:
    named("llava")
    flat = own._remarks(torch.zeros(32), own.DialogueControls(), 36)
    assert any("almost undecided" in note for note in flat)
    assert any("so all are" in note for note in flat)
    sure = own._remarks(torch.nn.functional.one_hot(torch.tensor(3), 32) * 20.0, own.DialogueControls(budget=9), 36)
    assert sure == [own.UNKNOWN]


def test_its_story_can_be_told() -> None:
    assert 5 <= len(own.EXHIBIT.story()) <= 9
    named = {step["highlight"].partition(":")[2] or own.EXHIBIT.views[0] for step in own.EXHIBIT.story()}
    assert named <= set(own.EXHIBIT.views)
