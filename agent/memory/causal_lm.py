"""Memory with any Hugging Face causal language model with rotary positions (default: SmolLM2-135M).

The model runs unchanged; only its `Cache` is our own. In a step, `update` writes the new keys and values of each row into
that row's slot and returns the whole ring, so that episodes of different ages share one forward pass. Positions are passed
per row, and a 4-D mask limits attention to the window. In a rebuild, the cache is a contiguous band that is copied into the
slot at the end.

Failure policy: a model without rotary positions raises ValueError when it is built, because its keys could not be reused at
another distance. Empty positions are masked, because causal language models were not trained with them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from agent.history import history_reach
from agent.memory.language_model import SlotCache, reachable

REBUILD_CHUNK = 256  # positions per forward pass in a rebuild; limits its memory use


class _Step(Cache):
    """Cache for one step: writes the new keys and values into the slots and returns whole rings."""

    def __init__(self, cache: SlotCache, slots: Tensor, positions: Tensor) -> None:
        super().__init__(layers=[])
        self._cache, self._slots, self._positions = cache, slots, positions

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        self._cache.write(layer_idx, self._slots, self._positions, key_states, value_states)
        return self._cache.read(layer_idx, self._slots)


class _Band(Cache):
    """Cache for a rebuild of one episode: the keys and values of the last `window - 1` positions, then the new ones."""

    def __init__(self, layers: int, keep: int) -> None:
        super().__init__(layers=[])
        self._keep = keep
        self.past: list[tuple[Tensor, Tensor] | None] = [None] * layers

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        past = self.past[layer_idx]
        if past is not None:
            key_states = torch.cat([past[0], key_states], dim=2)
            value_states = torch.cat([past[1], value_states], dim=2)
        first = max(0, key_states.shape[2] - self._keep)
        self.past[layer_idx] = (key_states[:, :, first:], value_states[:, :, first:])
        return key_states, value_states


class CausalLanguageModel:
    """`LanguageModel` on top of the base model (without its head) of a Hugging Face causal language model."""

    def __init__(self, *, model: PreTrainedModel, lm_token_ids: Tensor, window: int, tokens_per_step: int) -> None:
        """Keeps the embeddings of the vocabulary's words only.

        lm_token_ids: int64 (rows,), the model's token id of each vocabulary row. Raises ValueError if the model's positions
        are not rotary.
        """
        if not hasattr(model, "rotary_emb"):
            raise ValueError(
                f"language model {type(model).__name__}: only models with rotary positions can hold memory slots"
            )
        config = model.config
        self.layers: int = config.num_hidden_layers
        self.window, self.tokens_per_step = window, tokens_per_step
        self.dimension: int = config.hidden_size
        self._heads: int = config.num_key_value_heads
        self._head_dim: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._model = model.eval().requires_grad_(False)
        embeddings: Tensor = model.get_input_embeddings().weight.detach()  # type: ignore[operator]
        self.embeddings = embeddings[lm_token_ids.to(embeddings.device)].clone()
        model.set_input_embeddings(nn.Embedding(1, self.dimension))  # the other rows are never read (docs/paper.md#q13)

    @property
    def device(self) -> torch.device:
        """The torch device of the model."""
        return self.embeddings.device

    def new_cache(self, slots: int) -> SlotCache:
        """Returns an empty cache with room for `slots` episodes."""
        return SlotCache(
            layers=self.layers,
            slots=slots,
            heads=self._heads,
            head_dim=self._head_dim,
            window=self.window,
            tokens_per_step=self.tokens_per_step,
            dtype=self.embeddings.dtype,
            device=self.device,
        )

    @torch.inference_mode()
    def step(self, cache: SlotCache, slots: Tensor, lengths: Tensor, words: Tensor) -> Tensor:
        """Appends one step's words to several episodes and returns their memory vectors; implements `LanguageModel.step`."""
        return self.step_inputs(cache, slots, lengths, self.embeddings[words.to(self.device)])

    @torch.inference_mode()
    def step_inputs(self, cache: SlotCache, slots: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor:
        """Does the same as `step`, with input vectors (rows, tokens_per_step, width) instead of words."""
        slots, lengths = slots.to(self.device), lengths.to(self.device)
        count = inputs.shape[1]
        positions = lengths[:, None] + torch.arange(count, device=self.device)
        held = cache.held_positions(lengths + count)
        hidden = self._forward(inputs, positions, held, _Step(cache, slots, positions))
        return hidden[:, -1].float()

    @torch.inference_mode()
    def rebuild(self, cache: SlotCache, slot: int, length: int, words: Tensor) -> None:
        """Fills `slot` with the state after the first `length` tokens of an episode; implements `LanguageModel.rebuild`."""
        cache.clear(slot)
        words = words[-history_reach(self.layers, self.window) :].to(self.device) if self.window > 1 else words[:0]
        if len(words) == 0:
            return
        first, keep = length - len(words), cache.capacity
        band = _Band(self.layers, keep)
        for start in range(0, len(words), REBUILD_CHUNK):
            chunk = words[None, start : start + REBUILD_CHUNK]
            positions = first + start + torch.arange(chunk.shape[1], device=self.device)[None]
            oldest = first + max(0, start - keep)
            keys = torch.arange(oldest, first + start + chunk.shape[1], device=self.device)[None]
            self._forward(self.embeddings[chunk], positions, keys, band)
        self._store(cache, slot, length, band)

    def _forward(self, inputs: Tensor, positions: Tensor, keys: Tensor, past: Cache) -> Tensor:
        seen = reachable(positions, keys, window=self.window, empty_visible=False)
        # Added to the scores, not a bool: models without scaled-dot-product attention would add True as 1.
        mask = torch.zeros_like(seen, dtype=inputs.dtype).masked_fill(~seen, torch.finfo(inputs.dtype).min)
        out = self._model(
            inputs_embeds=inputs,
            attention_mask=mask[:, None],
            position_ids=positions,
            past_key_values=past,
            use_cache=True,
        )
        hidden: Tensor = out.last_hidden_state
        return hidden

    def _store(self, cache: SlotCache, slot: int, length: int, band: _Band) -> None:
        row = torch.full((1,), slot, device=self.device)
        for layer, past in enumerate(band.past):
            if past is None:
                continue
            positions = torch.arange(length - past[0].shape[2], length, device=self.device)[None]
            cache.write(layer, row, positions, *past)
