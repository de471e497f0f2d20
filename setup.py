"""What `pyproject.toml` cannot say: files beside the package that come with it, see `recruiter.config.paths`."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = (
    "configs/*.yaml",
    "data/backend_roles.json",
    "feedback-ui/*.py",
    "feedback-ui/feedback/**/*.py",
    "feedback-ui/migrations/**/*",
    "feedback-ui/static/**/*",
    "feedback-ui/templates/**/*",
)


class BuildWithFiles(build_py):
    """Puts them into the wheel as `recruiter/shipped`; an editable install finds them where they are."""

    def run(self) -> None:
        """Build the package, then copy."""
        super().run()
        for path in () if self.editable_mode else sorted({p for each in SHIPPED for p in Path().glob(each)}):
            if path.is_file() and "__pycache__" not in path.parts:
                target = Path(self.build_lib, "recruiter/shipped", path)
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))


setup(cmdclass={"build_py": BuildWithFiles})
