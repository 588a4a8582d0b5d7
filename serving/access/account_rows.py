"""What is told of accounts and tokens, without their secrets."""

from typing import TypedDict


class AccountRow(TypedDict):
    """An account, without its password's hash."""

    name: str
    role: str
    areas: list[str]
    is_active: bool
    created_at: str


class TokenRow(TypedDict):
    """A token's facts, without its secret."""

    token_id: str
    account: str
    label: str
    created_at: str
    expires_at: str
    revoked_at: str | None
