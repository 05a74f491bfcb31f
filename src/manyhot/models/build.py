"""From a specification to a model: the one way that training and bundles share."""

from manyhot.models.branching import BranchedEncoder
from manyhot.models.classifier import Classifier
from manyhot.models.encoders import count_features, count_token_features, create_encoder
from manyhot.models.head_specs import reads_tokens
from manyhot.models.heads import BranchedHead, build_head
from manyhot.models.spec import ModelSpec


def build_model(spec: ModelSpec) -> Classifier:
    """Return the model with random weights, in training mode, on the CPU; needs no network.

    Raises:
        ModelError: If the encoder is unknown, does not take pictures of the size asked for, or does not come apart where
            the specification parts it.

    >>> import torch
    >>> from manyhot.models.spec import Preprocessing
    >>> plain = Preprocessing(image_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> model = build_model(ModelSpec(encoder="test_resnet", num_labels=4, preprocessing=plain))
    >>> model(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape
    torch.Size([2, 4])
    """
    image_size, branching = spec.preprocessing.image_size, spec.branching
    encoder = create_encoder(spec.encoder, image_size=image_size)
    count = count_token_features if reads_tokens(spec.head) else count_features
    num_features = count(encoder, spec.encoder, image_size=image_size)
    if branching is None:
        head = build_head(spec.head, num_features=num_features, num_labels=spec.num_labels)
        return Classifier(spec, encoder, head)
    heads = [build_head(spec.head, num_features=num_features, num_labels=len(group)) for group in branching.groups]
    others = [create_encoder(spec.encoder, image_size=image_size) for _ in branching.groups[1:]]
    branched = BranchedEncoder([encoder, *others], at=branching.at, image_size=image_size)
    return Classifier(spec, branched, BranchedHead(heads, branching.groups))
