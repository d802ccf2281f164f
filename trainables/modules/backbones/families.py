"""The families of backbones: what each is called, and where a model of it can be cut.

A family that is made like one of these is one more entry. Imports no torch: what is here also
answers `--list-backbones` and says in a refusal what could be taken instead. Places are attribute
names of the library's model, dots between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Kind = Literal["text", "image", "pair"]

COLOURS = {
    "halves": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "openai": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""Mean and standard deviation of each colour channel, of pixels in [0, 1], by who chose them."""


@dataclass(frozen=True)
class TextPlaces:
    """Where a text encoder can be cut.

    Attributes:
        blocks: Its list of blocks.
        embeddings: What runs before the first block, one after another, on token ids.
        norm: The norm after the last block; empty if there is none.
        opens: Whether our own code runs its blocks from token ids on. Otherwise the library's
            forward does, with other blocks put in its place, and ours only what trains.
        causal: Whether a token attends only to those before it.
        reads_last: Whether the last token represents the text, rather than the first.
    """

    blocks: str = "encoder.layer"
    embeddings: tuple[str, ...] = ("embeddings",)
    norm: str = ""
    opens: bool = False
    causal: bool = False
    reads_last: bool = False


@dataclass(frozen=True)
class TokenPlaces:
    """Where a vision transformer can be cut: a chain of pre-norm blocks over tokens.

    Attributes:
        blocks: Its list of blocks.
        norm: The norm after the last block.
        embeddings: What runs before the first block, one after another, on pixels.
        extra_tokens: Tokens before those of patches: CLS, registers, and the like. A name is that
            of an attribute of the model or its config with their number, added to the first.
        averages_extra_tokens: Whether a mean over tokens includes them.
        resizes: Whether position embeddings are interpolated only if asked.
        head: What pools all tokens, instead of reading CLS; empty if there is none.
        reads_pooler: Whether the library's pooled output is what pretraining read.
        norms_tokens: Whether the library's last hidden states have passed the norm.
    """

    blocks: str
    norm: str
    embeddings: tuple[str, ...] = ("embeddings",)
    extra_tokens: tuple[int, str] = (1, "")
    averages_extra_tokens: bool = False
    resizes: bool = True
    head: str = ""
    reads_pooler: bool = False
    norms_tokens: bool = True


@dataclass(frozen=True)
class MapPlaces:
    """Where a model can be cut whose blocks go from feature maps to feature maps.

    Attributes:
        stem: What runs before the first block, one after another.
        stages: Its stages: lists of them, or each by name.
        blocks: The list of blocks in a stage; empty if the stage is the list.
        before: What a stage begins with, which goes with its first block; empty if nothing.
        after: What a stage ends with, which goes with its last block; empty if nothing.
        tail: What runs after the last block, and trains with it.
        norm: What norms feature maps before they are averaged; stays frozen.
        norm_of_mean: What runs on the average, as maps of one pixel; stays frozen.
        windows: Whether its blocks want tokens with their height and width, and attend in windows.
    """

    stem: tuple[str, ...]
    stages: tuple[str, ...]
    blocks: str = ""
    before: str = ""
    after: str = ""
    tail: tuple[str, ...] = ()
    norm: tuple[str, ...] = ()
    norm_of_mean: tuple[str, ...] = ()
    windows: bool = False


@dataclass(frozen=True)
class Family:
    """A family of backbones.

    Attributes:
        name: What people call it.
        kind: The role that it is for; `pair` for a checkpoint of both towers.
        types: The `model_type` of its configs in transformers; of timm, the model's class.
        checkpoint: A well-known one.
        millions: Parameters of that checkpoint's towers, without task heads.
        depth: Blocks of that checkpoint, of its text and of its image for a pair.
        places: Where it can be cut; None if it has a tower of its own.
        colours: Channel statistics where the checkpoint has no preprocessor.
        library: What runs it.
    """

    name: str
    kind: Kind
    types: tuple[str, ...]
    checkpoint: str
    millions: float
    depth: tuple[int, ...]
    places: TextPlaces | TokenPlaces | MapPlaces | None = None
    colours: Literal["halves", "imagenet", "openai"] = "imagenet"
    library: Literal["transformers", "timm", "torchvision"] = "transformers"


_BERT = TextPlaces()
_VIT = TokenPlaces("layers", "layernorm", averages_extra_tokens=True)
_DINOV2 = TokenPlaces("encoder.layer", "layernorm", resizes=False)
_CLIP = TokenPlaces(
    "encoder.layers",
    "post_layernorm",
    embeddings=("embeddings", "pre_layrnorm"),
    reads_pooler=True,
    norms_tokens=False,
)
_SIGLIP = TokenPlaces(
    "encoder.layers", "post_layernorm", extra_tokens=(0, ""), head="head", reads_pooler=True
)
_CONVNEXT = MapPlaces(
    stem=("embeddings",),
    stages=("encoder.stages",),
    blocks="layers",
    before="downsampling_layer",
    norm_of_mean=("layernorm",),
)

