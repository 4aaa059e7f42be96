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

    def as_environment(self) -> dict[str, str]:
        """Variables by which AWS tools find them, for a child process."""
        names = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_PROFILE": self.profile,
        }
        return {name: value for name, value in names.items() if value}
