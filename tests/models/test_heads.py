"""Every head: what all promise, and each against its definition written with loops."""

import math
from dataclasses import asdict
from json import dumps, loads

import pytest
import torch
from torch import Tensor

from manyhot.errors import ModelError
from manyhot.models.attention import CSRA, LabelAttention, MLDecoder, Query2Label
from manyhot.models.build import build_model
from manyhot.models.cost import count_cost
from manyhot.models.encoders import create_encoder
from manyhot.models.head_specs import (
    CSRASpec,
    GroupedHeadSpec,
    HeadSpec,
    LabelAttentionSpec,
    LinearHeadSpec,
    LowRankHeadSpec,
    MLDecoderSpec,
    Query2LabelSpec,
    read_head,
    reads_tokens,
)
from manyhot.models.heads import GroupedHead, Head, LowRankHead, build_head
from manyhot.models.initialisation import initialise_head
from manyhot.models.spec import ModelSpec, Preprocessing
from manyhot.models.tokens import encoder_tokens

SPECS: dict[str, HeadSpec] = {
    "linear": LinearHeadSpec(),
    "low-rank": LowRankHeadSpec(rank=3),
    "grouped": GroupedHeadSpec(groups=((0, 3, 6), (1,), (2, 4, 5)), width=4),
    "ml-decoder": MLDecoderSpec(queries=3, width=8, attention_heads=2, hidden=6),
    "ml-decoder of one query a label": MLDecoderSpec(queries=50, width=8, attention_heads=1, hidden=6),
    "query2label": Query2LabelSpec(layers=2, width=8, attention_heads=2, hidden=6),
    "csra": CSRASpec(),
    "csra of four": CSRASpec(attention_heads=4, residual=0.4),
    "label-attention": LabelAttentionSpec(),
}
every_head = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
NUM_LABELS, NUM_FEATURES = 7, 5


def make(spec: HeadSpec, seed: int = 0) -> Head:
    torch.manual_seed(seed)
    return build_head(spec, num_features=NUM_FEATURES, num_labels=NUM_LABELS)


def inputs_of(spec: HeadSpec, num_samples: int = 4) -> Tensor:
    shape = (num_samples, 6, NUM_FEATURES) if reads_tokens(spec) else (num_samples, NUM_FEATURES)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@every_head
def test_a_head_gives_a_row_a_sample_and_a_column_a_label(spec: HeadSpec):
    head = make(spec)
    assert head.reads == ("tokens" if reads_tokens(spec) else "features")
    for num_samples in (0, 1, 4):
        assert head(inputs_of(spec, num_samples)).shape == (num_samples, NUM_LABELS)


@every_head
def test_samples_do_not_see_one_another(spec: HeadSpec):
    head, inputs = make(spec), inputs_of(spec)
    torch.testing.assert_close(head(inputs)[2], head(inputs[2:3])[0])


@every_head
def test_every_weight_learns(spec: HeadSpec):
    head = make(spec)
    (head(inputs_of(spec)) * torch.arange(1, NUM_LABELS + 1)).square().sum().backward()
    for name, weight in head.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@every_head
def test_a_head_starts_at_the_prevalence_of_each_label(spec: HeadSpec):
    head, odds = make(spec), torch.linspace(-6.0, 1.0, NUM_LABELS)
    initialise_head(head, odds)
    assert torch.equal(head.bias.detach(), odds)
    # With inputs of size one, the weights add about one; the odds are seven apart.
    assert (head(inputs_of(spec)) - odds).abs().mean() < 1.5


@every_head
def test_one_seed_makes_one_head(spec: HeadSpec):
    inputs = inputs_of(spec)
    assert torch.equal(make(spec, 3)(inputs), make(spec, 3)(inputs))
    assert not torch.equal(make(spec, 3)(inputs), make(spec, 4)(inputs))


@every_head
def test_a_specification_survives_json(spec: HeadSpec):
    assert read_head(loads(dumps(asdict(spec)))) == spec


