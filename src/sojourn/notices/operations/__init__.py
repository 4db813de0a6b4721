"""Operations of the notices room, one class each. The scripts of sessions write the notices."""

from sojourn.notices.operations.forget import ForgetNotices
from sojourn.notices.operations.read import FindNewestNotice, ReadNotices

__all__ = ["FindNewestNotice", "ForgetNotices", "ReadNotices"]
