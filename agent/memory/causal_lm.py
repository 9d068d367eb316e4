"""Memory with any Hugging Face causal language model with rotary positions.

The model runs unchanged; only its `Cache` is our own. In a step, `update` writes the new keys and values of each row into
that row's slot and returns the whole ring, so that episodes of different ages share one forward pass. Positions are passed
per row, and a 4-D mask limits attention to the window. In a rebuild, the cache is a contiguous band whose end is the state.

Models of the Llama architecture have a faster implementation, agent.memory.llama, which the tests compare with this one.

Failure policy: a model without rotary positions raises ValueError when it is built, because its keys could not be reused at
another distance. Empty positions are masked, because causal language models were not trained with them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from agent.history import history_reach
from agent.memory.language_model import LanguageModel, Rebuilding
from agent.memory.slot_cache import SlotCache, hidden_bias, reachable
from agent.tensor_checks import check_lm_token_ids

REBUILD_CHUNK = 256  # positions per forward pass in a rebuild; limits its memory use


class _Step(Cache):
    """Cache for one step: writes the new keys and values into the slots and returns whole rings."""

    def __init__(self, cache: SlotCache, slots: Tensor, positions: Tensor) -> None:
        super().__init__(layers=[])
        self._cache, self._slots, self._places = cache, slots, cache.places(slots, positions)

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        new = torch.stack([key_states, value_states], dim=1).permute(0, 3, 1, 2, 4)
        self._cache.write(layer_idx, self._places, new)
        rings = self._cache.keys[layer_idx], self._cache.values[layer_idx]
        return rings[0].index_select(0, self._slots), rings[1].index_select(0, self._slots)


class _Band(Cache):
    """Cache for a rebuild: per layer (rows, 2, heads, n, head_dim), the last `keep` positions, zero before the first."""

    def __init__(self, layers: int, empty: Tensor) -> None:
        super().__init__(layers=[])
        self._keep = empty.shape[3]
        self.states = [empty] * layers

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        band = torch.cat([self.states[layer_idx], torch.stack([key_states, value_states], dim=1)], dim=3)
        self.states[layer_idx] = band[:, :, :, band.shape[3] - self._keep :]
        return band[:, 0], band[:, 1]


class CausalLanguageModel(LanguageModel):
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
        self.layers = config.num_hidden_layers
        self.window, self.tokens_per_step = window, tokens_per_step
        self.dimension = config.hidden_size
        self.heads = config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._model = model.eval().requires_grad_(False)
        embeddings: Tensor = model.get_input_embeddings().weight.detach()  # type: ignore[operator]
        check_lm_token_ids(lm_token_ids, len(embeddings))
        self.embeddings = embeddings[lm_token_ids.to(embeddings.device)].clone()
        model.set_input_embeddings(nn.Embedding(1, self.dimension))  # the other rows are never read (docs/paper.md#q13)

    @torch.inference_mode()
    def step_inputs(self, cache: SlotCache, slots: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor:
        """Implements `LanguageModel.step_inputs`."""
        if self.device.type == "cpu":
            cache.touch(slots.tolist())
        slots, lengths = slots.to(self.device), lengths.to(self.device)
        count = inputs.shape[1]
        positions = lengths[:, None] + torch.arange(count, device=self.device)
        held = cache.held_positions(lengths + count)
        hidden = self._forward(inputs, positions, held, _Step(cache, slots, positions))
        return hidden[:, -1].float()

    @torch.inference_mode()
    def rebuilding(self, lengths: Tensor, words: Tensor) -> Rebuilding:
        """Implements `LanguageModel.rebuilding`."""
        words = words[:, max(0, words.shape[1] - history_reach(self.layers, self.window)) :].to(self.device)
        rows, n = words.shape
        before = lengths.to(self.device)[:, None] + torch.arange(-n - self.window + 1, 0, device=self.device)
        empty = self.embeddings.new_zeros(rows, 2, self.heads, self.window - 1, self.head_dim)
        band = _Band(self.layers, empty)
        for start in range(0, n, REBUILD_CHUNK):
            stop = min(start + REBUILD_CHUNK, n)
            keys = before[:, start : stop + self.window - 1]
            self._forward(self.embeddings[words[:, start:stop]], keys[:, self.window - 1 :], keys, band)
            yield
        written = (before[:, n:] >= 0)[:, None, None, :, None]
        return [state * written for state in band.states]

    def _forward(self, inputs: Tensor, positions: Tensor, keys: Tensor, past: Cache) -> Tensor:
        seen = reachable(positions, keys, window=self.window, empty_visible=False)
        # Added to the scores, not a bool: models without scaled-dot-product attention would add True as 1.
        out = self._model(
            inputs_embeds=inputs,
            attention_mask=hidden_bias(seen, inputs.dtype)[:, None],
            position_ids=positions,
            past_key_values=past,
            use_cache=True,
        )
        hidden: Tensor = out.last_hidden_state
        return hidden
