"""The forms that values of variables have, each with the words in which a wrong one is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from sojourn.options import Compression, Durability, OnOutage


class Form(NamedTuple):
    """What a value has to be, in words."""

    words: str


def _none(text: Any) -> Any:
    return None if isinstance(text, str) and text.lower() == "none" else text


def _not_of_kubernetes(text: Any) -> Any:
    """Kubernetes sets it for a service that is called redis; nobody has meant it as a port."""
    return None if isinstance(text, str) and text.startswith("tcp://") else text


def _in_utf8(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None:
        secret.get_secret_value().encode()  # else a ValueError
    return secret


_MOST = 10**12
_HOSTNAME = r"[^\s:/?#@\[\]\\,%]+"
_IPV6 = r"[0-9a-fA-F:.]*:[0-9a-fA-F:.]+(?:%[^\s:/?#@\[\]\\,%]+)?"

_Amount = Annotated[float, Field(ge=0.001, le=_MOST)]
_Age = Annotated[float, Field(ge=0.001, le=10**10)]
_AgeInHours = Annotated[float, Field(ge=0.001, le=10**10 // 3600)]
_Whole = Annotated[int, Field(ge=1, le=_MOST)]

Seconds = Annotated[_Amount, Form("seconds above zero")]
Life = Annotated[_Age | None, BeforeValidator(_none), Form("seconds above zero, or none")]
Hours = Annotated[_AgeInHours | None, BeforeValidator(_none), Form("hours above zero, or none")]
Count = Annotated[_Whole, Form("a whole number above zero")]
Cap = Annotated[_Whole | None, BeforeValidator(_none), Form("a whole number above zero, or none")]
Size = Annotated[int, Field(ge=0, le=_MOST), Form("a whole number, 0 or more")]
Number = Annotated[int | None, Field(ge=0, le=_MOST), Form("a whole number, 0 or more")]
Switch = Annotated[bool | None, Form("true or false")]
Namespace = Annotated[str, Form("letters, digits and _.-")]
Folder = Annotated[str | None, Form("a folder")]
_Hidden = Annotated[SecretStr | None, AfterValidator(_in_utf8)]
Secret = Annotated[_Hidden, Form("text in UTF-8")]
Url = Annotated[_Hidden, Form("a URL that sojourn.open takes, as redis://host:6379/0")]
Host = Annotated[
    str | None,
    Field(pattern=rf"^(?:{_HOSTNAME}|{_IPV6}|\[{_IPV6}\])$"),
    Form("a host's name or address, without redis:// and without a port"),
]
Port = Annotated[
    Annotated[int, Field(ge=1, le=65535)] | None,
    BeforeValidator(_not_of_kubernetes),
    Form("a port, 1 to 65535"),
]
Durable = Annotated[Durability, Form("primary or replicas")]
Outage = Annotated[OnOutage, Form("raise or buffer")]
KeyFile = Annotated[str | None, Form("a file of keys, or env:VARIABLE")]
KeyStore = Annotated[str | None, Form("a URL that sojourn.open takes, or file:PATH")]
Compressed = Annotated[Compression | None, BeforeValidator(_none), Form("zstd or none")]
Serialized = Annotated[Literal["json", "msgpack"], Form("json or msgpack")]
