"""The vocabulary: overlap of CLIP's and a language model's words, prompts, embeddings."""

import json
import re
from pathlib import Path

import pytest
import torch
from gguf import GGUFWriter

from agent.build_vocabulary import build as builder
from agent.build_vocabulary.language_words import byte_level_words, load_language_words
from agent.build_vocabulary.overlap import LanguageModelWords, clip_strings, overlap
from agent.build_vocabulary.prompts import AVALON, PSYCHLAB, load_prompts
from agent.retrieval.clip import ClipModel, clip_sha256, load_clip
from agent.sources import file_sha256
from agent.vocabulary import Vocabulary
from training.clip.folder import build, export

torch.set_num_threads(1)


def word_list(*words: str) -> LanguageModelWords:
    """A language model whose tokens are whole words, as TransfoXL's are."""
    return LanguageModelWords("list", dict(enumerate(words)), {word: index for index, word in enumerate(words)})


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "small"
    torch.manual_seed(0)
    export(build(), folder)
    return folder


@pytest.fixture(scope="module")
def clip(clip_folder: Path) -> ClipModel:
    return load_clip(f"file:{clip_folder}")


def words_of(language_model: LanguageModelWords, mode: str) -> list[str]:
    return [entry.word for entry in overlap(language_model, mode)]  # type: ignore[arg-type]


def test_the_reference_overlap_loses_words_that_clip_knows_only_as_whole_words() -> None:
    present = ["key", "ball", "door", "box", "wall", "red", "green", "blue", "crab", "goal", "sign", "health"]
    lost = ["maze", "corridor", "hallway", "lava", "seafood", "Key"]
    assert set(words_of(word_list(*present, *lost), "reference")) == set(present)


def test_the_words_overlap_keeps_whole_words_and_nothing_else() -> None:
    offered = ["key", "maze", "corridor", "lava", "a", "Key", "!", "don't", "zzqx", "ing"]
    assert set(words_of(word_list(*offered), "words")) == {"key", "maze", "corridor", "lava", "ing"}


def test_as_many_clip_tokens_end_a_word_as_the_paper_page_says() -> None:
    strings = clip_strings()
    final = [text for text in strings if text.endswith(" ") and text != " "]  # the blank byte itself is no word-final token
    assert (len(strings), len(final)) == (49_406, 34_483)  # docs/paper.md#vocabulary
    assert sum(bool(re.fullmatch("[a-z]+ ", text)) for text in final) == 32_875


def test_rows_ascend_in_clip_id_and_name_the_language_models_own_id() -> None:
    entries = overlap(word_list("lava", "key", "ball"), "words")
    assert [entry.clip_id for entry in entries] == sorted(entry.clip_id for entry in entries)
    assert {entry.word: entry.token_id for entry in entries} == {"lava": 0, "key": 1, "ball": 2}


def test_an_unknown_overlap_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="'reference' or 'words', got 'stem'"):
        words_of(word_list("key"), "stem")


def test_whole_words_of_a_byte_level_bpe_begin_with_the_word_start_marker() -> None:
    words = byte_level_words("bpe", [(5, "Ġkey"), (6, "key"), (7, "Ġball"), (8, "Ã©"), (9, "not byte level ▁")])
    assert words.whole == {"key": 5, "ball": 7}
    assert words.decoded == {5: " key", 6: "key", 7: " ball", 8: "é"}


