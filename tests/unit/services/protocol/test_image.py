"""`Image` message -> frame."""

import contextlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile, ImageOps
from shelm.v1 import agent_pb2
from support.malformed import chunk

from agent.frame import Frame, frame_fingerprint
from services.protocol.image import InvalidFrame, decode_frame, read_image
from services.protocol.values import EncodedImage

HEIGHT, WIDTH = 6, 8
RAW, PNG, JPEG = agent_pb2.ENCODING_RAW_RGB8, agent_pb2.ENCODING_PNG, agent_pb2.ENCODING_JPEG


def some_frame(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> Frame:
    frame: Frame = np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)
    return frame


def file_of(picture: PillowImage.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def image(encoding: Any, data: bytes, height: int = 0, width: int = 0) -> agent_pb2.Image:
    return agent_pb2.Image(encoding=encoding, data=data, height=height, width=width)


def decode(message: agent_pb2.Image) -> Frame:
    return decode_frame(read_image(message), height=HEIGHT, width=WIDTH)


def refused(message: agent_pb2.Image) -> tuple[str, str]:
    with pytest.raises(InvalidFrame) as error:
        decode(message)
    return error.value.field, str(error.value)


def test_raw_pixels_are_taken_as_they_are() -> None:
    frame = some_frame()
    decoded = decode(image(RAW, frame.tobytes(), HEIGHT, WIDTH))
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, frame)


@pytest.mark.parametrize(("height", "width"), [(0, 0), (HEIGHT, WIDTH)])
def test_a_png_is_decoded_without_loss(height: int, width: int) -> None:
    frame = some_frame()
    data = file_of(PillowImage.fromarray(frame), "PNG")
    assert np.array_equal(decode(image(PNG, data, height, width)), frame)


def test_a_jpeg_is_decoded_about() -> None:
    frame = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)
    decoded = decode(image(JPEG, file_of(PillowImage.fromarray(frame), "JPEG", quality=95)))
    assert decoded.shape == frame.shape
    assert np.abs(decoded.astype(int) - frame).max() <= 6


def test_a_grey_png_has_three_equal_channels() -> None:
    grey = some_frame()[:, :, 0]
    decoded = decode(image(PNG, file_of(PillowImage.fromarray(grey), "PNG")))
    assert np.array_equal(decoded, np.stack([grey] * 3, axis=2))


def test_a_palette_png_has_the_colours_of_its_palette() -> None:
    picture = PillowImage.new("P", (WIDTH, HEIGHT), 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    assert np.array_equal(decode(image(PNG, file_of(picture, "PNG"))), np.full((HEIGHT, WIDTH, 3), (10, 20, 30)))


def test_alpha_is_dropped() -> None:
    frame = some_frame()
    alpha = np.full((HEIGHT, WIDTH, 1), 128, np.uint8)
    picture = PillowImage.fromarray(np.concatenate([frame, alpha], axis=2))
    assert picture.mode == "RGBA"
    assert np.array_equal(decode(image(PNG, file_of(picture, "PNG"))), frame)


def test_a_black_and_white_png_is_0_and_255() -> None:
    picture = PillowImage.fromarray(np.eye(HEIGHT, WIDTH) > 0)
    assert picture.mode == "1"
    assert np.array_equal(decode(image(PNG, file_of(picture, "PNG")))[:, :, 1], np.eye(HEIGHT, WIDTH) * 255)


def png16(pixels: NDArray[np.uint16]) -> bytes:
    """A PNG of 16 bits per channel: (height, width, 1 or 3), which Pillow writes of grey alone."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_of_16_bits_per_channel_the_upper_8_are_taken_of_grey_as_of_colours(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(2**16, size=(HEIGHT, WIDTH, channels), dtype=np.uint16)
    colours = pixels[:, :, :3] if channels > 2 else np.repeat(pixels[:, :, :1], 3, axis=2)
    assert np.array_equal(decode(image(PNG, png16(pixels))), colours >> 8)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize(("encoding", "kind"), [(PNG, "PNG"), (JPEG, "JPEG")])
def test_a_picture_is_shown_the_way_up_that_viewers_show_it(encoding: Any, kind: str, turn: int) -> None:
    """Pillow's exif_transpose is the viewer; the size is compared after the turn."""
    size = (WIDTH, HEIGHT) if turn < 5 else (HEIGHT, WIDTH)
    exif = PillowImage.Exif()
    exif[0x010E], exif[0x0112] = "another entry before it", turn
    data = file_of(PillowImage.fromarray(some_frame(size[1], size[0])), kind, exif=exif)
    shown = ImageOps.exif_transpose(PillowImage.open(io.BytesIO(data)))
    assert np.array_equal(decode(image(encoding, data)), np.asarray(shown))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (HEIGHT, WIDTH), (56, 56), (60, 80), (64, 64), (210, 160), (1, 4096)])
