"""Checkpoints that hold a text and an image tower, trained to embed pairs alike (CLIP, BLIP).

Each tower ends in a projection into the space that both share. The projections always train, so
a tower that is frozen whole is still cut before its projection, where a sample is one vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainables.config import ROLES
from trainables.modules.image_towers import save_colours
from trainables.modules.text_tower import TextTower
from trainables.modules.vision_transformer import VisionTransformerTower
from trainables.modules.weights import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from trainables.config import Role
    from trainables.modules.preprocessor import Colours
    from trainables.modules.tokenizers import Tokenizer
    from trainables.modules.tower import Tower

# What a tower is made of: the transformer, and the projection into the shared space.
_PARTS: Mapping[Role, tuple[str, str]] = {
    "text": ("text_model", "text_projection"),
    "image": ("vision_model", "visual_projection"),
}

# What a checkpoint may lack, by the start of its name: the tower that reads it, and what it is.
_OPTIONAL = {
    "text_model.pooler.": ("text", "text pooler: it starts random and stays as it is"),
    "text_projection.": ("text", "text projection: it starts random and trains"),
    "visual_projection.": ("image", "image projection: it starts random and trains"),
}


@dataclass(frozen=True)
class Joint:
    """What makes a tower one of two.

    Attributes:
        backbone: Name of the checkpoint that holds both, such as `clip`.
        projection: From this tower's embedding into the shared space.
        save: Writes both towers in the library's own format.
        notes: Which of this tower's weights the checkpoint lacks, in plain sentences.
        unread: Parameters of the checkpoint that neither tower reads and this one counts.
    """

    backbone: str
    projection: Any
    save: Callable[[Path], None]
    notes: tuple[str, ...] = ()
    unread: int = 0


@dataclass(frozen=True)
class JointModel:
    """A library model with `text_model`, `vision_model` and a projection of each.

    Attributes:
        backbone: Its name: that of its role on the command line and of its folder in a model.
        model: The library model.
        tokenizer: Its tokenizer.
        colours: Mean and standard deviation of each colour channel, of pixels in [0, 1].
        source: Where its weights came from, as asked for.
        missing: Names of the weights that its checkpoint lacks and that are random.
        is_random: Whether all its weights are random.
    """

    backbone: str
    model: Any
    tokenizer: Tokenizer
    colours: Colours
    source: str
    missing: Collection[str] = ()
    is_random: bool = False

    def towers(
        self, roles: Sequence[Role] = ROLES["both"], text_tower: type[TextTower] = TextTower
    ) -> dict[str, Tower]:
        """Part it in its two towers.

        Args:
            roles: Which to keep; of the other nothing stays, nor will it be saved.
            text_tower: The kind of its text tower.

        Returns:
            The towers, by role.

        Raises:
            WeightsError: If its checkpoint lacks what makes them pretrained.
        """
        for role in _PARTS.keys() - {*roles}:
            for part in _PARTS[role]:
                setattr(self.model, part, None)
        kept = {name for role in roles for name in self.missing if name.startswith(_PARTS[role])}
        if lost := sorted(name for name in kept if not name.startswith((*_OPTIONAL,))):
            msg = (
                f"backbone {self.backbone}: {self.source} lacks {len(lost)} of its towers' "
                f"weights, such as {lost[0]}; give a checkpoint that has them"
            )
            raise WeightsError(msg)
        towers: dict[str, Tower] = {}
        rest: dict[str, Any] = {"source": self.source, "is_random": self.is_random}
        for role in roles:
            tower, projection = (getattr(self.model, part) for part in _PARTS[role])
            if role == "text":
                joint = self._joint(role, projection, unread=self._scalars)
                towers[role] = text_tower(tower, self.tokenizer, joint=joint, **rest)
            else:
                joint = self._joint(role, projection)
                towers[role] = VisionTransformerTower(tower, *self.colours, joint=joint, **rest)
        return towers

    @property
    def _scalars(self) -> int:
        return sum(p.numel() for p in self.model.parameters(recurse=False))  # the temperature

    def _joint(self, role: str, projection: Any, unread: int = 0) -> Joint:
        notes = (
            f"{self.backbone}: {self.source} has no {what}"
            for start, (reader, what) in _OPTIONAL.items()
            if reader == role and any(name.startswith(start) for name in self.missing)
        )
        return Joint(self.backbone, projection, self.save, tuple(notes), unread)

    def save(self, folder: Path) -> None:
        """Write a folder in the Hugging Face format, from which both towers can be loaded.

        Args:
            folder: An existing folder.
        """
        # Not under the names of the checkpoint that it came from: what that lacked is here.
        self.model.save_pretrained(folder, save_original_format=False)
        self.tokenizer.save(folder)
        save_colours(folder, *self.colours)
