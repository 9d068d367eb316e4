"""The inspector over a real socket, before a real public API and before none: answers, errors, headers."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fuzz_live import Served
from google.protobuf.json_format import ParseDict
from run import run_session
from shelm.v1 import agent_pb2
from support.deployment import Deployment, Standalone
from support.frames import Frame
from support.gateway import play
from support.process import Process
from support.waiting import wait_for

from deploy.local.stack import free_port
from services.inspector.overview import EVERY


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[tuple[Process, str]]:
    """An inspector whose API is away."""
    yield from started(tmp_path_factory, {"SHELM_INSPECTOR_TARGET": f"127.0.0.1:{free_port()}"})


@pytest.fixture(scope="module")
def beside(
    cramped: Deployment, tmp_path_factory: pytest.TempPathFactory, _no_settings: None
) -> Iterator[tuple[Process, str]]:
    """An inspector of a real API that needs no token."""
    yield from started(tmp_path_factory, {"SHELM_INSPECTOR_TARGET": cramped.target, "SHELM_INSPECTOR_MAX_VIEWERS": "2"})


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[tuple[str, Deployment]]:
    """The address of an inspector of an API that records frames, and the API."""
    folder = tmp_path_factory.mktemp("recording")
    with Standalone(folder, {"SHELM_RECORD": str(folder / "frames")}).running() as deployment:
        for _, url in started(tmp_path_factory, {"SHELM_INSPECTOR_TARGET": deployment.target}):
            yield url, deployment


def started(folders: pytest.TempPathFactory, settings: dict[str, str]) -> Iterator[tuple[Process, str]]:
    """A running inspector and its address."""
    listen = f"127.0.0.1:{free_port()}"
    settings = {"SHELM_INSPECTOR_LISTEN": listen, **settings}
    log = folders.mktemp("inspector") / "log"
    process = Process([sys.executable, "-m", "services.inspector"], log, settings)
    url = f"http://127.0.0.1:{settings['SHELM_INSPECTOR_LISTEN'].rpartition(':')[2]}"
    try:
        wait_for(f"{url} answers", lambda: answers(url), seconds=60)
        yield process, url
    finally:
        process.stop()


def answers(url: str) -> bool:
    """Whether the inspector is healthy."""
    try:
        return httpx.get(f"{url}/healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_page_comes_with_headers_that_let_it_run_nothing_else(alone: tuple[Process, str]) -> None:
    for path in ("/", "/static/main.js", "/api/agents", "/nothing"):
        headers = httpx.get(alone[1] + path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
    assert "<script>" not in httpx.get(alone[1]).text


def test_an_api_that_is_away_is_503_and_the_inspector_stays_healthy(alone: tuple[Process, str]) -> None:
    reply = httpx.get(f"{alone[1]}/api/episodes/one", timeout=30)
    assert reply.status_code == 503
    assert reply.json()["reason"] == "API_UNAVAILABLE"
    assert reply.headers["retry-after"] == "1"
    assert answers(alone[1])


def test_a_page_of_another_name_is_not_answered_on_loopback(alone: tuple[Process, str]) -> None:
    assert httpx.get(alone[1], headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer a b", "Bearer " + "x" * 5000])
def test_what_is_no_bearer_token_is_refused_before_the_api_is_asked(alone: tuple[Process, str], header: str) -> None:
    reply = httpx.get(f"{alone[1]}/api/agents", headers={"Authorization": header})
    assert (reply.status_code, reply.json()["reason"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("query", ["from=-1", "from=x", "limit=1.5", "from=99999999999", f"from={'9' * 5000}"])
def test_a_bad_number_is_named(alone: tuple[Process, str], query: str) -> None:
    reply = httpx.get(f"{alone[1]}/api/episodes/one/memory?{query}")
    assert reply.status_code == 400
    assert reply.json()["message"].startswith(query.partition("=")[0])


@pytest.mark.parametrize("step", [2**64, 10**30, "9" * 5000, "-1", "x", "1e3", "%C2%B2"])
@pytest.mark.parametrize("what", ["frames", "explain"])
def test_a_step_that_is_no_number_of_64_bits_is_refused(alone: tuple[Process, str], what: str, step: object) -> None:
    reply = httpx.get(f"{alone[1]}/api/episodes/one/{what}/{step}", headers={"X-Shelm-Page": "1"})
    assert (reply.status_code, reply.json()["reason"]) == (400, "INVALID_FIELD")
    assert reply.json()["message"].startswith("step: ")


@pytest.mark.parametrize("path", ["agents", "episodes", "archive", "episodes/one", "episodes/one/explain/0"])
@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example"}]
)
def test_a_page_of_another_site_is_refused(alone: tuple[Process, str], path: str, headers: dict[str, str]) -> None:
    reply = httpx.get(f"{alone[1]}/api/{path}", headers={"X-Shelm-Page": "1", **headers})
    assert (reply.status_code, reply.json()["reason"]) == (403, "CROSS_SITE")


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}])
def test_the_own_page_and_programs_are_served(beside: tuple[Process, str], headers: dict[str, str]) -> None:
    assert httpx.get(f"{beside[1]}/api/agents", headers=headers).status_code == 200


def test_an_explanation_is_made_only_for_a_request_that_no_other_page_can_make(
    beside: tuple[Process, str], cramped: Deployment, name: str, frames: tuple[Frame, ...]
) -> None:
    cramped.gateway.act(name, 0, frames[0])
    url = f"{beside[1]}/api/episodes/{name}/explain/0"
    reply = httpx.get(url)
    assert (reply.status_code, reply.json()["reason"]) == (403, "CROSS_SITE")
    reply = httpx.get(url, headers={"X-Shelm-Page": "1"})
    assert (reply.status_code, reply.json()["reason"]) == (412, "FRAME_NEEDED")  # asked: this server records no frames


def ask_branch(url: str, source: str, step: int, name: str, *, edits: Any = (), **headers: str) -> httpx.Response:
    body = json.dumps({"episode_id": name, "edits": list(edits)})
    return httpx.post(f"{url}/api/episodes/{source}/branch/{step}", content=body, headers={"X-Shelm-Page": "1", **headers})


def test_a_branch_is_made_with_the_viewers_words_and_errors_are_the_apis(
    beside: tuple[Process, str], cramped: Deployment, name: str, frames: tuple[Frame, ...]
) -> None:
    answers = play(cramped.gateway, name, frames[:4])
    word = answers[0].tokens[0].text
    assert httpx.get(f"{beside[1]}/api/offers").json()["branches"] is True
    reply = ask_branch(beside[1], name, 2, f"{name}-b", edits=[{"remove": {"step": 0, "word": word}}])
    assert reply.status_code == 200
    told = {"source_episode_id": name, "step": 2, "edits": [{"remove": {"step": "0", "word": word}}]}
    assert (reply.json()["episode_id"], reply.json()["branch"]) == (f"{name}-b", told)
    assert word not in {token.text for token in cramped.gateway.memory(f"{name}-b")[0].tokens}
    again = ask_branch(beside[1], name, 3, f"{name}-b")
    assert (again.status_code, again.json()["reason"]) == (409, "EPISODE_EXISTS")
    wrong = ask_branch(beside[1], name, 2, "no name")
    assert (wrong.status_code, wrong.json()["message"].partition(":")[0]) == (400, "episode_id")
    late = ask_branch(beside[1], name, 99, f"{name}-c")
    assert (late.status_code, late.json()["reason"]) == (412, "STEP_NOT_COMMITTED")
    bare = httpx.post(f"{beside[1]}/api/episodes/{name}/branch/2", content=b"{}")
    assert (bare.status_code, bare.json()["reason"]) == (403, "CROSS_SITE")
    assert ask_branch(beside[1], name, 2, f"{name}-d", Origin="http://evil.example").status_code == 403


def test_without_the_setting_a_page_beyond_loopback_makes_no_branches(
    cramped: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    open_to_all = {"SHELM_ALLOW_PLAINTEXT": "true", "SHELM_ALLOW_ANONYMOUS": "true"}
    settings = {"SHELM_INSPECTOR_LISTEN": f"0.0.0.0:{free_port()}", "SHELM_INSPECTOR_TARGET": cramped.target, **open_to_all}
    for _, url in started(tmp_path_factory, settings):
        assert httpx.get(f"{url}/api/offers").json()["branches"] is False
        reply = ask_branch(url, "any", 0, "new")
        assert (reply.status_code, reply.json()["reason"]) == (403, "PERMISSION_DENIED")
        assert "SHELM_INSPECTOR_BRANCHES" in reply.json()["message"]


def export(url: str, name: str, what: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{url}/api/episodes/{name}/export/{what}", headers={"X-Shelm-Page": "1", **headers}, timeout=60)


def test_a_file_is_made_of_an_episode_and_what_is_wrong_is_said(
    beside: tuple[Process, str], cramped: Deployment, name: str, frames: tuple[Frame, ...]
) -> None:
    play(cramped.gateway, name, frames[:4])
    reply = export(beside[1], name, "jsonl")
    assert [json.loads(line)["step"] for line in reply.text.splitlines()] == [0, 1, 2, 3]
    assert reply.headers["content-disposition"].startswith("attachment; filename")
    assert (reply.headers["cache-control"], reply.headers["content-type"]) == ("no-store", "application/jsonl")
    refused = {
        ("nobody", "csv"): (404, "EPISODE_NOT_FOUND", "nobody"),
        (name, "gif"): (404, "FRAME_NOT_RECORDED", "SHELM_RECORD"),
        (name, "avi"): (400, "INVALID_FIELD", "format: "),
        (name, "mp4?fps=0"): (400, "INVALID_FIELD", "fps: "),
    }
    for (episode, what), (status, reason, text) in refused.items():
        reply = export(beside[1], episode, what)
        assert (reply.status_code, reply.json()["reason"]) == (status, reason)
        assert text in reply.json()["message"]
    bare = httpx.get(f"{beside[1]}/api/episodes/{name}/export/csv")
    assert (bare.status_code, bare.json()["reason"]) == (403, "CROSS_SITE")


async def test_no_more_files_are_made_at_once_than_may_be_and_a_viewer_that_goes_gives_its_place_back(
    beside: tuple[Process, str], cramped: Deployment, name: str, frames: tuple[Frame, ...]
) -> None:
    play(cramped.gateway, name, frames[:2])
    async with httpx.AsyncClient(base_url=f"{beside[1]}/api/episodes/{name}/export", timeout=60) as viewer:
        viewer.headers["X-Shelm-Page"] = "1"
        tasks = [asyncio.create_task(viewer.get("/jsonl")) for _ in range(2)]
        await asyncio.sleep(0.2)  # a process needs longer to start
        reply = await viewer.get("/jsonl")
        assert (reply.status_code, reply.json()["reason"], reply.headers["retry-after"]) == (429, "QUEUE_FULL", "5")
        tasks[0].cancel()
        assert (await tasks[1]).status_code == 200
        until = asyncio.get_running_loop().time() + 10
        while (reply := await viewer.get("/jsonl")).status_code == 429:
            assert asyncio.get_running_loop().time() < until
        assert reply.status_code == 200


def test_the_overview_tells_what_the_metrics_tell_and_what_does_not_answer(
    tmp_path_factory: pytest.TempPathFactory, name: str, frames: tuple[Frame, ...]
) -> None:
    metrics, away = (f"127.0.0.1:{free_port()}" for _ in range(2))
    folder = tmp_path_factory.mktemp("overview")
    with Standalone(folder, {"SHELM_METRICS_LISTEN": metrics}).running() as deployment:
        settings = {"SHELM_INSPECTOR_TARGET": deployment.target, "SHELM_INSPECTOR_METRICS": f"{metrics}, {away}"}
        for _, url in started(tmp_path_factory, settings):
            play(deployment.gateway, name, frames[:8])
            first = httpx.get(f"{url}/api/overview").json()
            assert first["window"] is None
            (agent,) = first["agents"]
            assert (agent["agent"], agent["acts"], agent["acts_per_second"]) == ("minigrid-memory", 8, None)
            assert 0 < agent["p50"] <= agent["p99"] <= 5
            assert set(agent["stages"]) == {"decode", "retrieval", "memory", "policy", "commit"}
            assert (agent["slots_used"], agent["slots"] > 1) == (1, True)
            assert first["store"]["used"] > 100_000
            problems = {one["address"]: one["problem"] for one in first["sources"]}
            assert problems[metrics] is None
            assert "refused" in problems[away]
            play(deployment.gateway, f"{name}-2", frames[:30])
            assert httpx.get(f"{url}/api/overview").json() == first  # read every few seconds, for all viewers
            time.sleep(EVERY)
            later = httpx.get(f"{url}/api/overview").json()
            assert later["window"] >= EVERY
            assert (later["agents"][0]["acts"], later["agents"][0]["slots_used"]) == (30, 2)
            assert later["agents"][0]["acts_per_second"] == pytest.approx(30 / later["window"])


def test_without_metrics_the_overview_has_no_sources_and_needs_a_token_as_all_else(
    alone: tuple[Process, str], beside: tuple[Process, str]
) -> None:
    reply = httpx.get(f"{beside[1]}/api/overview").json()
    assert (reply["sources"], reply["agents"], reply["window"]) == ([], [], None)
    assert httpx.get(f"{alone[1]}/api/overview").status_code == 503  # whether the viewer may read cannot be asked


def ask_what_if(url: str, name: str, step: int, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{url}/api/episodes/{name}/whatif/{step}", content=content, headers={"X-Shelm-Page": "1", **headers})


def test_what_if_is_as_the_api_says(recording: tuple[str, Deployment], name: str, frames: tuple[Frame, ...]) -> None:
    url, deployment = recording
    answers = play(deployment.gateway, name, frames[:6])
    wait_for("recorded", lambda: httpx.get(f"{url}/api/episodes/{name}/frames/5").status_code == 200)
    word = answers[0].tokens[0].text
    edits = [[{"remove": {"step": "1", "word": ""}}], [{"swap": {"word": word, "other": "ball"}}]]
    asked = {"alternatives": [{"edits": one} for one in edits]}
    told = ask_what_if(url, name, 5, asked).json()
    assert (told["step"], told["action"], told["reach_from_step"]) == (5, answers[5].action.discrete, 0)
    reply = deployment.gateway.call("WhatIf", ParseDict({"episode_id": name, "step": 5, **asked}, agent_pb2.WhatIfRequest()))
    for one, outcome in zip((told["actual"], *told["alternatives"]), (reply.actual, *reply.alternatives), strict=True):
        assert one["distribution"]["probabilities"] == pytest.approx(
            list(outcome.distribution.probabilities.values), abs=1e-5
        )
        assert one["distribution"]["entropy"] == pytest.approx(outcome.distribution.entropy, abs=1e-5)
        assert [words["step"] for words in one["words"]] == [words.step for words in outcome.words]
    assert told["alternatives"][0]["words"] == [{"step": 1, "tokens": []}]
    assert told["actual"]["change"] is None
    refused = ask_what_if(url, name, 5, {"alternatives": [{"edits": [{"swap": {"word": word, "other": "zzz"}}]}]})
    assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_FIELD")
    assert refused.json()["message"].startswith("alternatives[0].edits[0].swap.other: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"alternatives": 3}',
        b'{"alternatives": [{"edits": [{"swop": {}}]}]}',
        b"[" * 100_000,
        b" " * 2**20,
        b'{"alternatives": [{"edits": [{"insert": {"step": -1}}]}]}',
    ],
)
def test_a_body_that_asks_nothing_is_refused(beside: tuple[Process, str], body: bytes) -> None:
    reply = ask_what_if(beside[1], "one", 0, body)
    assert (reply.status_code, reply.json()["reason"]) == (400, "INVALID_FIELD")
    assert reply.json()["message"].startswith("body: expected ")
    assert len(reply.content) < 1000


def ask(url: str, route: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/api/{route}", content=json.dumps(body).encode(), headers={"X-Shelm-Page": "1", **headers})


def test_lists_searches_and_comparisons_are_as_the_api_says(
    beside: tuple[Process, str], cramped: Deployment, name: str, frames: tuple[Frame, ...]
) -> None:
    url, gateway = beside[1], cramped.gateway
    for number in range(3):
        play(gateway, f"{name}:{number}", frames[number : number + 2])
    gateway.end(f"{name}:2", total_reward=1.0)
    words = {"filter": {"name_prefix": f"{name}:"}}
    listed = ask(url, "list", {**words, "order": "EPISODE_ORDER_OLDEST", "page_size": 2}).json()
    assert [one["episode_id"] for one in listed["episodes"]] == [f"{name}:0", f"{name}:1"]
    assert listed["episodes"][0] == httpx.get(f"{url}/api/episodes/{name}:0").json()
    rest = ask(url, "list", {**words, "order": "EPISODE_ORDER_OLDEST", "page_token": listed["next"]}).json()
    assert ([one["episode_id"] for one in rest["episodes"]], rest["next"], rest["damaged"]) == ([f"{name}:2"], "", [])

    seen = gateway.memory(f"{name}:1")[1].tokens[0].text
    asked = {**words, "saw": [{"word": seen, "first_step": 1}]}
    found = ask(url, "search", asked).json()
    reply = gateway.call("SearchEpisodes", ParseDict(asked, agent_pb2.SearchEpisodesRequest()))
    assert [(one["episode"]["episode_id"], one["seen_steps"]) for one in found["episodes"]] == [
        (one.episode.episode_id, list(one.seen_steps)) for one in reply.episodes
    ]
    assert f"{name}:1" in [one["episode"]["episode_id"] for one in found["episodes"]]

    compared = ask(url, "compare", words).json()
    assert (compared["succeeded"], compared["failed"], compared["partial"]) == (1, 0, False)
    assert compared["words"][0]["of_succeeded"]["total"] == 1
    assert set(compared["transitions"][0]) == {"word", "next_word", "of_succeeded", "of_failed"}
    refused = ask(url, "search", {"saw": [{"word": ""}]})
    assert (refused.status_code, refused.json()["message"].partition(":")[0]) == (400, "saw[0].word")


@pytest.mark.parametrize("route", ["list", "search", "compare"])
def test_a_search_is_asked_by_the_own_page_alone_and_in_its_form(beside: tuple[Process, str], route: str) -> None:
    reply = httpx.post(f"{beside[1]}/api/{route}", content=b"{}")
    assert (reply.status_code, reply.json()["reason"]) == (403, "CROSS_SITE")
    assert ask(beside[1], route, {}, Origin="http://evil.example").status_code == 403
    wrong: list[Any] = [[], {"filter": {"state": "RUNNING"}}, {"nothing": 1}]
    for body in wrong:
        reply = ask(beside[1], route, body)
        assert (reply.status_code, reply.json()["message"].partition(":")[0]) == (400, "body")


def test_what_if_is_asked_by_the_own_page_alone(beside: tuple[Process, str]) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        reply = ask_what_if(beside[1], "one", 0, {"alternatives": []}, **headers)
        assert (reply.status_code, reply.json()["reason"]) == (403, "CROSS_SITE")
    reply = httpx.post(f"{beside[1]}/api/episodes/one/whatif/0", content=b'{"alternatives": []}')
    assert (reply.status_code, reply.json()["reason"]) == (403, "CROSS_SITE")
    assert httpx.get(f"{beside[1]}/api/episodes/one/whatif/0").status_code == 405


def test_damaged_requests_get_a_status_that_is_documented(beside: tuple[Process, str]) -> None:
    host, _, port = beside[1].removeprefix("http://").rpartition(":")
    outcome = asyncio.run(run_session(Served(page=(host, int(port))), "routes", 0, 300, 1000.0, keep=False))
    assert outcome.failed == []
    assert outcome.told["200"] > 0
    assert beside[0].alive
    assert "Traceback" not in beside[0].log_path.read_text()


def test_memory_is_as_the_api_says(
    beside: tuple[Process, str], cramped: Deployment, name: str, frames: tuple[Frame, ...]
) -> None:
    play(cramped.gateway, name, frames[:5])
    steps = cramped.gateway.memory(name)
    given = httpx.get(f"{beside[1]}/api/episodes/{name}/memory?from=1&limit=3").json()
    assert [one["step"] for one in given] == [1, 2, 3]
    for one, step in zip(given, steps[1:4], strict=True):
        assert [(t["text"], t["similarity"], t["id"]) for t in one["tokens"]] == [
            (t.text, t.similarity, t.id) for t in step.tokens
        ]
        assert (one["action"], one["value"], one["in_window"]) == (step.action.discrete, step.value, step.in_window)
        assert one["time"] == step.time.ToMilliseconds()


def test_errors_of_the_api_keep_their_reason(beside: tuple[Process, str]) -> None:
    reply = httpx.get(f"{beside[1]}/api/episodes/nobody")
    assert (reply.status_code, reply.json()["reason"]) == (404, "EPISODE_NOT_FOUND")
    reply = httpx.get(f"{beside[1]}/api/episodes/{'a' * 200}")
    assert (reply.status_code, reply.json()["reason"]) == (400, "INVALID_FIELD")


def test_without_recording_a_frame_is_no_content(
    beside: tuple[Process, str], cramped: Deployment, name: str, frames: Any
) -> None:
    cramped.gateway.act(name, 0, frames[0])
    reply = httpx.get(f"{beside[1]}/api/episodes/{name}/frames/0")
    assert (reply.status_code, reply.headers["x-reason"]) == (204, "RECORDING_OFF")


def test_no_more_viewers_than_allowed(beside: tuple[Process, str], cramped: Deployment) -> None:
    url = f"{beside[1]}/api/episodes"
    with httpx.stream("GET", url) as one, httpx.stream("GET", url) as two:
        lines = [one.iter_lines(), two.iter_lines()]  # kept: an iterator that is dropped closes its connection
        assert [next(each) for each in lines]
        with httpx.stream("GET", url) as reply:
            assert reply.status_code == 429
            reply.read()
        assert (reply.status_code, reply.json()["reason"]) == (429, "TOO_MANY_VIEWERS")
    wait_for("a place is free again", lambda: still_open(url))


def still_open(url: str) -> bool:
    """Whether one more viewer is let in."""
    with httpx.stream("GET", url) as reply:
        return reply.status_code == 200


def test_beyond_loopback_an_api_without_tokens_is_not_shown(
    cramped: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    beyond = {"SHELM_INSPECTOR_LISTEN": f"0.0.0.0:{free_port()}", "SHELM_ALLOW_PLAINTEXT": "true"}
    settings = {"SHELM_INSPECTOR_TARGET": cramped.target, **beyond}
    for process, url in started(tmp_path_factory, settings):
        reply = httpx.get(f"{url}/api/agents", headers={"Authorization": "Bearer anything"})
        assert (reply.status_code, reply.json()["reason"]) == (412, "OPEN_API")
        assert process.alive
    for _, url in started(tmp_path_factory, {**settings, "SHELM_ALLOW_ANONYMOUS": "true"}):
        assert httpx.get(f"{url}/api/agents").json()[0]["name"] == "minigrid-memory"


def test_it_ends_with_0_also_while_somebody_looks(cramped: Deployment, tmp_path_factory: pytest.TempPathFactory) -> None:
    for process, url in started(tmp_path_factory, {"SHELM_INSPECTOR_TARGET": cramped.target}):
        with httpx.stream("GET", f"{url}/api/episodes") as reply:
            lines = reply.iter_lines()
            assert next(lines)
            process._child.send_signal(signal.SIGTERM)
            assert process._child.wait(20) == 0


def test_a_bad_setting_or_a_taken_address_stops_the_start_with_its_name(
    alone: tuple[Process, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    taken = alone[1].removeprefix("http://")
    for value, status in (("nowhere", 2), (taken, 1)):
        log = tmp_path_factory.mktemp("refused") / "log"
        process = Process([sys.executable, "-m", "services.inspector"], log, {"SHELM_INSPECTOR_LISTEN": value})
        assert process._child.wait(60) == status
        assert "SHELM_INSPECTOR_LISTEN" in log.read_text()
        assert "Traceback" not in log.read_text()


def test_a_server_without_an_archive_says_so(beside: tuple[Process, str]) -> None:
    reply = httpx.get(f"{beside[1]}/api/archive", timeout=30)
    assert (reply.status_code, reply.json()["reason"]) == (412, "ARCHIVE_OFF")


def test_archived_episodes_are_listed_and_shown(
    tmp_path_factory: pytest.TempPathFactory, name: str, frames: tuple[Frame, ...]
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    settings = {"SHELM_ARCHIVE": str(folder / "archive"), "SHELM_ENDED_TTL": "1"}
    with Standalone(folder / "run", settings).running() as running:
        answers = play(running.gateway, name, frames[:3])
        running.gateway.end(name, total_reward=0.5)
        for _, url in started(tmp_path_factory, {"SHELM_INSPECTOR_TARGET": running.target}):
            wait_for("it is archived", lambda url=url: httpx.get(f"{url}/api/archive").json()["episodes"], seconds=30)  # type: ignore[misc]
            with running.redis() as client:
                wait_for("Redis has forgotten it", lambda client=client: not client.keys("*:episode"), seconds=30)  # type: ignore[misc]
            page = httpx.get(f"{url}/api/archive").json()
            assert [(one["episode_id"], one["total_reward"]) for one in page["episodes"]] == [(name, 0.5)]
            assert page["next"] == ""
            steps = httpx.get(f"{url}/api/episodes/{name}/memory").json()
            assert [one["tokens"][0]["text"] for one in steps] == [one.tokens[0].text for one in answers]
            assert httpx.get(f"{url}/api/archive?after=..").status_code == 400
