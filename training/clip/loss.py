"""The contrastive loss: CLIP's two directions, with identical captions as positives and extra words as negatives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.clip.batches import Batch


def image_to_text(logits: Tensor, batch: Batch) -> Tensor:
    """Returns the loss of each image against all texts, once for its bare word and once for its longer caption.

    Other texts that are true of the image are masked, because they are neither right nor wrong answers. logits: (rows,
    texts).
    """
    word = batch.word_target > 0
    bare = cross_entropy(logits.masked_fill(batch.true & ~word, -1e4), batch.word_target)
    chosen = torch.zeros_like(batch.true).scatter_(1, batch.longer_target[:, None], True)
    longer = cross_entropy(logits.masked_fill((batch.true | word) & ~chosen, -1e4), batch.longer_target)
    return bare + 0.5 * longer


def text_to_image(logits: Tensor, batch: Batch) -> Tensor:
    """Returns the loss of each caption against all images; every image of which it is true is a positive. logits: (rows,
    texts).
    """
    true = batch.true[:, : batch.captioned].float()
    log_share = logits[:, : batch.captioned].log_softmax(dim=0)
    used = true.sum(0) > 0
    return -((true * log_share).sum(0)[used] / true.sum(0)[used]).mean()


def contrastive(logits: Tensor, batch: Batch) -> Tensor:
    """Returns the training loss of one batch; logits float32 (rows, texts) = scaled cosine similarities."""
    return image_to_text(logits, batch) + 0.5 * text_to_image(logits, batch)
