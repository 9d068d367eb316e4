"""What `shelm.show` embeds, against the stand-in."""

import pytest
import shelm
from shelm import Client
from shelm.errors import InvalidArgument
from support.stand_in import StandIn, frame, serving


def test_a_word_ends_neither_the_script_nor_the_frame_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.stand_in.WORDS", ['</script><b>"&quot;'] * 4)
    with serving(StandIn()) as target, Client(target) as client:
        client.act(frame(0), "a")
        shown = shelm.show("a", client)
    start = shown.page.index('id="episode">')
    embedded = shown.page[start : shown.page.index("</script>", start)]
    assert "<" not in embedded
    assert "script>" in embedded
    assert shown._repr_html_().count('"') == 8, "four attributes"


def test_an_id_needs_a_client() -> None:
    with pytest.raises(InvalidArgument, match="client"):
        shelm.show("episode")
