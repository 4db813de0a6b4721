"""A cache of executions: results by name, a decorated function, tenants, tags, the hit rate.

    python examples/execution_cache.py    # and once more within the hour: nothing is computed

The store is that of SOJOURN_URL, or else an embedded server's in ./.sojourn. `--forget` at the end
of the line invalidates the function's results first.
"""

import asyncio
import sys

import sojourn

store = sojourn.default()


@store.cache.cached(ttl=3600, stale=60, tags=["flows"])
async def run_flow(flow: str, question: str) -> dict[str, str]:
    """What takes long: a model, a search, a workflow."""
    print(f"Running {flow} ...")
    await asyncio.sleep(0.1)
    return {"result": f"{question.rstrip('?')} is a tension that seeks resolution."}


async def main() -> None:
    """Ask for results twice each."""
    if "--forget" in sys.argv:
        await store.cache.invalidate("flows")

    print(f"exec_abc from before: {await store.cache.get('exec_abc')}")
    result = {"result": "Structural tension is...", "metadata": {"duration_ms": 1234}}
    await store.cache.put("exec_abc", result, ttl=3600)
    print(f"exec_abc now: {await store.cache.get('exec_abc')}")
    print(f"exec_abc of another tenant: {await store.cache.get('exec_abc', tenant='other')}")

    asked = [run_flow("csv2507", "What?") for _ in range(10)]  # at once: one runs, nine wait
    answers = await asyncio.gather(*asked)
    print(f"{len(answers)} answers, all the same: {all(each == answers[0] for each in answers)}")

    stats = store.cache.stats()
    print(f"Computed: {stats.computed}, hit rate: {stats.hit_rate:.0%}")
    await sojourn.close_default()


if __name__ == "__main__":
    asyncio.run(main())
