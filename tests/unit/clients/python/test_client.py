"""The client against the stand-in server of support/stand_in.py: steps, episodes, batches, reading."""

import threading
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from shelm import Act, Client, errors
from shelm.v1 import agent_pb2
from support.stand_in import Failure, StandIn, frame, serving

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def target(stand_in: StandIn) -> Iterator[str]:
    with serving(stand_in) as target:
        yield target


@pytest.fixture
def client(target: str) -> Iterator[Client]:
    with Client(target, retry_for=5.0) as client:
        yield client


def test_the_client_counts_the_steps_of_each_episode(client: Client) -> None:
    steps = [(client.act(frame(n), "a").step, client.act(frame(n), "b").step) for n in range(3)]
    assert steps == [(0, 0), (1, 1), (2, 2)]


def test_an_act_carries_everything_the_server_says(client: Client) -> None:
    act = client.act(frame(0), "a")
    assert (act.episode_id, act.step, act.action, act.committed_step, act.replayed) == ("a", 0, 2, 0, False)
    assert (act.tokens[0].text, act.tokens[0].id, round(act.tokens[0].similarity, 2)) == ("doorway", 0, 0.93)
    assert (act.memory.length, act.memory.window, act.memory.rebuilt, act.agent_digest) == (1, 64, False, "abc")
    assert act.timing is not None
    assert act.timing.total_us == 100


def test_a_fresh_client_replays_from_step_zero_and_goes_on(client: Client, target: str) -> None:
    for number in range(3):
        client.act(frame(number), "a")
    with Client(target) as other:
        acts = [other.act(frame(number), "a") for number in range(4)]
    assert [(act.step, act.replayed, act.committed_step) for act in acts] == [
        (0, True, 2),
        (1, True, 2),
        (2, True, 2),
        (3, False, 3),
    ]


def test_a_resumed_episode_goes_on_after_its_committed_step(client: Client, target: str, stand_in: StandIn) -> None:
    client.act(frame(0), "a")
    client.create_episode("empty")
    with Client(target, agent="other") as taking_over:
        assert (taking_over.resume("a"), taking_over.resume("empty")) == (1, 0)
        assert taking_over.act(frame(9), "a").step == 1
        taking_over.act(frame(9), "empty")
    assert stand_in.requests["Act"][-1].agent == ""  # the episode's own agent, not the client's


def test_an_agent_is_named_only_where_an_episode_begins(target: str, stand_in: StandIn) -> None:
    with Client(target, agent="mine") as client:
        client.act(frame(0), "a")
        client.act(frame(1), "a")
        client.create_episode("b", agent="theirs", seed=3, deterministic=True)
        client.act(frame(0), "b")
    assert [request.agent for request in stand_in.requests["Act"]] == ["mine", "", ""]
    created = agent_pb2.CreateEpisodeRequest(episode_id="b", agent="theirs", seed=3, deterministic=True)
    assert stand_in.requests["CreateEpisode"] == [created]


def test_repeating_an_old_step_by_hand_does_not_move_the_episode_back(client: Client) -> None:
    client.act(frame(0), "a")
    client.act(frame(1), "a")
    assert client.act(frame(0), "a", step=0).replayed
    assert client.act(frame(2), "a").step == 2


def test_threads_of_one_episode_take_distinct_steps_and_episodes_run_at_once(client: Client, stand_in: StandIn) -> None:
    def work(episode_id: str) -> None:
        for _ in range(20):
            client.act(frame(7), episode_id)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: len(steps) for name, steps in stand_in.committed.items()} == {"a": 40, "b": 20, "c": 20}


def test_frames_may_travel_as_png(target: str, stand_in: StandIn) -> None:
    with Client(target, encoding="png") as client:
        client.act(frame(1)[:, ::-1], "a")
    image = stand_in.requests["Act"][0].observation
    assert (image.encoding, image.height, image.width) == (agent_pb2.ENCODING_PNG, 4, 5)
    assert image.data.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 5, 3)), np.zeros((4, 5, 12), np.uint8), np.zeros((0, 5, 3), np.uint8), "frame"]
)
def test_a_wrong_frame_is_refused_before_it_is_sent(client: Client, stand_in: StandIn, wrong: object) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"expected a uint8 array of shape \(height, width, 3\), given a "):
        client.act(wrong, "a")
    assert not stand_in.requests["Act"]


