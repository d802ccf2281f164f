"""What an exported graph takes: token ids with their mask, pixels, features of views."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from trainables.activations.raw import RawImages, RawTexts
from trainables.data.views import VIEWS
from trainables.modules.backbones.cross_attention import parts_of
from trainables.modules.backbones.image_towers import ImageTower
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.blocks.activations import Activations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from trainables.config import InputSettings
    from trainables.data.images import Colour
    from trainables.data.sample import Sample
    from trainables.inference.shared_readings import SharedReadings, TowerInputs

_ROWS = 2


class Tokens(NamedTuple):
    """Token ids of one tokenizer, of texts cleaned in one way.

    Attributes:
        ids: Name of the ids, shape (B, L), int64.
        mask: Name of what tells tokens, 1, from padding, 0: shape (B, L), int64.
        tower: The tower whose tokenizer makes them.
        inputs: Their cleaning and greatest length.
    """

    ids: str
    mask: str
    tower: TextTower
    inputs: InputSettings


class Pixels(NamedTuple):
    """Pixels of images that are prepared in one way.

    Attributes:
        name: Their name; shape (B, 3, S, S), uint8.
        inputs: Their preparation, size and blur.
        towers: The towers that read them, by name.
        colour: Stands for a missing image; None where none may be missing.
    """

    name: str
    inputs: InputSettings
    towers: dict[str, ImageTower]
    colour: Colour | None


class GraphInputs:
    """All that a graph takes; what several towers read alike is taken once.

    Args:
        reads: What the model's members read.

    Attributes:
        tokens: Token ids, each with its mask.
        pixels: Pixels.
        views: Names of views, each of which is an input of that name: shape (B, W), float32.
    """

    def __init__(self, reads: SharedReadings) -> None:
        tokens: dict[tuple[str, str, int], Tokens] = {}
        pixels: dict[tuple[str, int, float, Colour | None], Pixels] = {}
        self._read: dict[TowerInputs, tuple[Tokens | None, Pixels | None]] = {}
        for place in reads.prefixes:
            name, inputs = place
            tower = reads.towers[name]
            text = image = None
            if isinstance(tower, TextTower):
                of_text = (parts_of(name)[0], inputs.text_cleaning, inputs.text_length)
                ids, mask = (_name(each, len(tokens)) for each in ("input_ids", "attention_mask"))
                text = tokens.setdefault(of_text, Tokens(ids, mask, tower, inputs))
            if tower.role != "text":
                encoder = getattr(tower, "image", tower)  # a pair's text attends to it
                assert isinstance(encoder, ImageTower)
                colour = encoder.mean_colour if inputs.missing == "allow" else None
                of_image = (
                    *(inputs.image_preparation, inputs.image_size, inputs.blur_radius),
                    colour,
                )
                new = Pixels(_name("pixel_values", len(pixels)), inputs, {}, colour)
                image = pixels.setdefault(of_image, new)
                image.towers[parts_of(name)[-1]] = encoder
            self._read[place] = (text, image)
        self.tokens, self.pixels = list(tokens.values()), list(pixels.values())
        self.views = reads.views

    @property
    def names(self) -> list[str]:
        """The names of all inputs, in their order."""
        return list(self.axes)

    @property
    def axes(self) -> dict[str, dict[int, str]]:
        """The names of the dimensions of any size, by input and place."""
        texts = {
            name: {0: "batch", 1: _name("tokens", number)}
            for number, each in enumerate(self.tokens)
            for name in (each.ids, each.mask)
        }
        others = [*(each.name for each in self.pixels), *self.views]
        return texts | {name: {0: "batch"} for name in others}

    def example(self) -> dict[str, Tensor]:
        """Make inputs to trace a graph with; texts are as long as they may be."""
        made: dict[str, Tensor] = {}
        for number, each in enumerate(self.tokens):
            # Were two as long as each other here, they would be taken to be so always.
            length = each.inputs.text_length - number
            (row,) = each.tower.tokenizer.encode(["a " * length], length)
            made[each.ids] = torch.tensor([row] * _ROWS)
            made[each.mask] = torch.ones_like(made[each.ids])
        for pixels in self.pixels:
            shape = (_ROWS, 3, pixels.inputs.image_size, pixels.inputs.image_size)
            made[pixels.name] = torch.zeros(shape, dtype=torch.uint8)
        return made | {name: torch.zeros(_ROWS, VIEWS[name].width) for name in self.views}

    def of(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Make the inputs of N >= 1 samples, as a description says."""
        rows = torch.arange(len(samples))
        made: dict[str, Tensor] = {}
        for each in self.tokens:
            ids, mask, _ = RawTexts(samples, each.inputs, each.tower).gather(rows)
            assert mask is not None
            made |= {each.ids: ids, each.mask: mask.long()}
        for pixels in self.pixels:
            images = RawImages(samples, pixels.inputs, pixels.colour)
            made[pixels.name] = images.gather(rows).values
        return made | {
            name: torch.from_numpy(VIEWS[name].features(samples)) for name in self.views
        }

    def read(self, place: TowerInputs, given: Mapping[str, Tensor]) -> Activations:
        """Pick the raw inputs of a tower."""
        tokens, pixels = self._read[place]
        image = None if pixels is None else given[pixels.name]
        if tokens is None:
            assert image is not None
            return Activations(image)
        return Activations(given[tokens.ids], given[tokens.mask].bool(), image)


def _name(name: str, number: int) -> str:
    """Name the first of a kind plainly, and number the others from 2."""
    return name if number == 0 else f"{name}_{number + 1}"