def test_noise_of_every_size_is_small_enough(height: int, width: int) -> None:
    """The worst there is: pixels that cannot be compressed, at the highest quality, with alpha."""
    choose = np.random.default_rng(0)
    alpha = PillowImage.fromarray(choose.integers(256, size=(height, width, 4), dtype=np.uint8))
    extremes = PillowImage.fromarray((choose.integers(2, size=(height, width, 3)) * 255).astype(np.uint8))
    files = [("PNG", file_of(alpha, "PNG", compress_level=0))]
    files += [("JPEG", file_of(extremes, "JPEG", quality=100, subsampling=0))]
    for kind, data in files:
        assert decode_frame(EncodedImage(kind, 0, 0, data), height=height, width=width).shape == (height, width, 3)


def empty_chunks(count: int) -> bytes:
    data = file_of(PillowImage.fromarray(some_frame()), "PNG")
    return data[:33] + chunk(b"teXt", b"") * count + data[33:]


def empty_segments(count: int) -> bytes:
    return b"\xff\xd8" + b"\xff\xfe\0\2" * count + file_of(PillowImage.fromarray(some_frame()), "JPEG")[2:]


@pytest.mark.parametrize(("count", "problem"), [(5_000_000 // 12, "at most 65824 bytes"), (2000, "more than 262 chunks")])
def test_a_png_of_empty_chunks_reaches_no_decoder(count: int, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PillowImage, "open", None)
    field, text = refused(image(PNG, empty_chunks(count)))
    assert field == "data"
    assert problem in text


@pytest.mark.parametrize(("count", "problem"), [(500_000, "at most 65824 bytes"), (2000, "more than 262 segments")])
def test_a_jpeg_of_empty_segments_reaches_no_decoder(count: int, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PillowImage, "open", None)
    field, text = refused(image(JPEG, empty_segments(count)))
    assert field == "data"
    assert problem in text


def test_an_animated_png_is_refused() -> None:
    pictures = [PillowImage.fromarray(some_frame(seed=seed)) for seed in (0, 1)]
    data = file_of(pictures[0], "PNG", save_all=True, append_images=pictures[1:])
    assert refused(image(PNG, data))[1].endswith("it cannot be decoded: it is animated")


def test_a_jpeg_with_many_scans_is_refused() -> None:
    data = file_of(PillowImage.fromarray(some_frame()), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert decode(image(JPEG, data)).shape == (HEIGHT, WIDTH, 3)
    assert "more than 32 scans" in refused(image(JPEG, data[:-2] + last * 40 + data[-2:]))[1]


@pytest.mark.parametrize("length", [0, HEIGHT * WIDTH * 3 - 1, HEIGHT * WIDTH * 3 + 1])
def test_raw_pixels_of_another_number_are_refused(length: int) -> None:
    field, text = refused(image(RAW, bytes(length), HEIGHT, WIDTH))
    assert (field, text) == ("data", f"expected {HEIGHT * WIDTH * 3} bytes ({HEIGHT}x{WIDTH}x3), got {length}")


@pytest.mark.parametrize("encoding", [RAW, PNG])
@pytest.mark.parametrize(("height", "width", "field"), [(HEIGHT + 1, WIDTH, "height"), (HEIGHT, WIDTH + 1, "width")])
def test_another_announced_size_is_refused_with_its_field(encoding: Any, height: int, width: int, field: str) -> None:
    data = some_frame(height, width).tobytes() if encoding == RAW else file_of(PillowImage.fromarray(some_frame()), "PNG")
    name, text = refused(image(encoding, data, height, width))
    assert name == field
    assert text == f"expected {HEIGHT if field == 'height' else WIDTH}, got {height if field == 'height' else width}"


def test_raw_pixels_need_their_size() -> None:
    assert refused(image(RAW, some_frame().tobytes()))[0] == "height"


@pytest.mark.parametrize("encoding", [PNG, JPEG])
def test_a_file_of_another_size_is_refused(encoding: Any) -> None:
    kind = "PNG" if encoding == PNG else "JPEG"
    data = file_of(PillowImage.fromarray(some_frame(HEIGHT, WIDTH + 1)), kind)
    assert refused(image(encoding, data)) == (
        "data",
        f"expected a {kind} of {WIDTH}x{HEIGHT}, got one of {WIDTH + 1}x{HEIGHT}",
    )


@pytest.mark.parametrize("encoding", [agent_pb2.ENCODING_UNSPECIFIED, 17])
def test_an_unknown_encoding_is_refused(encoding: Any) -> None:
    field, text = refused(image(encoding, some_frame().tobytes(), HEIGHT, WIDTH))
    assert (field, text) == ("encoding", f"expected RAW_RGB8, PNG or JPEG, got {encoding}")


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG: its header, and no pixels at all."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


@pytest.mark.parametrize("side", [5_000, 60_000])
def test_a_bomb_is_refused_by_its_header_before_any_pixel_is_decoded(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_pixels(*_: Any) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", no_pixels)
    pixels = chunk(b"IDAT", zlib.compress(bytes(2**20))) + chunk(b"IEND", b"")
    field, text = refused(image(PNG, png_header(side, side) + pixels))
    assert field == "data"
    assert f"{side}x{side}" in text


@pytest.mark.parametrize("data", [b"", b"not a picture", png_header(WIDTH, HEIGHT)])
@pytest.mark.parametrize("encoding", [PNG, JPEG])
def test_what_is_not_a_picture_is_refused(data: bytes, encoding: Any) -> None:
    field, text = refused(image(encoding, data))
    assert field == "data"
    assert f"expected a {'PNG' if encoding == PNG else 'JPEG'} file" in text


def test_a_file_of_another_kind_is_refused() -> None:
    """Only the announced decoder runs, whatever the bytes are."""
    picture = PillowImage.fromarray(some_frame())
    for data in (file_of(picture, "JPEG"), file_of(picture, "BMP"), file_of(picture, "GIF")):
        assert refused(image(PNG, data))[0] == "data"


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_file_gives_a_frame_or_is_refused(data: st.DataObject) -> None:
    encoding, kind = data.draw(st.sampled_from([(PNG, "PNG"), (JPEG, "JPEG")]))
    damaged = bytearray(file_of(PillowImage.fromarray(some_frame()), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    frame = None
    with contextlib.suppress(InvalidFrame):  # any other error fails this test
        frame = decode(image(encoding, bytes(damaged)))
    assert frame is None or (frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == np.uint8)


def test_frames_are_the_same_by_fingerprint_whatever_way_they_came() -> None:
    frame = some_frame()
    raw = decode(image(RAW, frame.tobytes(), HEIGHT, WIDTH))
    png = decode(image(PNG, file_of(PillowImage.fromarray(frame), "PNG")))
    strided = np.concatenate([frame, frame], axis=1)[:, :WIDTH]
    assert not strided.flags.c_contiguous
    fingerprints = {frame_fingerprint(one) for one in (frame, raw, png, strided)}
    assert len(fingerprints) == 1
    assert len(fingerprints.pop()) == 16