@every_head
def test_a_model_of_every_head_builds_from_its_specification_and_loads_its_weights(spec: HeadSpec):
    plain = Preprocessing(image_size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    model_spec = ModelSpec(encoder="test_resnet", num_labels=NUM_LABELS, head=spec, preprocessing=plain)
    model, again = build_model(model_spec).eval(), build_model(ModelSpec.from_dict(model_spec.to_dict())).eval()
    again.load_state_dict(model.state_dict())
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(images), model(images))
    assert model(images).shape == (2, NUM_LABELS)


@pytest.mark.parametrize(
    ("num_labels", "most", "queries", "labels_each"), [(80, 50, 40, 2), (7, 3, 3, 3), (5, 100, 5, 1)]
)
def test_every_query_of_ml_decoder_has_labels_to_answer_for(num_labels, most, queries, labels_each):
    head = MLDecoder(NUM_FEATURES, num_labels, MLDecoderSpec(queries=most, width=8, attention_heads=2, hidden=6))
    assert head.weight.shape == (queries, 8, labels_each)
    assert head(torch.zeros(2, 6, NUM_FEATURES)).shape == (2, num_labels)


@every_head
def test_the_cost_of_a_head_is_told_apart(spec: HeadSpec):
    plain = Preprocessing(image_size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    costs = [
        count_cost(build_model(ModelSpec(encoder="test_resnet", num_labels=NUM_LABELS, head=head, preprocessing=plain)))
        for head in (LinearHeadSpec(), spec)
    ]
    # One multiplication and one addition for each weight of a linear layer.
    assert costs[0].head_flops == 2 * 96 * NUM_LABELS
    assert [cost.flops - cost.head_flops for cost in costs] == [costs[0].flops - costs[0].head_flops] * 2


def test_low_rank_is_two_products():
    head = make(SPECS["low-rank"])
    assert isinstance(head, LowRankHead)
    inputs = inputs_of(SPECS["low-rank"])
    torch.testing.assert_close(head(inputs), inputs @ head.down.T @ head.weight.T + head.bias)


def test_grouped_labels_read_the_hidden_layer_of_their_group():
    spec = SPECS["grouped"]
    assert isinstance(spec, GroupedHeadSpec)
    head, inputs = make(spec), inputs_of(spec)
    assert isinstance(head, GroupedHead)
    hidden = torch.nn.functional.gelu(inputs @ head.hidden.weight.T + head.hidden.bias)
    for index, group in enumerate(spec.groups):
        for place, label in enumerate(group):
            expected = hidden[:, index * 4 : index * 4 + 4] @ head.weight[index, place] + head.bias[label]
            torch.testing.assert_close(head(inputs)[:, label], expected)


def test_csra_is_the_mean_and_a_share_of_the_strongest_places():
    head, inputs = make(SPECS["csra of four"]), inputs_of(SPECS["csra of four"])
    assert isinstance(head, CSRA)
    expected = torch.zeros(4, NUM_LABELS)
    for sample in range(4):
        for label in range(NUM_LABELS):
            for attention, sharpness in enumerate((1, 2, 4, 99)):
                direction = head.weight[attention, label].detach()
                scores = [float(place @ direction / direction.norm()) for place in inputs[sample]]
                powers = [math.exp(sharpness * score) for score in scores]
                soft = sum(power * score for power, score in zip(powers, scores, strict=True)) / sum(powers)
                strongest = max(scores) if sharpness == 99 else soft
                expected[sample, label] += sum(scores) / len(scores) + 0.4 * strongest
    torch.testing.assert_close(head(inputs).detach(), expected)


def test_label_attention_reads_the_weighted_mean_of_places():
    head, inputs = make(SPECS["label-attention"]), inputs_of(SPECS["label-attention"])
    assert isinstance(head, LabelAttention)
    attention = torch.softmax(torch.einsum("ntd,ld->nlt", inputs, head.queries), dim=-1)
    pooled = torch.einsum("nlt,ntd->nld", attention, inputs)
    torch.testing.assert_close(head(inputs), torch.einsum("nld,ld->nl", pooled, head.weight) + head.bias)


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    head = make(SPECS["ml-decoder"])
    assert isinstance(head, MLDecoder)
    ours = head.attention
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat((ours.queries.weight, ours.keys_and_values.weight)))
        theirs.in_proj_bias.copy_(torch.cat((ours.queries.bias, ours.keys_and_values.bias)))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    queries, places = torch.randn(4, 3, 8), torch.randn(4, 6, 8)
    expected = ours.norm(queries + theirs(queries, places, places)[0])
    torch.testing.assert_close(ours(queries, places), expected)


