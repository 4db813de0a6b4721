"""ADK's own server over our sessions: what it was told outlives it."""

import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.adk_http import APP, USER, AdkHttp, text_of
from e2e.web_process import EXAMPLES, PLAIN_ADK, SOJOURN_ADK
from servers import until
from sojourn.integrations.adk import MemoryService


def test_a_conversation_outlives_kill_9_of_the_web_process(start_web, embedded_uri):
    web = start_web(embedded_uri)
    adk = AdkHttp(web.url)
    session_id = adk.create()
    adk.say(session_id, "Store test_key with value test_123")
    adk.say(session_id, "Remember for me that color is blue")
    streamed = adk.stream(session_id, "Remember for everyone that season is autumn")
    before = adk.session(session_id)

    web.kill()
    web.start()

    assert adk.session(session_id) == before
    assert before["id"] == session_id
    assert before["state"] == {
        "test_key": "test_123",
        "user:color": "blue",
        "app:season": "autumn",
    }
    assert_streamed(streamed)
    assert_turns(before["events"], turns=3)
    assert "test_123" in adk.say(session_id, "What is test_key?")
    assert_turns(adk.session(session_id)["events"], turns=4)


@pytest.mark.parametrize(
    ("end", "appendfsync"), [(signal.SIGTERM, "everysec"), (signal.SIGKILL, "always")]
)
def test_a_conversation_goes_on_after_a_restart_of_the_server(
    start_server, start_web, end, appendfsync
):
    server = start_server(appendfsync)
    adk = AdkHttp(start_web(server.url).url)
    session_id = adk.create()
    adk.say(session_id, "Store test_key with value test_123")
    before = adk.session(session_id)

    server.stop(end)
    # Not 404: nobody can know now whether the session is there.
    assert adk.get(session_id).is_server_error
    server.start()

    until("the server is found again", lambda: adk.get(session_id).is_success)
    assert adk.session(session_id) == before
    assert "test_123" in adk.say(session_id, "What is test_key?")
    assert_turns(adk.session(session_id)["events"], turns=2)


def test_the_agent_keeps_answering_while_the_server_is_away(start_server, start_web, tmp_path):
    server = start_server("always")
    buffer = f"on_outage=buffer&journal={tmp_path / 'journal'}&operation_timeout=1"
    web = start_web(f"{server.url}?{buffer}")
    adk = AdkHttp(web.url)
    session_id = adk.create()
    adk.say(session_id, "Store before with value 1")

    server.stop(signal.SIGKILL)
    adk.say(session_id, "Store during with value 2")
    assert "2" in adk.say(session_id, "What is during?")
    begun = adk.create()
    adk.say(begun, "Store begun with value 3")
    assert adk.get("never seen here").is_server_error  # not 404: it cannot be known
    web.kill()  # with everything still on its disk
    server.start()
    web.start()

    assert "1" in adk.say(session_id, "What is before?")
    assert_turns(adk.session(session_id)["events"], turns=4)
    assert adk.session(session_id)["state"] == {"before": "1", "during": "2"}
    assert_turns(adk.session(begun)["events"], turns=1)


def test_two_web_processes_write_to_one_session_at_once(start_server, start_web):
    server = start_server()
    clients = [AdkHttp(start_web(server.url).url) for _ in range(2)]
    session_id = clients[0].create()
    values = {f"key_{number}": f"value_{number}" for number in range(8)}

    def store(number: int) -> None:
        key = f"key_{number}"
        clients[number % 2].say(session_id, f"Store {key} with value {values[key]}")

    with ThreadPoolExecutor(max_workers=len(values)) as pool:
        list(pool.map(store, range(len(values))))

    seen = [client.session(session_id) for client in clients]
    assert seen[0] == seen[1]
    assert seen[0]["state"] == values
    assert_turns(seen[0]["events"], turns=len(values))
    assert "value_7" in clients[0].say(session_id, "What is key_7?")


