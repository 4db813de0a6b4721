"""`sojourn threads`: list, show, prune and delete."""

from __future__ import annotations

from functools import partial

from cli_kit import Cli

import sojourn
from sojourn import ThreadKey
from sojourn.checkpoints import Branch, Leaf, PendingWrite

KEY = ThreadKey.of("shop", "ada", "t 1")
WHO = ("shop", "ada", "t 1")


async def work(store: sojourn.Sojourn) -> None:
    said = Leaf(b'{"content":"Hello","type":"human"}', "message", "m1")
    for number in (1, 2, 3):
        await store.threads.put(
            *(KEY, f"c{number}"),
            parent=f"c{number - 1}" if number > 1 else "",
            metadata={"step": number},
            values={
                "messages": partial(lambda given: given, Branch([said] * number)),
                "other": lambda: Leaf(b"\x93\x01\xc0\xd4\x07\x02", "msgpack"),
            },
            title="Hello \x1b[31m",
        )
    write = PendingWrite(task="a", index=0, channel="c", value=Leaf(b"1"))
    await store.threads.put_writes(KEY, "c3", "a", [write])


def test_threads_are_listed_shown_pruned_and_deleted(cli: Cli) -> None:
    cli.fill(work)
    ran = cli.run("threads", "ls", "shop", "ada")
    assert "t 1" in ran.out
    assert "\x1b[31m" not in ran.out
    assert "1 thread\n" in ran.err
    (found,) = cli.run("threads", "ls", "shop", "ada", "--json").documents
    assert (found["thread"], found["checkpoints"]) == ("t 1", 3)
    (shown,) = cli.run("threads", "show", *WHO).documents
    message = {"content": "Hello", "type": "human", "id": "m1"}
    assert shown["values"] == {"messages": [message] * 3, "other": [1, None, 2]}
    assert shown["writes"] == [{"task": "a", "channel": "c", "value": 1}]
    (old,) = cli.run("threads", "show", *WHO, "--checkpoint", "c1").documents
    assert (old["parent"], old["metadata"]) == (None, {"step": 1})
    assert cli.run("threads", "prune", *WHO, "--keep", "2").out.startswith("Deleted 1 checkpoint ")
    assert cli.run("threads", "rm", *WHO).code == 0
    assert cli.run("threads", "rm", *WHO).code == 1
    assert cli.run("threads", "show", *WHO).code == 1