def test_a_batch_gives_an_answer_or_an_error_for_each_episode(client: Client, stand_in: StandIn) -> None:
    client.act(frame(0), "conflict")
    client.end_episode("conflict")  # forgotten, so the next act begins at step 0 again, with another frame
    stand_in.items.append(Failure(grpc.StatusCode.UNAVAILABLE, "MEMORY_UNAVAILABLE"))
    results = client.act_batch({"good": frame(1), "conflict": frame(2), "unlucky": frame(3)})
    assert {name: type(result) for name, result in results.items()} == {
        "good": Act,
        "conflict": errors.StepConflict,
        "unlucky": Act,
    }
    assert [[item.episode_id for item in batch.requests] for batch in stand_in.requests["ActBatch"]] == [
        ["good", "conflict", "unlucky"],
        ["unlucky"],
    ]
    assert client.act(frame(4), "good").step == 1


def test_a_batch_that_fails_as_a_whole_raises_and_moves_no_episode(client: Client, stand_in: StandIn) -> None:
    stand_in.before["ActBatch"].append(Failure(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"))
    with pytest.raises(errors.Unauthenticated):
        client.act_batch({"a": frame(0)})
    assert client.act(frame(0), "a").step == 0


def test_an_episode_is_created_and_ended_around_its_block(client: Client, stand_in: StandIn) -> None:
    with client.episode(seed=5, deterministic=True) as episode:
        episode.act(frame(0))
        assert [step.tokens[0].text for step in episode.memory()] == ["doorway"]
        assert not episode.info().ended
    assert stand_in.ended == {episode.episode_id}
    assert stand_in.requests["CreateEpisode"][0].seed == 5


def test_an_exception_in_the_block_ends_the_episode_and_is_not_masked(client: Client, stand_in: StandIn) -> None:
    stand_in.after["EndEpisode"].append(UNAVAILABLE)
    with pytest.raises(KeyError), client.episode("a"):
        raise KeyError("the simulator broke")
    assert (stand_in.ended, len(stand_in.requests["EndEpisode"])) == ({"a"}, 1)


def test_the_rewards_of_a_block_are_told_when_it_ends(client: Client) -> None:
    with client.episode("rewarded") as episode:
        episode.add_reward(1)
        episode.add_reward(-0.25)
    with client.episode("silent"):
        pass
    assert (client.get_episode("rewarded").total_reward, client.get_episode("silent").total_reward) == (0.75, None)
    assert client.end_episode("rewarded", total_reward=9.0).total_reward == 0.75  # the first one stays


def test_an_episode_that_broke_off_tells_no_total(client: Client) -> None:
    episode = client.episode("a")
    episode.add_reward(1.0)
    with pytest.raises(KeyError), episode:
        raise KeyError("the simulator broke")
    assert client.get_episode("a").total_reward is None


@pytest.mark.parametrize("total", [float("nan"), float("inf")])
def test_a_total_that_is_no_number_is_refused_before_it_is_sent(client: Client, stand_in: StandIn, total: float) -> None:
    with pytest.raises(errors.InvalidArgument, match="total_reward: expected a finite number"):
        client.end_episode("a", total_reward=total)
    assert not stand_in.requests["EndEpisode"]


def test_an_explanation_carries_everything_the_server_says(client: Client, stand_in: StandIn) -> None:
    for number in range(3):
        client.act(frame(number), "a")
    told = client.explain("a", 2, frame(2), max_steps=1)
    assert (told.step, told.action, told.decision.most_probable, told.decision.value) == (2, 2, 2, 0.5)
    assert told.decision.probabilities == pytest.approx((0.0, 0.1, 0.9))
    assert [(one.tokens[0].text, one.steps, one.change) for one in told.words] == [
        ("doorway", [0], 0.5),
        ("corridor", [1], 0.25),
    ]
    assert (told.words[0].without.most_probable, len(told.steps), told.reach_from_step) == (0, 1, 0)
    sent = stand_in.requests["ExplainStep"][0]
    assert (sent.observation.data, sent.max_steps) == (frame(2).tobytes(), 1)
    client.explain("a", 2)
    assert not stand_in.requests["ExplainStep"][1].HasField("observation")


def test_a_recorded_frame_comes_back_as_an_array(client: Client, stand_in: StandIn) -> None:
    client.act(frame(9), "a")
    recorded = client.frame("a", 0)
    assert recorded.dtype == np.uint8
    assert np.array_equal(recorded, frame(9))
    stand_in.before["GetFrame"].append(Failure(grpc.StatusCode.FAILED_PRECONDITION, "RECORDING_OFF"))
    with pytest.raises(errors.RecordingOff, match="turn on recording"):
        client.frame("a", 0)


def test_a_negative_number_is_refused_by_name(client: Client) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"step: expected 0 \.\. "):
        client.explain("a", -1)
    with pytest.raises(errors.InvalidArgument, match="seed: expected"):
        client.create_episode("a", seed=-1)


def test_lists_are_read_page_by_page(client: Client) -> None:
    for number in range(5):
        client.act(frame(number), "long")
        client.create_episode(f"episode-{number}")
    assert [step.step for step in client.memory("long")] == [0, 1, 2, 3, 4]
    assert [step.step for step in client.memory("long", from_step=3)] == [3, 4]
    assert len(list(client.list_episodes())) == 6


def test_the_token_travels_as_a_bearer(target: str, stand_in: StandIn) -> None:
    with Client(target, token="secret") as client:
        client.act(frame(0), "a")
    assert stand_in.metadata["authorization"] == "Bearer secret"


def test_a_token_sent_unencrypted_to_another_machine_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    for target in ("localhost:1", "127.0.0.1:1", "[::1]:1", "unix:/x", "dns:///localhost:1"):
        Client(target, token="secret").close()
    assert not caplog.records
    Client("example.org:50051", token="secret", tls=True).close()
    assert not caplog.records
    Client("example.org:50051", token="secret").close()
    assert "example.org" in caplog.text
    assert "secret" not in caplog.text


def test_ping_gives_seconds_or_says_where_nobody_answers(client: Client) -> None:
    assert 0 < client.ping() < 5
    with Client("127.0.0.1:1") as nobody, pytest.raises(errors.Unavailable, match=r"no answer from 127\.0\.0\.1:1"):
        nobody.ping()


def test_a_call_that_the_server_cancels_is_repeated(client: Client, stand_in: StandIn) -> None:
    stand_in.before["Act"] += [Failure(grpc.StatusCode.CANCELLED)] * 2
    assert client.act(frame(0), "a").step == 0
    assert len(stand_in.requests["Act"]) == 3


def test_a_watch_that_the_server_cancels_is_opened_again_at_the_next_step(client: Client, stand_in: StandIn) -> None:
    client.act(frame(0), "a")
    stand_in.before["WatchMemory"].append(Failure(grpc.StatusCode.CANCELLED))
    assert next(iter(client.watch_memory("a"))).step == 0


def test_a_call_that_ends_because_its_client_is_closed_is_not_repeated(target: str, stand_in: StandIn) -> None:
    client = Client(target, retry_for=60)
    client.ping()
    arrived, failed = threading.Event(), []

    def hang(_request: agent_pb2.ActRequest) -> agent_pb2.ActResponse:
        arrived.set()
        time.sleep(1)
        return agent_pb2.ActResponse()

    stand_in.take = hang  # type: ignore[assignment, method-assign]

    def act() -> None:
        try:
            client.act(frame(0), "a")
        except errors.ShelmError as error:
            failed.append(error)

    acting = threading.Thread(target=act)
    acting.start()
    arrived.wait(10)
    client.close()
    acting.join(10)
    assert [(error.code, error.retryable, error.attempts) for error in failed] == [(grpc.StatusCode.CANCELLED, False, 1)]


CUTS = [
    (grpc.StatusCode.INTERNAL, "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))"),
    (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),  # as an older gRPC says it
    (grpc.StatusCode.UNKNOWN, "Stream removed (Data frame with END_STREAM flag received)"),
    (grpc.StatusCode.UNAVAILABLE, "Received http2 header with status: 504"),
    (grpc.StatusCode.UNAVAILABLE, "Socket closed"),
]


@pytest.mark.parametrize(("code", "message"), CUTS)
def test_a_watch_that_a_proxy_cuts_goes_on_where_it_was(
    client: Client, stand_in: StandIn, code: grpc.StatusCode, message: str
) -> None:
    for number in range(6):
        client.act(frame(number), "a")
    stand_in.after["WatchMemory"] += [Failure(code, message=message)] * 3  # each after two steps
    assert [step.step for step in client.watch_memory("a", 1)] == [1, 2, 3, 4, 5]
    assert [request.from_step for request in stand_in.requests["WatchMemory"]] == [1, 3, 5, 6]
    assert {request.incarnation for request in stand_in.requests["WatchMemory"][1:]} == {"first"}


def test_an_idle_watch_outlives_every_cut_and_a_server_that_is_away_does_not(
    target: str, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shelm.reader.SIGNED_LIVED", -1.0)  # each sign of life is as good as a second
    cut = Failure(grpc.StatusCode.INTERNAL, message=CUTS[0][1])
    stand_in.after["WatchMemory"] += [cut] * 8
    with Client(target, retry_for=0.5) as client:
        client.create_episode("a")
        assert list(client.watch_memory("a")) == []
        assert len(stand_in.requests["WatchMemory"]) == 9
        stand_in.before["WatchMemory"] += [cut] * 20
        with pytest.raises(errors.ProxyError):
            list(client.watch_memory("a"))
