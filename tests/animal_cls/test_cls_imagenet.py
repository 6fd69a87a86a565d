"""The last layer that is told what a pretrained one says."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.data import ImageNetInfo

from animal_cls.imagenet import ANIMALS, CLASSES, ImageNetHead, groups
from animal_cls.module import Classifier
from animal_cls.network import WeightsError, build_network, head_of, load_weights
from animal_ner.names import Names

BACKBONE = "shufflenet_v2_x0_5"
LITE = "tf_efficientnet_lite0"


def test_every_animal_of_imagenet_is_in_one_group_and_among_the_animals():
    each = [i for name, classes in groups().items() if name != "animal" for i in classes]
    assert len(each) == len(set(each))
    assert set(each) <= set(range(ANIMALS)) == set(groups()["animal"])
    assert set(range(ANIMALS)) - set(each) == {51, 69}  # a triceratops and a trilobite


def test_groups_are_what_the_names_of_their_classes_mean():
    told = ImageNetInfo()
    names = Names(set(groups()) - {"animal"})
    wrong = set()
    for group, classes in groups().items():
        for i in classes if group != "animal" else ():
            kinds = set().union(*(names.kinds(name.strip().lower()) for name in told.index_to_description(i).split(",")))
            if kinds and group not in kinds:
                wrong.add(group)
    # To the lexicon herons are seabirds and sea slugs molluscs; in America skunks are called polecats.
    assert wrong == {"heron", "slug", "weasel"}


def test_a_group_is_as_likely_as_its_classes_together():
    head = ImageNetHead(8, outputs=3, dropout=0.0)
    features = torch.randn(5, 8)
    given = []
    head.linear.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    assert head(features).shape == (5, 3)
    probability = head.pretrained(features).softmax(-1)
    assert torch.equal(given[0][:, :8], features)
    for column, classes in enumerate(groups().values()):
        expected = probability[:, list(classes)].sum(-1).clamp(min=2.8e-4).log()
        assert given[0][:, 8 + column].tolist() == pytest.approx(expected.tolist(), abs=0.2)


def test_features_are_dropped_in_training_and_groups_never():
    head = ImageNetHead(8, outputs=3, dropout=0.9).train()
    given = []
    head.linear.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    head(torch.ones(50, 8))
    assert (given[0][:, :8] == 0).float().mean() > 0.7
    assert (given[0][:, 8:] != 0).all()


@pytest.mark.parametrize("backbone", [BACKBONE, LITE, "mobilenet_v2"])
def test_the_pretrained_layer_of_a_library_s_weights_is_kept_beside_one_that_learns(tmp_path, backbone):
    pretrained = build_network(backbone, outputs=CLASSES)
    torch.save(pretrained.state_dict(), tmp_path / "weights.pth")
    network = build_network(backbone, outputs=3, imagenet=True, dropout=0.5).eval()
    load_weights(network, str(tmp_path / "weights.pth"), backbone=backbone)
    head = next(module for module in network.modules() if isinstance(module, ImageNetHead))
    assert head_of(network) is head.linear
    assert torch.equal(head.pretrained.weight, head_of(pretrained).weight)
    images = torch.randn(2, 3, 64, 64)
    found = []
    head.pretrained.register_forward_hook(lambda _, inputs, output: found.append(output))
    with torch.inference_mode():
        assert network(images).shape == (2, 3)
        torch.testing.assert_close(found[0], pretrained.eval()(images))


def test_weights_of_another_number_of_classes_are_refused_with_the_remedy(tmp_path):
    torch.save(build_network(BACKBONE, outputs=10).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="what knows no classes of ImageNet needs imagenet: false"):
        load_weights(build_network(BACKBONE, outputs=3, imagenet=True), str(tmp_path / "weights.pth"), backbone=BACKBONE)


def test_the_pretrained_layer_never_learns_and_all_else_may():
    model = Classifier(["cat", "dog"], LITE, weights="none", imagenet=True)
    resting = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert resting == {"network.classifier.pretrained.weight", "network.classifier.pretrained.bias"}
    assert timm.create_model(LITE).classifier.out_features == CLASSES
