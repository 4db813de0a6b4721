"""A store without an event loop: sessions of a web application, from make to delete.

    python examples/sync_store.py

The store is that of SOJOURN_URL, or else an embedded server's in ./.sojourn. Nothing stays behind.
"""

import sojourn
import sojourn.sync

APP, USER, SOMEBODY = "web", "42", "43"


def main() -> None:
    """Walk a session through its life."""
    store = sojourn.sync.default()

    session = store.sessions.ensure(
        APP, USER, "session_123", title="Research session", status="active"
    )
    again = store.sessions.ensure(APP, USER, "session_123", title="Not used: it is there")
    print(f"Ensured: {again.title}, the same: {again.incarnation == session.incarnation}")

    history = store.history(session.key)
    history.append("user", "Hello, world!", {"source": "web"})
    history.append("assistant", "Good morning.")
    for message in history.last(10):
        print(f"Message {message.seq}: {message.role}: {message.content} {message.metadata}")

    found = store.sessions.get(session.key)
    other = store.sessions.get(sojourn.SessionKey.of(APP, SOMEBODY, "session_123"))
    print(f"User {USER} gets: {found and found.title}. User {SOMEBODY} gets: {other}")

    store.sessions.append(
        session.key,
        sojourn.Event(
            author="agent",
            payload="Dark it is.",
            state_delta={"step": 2, "user:theme": "dark"},
        ),
    )
    store.sessions.update(session.key, status="waiting", metadata={"phase": "review"})
    for each in store.sessions.list(APP, USER, status="waiting").sessions:
        print(f"Waiting: {each.key.session}, {each.metadata}, state {each.state}")

    gone = store.sessions.safe.update(
        sojourn.SessionKey.of(APP, SOMEBODY, "session_123"), status="done"
    )
    print(f"A change of what is not there: {gone.status}")

    stats, health = store.stats(), store.health()
    print(f"Store: {stats.kind}, available: {stats.available}, retries: {stats.retries}")
    print(f"Health: {health.available}, servers: {len(health.nodes)}")

    deleted = store.sessions.delete(session.key)
    print(f"Deleted: {deleted}. Sessions left: {store.sessions.count(APP, USER)}")
    sojourn.sync.close_default()


if __name__ == "__main__":
    main()
