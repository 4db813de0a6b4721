"""What outlives a session: preferences, experience, knowledge, and what sessions were about.

    python examples/cross_session_memory.py    # and once more: it remembers the first time

Each run is another session of the same user; a search finds the sessions of runs before it. The
store is that of SOJOURN_URL, or else an embedded server's in ./.sojourn.
"""

import asyncio

import sojourn

APP, USER, AGENT = "research", "ada", "research_agent"

MESSAGES = [
    {"role": "user", "content": "Research AI safety developments"},
    {"role": "assistant", "content": "Starting comprehensive research..."},
    {"role": "system", "content": "Phase 1: Literature review"},
]

KNOWLEDGE = {
    "alignment": "Reward models drift when they are optimised for too long.",
    "audits": "Auditors read the logs of an agent, not its promises.",
}


async def research(store: sojourn.Sojourn) -> None:
    """One session of the workflow."""
    session = await store.sessions.create(APP, USER, title="AI safety research")
    await store.history(session.key).extend(MESSAGES)
    print(f"Sessions of {USER}: {await store.sessions.count(APP, USER)}")
    await store.remember(session.key, summary="Literature on AI safety was reviewed.", end=True)


async def remembered(store: sojourn.Sojourn) -> None:
    """What the user wants, and what the agent has learnt of it."""
    ada = store.memory.user(USER, app=APP)
    agent = store.memory.agent(AGENT, app=APP)
    print(f"Preferences from before: {await ada.get('research_prefs')}")
    await ada.put("research_prefs", {"depth": "comprehensive", "sources": ["academic"]})
    await ada.merge("research_prefs", {"format": "detailed"})
    print(f"Preferences now: {await ada.get('research_prefs')}")
    await agent.put("user_patterns", {"preferred_depth": "comprehensive", "topics": ["AI safety"]})
    print(f"The agent knows: {await agent.get('user_patterns')}")


async def known(store: sojourn.Sojourn) -> None:
    """What everybody shares, found by words."""
    safety = store.memory.knowledge("ai-safety", app=APP)
    await safety.put_many(KNOWLEDGE)
    for hit in await safety.search("reading an agent's log", limit=1):
        print(f"Knowledge: {hit.entry.key}: {hit.entry.value}")


async def past_sessions(store: sojourn.Sojourn) -> None:
    """What earlier sessions were about; this one is among them."""
    past = store.memory.sessions(USER, app=APP)
    page = await past.list(limit=100)
    print(f"Remembered sessions: {len(page.entries)}")
    for hit in await past.search("reviewing literature", limit=1):
        print(f"Found: {hit.entry.value['title']} ({hit.entry.value['status']})")


async def main() -> None:
    """Run the workflow once."""
    store = sojourn.default()
    await remembered(store)
    await research(store)
    await known(store)
    await past_sessions(store)
    print(f"Store: {store.stats().kind}, available: {store.stats().available}")
    await sojourn.close_default()


if __name__ == "__main__":
    asyncio.run(main())