TEXTS = (
    Family("BERT", "text", ("bert",), "google-bert/bert-base-uncased", 109.5, (12,), _BERT),
    Family(
        "MiniLM", "text", ("bert",), "sentence-transformers/all-MiniLM-L6-v2", 22.7, (6,), _BERT
    ),
    Family(
        "MPNet", "text", ("mpnet",), "sentence-transformers/all-mpnet-base-v2", 109.5, (12,), _BERT
    ),
    Family("RoBERTa", "text", ("roberta",), "FacebookAI/roberta-base", 124.6, (12,), _BERT),
    Family("XLM-R", "text", ("xlm-roberta",), "FacebookAI/xlm-roberta-base", 278.0, (12,), _BERT),
    Family(
        "ModernBERT",
        "text",
        ("modernbert",),
        "answerdotai/ModernBERT-base",
        149.0,
        (22,),
        TextPlaces("layers", norm="final_norm", opens=True),
    ),
    Family(
        "DeBERTa",
        "text",
        ("deberta", "deberta-v2"),
        "microsoft/deberta-v3-base",
        183.8,
        (12,),
        _BERT,
    ),
    Family(
        "ELECTRA", "text", ("electra",), "google/electra-base-discriminator", 108.9, (12,), _BERT
    ),
    Family(
        "DistilBERT",
        "text",
        ("distilbert",),
        "distilbert/distilbert-base-uncased",
        66.4,
        (6,),
        TextPlaces("transformer.layer"),
    ),
    Family(
        "ALBERT",
        "text",
        ("albert",),
        "albert/albert-base-v2",
        11.7,
        (12,),
        TextPlaces(
            "encoder.albert_layer_groups",
            embeddings=("embeddings", "encoder.embedding_hidden_mapping_in"),
            opens=True,
        ),
    ),
)

IMAGES = (
    Family(
        "ViT", "image", ("vit",), "google/vit-base-patch16-224-in21k", 86.4, (12,), _VIT, "halves"
    ),
    Family(
        "DeiT",
        "image",
        ("deit",),
        "facebook/deit-base-distilled-patch16-224",
        86.4,
        (12,),
        TokenPlaces("layers", "layernorm", extra_tokens=(2, "")),
    ),
    Family("MSN", "image", ("vit_msn",), "facebook/vit-msn-small", 21.7, (12,), _VIT),
    Family("DINOv2", "image", ("dinov2",), "facebook/dinov2-base", 86.6, (12,), _DINOV2),
    Family(
        "DINOv2 with registers",
        "image",
        ("dinov2_with_registers",),
        "facebook/dinov2-with-registers-base",
        86.6,
        (12,),
        TokenPlaces(
            "encoder.layer",
            "layernorm",
            extra_tokens=(1, "config.num_register_tokens"),
            resizes=False,
        ),
    ),
    Family(
        "CLIP's image tower",
        "image",
        ("clip_vision_model",),
        "openai/clip-vit-base-patch32",
        87.5,
        (12,),
        _CLIP,
        "openai",
    ),
    Family(
        "SigLIP's image tower",
        "image",
        ("siglip_vision_model",),
        "google/siglip2-base-patch16-224",
        92.9,
        (12,),
        _SIGLIP,
        "halves",
    ),
    Family(
        "ConvNeXt", "image", ("convnext",), "facebook/convnext-tiny-224", 27.8, (18,), _CONVNEXT
    ),
    Family(
        "ConvNeXt V2",
        "image",
        ("convnextv2",),
        "facebook/convnextv2-tiny-22k-224",
        27.9,
        (18,),
        _CONVNEXT,
    ),
    Family(
        "Swin",
        "image",
        ("swin",),
        "microsoft/swin-tiny-patch4-window7-224",
        27.5,
        (12,),
        MapPlaces(
            stem=("embeddings",),
            stages=("encoder.layers",),
            blocks="blocks",
            after="downsample",
            norm=("layernorm",),
            windows=True,
        ),
    ),
    Family(
        "ResNet",
        "image",
        ("resnet",),
        "microsoft/resnet-50",
        23.5,
        (16,),
        MapPlaces(stem=("embedder",), stages=("encoder.stages",), blocks="layers"),
    ),
    Family(
        "MobileNetV2",
        "image",
        ("mobilenet_v2",),
        "google/mobilenet_v2_1.0_224",
        2.2,
        (16,),
        None,
        "halves",
    ),
    Family(
        "ResNet of torchvision",
        "image",
        (),
        "resnet18",
        11.2,
        (4,),
        library="torchvision",
    ),
)