def test_a_session_id_is_taken_once_and_an_unknown_one_is_not_found(start_web, embedded_uri):
    adk = AdkHttp(start_web(embedded_uri).url)
    assert adk.post_session(sessionId="mine", state={"test_key": "first"}).status_code == 200
    assert adk.post_session(sessionId="mine", state={"test_key": "second"}).status_code == 409
    assert "first" in adk.say("mine", "What is test_key?")
    assert adk.get("other").status_code == 404
    assert adk.post_run("other", "Show my session info").status_code == 404


def test_a_session_gets_the_ttl_that_its_creator_asks_for(start_server, start_web):
    server = start_server()
    adk = AdkHttp(start_web(server.url).url)
    if not adk.forwards_options():
        pytest.skip("this google-adk forwards no session options: ttl over HTTP not run")
    session_id = adk.create(options={"ttl": 100})
    adk.say(session_id, "Store test_key with value test_123")
    with server.client() as client:
        ttls = [client.ttl(key) for key in client.scan_iter(f"*{session_id}*")]
    assert ttls
    assert all(0 < ttl <= 101 for ttl in ttls)


async def test_a_session_is_added_to_memory_that_outlives_the_web_process(start_server, start_web):
    server = start_server()
    web = start_web(server.url, options=[f"--memory_service_uri={server.url}"])
    adk = AdkHttp(web.url)
    session_id = adk.create()
    adk.say(session_id, "Store favourite_drink with value jasmine")
    for known, status in ((session_id, 200), ("unknown", 404)):
        assert adk.patch_memory(known).status_code == status
    web.kill()

    memory = MemoryService(server.url)
    found = await memory.search_memory(app_name=APP, user_id=USER, query="jasmine")
    assert {each.author for each in found.memories} == {"user", APP}
    await memory.close()


def test_the_api_server_without_a_ui_keeps_sessions_too(start_web, embedded_uri):
    server = start_web(embedded_uri, subcommand="api_server")
    adk = AdkHttp(server.url)
    session_id = adk.create()
    adk.say(session_id, "Store test_key with value test_123")

    server.kill()
    server.start()

    assert "test_123" in adk.say(session_id, "What is test_key?")
    assert adk.http.get("/dev-ui/").status_code == 404


def test_plain_adk_keeps_sessions_through_the_file_that_init_writes(
    start_server, start_web, tmp_path
):
    agents = tmp_path / "agents"
    shutil.copytree(EXAMPLES / APP, agents / APP)
    subprocess.run([*SOJOURN_ADK, "init", str(agents)], check=True)
    server = start_server()
    web = start_web(server.url, command=PLAIN_ADK, agents=agents)
    adk = AdkHttp(web.url)
    session_id = adk.create()
    adk.say(session_id, "Store test_key with value test_123")
    before = adk.session(session_id)
    with server.client() as client:
        assert client.exists(f"session:{{{APP}:{USER}}}:{session_id}") == 1

    web.kill()
    web.start()

    assert adk.session(session_id) == before
    assert "test_123" in adk.say(session_id, "What is test_key?")
    assert_turns(adk.session(session_id)["events"], turns=2)


def assert_streamed(events):
    """Chunks come before the whole text and add up to it."""
    chunks = [text_of(event) for event in events if event.get("partial")]
    assert len(chunks) > 1
    assert "".join(chunks) == text_of(events[-1])


def assert_turns(events, *, turns):
    """A turn is four events, in this order, each of them once, and no chunk among them."""
    kinds: dict[str, list[str]] = {}
    for event in events:
        kinds.setdefault(event["invocationId"], []).append(kind_of(event))
    assert list(kinds.values()) == [["user", "functionCall", "functionResponse", "text"]] * turns
    assert len({event["id"] for event in events}) == len(events)
    assert not any(event.get("partial") for event in events)


def kind_of(event):
    part = event["content"]["parts"][0]
    if event["author"] == "user":
        return "user"
    return next(kind for kind in ("functionCall", "functionResponse", "text") if kind in part)
