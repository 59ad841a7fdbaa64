"""Depth maps: what sits where in models of many layouts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from governed_models import Parts, linear, several
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from scalekit.govern.depths import DepthError, DepthMap, depth_map


class BasicBlock(nn.Module):
    def __init__(self, inner: int = 4, outer: int = 4) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inner, outer, 3), nn.BatchNorm2d(outer)
        self.conv2, self.bn2 = nn.Conv2d(outer, outer, 3), nn.BatchNorm2d(outer)
        if inner != outer:
            self.downsample = nn.Sequential(nn.Conv2d(inner, outer, 1), nn.BatchNorm2d(outer))


def resnet(*counts: int) -> nn.Module:
    """The layout of torchvision's ResNet, with so many blocks in each stage."""
    stages = {}
    for i, count in enumerate(counts):
        width = 4 * 2**i
        blocks = [BasicBlock(max(4, width // 2), width)]
        blocks += [BasicBlock(width, width) for _ in range(count - 1)]
        stages[f"layer{i + 1}"] = nn.Sequential(*blocks)
    return Parts(conv1=nn.Conv2d(3, 4, 3), bn1=nn.BatchNorm2d(4), **stages, fc=nn.Linear(8, 2))


def shape(found: DepthMap) -> list[tuple[str, str, int]]:
    return [(g.name, g.kind, len(g.leaves)) for g in found.groups]


def hugging_face(name: str) -> nn.Module:
    import transformers as hf

    logging.getLogger("transformers").setLevel(logging.ERROR)
    size: dict[str, Any] = {
        "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 16, "bos_token_id": 0, "eos_token_id": 0,
    }  # fmt: skip
    picture = {k: v for k, v in size.items() if k != "vocab_size"} | {"image_size": 8}
    made: dict[str, Callable[[], Any]] = {
        "gpt2": lambda: hf.GPT2LMHeadModel(
            hf.GPT2Config(
                vocab_size=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
            )
        ),
        "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(num_key_value_heads=2, **size)),
        "bert": lambda: hf.BertForSequenceClassification(hf.BertConfig(**size)),
        "bert-mlm": lambda: hf.BertForMaskedLM(hf.BertConfig(**size)),
        "vit": lambda: hf.ViTForImageClassification(hf.ViTConfig(patch_size=4, **picture)),
        "t5": lambda: hf.T5ForConditionalGeneration(
            hf.T5Config(vocab_size=32, d_model=16, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
        ),
        "resnet": lambda: hf.ResNetModel(
            hf.ResNetConfig(
                embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic"
            )
        ),
    }
    model: nn.Module = made[name]()
    return model


# Where each layout keeps its blocks, and what must lie in its ends, read from the library's source.
LAYOUTS: dict[str, tuple[list[str], set[str], set[str]]] = {
    "gpt2": (
        ["transformer.h.0", "transformer.h.1"],
        {"transformer.wte", "transformer.wpe"},
        {"transformer.ln_f", "lm_head"},
    ),
    "llama": (
        ["model.layers.0", "model.layers.1"], {"model.embed_tokens"}, {"model.norm", "lm_head"},
    ),
    "bert": (
        ["bert.encoder.layer.0", "bert.encoder.layer.1"],
        {
            "bert.embeddings.word_embeddings", "bert.embeddings.position_embeddings",
            "bert.embeddings.token_type_embeddings", "bert.embeddings.LayerNorm",
        },
        {"bert.pooler.dense", "classifier"},
    ),
    "vit": (
        ["vit.layers.0", "vit.layers.1"],
        {
            "vit.embeddings.cls_token", "vit.embeddings.position_embeddings",
            "vit.embeddings.patch_embeddings.projection",
        },
        {"vit.layernorm", "classifier"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_transformers_layouts(name: str) -> None:
    blocks, before, after = LAYOUTS[name]
    found = depth_map(hugging_face(name))
    assert found.names == ("input", *blocks, "output")
    assert set(found.groups[0].leaves) == before
    assert set(found.groups[-1].leaves) == after
    for group in found.groups[1:-1]:
        assert all(leaf.startswith(f"{group.name}.") for leaf in group.leaves)
    assert found.bare == ()


def test_an_encoder_comes_before_its_decoder() -> None:
    found = depth_map(hugging_face("t5"))
    assert found.names[1:-1] == tuple(
        f"{side}.block.{i}" for side in ("encoder", "decoder") for i in range(2)
    )
    assert found.of("encoder.final_layer_norm") == 2
    assert {"decoder.final_layer_norm", "lm_head"} == set(found.groups[-1].leaves)


def test_a_decoders_embedding_is_read_in_by_every_example() -> None:
    found = depth_map(hugging_face("t5"))
    assert found.groups[found.of("decoder.embed_tokens")].kind == "input"


def test_a_residual_network_is_its_blocks() -> None:
    assert shape(depth_map(resnet(2, 2))) == [
        ("input", "input", 2),
        ("layer1.0", "body", 4),
        ("layer1.1", "body", 4),
        ("layer2.0", "body", 6),
        ("layer2.1", "body", 4),
        ("output", "output", 1),
    ]


def test_stages_of_one_block_are_blocks_too() -> None:
    assert depth_map(resnet(1, 1)).names == ("input", "layer1.0", "layer2.0", "output")
    one = Parts(embed=nn.Embedding(4, 4), blocks=several(BasicBlock, 1), head=linear())
    assert depth_map(one).names == ("input", "blocks.0", "output")


def test_stages_in_a_list_are_split_into_their_blocks() -> None:
    found = depth_map(hugging_face("resnet"))
    assert found.names[1:] == tuple(
        f"encoder.stages.{b}" for b in ("0.layers.0", "1.layers.0", "1.layers.1")
    )
    assert found.groups[0].kind == "input"


def test_sequential_children_are_depths_and_norms_none() -> None:
    model = nn.Sequential(linear(), nn.LayerNorm(4), nn.ReLU(), linear(), linear(), nn.LayerNorm(4))
    found = depth_map(model)
    assert [(g.name, g.leaves) for g in found.groups] == [
        ("0", ("0",)), ("3", ("1", "3")), ("4", ("4", "5")),
    ]  # fmt: skip
    assert {g.kind for g in found.groups} == {"body"}
    assert [g.span for g in found.groups] == [(0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1)]


def test_lists_of_one_length_are_zipped() -> None:
    norms = several(lambda: nn.LayerNorm(4), 3)
    model = Parts(stem=linear(), convs=several(linear, 3), norms=norms, head=linear())
    found = depth_map(model)
    assert shape(found)[1:-1] == [(f"convs.{i}", "body", 2) for i in range(3)]
    assert all(found.of(f"convs.{i}") == found.of(f"norms.{i}") == i + 1 for i in range(3))
    assert found.groups[0].leaves == ("stem",)
    assert found.groups[-1].leaves == ("head",)


def test_a_list_of_layers_has_no_ends_and_sorts_by_number() -> None:
    found = depth_map(Parts(layers=several(linear, 12)))
    assert found.names == tuple(f"layers.{i}" for i in range(12))


def test_a_head_in_a_sequential_is_output_where_there_are_blocks() -> None:
    head = nn.Sequential(linear(), nn.ReLU(), linear())
    found = depth_map(Parts(embed=nn.Embedding(4, 4), blocks=several(BasicBlock, 2), head=head))
    assert found.names == ("input", "blocks.0", "blocks.1", "output")


def test_children_without_lists_are_depths() -> None:
    model = Parts(embed=nn.Embedding(4, 4), block1=BasicBlock(), block2=BasicBlock(), head=linear())
    assert depth_map(model).names == ("input", "block1", "block2", "head")


def test_embeddings_in_a_list_are_input() -> None:
    columns = several(lambda: nn.Embedding(3, 4), 3)
    found = depth_map(Parts(columns=columns, layers=several(linear, 3)))
    assert found.names == ("input", "layers.0", "layers.1", "layers.2")


def test_attention_is_one_leaf() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
    found = depth_map(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
    assert found.groups[0].leaves[0] == "layers.0.self_attn"
    assert not any("out_proj" in leaf for g in found.groups for leaf in g.leaves)
    assert sum(g.parameters for g in found.groups) == 2 * sum(p.numel() for p in layer.parameters())


def test_tied_weights_are_said_and_lie_at_both_uses() -> None:
    found = depth_map(hugging_face("gpt2"))
    assert found.tied == ("transformer.wte.weight = lm_head.weight",)
    assert found.of("transformer.wte") == 0
    assert found.of("lm_head") == len(found.groups) - 1
    assert "lm_head.weight" in found.to_html()


@pytest.mark.parametrize("name", ["gpt2", "bert-mlm", "t5", "vit", "resnet"])
def test_parameters_are_counted_once(name: str) -> None:
    model = hugging_face(name)
    counted = sum(g.parameters for g in depth_map(model).groups)
    assert counted == sum(p.numel() for p in model.parameters())


def test_a_module_used_twice_lies_where_it_is_first() -> None:
    shared = linear()
    found = depth_map(nn.Sequential(shared, nn.ReLU(), shared, linear()))
    assert [g.leaves for g in found.groups] == [("0",), ("3",)]


def with_bare() -> nn.Module:
    model = Parts(blocks=several(BasicBlock, 2))
    model.scale = nn.Parameter(torch.ones(4))
    model.blocks[1].gain = nn.Parameter(torch.ones(4))
    return model


def test_bare_parameters_are_named_unless_frozen() -> None:
    model = with_bare()
    assert set(depth_map(model).bare) == {"scale", "blocks.1.gain"}
    assert "scale" in depth_map(model).to_html()
    model.scale.requires_grad_(False)
    assert depth_map(model).bare == ("blocks.1.gain",)


def test_a_parameter_that_is_also_a_leafs_is_not_bare() -> None:
    assert depth_map(hugging_face("bert-mlm")).bare == ()


def unreached() -> dict[str, nn.Module]:
    rooted = Parts(patch=linear(), blocks=several(BasicBlock, 2), head=linear())
    rooted.cls = nn.Parameter(
        torch.ones(1, 1, 4)
    )  # as torchvision's and timm's vision transformers
    listed = Parts(
        layers=several(linear, 2), prompts=nn.ParameterList([nn.Parameter(torch.ones(3))])
    )
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(linear()), linear())
    return {"class token at the root": rooted, "ParameterList": listed, "weight norm": normed}


@pytest.mark.parametrize("name", ["class token at the root", "ParameterList", "weight norm"])
def test_no_trainable_parameter_is_lost(name: str) -> None:
    """Each belongs to a leaf whose forward runs, or to a broadcast leaf, or is said to be bare."""
    model = unreached()[name]
    found = depth_map(model)
    modules = dict(model.named_modules())
    reached = set(found.bare)
    for leaf in (leaf for g in found.groups for leaf in g.leaves):
        if leaf not in modules:
            reached.add(leaf)
        elif type(modules[leaf]).forward is not nn.Module.forward:
            reached |= {n for n, _ in modules[leaf].named_parameters(leaf)}
    assert {n for n, _ in model.named_parameters()} <= reached


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_wrappers_are_looked_through(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = Parts(embed=nn.Embedding(4, 4), blocks=several(BasicBlock, 2), head=linear())
    wrapped, plain = depth_map(wrap(model)), depth_map(model)
    assert shape(wrapped) == shape(plain)
    leaves = [leaf for g in wrapped.groups for leaf in g.leaves]
    assert set(leaves) <= {n for n, _ in wrap(model).named_modules()}


def test_distributed_models_are_looked_through() -> None:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(nn.Sequential(linear(), linear()))
        assert shape(depth_map(model)) == [("0", "body", 1), ("1", "body", 1)]
        assert depth_map(model).of("module.1") == 1
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_an_override_knows_no_wrappers(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = nn.Sequential(linear(), linear(), linear())
    found = depth_map(wrap(model), {"low": ["0", "1"], "high": "2"})
    assert shape(found) == [("low", "body", 2), ("high", "body", 1)]


class TestOverride:
    model = Parts(embed=nn.Embedding(4, 4), layers=several(linear, 11), head=linear())
    low, high = [f"layers.{i}" for i in range(6)], ["layers.[6-9]", "layers.10"]

    def test_groups_are_as_written(self) -> None:
        given = {"input": "embed*", "low": self.low, "high": self.high, "output": "head"}
        found = depth_map(self.model, given)
        assert shape(found) == [
            ("input", "input", 1), ("low", "body", 6), ("high", "body", 5), ("output", "output", 1),
        ]  # fmt: skip
        assert [g.span for g in found.groups[1:-1]] == [(0, 0.5), (0.5, 1)]

    def test_ends_stand_at_the_ends_wherever_written(self) -> None:
        given = {"output": "head", "low": self.low, "high": self.high, "input": "embed"}
        found = depth_map(self.model, given)
        assert found.names == ("input", "low", "high", "output")

    def test_a_function_gives_names(self) -> None:
        found = depth_map(self.model, lambda leaf: leaf.partition(".")[0])
        assert found.names == ("embed", "layers", "head")

    def test_a_function_gives_indices(self) -> None:
        found = depth_map(nn.Sequential(linear(), linear(), linear()), lambda leaf: 2 - int(leaf))
        assert [g.leaves for g in found.groups] == [("2",), ("1",), ("0",)]

    @pytest.mark.parametrize("answer", [None, 1.5, True])
    def test_a_function_must_answer(self, answer: Any) -> None:
        with pytest.raises(DepthError, match="embed"):
            depth_map(self.model, lambda leaf: answer)

    def test_a_leaf_left_out_is_named(self) -> None:
        with pytest.raises(DepthError, match=r"'head' is matched by no pattern"):
            depth_map(self.model, {"input": "embed", "all": "layers.*"})

    def test_a_leaf_matched_twice_is_named_with_both_groups(self) -> None:
        given = {"input": "embed", "one": "layers.1*", "rest": "layers.*", "output": "head"}
        with pytest.raises(DepthError, match=r"'layers\.1'.*one.*and.*rest"):
            depth_map(self.model, given)

    def test_a_group_without_leaves_is_named(self) -> None:
        with pytest.raises(DepthError, match="'typo'"):
            depth_map(self.model, {"all": "*", "typo": "layer.*"})

    def test_shared_groups_alone_are_no_map(self) -> None:
        with pytest.raises(DepthError, match="body"):
            depth_map(self.model, {"input": "embed", "output": ["layers.*", "head"]})


@pytest.mark.parametrize("model", [nn.ReLU(), nn.Sequential(nn.ReLU())])
def test_nothing_to_lay_out(model: nn.Module) -> None:
    with pytest.raises(DepthError, match="has no parameters"):
        depth_map(model)


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_model_without_shapes() -> None:
    with pytest.raises(DepthError, match=r"0\.(weight|bias)"):
        depth_map(nn.Sequential(nn.LazyLinear(3)))


def test_views() -> None:
    found = depth_map(resnet(2, 2))
    assert found.table.height == len(found.groups)
    assert found.table["parameters"].to_list() == [g.parameters for g in found.groups]
    html = found.to_html()
    assert all(name in html for name in found.names)
    assert list(found.plot().data[0].x) == list(found.names)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3), st.integers(1, 5), st.integers(0, 3), st.booleans())
def test_every_leaf_is_in_exactly_one_group(
    before: int, count: int, after: int, blocks: bool
) -> None:
    parts: dict[str, Any] = {f"a{i}": linear() for i in range(before)}
    parts["layers"] = several(BasicBlock if blocks else linear, count)
    model = Parts(**parts, **{f"z{i}": nn.LayerNorm(4) for i in range(after)})
    placed = [leaf for g in depth_map(model).groups for leaf in g.leaves]
    owners = [n for n, m in model.named_modules() if list(m.parameters(recurse=False))]
    assert sorted(placed) == sorted(owners)
    assert len(set(placed)) == len(placed)