TIMM = (
    Family(
        "timm's ViT, DeiT, DINOv2, SigLIP",
        "image",
        ("VisionTransformer",),
        "timm/vit_small_patch16_224.augreg_in21k_ft_in1k",
        21.7,
        (12,),
        TokenPlaces(
            "blocks",
            "norm",
            extra_tokens=(0, "num_prefix_tokens"),
            resizes=False,
            reads_pooler=True,
        ),
        library="timm",
    ),
    Family(
        "timm's ResNet",
        "image",
        ("ResNet",),
        "timm/resnet50.a1_in1k",
        23.5,
        (16,),
        MapPlaces(
            stem=("conv1", "bn1", "act1", "maxpool"),
            stages=("layer1", "layer2", "layer3", "layer4"),
        ),
        library="timm",
    ),
    Family(
        "timm's ConvNeXt",
        "image",
        ("ConvNeXt",),
        "timm/convnext_tiny.fb_in22k",
        27.8,
        (18,),
        MapPlaces(
            stem=("stem",),
            stages=("stages",),
            blocks="blocks",
            before="downsample",
            norm=("norm_pre",),
            norm_of_mean=("head.norm",),
        ),
        library="timm",
    ),
    Family(
        "timm's EfficientNet",
        "image",
        ("EfficientNet",),
        "timm/efficientnet_b0.ra_in1k",
        4.0,
        (16,),
        MapPlaces(stem=("conv_stem", "bn1"), stages=("blocks",), tail=("conv_head", "bn2")),
        library="timm",
    ),
    Family(
        "timm's MobileNetV3",
        "image",
        ("MobileNetV3",),
        "timm/mobilenetv3_large_100.ra_in1k",
        4.2,
        (16,),
        MapPlaces(
            stem=("conv_stem", "bn1"),
            stages=("blocks",),
            norm_of_mean=("conv_head", "norm_head", "act2"),
        ),
        library="timm",
    ),
)

PAIRS = (
    Family(
        "CLIP", "pair", ("clip",), "openai/clip-vit-base-patch32", 151.3, (12, 12), None, "openai"
    ),
    Family(
        "OpenCLIP",
        "pair",
        ("clip",),
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        151.3,
        (12, 12),
        None,
        "openai",
    ),
    Family(
        "SigLIP",
        "pair",
        ("siglip",),
        "google/siglip-base-patch16-224",
        203.2,
        (12, 12),
        None,
        "halves",
    ),
    Family(
        "SigLIP 2",
        "pair",
        ("siglip",),
        "google/siglip2-base-patch16-224",
        375.2,
        (12, 12),
        None,
        "halves",
    ),
    Family(
        "BLIP",
        "pair",
        ("blip",),
        "Salesforce/blip-image-captioning-base",
        224.3,
        (12, 12),
        None,
        "openai",
    ),
)

FAMILIES = (*TEXTS, *IMAGES, *TIMM, *PAIRS)

# Towers of a checkpoint of both: never loaded alone.
_TOWERS: Mapping[str, TextPlaces | TokenPlaces] = {
    "blip_vision_model": TokenPlaces("encoder.layers", "post_layernorm", reads_pooler=True),
    "clip_text_model": TextPlaces(
        "encoder.layers", norm="final_layer_norm", opens=True, causal=True, reads_last=True
    ),
    "siglip_text_model": TextPlaces(
        "encoder.layers", norm="final_layer_norm", opens=True, reads_last=True
    ),
}


def family_of(model_type: str, *kinds: Kind) -> Family | None:
    """Return the family of a model, by the `model_type` of its config; None if it is of none."""
    of_type = (family for family in FAMILIES if model_type in family.types)
    return next((family for family in of_type if family.kind in (kinds or (family.kind,))), None)


def places_of(model_type: str) -> TextPlaces | TokenPlaces | MapPlaces | None:
    """Return where a model can be cut; None if nothing is declared for its type."""
    family = family_of(model_type)
    return family.places if family and family.places else _TOWERS.get(model_type)


def text_blocks() -> Iterator[str]:
    """Yield the places where text encoders that are run by their library have their blocks."""
    yield from dict.fromkeys(
        family.places.blocks
        for family in TEXTS
        if isinstance(family.places, TextPlaces) and not family.places.opens
    )


def names_of(kind: Kind) -> str:
    """Return the names of the families for a role, to be listed in a sentence."""
    return ", ".join(family.name for family in FAMILIES if family.kind == kind)
