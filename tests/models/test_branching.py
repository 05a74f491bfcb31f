"""Encoders that part: trunk and rest make the whole again, branches learn apart, and the cost is told."""

import pytest
import torch

from manyhot.errors import ModelError
from manyhot.models.branching import BranchedEncoder, stages_of
from manyhot.models.build import build_model
from manyhot.models.cost import count_cost
from manyhot.models.encoders import create_encoder
from manyhot.models.head_specs import CSRASpec, GroupedHeadSpec, HeadSpec, LinearHeadSpec, MLDecoderSpec
from manyhot.models.heads import BranchedHead
from manyhot.models.initialisation import initialise_head
from manyhot.models.spec import BranchingSpec, ModelSpec, Preprocessing

GROUPS = ((0, 3), (1, 2, 4))
SIZE = 64
IMAGES = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def spec_of(at: int, encoder: str = "test_resnet", head: HeadSpec | None = None) -> ModelSpec:
    plain = Preprocessing(image_size=SIZE, mean=(0.5,) * 3, std=(0.5,) * 3)
    return ModelSpec(
        encoder=encoder,
        num_labels=5,
        head=head or LinearHeadSpec(),
        branching=BranchingSpec(at=at, groups=GROUPS),
        preprocessing=plain,
    )


def parameters_of(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    "name",
    [
        "test_resnet",
        pytest.param("test_vit", marks=pytest.mark.slow),
        pytest.param("test_convnext", marks=pytest.mark.slow),
        pytest.param("test_efficientnet", marks=pytest.mark.slow),
        "test_mambaout",
        pytest.param("test_nfnet", marks=pytest.mark.slow),
        pytest.param("test_byobnet", marks=pytest.mark.slow),
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("mobilenetv3_small_100", marks=pytest.mark.slow),
        pytest.param("regnety_002", marks=pytest.mark.slow),
        pytest.param("convnext_atto", marks=pytest.mark.slow),
        pytest.param("densenet121", marks=pytest.mark.slow),
        pytest.param("edgenext_xx_small", marks=pytest.mark.slow),
        pytest.param("vit_tiny_patch16_224", marks=pytest.mark.slow),
    ],
)
def test_a_branch_with_the_weights_of_the_whole_gives_its_features_at_every_stage(name: str):
    whole = create_encoder(name, image_size=SIZE).eval()
    with torch.no_grad():
        expected = whole(IMAGES)
        for at in range(len(stages_of(whole)) + 1):
            branched = BranchedEncoder(
                [create_encoder(name, image_size=SIZE) for _ in range(2)], at=at, image_size=SIZE
            ).eval()
            branched.take_weights(whole)
            found = branched(IMAGES)
            assert found.shape == (2, 2, expected.shape[1])
            for branch in range(2):
                torch.testing.assert_close(found[:, branch], expected)
            # No weight is lost, and none of the trunk's is kept twice.
            trunk = 0 if branched.trunk is None else parameters_of(branched.trunk)
            parted = parameters_of(branched.branches) // 2
            assert trunk + parted == parameters_of(whole)


def test_later_parting_shares_more():
    shared = [count_cost(build_model(spec_of(at))).shared for at in range(6)]
    assert shared[0] == 0
    assert shared == sorted(shared)
    assert shared[-1] == parameters_of(create_encoder("test_resnet", image_size=SIZE))


def test_the_cost_is_that_of_the_parts():
    whole = count_cost(build_model(ModelSpec(**{**vars(spec_of(0)), "branching": None})))
    apart, heads_only = count_cost(build_model(spec_of(0))), count_cost(build_model(spec_of(5)))
    assert apart.parted == 2 * whole.shared
    assert heads_only.parted == 0
    assert heads_only.parameters == whole.parameters
    assert apart.flops == pytest.approx(2 * whole.flops, rel=1e-3)
    assert heads_only.flops == whole.flops
    assert "shared 0.00M, branches 0.75M" in str(apart)


def test_logits_stand_in_the_order_of_the_labels():
    model = build_model(spec_of(3)).eval()
    assert isinstance(model.head, BranchedHead)
    features = model.features(IMAGES)
    logits = model(IMAGES)
    for index, group in enumerate(GROUPS):
        torch.testing.assert_close(logits[:, list(group)], model.head.heads[index](features[:, index]))