def write_gguf(path: Path) -> None:
    writer = GGUFWriter(path, "llama")
    writer.add_token_list(["<|endoftext|>", "key", "Ġkey", "Ġball", "Ġof"])
    writer.add_token_types([3, 1, 1, 1, 1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_gives_its_words_without_control_tokens(tmp_path: Path) -> None:
    write_gguf(tmp_path / "lm.gguf")
    words = load_language_words(f"file:{tmp_path / 'lm.gguf'}")
    assert words.whole == {"key": 2, "ball": 3, "of": 4}
    assert words.decoded == {1: "key", 2: " key", 3: " ball", 4: " of"}
    assert words.name == "lm.gguf"


def test_a_hugging_face_tokenizer_folder_gives_its_words(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(vocab={"<eos>": 0, "k": 1, "ey": 2, "Ġkey": 3, "Ġball": 4}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")
    fast.save_pretrained(tmp_path)
    words = load_language_words(f"file:{tmp_path}")
    assert words.whole == {"key": 3, "ball": 4}
    assert 0 not in words.decoded


def test_a_transformer_xl_word_list_gives_every_word(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("<eos>\nkey\nBall\nlava\n")
    words = load_language_words(f"file:{tmp_path / 'vocab.txt'}")
    assert words.whole == {"<eos>": 0, "key": 1, "Ball": 2, "lava": 3}
    assert words_of(words, "words") == words_of(word_list("key", "lava"), "words")


@pytest.mark.parametrize("spec", ["", "gguf", "file:", "package:", "http://x"])
def test_a_bad_language_model_spec_is_refused_by_name(spec: str) -> None:
    with pytest.raises(ValueError, match="spec"):
        load_language_words(spec)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="'nosuchpackage_' is not installed"):
        load_language_words("package:nosuchpackage_/x.gguf")


def test_a_missing_language_model_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.gguf"):
        load_language_words(f"file:{tmp_path}/absent.gguf")


def test_embeddings_are_the_plain_mean_over_prompts(clip: ClipModel) -> None:
    prompts = ("{}", "a screenshot of many {}")
    embeddings = builder.embed(clip, ["key", "{curly}"], prompts)
    texts = [clip.tokenizer([prompt.replace("{}", word) for word in ("key", "{curly}")]) for prompt in prompts]
    with torch.no_grad():
        expected = sum(clip.model.encode_text(text) for text in texts) / 2  # type: ignore[operator]
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings, expected)
    assert not torch.allclose(embeddings.norm(dim=1), torch.ones(2))


def test_a_word_piece_is_embedded_as_the_whole_word(clip: ClipModel) -> None:
    language_model = word_list("key")
    by_piece = builder.build_vocabulary(clip=clip, language_model=language_model, mode="reference", prompts=("{}",))
    by_word = builder.build_vocabulary(clip=clip, language_model=language_model, mode="words", prompts=("{}",))
    assert torch.equal(by_piece.embeddings, by_word.embeddings)


def test_no_word_in_common_is_an_error(clip: ClipModel) -> None:
    with pytest.raises(ValueError, match="no word in common"):
        builder.build_vocabulary(clip=clip, language_model=word_list("zzqx"), mode="words", prompts=("{}",))


def test_prompt_sets_have_the_sizes_that_the_authors_have() -> None:
    assert (len(load_prompts("none")), len(PSYCHLAB), len(AVALON)) == (1, 6, 7)
    assert PSYCHLAB[:2] == ("a render of {}", "a render of a {}")
    assert all(prompt.count("{}") == 1 for prompt in (*PSYCHLAB, *AVALON))


def test_prompts_come_from_a_file_and_a_template_without_a_place_for_the_word_is_named(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a drawing of {}\n\n{} in a maze\n")
    assert load_prompts(str(tmp_path / "prompts.txt")) == ("a drawing of {}", "{} in a maze")
    (tmp_path / "prompts.txt").write_text("a drawing\n")
    with pytest.raises(ValueError, match="'a drawing'"):
        load_prompts(str(tmp_path / "prompts.txt"))


def test_the_command_writes_a_file_with_its_provenance(clip_folder: Path, tmp_path: Path) -> None:
    write_gguf(tmp_path / "lm.gguf")
    out = tmp_path / "deep" / "vocabulary.safetensors"
    arguments = [
        "--clip",
        f"file:{clip_folder}",
        "--language-model",
        f"file:{tmp_path / 'lm.gguf'}",
        "--prompts",
        "psychlab",
    ]
    builder.main([*arguments, "--out", str(out)])
    vocabulary = Vocabulary.load(out)
    assert set(vocabulary.words) == {"key", "ball", "of"}
    assert dict(zip(vocabulary.words, vocabulary.token_ids.tolist(), strict=True)) == {"key": 2, "ball": 3, "of": 4}
    assert json.loads(vocabulary.provenance.pop("prompts")) == list(PSYCHLAB)
    assert vocabulary.provenance == {
        "overlap": "words",
        "clip": "file:small",
        "clip_sha256": clip_sha256(f"file:{clip_folder}"),
        "language_model": "lm.gguf",
        "language_model_words_sha256": file_sha256(tmp_path / "lm.gguf"),
        "clip_words": "49406",
        "language_model_words": "4",
        "rows": "3",
        "dim": "128",
    }
    assert str(tmp_path) not in out.read_bytes().decode("latin-1")
