"""Names of episodes and agents on the command line: whole, by a unique beginning, or `@last`."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from shelm import Client
from shelm.cli import main, names
from shelm.cli.errors import CommandError
from shelm.errors import EpisodeNotFound, ShelmError
from support.stand_in import StandIn, frame, serving

NAMES = ("episode-ab12", "episode-ab34", "episode-cd56", "ab", "mine")


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(StandIn()) as target:
        monkeypatch.setenv("SHELM_TARGET", target)
        with Client(target) as client:
            for name in NAMES:
                client.act(frame(0), name)
        yield target


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mine", "mine"),
        ("ab", "ab"),  # a whole name, though it begins others
        ("cd", "episode-cd56"),
        ("ab1", "episode-ab12"),
        ("episode-c", "episode-cd56"),
    ],
)
def test_a_whole_name_or_a_unique_beginning_means_an_episode(target: str, typed: str, meant: str) -> None:
    with Client(target) as client:
        assert names.episode_named(client, typed) == meant


def test_a_beginning_of_several_names_is_refused_and_lists_them(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "episode-"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "3 episodes (episode-ab12, episode-ab34, episode-cd56)" in line


def test_a_name_that_begins_none_is_left_to_the_server(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "unknown"]) == 1
    assert "no episode unknown" in capsys.readouterr().err


def test_commands_take_beginnings(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "cd", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episode_id"] == "episode-cd56"
    assert main(["episodes", "--agent", "sta", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(NAMES)


class Server:
    """Answers as a client does, with times and an archive, which the stand-in lacks."""

    def __init__(self, live: dict[str, int], archived: dict[str, int] | None) -> None:
        self.live, self.archive = live, archived

    def list_episodes(self, *, archived: bool = False) -> Iterator[Any]:
        if archived and self.archive is None:
            raise ShelmError("no archive")
        for name, second in ((self.archive or {}) if archived else self.live).items():
            time = datetime.fromtimestamp(second, UTC)
            yield SimpleNamespace(episode_id=name, agent_digest=f"agent of {name}", update_time=time)

    def get_episode(self, name: str) -> Any:
        raise EpisodeNotFound(name)

    def agents(self) -> list[Any]:
        return [
            SimpleNamespace(name=name, digest=digest) for name, digest in (("red", "ab1"), ("reddish", "ab2"), ("x", "c3"))
        ]


def test_last_is_the_episode_that_was_used_last_and_an_archived_one_if_no_other_is_there() -> None:
    server: Any = Server({"a": 1, "b": 3, "c": 2}, {"d": 9})
    assert names.episode_named(server, "@last") == "b"
    assert names.agent_named(server, "@last") == "agent of b"
    server.live = {}
    assert names.episode_named(server, "@last") == "d"
    server.archive = None
    with pytest.raises(CommandError, match="there is no episode yet"):
        names.episode_named(server, "@last")


def test_an_archived_episode_is_found_by_its_beginning_only_where_no_other_fits() -> None:
    server: Any = Server({"episode-1a": 1}, {"episode-1b": 1, "episode-2": 1})
    assert names.episode_named(server, "1") == "episode-1a"
    assert names.episode_named(server, "2") == "episode-2"
    server.archive = None
    assert names.episode_named(server, "2") == "2"


@pytest.mark.parametrize(
    ("typed", "meant"), [("", ""), ("red", "red"), ("redd", "reddish"), ("c", "x"), ("ab1", "ab1"), ("unknown", "unknown")]
)
def test_agents_are_named_by_the_beginning_of_name_or_digest(typed: str, meant: str) -> None:
    server: Any = Server({}, {})
    assert names.agent_named(server, typed) == meant


def test_a_beginning_of_several_agents_is_refused() -> None:
    server: Any = Server({}, {})
    with pytest.raises(CommandError, match=r"2 agents \(red, reddish\)"):
        names.agent_named(server, "re")