def test_queries_of_ml_decoder_are_fixed_and_saved_with_the_weights():
    head = make(SPECS["ml-decoder"])
    assert "queries" in head.state_dict()
    assert "queries" not in dict(head.named_parameters())


def test_queries_of_query2label_are_one_a_label():
    head = make(SPECS["query2label"])
    assert isinstance(head, Query2Label)
    assert head.queries.shape == (NUM_LABELS, 8)


@pytest.mark.parametrize(
    ("name", "places"),
    [("test_resnet", 4), ("test_vit", 16), ("test_convnext", 4), ("test_efficientnet", 4), ("test_mambaout", 4)],
)
def test_places_of_any_encoder_pool_to_its_features(name: str, places: int):
    encoder = create_encoder(name, image_size=64).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens, features = encoder_tokens(encoder, images), encoder(images)
    assert tokens.shape[:2] == (2, places)
    if tokens.shape[2] == features.shape[1] and name in ("test_resnet", "test_efficientnet"):
        torch.testing.assert_close(tokens.mean(dim=1), features)


def test_a_map_that_ends_in_channels_is_read_as_one():
    encoder = create_encoder("test_mambaout", image_size=64).eval()
    with torch.no_grad():
        raw = encoder.forward_features(torch.zeros(1, 3, 64, 64))
        tokens = encoder_tokens(encoder, torch.zeros(1, 3, 64, 64))
    assert raw.shape[-1] == encoder.num_features
    assert torch.equal(tokens[0, 1], raw[0, 0, 1])


def test_an_encoder_without_places_is_refused():
    with pytest.raises(ModelError, match="no features of places"):
        encoder_tokens(torch.nn.Flatten(), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "linaer"}, "did you mean 'linear'"),
        ({"kind": "low-rank"}, "lacks the field 'rank'"),
        ({"kind": "low-rank", "rank": 0}, "rank is 0"),
        ({"kind": "low-rank", "rank": 2.0}, "must be of type int"),
        ({"kind": "low-rank", "rank": 2, "rnak": 2}, "'rnak' that this version does not know"),
        ({"kind": "grouped", "width": 3, "groups": [[0], [0, 1]]}, "label 0 is in 2 groups"),
        ({"kind": "grouped", "width": 3, "groups": [[0], []]}, "a group is empty"),
        ({"kind": "grouped", "width": 3, "groups": [0]}, "list of lists"),
        ({"kind": "csra", "attention_heads": 3, "residual": 0.1}, "1, 2, 4, 6 or 8"),
        ({"kind": "csra", "attention_heads": 1, "residual": -1}, "residual is -1"),
        (
            {"kind": "ml-decoder", "queries": 3, "width": 10, "attention_heads": 4, "hidden": 3},
            "4 attention_heads do not divide",
        ),
        ("linear", "must be a table of fields"),
    ],
)
def test_a_head_that_makes_no_sense_is_one_line(data: object, message: str):
    with pytest.raises(ModelError, match=message):
        read_head(data)


def test_groups_of_other_labels_are_refused():
    with pytest.raises(ModelError, match="part 2 labels, the model has 7"):
        make(GroupedHeadSpec(groups=((0,), (1,))))
