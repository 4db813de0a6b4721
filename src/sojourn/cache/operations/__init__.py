"""Operations of the cache, one class each."""

from sojourn.cache.operations.archive import ReadCached
from sojourn.cache.operations.delete import DeleteCached
from sojourn.cache.operations.fetch import FetchCached
from sojourn.cache.operations.fulfil import FulfilLease
from sojourn.cache.operations.invalidate import InvalidateTag
from sojourn.cache.operations.put import PutCached
from sojourn.cache.operations.renew import RenewLease
from sojourn.cache.operations.tenants import ForgetTenant, ListCached

__all__ = [
    "DeleteCached",
    "FetchCached",
    "ForgetTenant",
    "FulfilLease",
    "InvalidateTag",
    "ListCached",
    "PutCached",
    "ReadCached",
    "RenewLease",
]
