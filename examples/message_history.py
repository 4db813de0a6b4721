"""The history of an agent's conversation, with a model that needs no key.

    python examples/message_history.py "My name is Ada."
    python examples/message_history.py "What is my name?"    # another process: it remembers
    python examples/message_history.py --clear

The model answers from the messages that it is given, so what it knows, the history has kept. A real
one takes its place where `answer` is called. The store is that of SOJOURN_URL, or else an embedded
server's in ./.sojourn.
"""

import argparse
import asyncio
import re

import sojourn


def answer(messages: list[dict[str, str]]) -> str:
    """What a chat model says to role and content; this one knows two things."""
    question = messages[-1]["content"]
    told = re.search(r"my name is (\w+)[.!]?$", question, re.IGNORECASE)
    if told:
        return f"Nice to meet you, {told[1]}."
    said = " ".join(each["content"] for each in messages if each["role"] == "user")
    names = re.findall(r"my name is (\w+)[.!]", said, re.IGNORECASE)
    return f"You are {names[-1]}." if names else "You have not told me your name."


async def ask(history: sojourn.History, question: str) -> str:
    """One turn: the question and its answer are stored together, or not at all."""
    past = [message.as_dict() for message in await history.last(20)]
    said = answer([*past, {"role": "user", "content": question}])
    await history.extend(
        [
            {"role": "user", "content": question, "metadata": {"channel": "terminal"}},
            {"role": "assistant", "content": said},
        ]
    )
    return said


async def main() -> None:
    """Answer the questions of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("questions", nargs="*", default=["Hello! My name is Ada."])
    parser.add_argument("--session", default="agent-session-001")
    parser.add_argument("--clear", action="store_true", help="forget the conversation")
    asked = parser.parse_args()

    store = sojourn.default()
    history = store.history(asked.session, ttl=3600)
    if asked.clear:
        await history.clear()
        print(f"Cleared. Messages: {len(await history.all())}")
        await sojourn.close_default()
        return
    print(f"Messages from before: {len(await history.all())}")
    for question in asked.questions:
        print(f"user: {question}")
        print(f"assistant: {await ask(history, question)}")
    await sojourn.close_default()


if __name__ == "__main__":
    asyncio.run(main())
