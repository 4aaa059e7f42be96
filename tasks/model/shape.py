"""The sizes of a vision-language model and its number of parameters by part."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelShape:
    """Widths and depths of language model and vision tower; `image_tokens` is the number of tokens per image."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    vocabulary: int
    tied: bool
    tower_hidden: int
    tower_intermediate: int
    tower_layers: int
    image_tokens: int
    patch_size: int

    @property
    def key_value_width(self) -> int:
        return self.hidden // self.heads * self.key_value_heads

    @property
    def layer_parameters(self) -> int:
        """One decoder layer: q, k, v, o, gate, up, down and two norms."""
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * self.key_value_width
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def language_parameters(self) -> int:
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * self.layer_parameters + self.hidden

    @property
    def projector_parameters(self) -> int:
        """Two linear layers with bias."""
        return (self.tower_hidden + 1) * self.hidden + (self.hidden + 1) * self.hidden

    @property
    def tower_parameters(self) -> int:
        hidden, inner = self.tower_hidden, self.tower_intermediate
        layer = 4 * (hidden + 1) * hidden + (hidden + 1) * inner + (inner + 1) * hidden + 4 * hidden
        # class token, position embeddings, and the norms before and after the layers
        embeddings = 3 * self.patch_size**2 * hidden + hidden + (self.image_tokens + 1) * hidden + 4 * hidden
        return embeddings + self.tower_layers * layer

    @property
    def parameters(self) -> int:
        return self.language_parameters + self.projector_parameters + self.tower_parameters

    def lora_parameters(self, rank: int) -> int:
        """A and B of q, k, v, o, gate, up and down in every decoder layer."""
        attention = 2 * (2 * self.hidden) + 2 * (self.hidden + self.key_value_width)
        return self.layers * rank * (attention + 3 * (self.hidden + self.intermediate))
