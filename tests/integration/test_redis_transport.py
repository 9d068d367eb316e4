"""Redis behind TLS, with its password in a file: the store works, renewed secrets are used, and nothing is told of them."""

import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
import redis
from support.certificates import Authority
from support.deployment import RedisProcess
from support.process import REPOSITORY, environment_with
from support.stored import TTL, redis_process, with_steps

from services.store.access import RedisAccess
from services.store.episodes import EpisodeStore
from services.store.redis import connect_redis

WORD = "wo/rd+0=@#?"  # as base64 and others make them, and no URL holds them


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis with one user, `able`."""
    with redis_process(tmp_path / "redis") as process:
        with redis.Redis.from_url(process.url) as admin:
            admin.execute_command("ACL", "SETUSER", "able", "on", f">{WORD}", "~*", "&*", "+@all")
            admin.execute_command("ACL", "SETUSER", "default", "off")
        yield process


@pytest.fixture
async def encrypted(guarded: RedisProcess, tmp_path: Path) -> AsyncIterator[str]:
    """The address of that Redis behind TLS that asks for a certificate."""
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
    context.load_cert_chain(*authority.issue())
    context.verify_mode = ssl.CERT_REQUIRED
    port = int(guarded.url.rpartition(":")[2].partition("/")[0])

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, to_redis), pump(from_redis, writer), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    (tmp_path / "word").write_text(f"{WORD}\n")
    authority.issue("policy")
    yield f"rediss://able@127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    server.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


def access(url: str, folder: Path) -> RedisAccess:
    files = (folder / name for name in ("word", "ca.crt", "policy.crt", "policy.key"))
    return RedisAccess(url, *map(str, files))


async def test_the_store_works_over_tls_and_a_new_password_needs_no_restart(
    encrypted: str, guarded: RedisProcess, tmp_path: Path
) -> None:
    client = connect_redis(access(encrypted, tmp_path), timeout=5)
    store = EpisodeStore(client, ttl=TTL, retained=100)
    assert await store.missing() == []
    await with_steps(store, 3)
    await client.execute_command("ACL", "SETUSER", "able", ">new", f"<{WORD}")
    (tmp_path / "word").write_text("new")
    await client.connection_pool.disconnect()
    assert await store.missing() == []
    (tmp_path / "word").write_text("wrong")
    await client.connection_pool.disconnect()
    assert "invalid username-password pair" in "; ".join(await store.missing())
    await client.aclose()


async def checked(settings: Mapping[str, str]) -> str:
    """What `--check` of policy says of these settings; nothing if it could start."""

    def run() -> str:
        command = [sys.executable, "-m", "services.policy", "--check"]
        environment = environment_with({"SHELM_LISTEN": "127.0.0.1:0", **settings})
        done = subprocess.run(
            command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode == 0) == (done.stderr == "")
        return done.stderr

    return await asyncio.to_thread(run)


async def test_a_service_uses_the_settings_and_names_what_is_wrong(encrypted: str, tmp_path: Path) -> None:
    files = access(encrypted, tmp_path)
    good = {
        "SHELM_REDIS_URL": encrypted,
        "SHELM_REDIS_PASSWORD_FILE": files.password_file,
        "SHELM_REDIS_CA": files.ca,
        "SHELM_REDIS_CERT": files.certificate,
        "SHELM_REDIS_KEY": files.key,
    }
    assert await checked(good) == ""
    other = Authority(tmp_path / "other")
    (tmp_path / "other" / "word").write_text("s3cret")
    for wrong in (
        {"SHELM_REDIS_CA": str(other.ca)},
        {"SHELM_REDIS_CERT": "", "SHELM_REDIS_KEY": ""},
        {"SHELM_REDIS_PASSWORD_FILE": str(tmp_path / "other" / "word")},
    ):
        [line] = (await checked({**good, **wrong})).splitlines()
        assert line.startswith("SHELM_REDIS_URL: redis does not answer: ")
        assert "s3cret" not in line
        assert WORD not in line
    [line] = (await checked({**good, "SHELM_REDIS_URL": f"rediss://able:{WORD}@127.0.0.1"})).splitlines()
    assert line.startswith("SHELM_REDIS_URL: ")
    assert "expected [cluster+]redis" in line
    assert "rd+0" not in line
