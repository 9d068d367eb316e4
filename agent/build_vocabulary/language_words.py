"""Reads the word list of a language model, given by a spec string, without loading any weights.

Specs: `package:NAME/FILE` (a file in the folder of an installed package, which is not imported), `file:PATH`,
`hub:OWNER/NAME[@REVISION]`. A file ending in `.gguf` is read as GGUF; a folder, or what the hub gives, as a Hugging Face
byte-level BPE tokenizer if it has tokenizer.json or merges.txt, else as a Transformer-XL word list
(`agent.memory.transformer_xl.published.load_words`), as any other file.

Failure: ValueError names the spec and what was expected; FileNotFoundError names the missing file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agent.build_vocabulary.overlap import LanguageModelWords
from agent.memory.described import TOKENIZER, WEIGHTS, kind_of, model_folder, sha256_of_words, words_sha256
from agent.sources import file_sha256, package_file

_CONTROL = 3  # GGUF token type of control tokens


def _byte_decoder() -> dict[str, int]:
    from open_clip.tokenizer import bytes_to_unicode  # GPT-2's table, which every byte-level BPE shares

    return {char: byte for byte, char in bytes_to_unicode().items()}


def byte_level_words(name: str, tokens: Iterable[tuple[int, str]], sha256: str = "") -> LanguageModelWords:
    """Returns the words of a byte-level BPE vocabulary; whole words are tokens that begin with the word-start marker (the
    byte of a space).
    """
    table = _byte_decoder()
    decoded: dict[int, str] = {}
    for token_id, token in tokens:
        if all(char in table for char in token):
            decoded[token_id] = bytes(table[char] for char in token).decode("utf-8", errors="replace")
    whole: dict[str, int] = {}
    for token_id, text in sorted(decoded.items()):
        if text.startswith(" "):
            whole.setdefault(text[1:], token_id)
    return LanguageModelWords(name, decoded, whole, sha256)


def _gguf(path: Path) -> LanguageModelWords:
    from gguf import GGUFReader

    reader = GGUFReader(str(path))
    tokens, types = reader.fields["tokenizer.ggml.tokens"], reader.fields["tokenizer.ggml.token_type"]
    ordinary = [index for index, part in enumerate(types.data) if int(types.parts[part][0]) != _CONTROL]
    words = ((i, bytes(tokens.parts[tokens.data[i]]).decode("utf-8")) for i in ordinary)
    return byte_level_words(path.name, words, file_sha256(path))


def _hugging_face(folder: Path, name: str) -> LanguageModelWords:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    control = set(tokenizer.all_special_ids)
    tokens = ((index, token) for token, index in tokenizer.get_vocab().items() if index not in control)
    return byte_level_words(Path(name).name, tokens, words_sha256(folder))


def _word_list(path: Path) -> LanguageModelWords:
    from agent.memory.transformer_xl.published import load_words

    words = load_words(path)
    decoded = dict(enumerate(words))
    whole: dict[str, int] = {}
    for token_id, word in decoded.items():
        whole.setdefault(word, token_id)
    return LanguageModelWords("transfo-xl-wt103", decoded, whole, sha256_of_words(words))


def load_language_words(spec: str) -> LanguageModelWords:
    """Returns the word list that `spec` names: `package:NAME/FILE`, `file:PATH` or `hub:OWNER/NAME`.

    Raises ValueError for an invalid spec or file, FileNotFoundError for a missing file.
    """
    scheme, _, rest = spec.partition(":")
    if scheme not in ("package", "file", "hub") or not rest:
        raise ValueError(f"language model spec: expected package:NAME/FILE, file:PATH or hub:OWNER/NAME, got {spec!r}")
    if scheme == "hub":
        path = model_folder(spec, WEIGHTS[kind_of(spec)] + TOKENIZER)
    else:
        path = package_file(spec) if scheme == "package" else Path(rest)
    if not path.exists():
        raise FileNotFoundError(f"language model spec {spec!r}: no such file")
    if path.suffix == ".gguf":
        return _gguf(path)
    byte_level = any((path / file).exists() for file in ("tokenizer.json", "merges.txt"))
    return _hugging_face(path, rest.partition("@")[0]) if byte_level else _word_list(path)
