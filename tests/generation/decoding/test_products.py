"""Linear layers by oneDNN: the same products, only where no gradient is wanted, and for a while."""

import pytest
import torch

from recover_nb.generation.decoding import products
from recover_nb.generation.decoding.products import faster, linear_layers


class Layers(torch.nn.Module):
    """One layer that can be sped up, and some that cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = torch.nn.Linear(64, 128)
        self.half = torch.nn.Linear(64, 128, dtype=torch.bfloat16)
        self.own = type("Own", (torch.nn.Linear,), {})(64, 128)
        self.taken = torch.nn.Linear(64, 128)
        self.taken.forward = lambda x: x


@pytest.fixture
def model(monkeypatch):
    if not products._has_onednn():
        pytest.skip("torch has no oneDNN here")
    monkeypatch.setattr(products, "LEAST", 64 * 128)
    torch.manual_seed(0)
    return Layers()


def test_only_plain_layers_are_taken(model):
    assert linear_layers(model) == [model.plain]


def test_the_product_is_the_same_to_rounding(model):
    x = torch.randn(5, 1, 64)
    with torch.inference_mode(), faster(linear_layers(model), 1):
        found = model.plain(x)
    wanted = x.double() @ model.plain.weight.double().T + model.plain.bias.double()
    assert found.shape == (5, 1, 128)
    torch.testing.assert_close(found.double(), wanted.detach(), rtol=0, atol=2e-6)


def test_too_small_a_product_is_left_alone(model, monkeypatch):
    monkeypatch.setattr(products, "LEAST", 3 * 64 * 128)
    with faster([model.plain], 2):
        assert "forward" not in model.plain.__dict__
    with faster([model.plain], 3):
        assert "forward" in model.plain.__dict__


def test_a_layer_is_itself_again_also_after_an_error(model):
    before = model.plain.forward
    with pytest.raises(ZeroDivisionError), faster([model.plain], 1):
        assert model.plain.forward != before
        raise ZeroDivisionError
    assert model.plain.forward == before and "forward" not in model.plain.__dict__


def test_gradients_flow_as_ever(model):
    with faster(linear_layers(model), 1):
        model.plain(torch.ones(2, 64)).sum().backward()
    assert torch.equal(model.plain.weight.grad, torch.full((128, 64), 2.0))


def test_who_leaves_last_finds_nothing_to_end(model):
    layers = linear_layers(model)
    first, second = faster(layers, 1), faster(layers, 1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert "forward" not in model.plain.__dict__


def test_what_another_thread_speeds_up_is_taken_too(model):
    with faster(linear_layers(model), 1):
        assert linear_layers(model) == [model.plain]


def test_elsewhere_nothing_is_taken(model, monkeypatch):
    monkeypatch.setattr(products.platform, "machine", lambda: "arm64")
    assert linear_layers(model) == []
