"""Checkpoints with a text and an image tower that embed into a shared space (CLIP, BLIP).

Each tower ends in a projection into that space. The projections always train, so a tower that is
frozen entirely is cut before its projection, where each sample is one vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from trainables.config import ROLES
from trainables.modules.backbones.image_towers import save_colours
from trainables.modules.backbones.loading import refuse_misfits
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.backbones.tower import Joint
from trainables.modules.backbones.verification import verified
from trainables.modules.backbones.vision_transformer import VisionTransformerTower
from trainables.modules.blocks.parameters import total_parameters

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from trainables.config import Role
    from trainables.modules.backbones.preprocessor import Colours
    from trainables.modules.backbones.tokenizers import Tokenizer
    from trainables.modules.backbones.tower import Tower

# Attribute names of a tower's transformer and of its projection into the shared space; the latter
# may be inside the former, after a dot, or empty.
Parts = Mapping["Role", tuple[str, str]]

PARTS: Parts = {
    "text": ("text_model", "text_projection"),
    "image": ("vision_model", "visual_projection"),
}

# Weights that a checkpoint may lack, by prefix: the tower that uses them, and the consequence.
_OPTIONAL = {
    "text_model.pooler.": ("text", "text pooler: the first token is read"),
    "text_projection.": ("text", "text projection: it starts random and trains"),
    "visual_projection.": ("image", "image projection: it starts random and trains"),
}


@dataclass(frozen=True)
class JointModel:
    """A library model with a text and a vision transformer and a projection for each.

    Attributes:
        backbone: Its name: that of its role on the command line, and of its folder in a saved
            model.
        model: The library model.
        tokenizer: Its tokenizer.
        colours: Mean and standard deviation of each colour channel, for pixels in [0, 1].
        source: Where its weights came from, as given by the user.
        found: The library's `missing_keys`, which are initialised randomly, and `unexpected_keys`.
        is_random: Whether all its weights are random.
        parts: Attribute names of its transformers and projections.
        reads_first_token: Whether the projections read the first token directly, without a pooler.
    """

    backbone: str
    model: Any
    tokenizer: Tokenizer
    colours: Colours
    source: str
    found: Mapping[str, Collection[str]] = field(default_factory=dict)
    is_random: bool = False
    parts: Parts = field(default_factory=lambda: PARTS)
    reads_first_token: bool = False

    def towers(
        self, roles: Sequence[Role] = ROLES["both"], text_tower: type[TextTower] = TextTower
    ) -> dict[str, Tower]:
        """Split it into its two towers.

        Args:
            roles: Which to keep; the other's weights are dropped and not saved.
            text_tower: Class of its text tower.

        Returns:
            The towers, by role.

        Raises:
            WeightsError: If the checkpoint lacks weights that must be pretrained.
        """
        if not self.is_random:
            self._refuse_misfits(roles)
        for role in self.parts.keys() - {*roles}:
            for part in self.parts[role]:
                if part and "." not in part:
                    setattr(self.model, part, None)
        towers: dict[str, Tower] = {role: self._tower(role, text_tower) for role in roles}
        return towers if self.is_random else {r: verified(tower) for r, tower in towers.items()}

    def _refuse_misfits(self, roles: Sequence[Role]) -> None:
        read = tuple(f"{part}." for role in roles for part in self.parts[role] if part)
        missing = [name for name in self.found["missing_keys"] if name.startswith(read)]
        found = {**self.found, "missing_keys": missing}
        refuse_misfits(self.backbone, self.source, self.model, found, tuple(_OPTIONAL))

    def _tower(self, role: Role, text_tower: type[TextTower]) -> Tower:
        transformer, projection = (
            attrgetter(part)(self.model) if part else None for part in self.parts[role]
        )
        joint = Joint(
            self.backbone,
            projection,
            self.save,
            tuple(self._notes(role)),
            self._unread(transformer) if role == "text" else 0,
            self.reads_first_token,
        )
        rest: dict[str, Any] = {"source": self.source, "is_random": self.is_random}
        if role == "image":
            return VisionTransformerTower(transformer, *self.colours, joint=joint, **rest)
        return text_tower(transformer, self.tokenizer, joint=joint, **rest)

    def _unread(self, text: Any) -> int:
        """Count unused parameters; a pooler that the checkpoint lacks is removed."""
        own = self.model.parameters(recurse=False)  # the logit scale
        count: int = sum(parameter.numel() for parameter in own)
        if "." in (place := self.parts["text"][1]):
            count -= total_parameters(
                attrgetter(place)(self.model)
            )  # counted with the transformer
        if self._lacks("text_model.pooler."):
            count += total_parameters(text.pooler)
            text.pooler = None
        return count

    def _lacks(self, start: str) -> bool:
        return any(name.startswith(start) for name in self.found.get("missing_keys", ()))

    def _notes(self, role: str) -> Iterator[str]:
        for start, (reader, what) in _OPTIONAL.items():
            if reader == role and self._lacks(start):
                yield f"{self.backbone}: {self.source} has no {what}"

    def save(self, folder: Path) -> None:
        """Write a folder in the Hugging Face format, from which both towers can be loaded."""
        # Not under the names of the original checkpoint, which may lack some of these weights.
        self.model.save_pretrained(folder, save_original_format=False)
        self.tokenizer.save(folder)
        save_colours(folder, *self.colours)