def test_labels_of_one_branch_do_not_move_the_other():
    model = build_model(spec_of(2))
    model(IMAGES)[:, list(GROUPS[0])].sum().backward()
    assert isinstance(model.encoder, BranchedEncoder)
    first, second = model.encoder.branches
    assert all(parameter.grad is not None for parameter in first.parameters())
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in second.parameters())
    assert model.encoder.trunk is not None
    assert all(parameter.grad is not None for parameter in model.encoder.trunk.parameters())


def test_the_cut_is_tried_once_however_many_branches_there_are(monkeypatch: pytest.MonkeyPatch):
    from manyhot.models import branching

    cut, tried = branching._cut, []
    monkeypatch.setattr(branching, "_cut", lambda *arguments: tried.append(0) or cut(*arguments))
    encoders = [create_encoder("test_resnet", image_size=SIZE).eval() for _ in range(5)]
    branched = BranchedEncoder(encoders, at=3, image_size=SIZE)
    assert len(tried) == 1
    with torch.no_grad():
        shared = branched.trunk.forward_features(IMAGES)  # type: ignore[union-attr,operator] - a trunk of timm
        for encoder, branch in zip(encoders, branched.branches, strict=True):
            # Each branch has the weights of its own encoder.
            encoder.load_state_dict(branched.trunk.state_dict(), strict=False)
            torch.testing.assert_close(branch(shared), encoder(IMAGES))


def test_branches_start_from_weights_of_their_own():
    model = build_model(spec_of(2))
    assert isinstance(model.encoder, BranchedEncoder)
    first, second = (dict(branch.named_parameters()) for branch in model.encoder.branches)
    assert any(not torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("head", [MLDecoderSpec(queries=2, width=8, attention_heads=1, hidden=4), CSRASpec()])
@pytest.mark.parametrize("at", [0, 3, 5])
def test_heads_that_read_places_part_too(head: HeadSpec, at: int):
    model = build_model(spec_of(at, head=head))
    assert model(IMAGES).shape == (2, 5)


def test_each_head_starts_at_the_prevalence_of_its_labels():
    model = build_model(spec_of(3))
    odds = torch.tensor([-5.0, -4.0, -3.0, -2.0, -1.0])
    initialise_head(model.head, odds)
    assert isinstance(model.head, BranchedHead)
    assert model.head.heads[0].bias.tolist() == [-5.0, -2.0]
    assert model.head.heads[1].bias.tolist() == [-4.0, -3.0, -1.0]


def test_a_branched_specification_survives_json_and_builds_the_same_model():
    spec = spec_of(2)
    again = ModelSpec.from_dict(spec.to_dict())
    assert again == spec
    model, other = build_model(spec).eval(), build_model(again).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(IMAGES), other(IMAGES))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build_model(spec_of(6)), "branches cannot begin at stage 6; there are 5: act1, layer1"),
        (lambda: BranchingSpec(at=-1, groups=GROUPS), "at is -1"),
        (lambda: BranchingSpec(at=1, groups=((0,), (0, 1))), "label 0 is in 2 groups"),
        (lambda: spec_of(1, head=GroupedHeadSpec(groups=GROUPS)), "parts the labels itself"),
        (
            lambda: ModelSpec(
                encoder="test_resnet",
                num_labels=3,
                branching=BranchingSpec(at=1, groups=GROUPS),
                preprocessing=Preprocessing(image_size=SIZE, mean=(0.5,) * 3, std=(0.5,) * 3),
            ),
            "part 5 labels, the model has 3",
        ),
        (lambda: stages_of(torch.nn.Flatten()), "names no stages"),
    ],
)
def test_branches_that_cannot_be_are_one_line(make, message: str):
    with pytest.raises(ModelError, match=message):
        make()


def test_an_encoder_that_does_not_come_apart_says_how_to_go_on():
    with pytest.raises(ModelError, match=r"does not come apart after 'blocks\.0'; try another --branch-at"):
        BranchedEncoder([create_encoder("beit_base_patch16_224", image_size=32)], at=1, image_size=32)
