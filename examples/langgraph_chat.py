"""A LangGraph chat that remembers, without an API key: run it twice.

python examples/langgraph_chat.py "Hello, I am Ada."
python examples/langgraph_chat.py "Who am I?"
"""

import asyncio
import os
import sys

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

import sojourn
from sojourn.integrations.langgraph import CheckpointSaver


def model(state: MessagesState):
    said = [message.content for message in state["messages"] if message.type == "human"]
    return {"messages": [AIMessage(f"You said {len(said)} things, first: {said[0]}")]}


async def main(text: str) -> None:
    async with sojourn.open(os.environ.get("SOJOURN_URL", "embedded:.sojourn")) as store:
        builder = StateGraph(MessagesState)
        builder.add_node("model", model)
        builder.add_edge(START, "model")
        graph = builder.compile(checkpointer=CheckpointSaver(store, app="chat", owner="user"))
        config = {"configurable": {"thread_id": "first", "user": "ada"}}
        after = await graph.ainvoke({"messages": [HumanMessage(text)]}, config)
        print(after["messages"][-1].content)
        for thread in (await store.threads.list("chat", "ada")).threads:
            print(f"{thread.thread}: {thread.title} ({thread.checkpoints} checkpoints)")


asyncio.run(main(" ".join(sys.argv[1:]) or "Hello!"))
