"""Keys of an object store that come from elsewhere than its usual places."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Credentials:
    """Keys as AWS names them; they show in no message, log or parameter."""

    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = None
    profile: str | None = None

    def as_session(self) -> dict[str, str | None]:
        """Arguments of a boto3 session."""
        return {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            "aws_session_token": self.session_token,
            "region_name": self.region,
            "profile_name": self.profile,
        }
