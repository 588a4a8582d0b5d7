"""What the service refuses, each with a stable code, an HTTP status and an exit code."""

from __future__ import annotations

from features.errors import FflRiskError


class ServingError(FflRiskError):
    """Base of every error raised by `serving`.

    Attributes
    ----------
    code : str
        Stable, for programs; the sentence beside it is for people and may change.
    status : int
        HTTP status of the problem document.
    """

    code = "internal_error"
    status = 500
    exit_code = 3


class InvalidRequestError(ServingError):
    """A request that says something the service cannot accept."""

    code = "invalid_request"
    status = 422


class UnauthenticatedError(ServingError):
    """No identity, or one that is expired, revoked or not acceptable here."""

    code = "unauthenticated"
    status = 401


class ForbiddenRoleError(ServingError):
    """A role that may not use this route."""

    code = "forbidden_role"
    status = 403


class OutsideAreaError(ServingError):
    """An area that is not the caller's."""

    code = "outside_area"
    status = 403


class PurposeError(ServingError):
    """No purpose stated where one is needed, or one that does not reach dealer-level data."""

    code = "purpose_required"
    status = 403


class LegalGateError(ServingError):
    """A visit that the twelve-month rule of 18 USC 923(g)(1)(B) does not allow yet."""

    code = "not_eligible"
    status = 409
    exit_code = 5


class UnknownDealerError(ServingError):
    """A dealer that is not there for this caller: absent, held, or outside the area, all alike."""

    code = "unknown_dealer"
    status = 404


class NoReleaseError(ServingError):
    """A release that is not there for this caller: no such partner, or no agreement."""

    code = "no_release"
    status = 404


class UnknownSubjectError(ServingError):
    """A subject that cannot be followed: no dealer, port, state or county."""

    code = "unknown_subject"
    status = 422


class UnknownPlanError(ServingError):
    """A plan that is not there, or not for this caller to see."""

    code = "unknown_plan"
    status = 404


class UnknownListError(ServingError):
    """A list that does not exist, or is not this caller's."""

    code = "unknown_list"
    status = 404


class ConflictError(ServingError):
    """A record that contradicts one already kept."""

    code = "conflict"
    status = 409


class NotReadyError(ServingError):
    """Something needed that is not there yet: a champion, a scored table."""

    code = "not_ready"
    status = 503
    exit_code = 4


class AuditError(ServingError):
    """The audit record could not be written, so the answer is withheld; or a broken chain."""

    code = "audit_failed"
    status = 503
    exit_code = 5


class StoreError(ServingError):
    """A store that cannot be opened, read or written."""

    code = "store_unavailable"
    status = 503


class DiskError(ServingError):
    """A state folder that cannot be written: full, read-only, or not this account's."""

    code = "disk_unavailable"
    status = 503
    exit_code = 4


class StaleTableError(ServingError):
    """A scored table too old to send anybody anywhere by."""

    code = "table_too_old"
    status = 409
    exit_code = 5


class OverloadedError(ServingError):
    """Too much at once; try again after the stated seconds."""

    code = "overloaded"
    status = 503


class RateLimitError(ServingError):
    """More requests from one identity than its limit."""

    code = "too_many_requests"
    status = 429


class SuspendedError(ServingError):
    """Lists and scores are stopped by whoever leads the program, until they are resumed."""

    code = "suspended"
    status = 503
    exit_code = 5


class UnknownReferralError(ServingError):
    """A referral that is not there for this caller: absent, outside the area, held, all alike."""

    code = "unknown_referral"
    status = 404


class UnknownRecordError(ServingError):
    """A decision, outcome or subscription that is not there for this caller."""

    code = "unknown_record"
    status = 404


class UnknownCaseError(ServingError):
    """A case request that is not there, or is not this caller's."""

    code = "unknown_case"
    status = 404


class CaseExpiredError(ServingError):
    """A case request whose time is over: it answers nothing any more."""

    code = "case_expired"
    status = 409
