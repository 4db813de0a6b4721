"""A manager of whole sessions: save, load after a restart, list, change, delete.

    python examples/session_manager.py [URL]    # and once more: it goes on where it was

A session is loaded, changed and saved under the version that was loaded, so that nobody's work is
overwritten. The store is that of URL, or of the environment, or an embedded server's in ./.sojourn.
"""

import asyncio
import sys

import sojourn

APP, USER = "flywheel", "ada"
SPIRAL = sojourn.SessionKey.of(APP, USER, "spiral-1")
SCRATCH = sojourn.SessionKey.of(APP, USER, "scratch-1")


def opened() -> sojourn.Sojourn:
    """A store of its own, with sessions that live for seven days."""
    settings = sojourn.Settings()
    options = {"session_ttl": 7 * 86_400, **settings.arguments}
    return sojourn.open(sys.argv[1] if sys.argv[1:] else settings.url, **options)


async def resume(store: sojourn.Sojourn, key: sojourn.SessionKey) -> sojourn.Session:
    """The session as it was left, or a new one. An outage is neither of the two: it raises."""
    result = await store.sessions.safe.get(key)
    if result.status == "not_found":
        print(f"{key.session}: not found, creating new")
        return await store.sessions.ensure(*key, labels={"backend": "flowise", "flow": "greeting"})
    session = result.unwrap()
    flow, turn = session.labels["flow"], session.state.get("turn", 0)
    print(f"{key.session}: resumed in flow {flow}, turn {turn}")
    return session


async def turn(store: sojourn.Sojourn, session: sojourn.Session) -> None:
    """Work on a session at hand and save it as a whole."""
    count = session.state.get("turn", 0) + 1
    event = sojourn.Event(author="flowise", payload={"text": f"Turn {count}"})
    await store.sessions.save(
        session.key,
        events=[*session.events, event],
        state={**session.state, "turn": count},
        labels={**session.labels, "flow": "csv2507"},
        metadata={"runs": count},
        expected_version=session.version,
    )
    try:
        await store.sessions.save(session.key, state={}, expected_version=session.version)
    except sojourn.StaleSession:
        print("An older copy is not saved over it")


async def main() -> None:
    """Two processes' work in one: what the second store finds, the first has left."""
    async with opened() as store:
        await turn(store, await resume(store, SPIRAL))
        await store.sessions.save(SCRATCH, labels={"backend": "langflow"}, status="done")

    async with opened() as store:  # as after a restart
        loaded = await store.sessions.get(SPIRAL)
        if loaded is not None:
            print(f"Loaded: turn {loaded.state['turn']}, events {loaded.length}, {loaded.metadata}")
        for words in ({"pattern": "s*-1"}, {"status": "done"}, {"labels": {"flow": "csv2507"}}):
            page = await store.sessions.list(APP, USER, **words)
            print(f"{words}: {sorted(each.key.session for each in page.sessions)}")
        print(f"Deleted: {await store.sessions.delete(SCRATCH)}")
        print(f"Deleted again: {await store.sessions.delete(SCRATCH)}")


if __name__ == "__main__":
    asyncio.run(main())
