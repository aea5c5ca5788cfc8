"""Settings of the identity service."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from services.shared.settings import ServiceSettings


class IdentitySettings(ServiceSettings):
    """What identity needs to know beyond what every service does. `machine_key_file` also seals the signing keys."""

    command_key_file: Path
    """Ed25519 private key (PEM): who bears it may sign in as anybody. Only its public half is used here."""
    machine_keys: Path
    """Folder with the public halves (PEM) of the machines' keys, <name>.pub: who is believed to be which machine."""
    tasks_address: str
    """host:port of the tasks service, which knows what somebody who leaves still has to do."""
    health_address: str
    """host:port of the health service, whose audit is asked for."""
    revenue_address: str
    """host:port of the revenue service, whose audit is asked for."""
    notifications_address: str
    """host:port of the notifications service, whose audit is asked for."""
    oidc_issuer: str = ""
    """URL of the company's OpenID provider, exactly as it names itself; empty: nobody signs in by one."""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_login_claim: str = "preferred_username"
    """The claim of the ID token that holds the employee's login."""
    oidc_redirect_uris: Annotated[tuple[str, ...], NoDecode] = ()
    """Where the provider may send browsers back to, as registered there; separated by spaces."""

    @field_validator("oidc_redirect_uris", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _whole_oidc(self) -> "IdentitySettings":
        if self.oidc_issuer:
            url = urlsplit(self.oidc_issuer)
            if url.scheme != "https" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
                raise ValueError("KEJING_OIDC_ISSUER must be an https URL")
            if not (self.oidc_client_id and self.oidc_client_secret.get_secret_value() and self.oidc_redirect_uris):
                raise ValueError(
                    "KEJING_OIDC_ISSUER needs KEJING_OIDC_CLIENT_ID, KEJING_OIDC_CLIENT_SECRET and "
                    "KEJING_OIDC_REDIRECT_URIS as well"
                )
        return self
