"""Contract of every memory store: search."""

# ruff: noqa: D102, PLR2004, S101 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio

import pytest

from sojourn.client import Sojourn
from sojourn.memory import MemoryScope


@pytest.mark.anyio
class SearchContract:
    """Part of the `MemoryContract`."""

    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("She prefers running shoes", "run"),
            ("the parcels were returned", "returning a PARCEL"),
            ("naïve café", "NAIVE CAFÉ"),
            ("naive cafe", "naïve"),
            ("Żółć w Łodzi", "zolc lodz łodzi"),
            ("Straße", "STRASSE"),
            ("Пользователь любит ёлки", "ЕЛКИ"),
            ("Ελληνικός καφές", "ΚΑΦΕΣ"),
            ("東京都に住んでいます", "東京"),
            ("我喜欢喝乌龙茶", "乌龙茶"),
            ("猫が好き", "猫"),
            ("彼は猫", "猫"),
            ("ガラス", "ガラス"),
            ("私はPythonを使う", "python"),
            ("저는 학교에서 일합니다", "학교"),
            ("ฉันชอบกินข้าวผัด", "ข้าวผัด"),
            ("मुझे हिन्दी पसंद है", "हिन्दी"),
            ("أحب القهوة", "القَهْوَة"),
            ("loves 🦊 and 👍🏽", "🦊"),
            ("loves 🦊 and 👍🏽", "👍"),
            ("order-1234/ab", "1234"),
            ("\uff26\uff35\uff2c\uff2c width", "full"),
            ('don\'t say "never"', '"never'),
            ("x" * 300, "x" * 300),
            ("a word\x00hidden", "hidden"),
        ],
    )
    async def test_words_are_found_in_any_language(
        self, ada: MemoryScope, text: str, query: str
    ) -> None:
        await ada.put("1", {"other": "nothing of the kind", "n": 5})
        await ada.put("2", {"deep": [{"in": text}]})
        await ada.put("3", "заметка 関係ない memo")
        hits = await ada.search(query)
        assert [hit.entry.key for hit in hits] == ["2"]
        assert hits[0].score > 0

    @pytest.mark.parametrize(
        "query",
        [
            *(
                "",
                " ",
                '"',
                "'",
                "*",
                "(",
                ")",
                "-",
                ":",
                "^",
                "{}",
                "NEAR",
                "NEAR(a b, 2)",
                "a AND",
            ),
            *("OR", "NOT a", "words:x", 'a" OR "b', "x*", "\x00", "a + b", "🤷", "—", "%_", "--;"),
            " ".join(f"word{n}" for n in range(3000)),
            "語" * 3000,
        ],
    )
    async def test_nothing_in_a_query_is_an_operator(self, ada: MemoryScope, query: str) -> None:
        await ada.put("1", "giraffe")
        assert await ada.search(query) == []
        assert len(await ada.search(f"giraffe {query}")) == 1

    async def test_the_best_come_first(self, ada: MemoryScope) -> None:
        await ada.put("one", "the green parrot speaks")
        await ada.put("both", "a green parrot, green all over, and a red car")
        await ada.put("other", "the red car")
        for n in range(20):
            await ada.put(f"filler {n}", f"something else about the weather of day {n}")
        hits = await ada.search("green parrot red car", limit=2)
        assert hits[0].entry.key == "both"
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert len(hits) == 2

    async def test_the_newer_of_equals_comes_first(self, ada: MemoryScope) -> None:
        for n in range(5):
            await ada.put(f"k{n}", "giraffe")
        await ada.put("k2", "giraffe")
        found = [hit.entry.key for hit in await ada.search("giraffe k")]
        assert found == ["k2", "k4", "k3", "k1", "k0"]

    async def test_what_is_searched(self, ada: MemoryScope) -> None:
        await ada.put("giraffe", {"member": ["value"]}, metadata={"a": "hidden"})
        await ada.put("k", "value", text="given")
        for query, found in {
            "giraffe": ["giraffe"],
            "value": ["giraffe"],
            "given": ["k"],
            "member": ["giraffe"],
            "hidden": [],
        }.items():
            assert [hit.entry.key for hit in await ada.search(query)] == found

    async def test_names_of_members_are_searched(self, ada: MemoryScope) -> None:
        await ada.put("1", {"tea": "green", "cups": [{"size": "large"}]})
        await ada.put("2", {"coffee": "green"})
        for query, found in {"which tea": ["1"], "cup": ["1"], "coffee": ["2"]}.items():
            assert [hit.entry.key for hit in await ada.search(query)] == found, query

    async def test_names_that_all_entries_share_do_not_decide(self, ada: MemoryScope) -> None:
        await ada.put_many({f"k{n}": {"note": f"the weather of day {n}"} for n in range(50)})
        await ada.put("tea", {"note": "jasmine"})
        await ada.put("about", "a note on jasmine tea in the long afternoons of a wet summer")
        hits = await ada.search("note jasmine", limit=2)
        assert {hit.entry.key for hit in hits} == {"tea", "about"}

    async def test_a_search_knows_every_write_before_it(self, ada: MemoryScope) -> None:
        for n in range(10):
            await ada.put("k", f"word{n}", metadata={"n": n})
            (hit,) = await ada.search(f"word{n}")
            assert hit.entry == await ada.entry("k")
            if n:
                assert await ada.search(f"word{n - 1}") == []
        await ada.delete("k")
        assert await ada.search("word9") == []

    async def test_more_than_one_read_brings(self, ada: MemoryScope) -> None:
        await ada.put_many({f"k{n}": f"word{n}" for n in range(1000)})
        await ada.put_many({f"l{n}": f"word{n}" for n in range(700)})
        found = await asyncio.gather(*(ada.search(f"word{n}") for n in (0, 499, 500, 999)))
        assert [len(hits) for hits in found] == [2, 2, 2, 1]
        for n in range(0, 1000, 100):
            await ada.delete(f"k{n}")
        assert [hit.entry.key for hit in await ada.search("word500")] == ["l500"]

    async def test_what_is_everywhere_tells_nothing(self, ada: MemoryScope) -> None:
        await ada.put_many({f"k{n}": f"the weather of day{n}" for n in range(400)})
        assert len(await ada.search("the weather", limit=1000)) == 400
        assert [hit.entry.key for hit in await ada.search("what was the weather of day7")] == ["k7"]
        assert len(await ada.search("the weather of nowhere", limit=1000)) == 400

    async def test_meaning_joins_words(self, store: Sojourn, ada: MemoryScope) -> None:
        async def found(query: str) -> list[str]:
            return [hit.entry.key for hit in await ada.search(query)]

        await ada.put("1", "an automobile without a vector")
        store.memory.embed_with(meaning, 3)
        await ada.put_many({"2": "an automobile", "3": "an oak", "4": "a car and an elm"})
        await ada.put("5", {"n": 1}, text="a truck")
        assert await found("car") == ["4", "5", "2"]
        assert set(await found("automobile")) == {"1", "2", "4", "5"}
        assert await found("oak") == ["3", "4"]
        await ada.merge("6", {"a": "birch"})
        await ada.delete("3")
        assert await found("oak") == ["6", "4"]
        assert await ada.get("6") == {"a": "birch"}


async def meaning(texts: list[str]) -> list[list[float]]:
    """Cars, trees and the rest are three directions."""
    cars, trees = {"car", "automobile", "truck"}, {"oak", "elm", "birch"}
    return [
        [float(len(words & cars)), float(len(words & trees)), 0.0]
        for words in (set(text.lower().split()) for text in texts)
    ]
