"""A LangChain agent that remembers across restarts.

python examples/langchain_agent "My name is Ada." "What is 17 times 23?"
python examples/langchain_agent "What is my name?" "What was the last result?"

Without OPENAI_BASE_URL a scripted endpoint on loopback answers. The conversation is kept in
SOJOURN_URL, or else in an embedded server's folder, ./langchain-agent.
"""

import argparse
import os
from contextlib import nullcontext

from chat_model import EndpointModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import BaseTool, tool
from scripted_endpoint import scripted_endpoint

from sojourn.integrations.langchain import ChatMessageHistory

SYSTEM = SystemMessage("Answer briefly. Multiply with the tool, never in your head.")


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two whole numbers."""
    return a * b


TOOLS: dict[str, BaseTool] = {"multiply": multiply}


def turn(model: EndpointModel, history: ChatMessageHistory, text: str) -> str:
    """One question and its answer; all messages of the turn are stored, or none."""
    with_tools = model.bind_tools(list(TOOLS.values()))
    past = history.messages
    new: list[BaseMessage] = [HumanMessage(text)]
    while True:
        said = with_tools.invoke([SYSTEM, *past, *new])
        new.append(said)
        if not said.tool_calls:
            break
        new += [TOOLS[call["name"]].invoke(call) for call in said.tool_calls]
    history.add_messages(new)
    return said.text


def main() -> None:
    """Answer the questions of the command line, or those that are typed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("questions", nargs="*")
    parser.add_argument("--session", default="demo")
    asked = parser.parse_args()
    given = os.environ.get("OPENAI_BASE_URL")
    url = os.environ.get("SOJOURN_URL", "embedded:langchain-agent")
    with nullcontext(given) if given else scripted_endpoint() as base_url:
        model = EndpointModel(
            base_url=base_url,
            model=os.environ.get("OPENAI_MODEL", "scripted"),
            api_key=os.environ.get("OPENAI_API_KEY", ""),
        )
        history = ChatMessageHistory(asked.session, url)
        try:
            for text in asked.questions or iter(lambda: input("> "), ""):
                print(turn(model, history, text))
        finally:
            history.close()


if __name__ == "__main__":
    main()
