"""A browser without scripts, signed in by token."""

from __future__ import annotations

import re
from typing import Any

from starlette.testclient import TestClient

from serving.server.app import build_app


class Visitor:
    """A session of one of the service's accounts.

    Parameters
    ----------
    service : Service
        Of the fixture.
    name : str
        The account.
    purpose : str
        What the session is for.
    """

    def __init__(self, service: Any, name: str, purpose: str = "licensing") -> None:
        self.http = TestClient(build_app(service.runtime), base_url="http://localhost:3000")
        token = self._secret("/sign-in", "form_token")
        fields = {"token": service.tokens[name], "purpose": purpose, "form_token": token}
        answer = self.http.post("/sign-in", data=fields, follow_redirects=False)
        assert answer.status_code == 303, answer.text

    def _secret(self, path: str, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', self.http.get(path).text)
        assert found is not None, path
        return found[1]

    def get(self, path: str) -> Any:
        """Load a page."""
        return self.http.get(path)

    def post(self, path: str, fields: dict[str, Any], *, at: str) -> Any:
        """Send a form of the page `at`; what follows is not loaded, but for a refusal's page."""
        text = self.http.get(at).text
        hidden = dict(
            re.findall(r'type="hidden" name="(csrf|version|looked_at)" value="([^"]*)"', text)
        )
        assert "csrf" in hidden, at
        fields = {**hidden, **fields}
        sent = self.http.post(path, data=fields, follow_redirects=False)
        where = sent.headers.get("location", "")
        return self.http.get(where) if "refused=" in where else sent
